"""`/projects/{key}/attribution/` and `/projects/{key}/payer/`: who pays, since when, and why."""

import datetime as dt
from typing import Any

from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.answering.usage_charts import UTC_ZONE
from metering.attributing.payers import chain_at
from metering.attributing.scope_tree import attribute, end_attribution, withdraw_attribution
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.models import AttributionRule, Project, SurfaceInstallation
from metering.principal import Principal
from metering.texts.cursors import LARGEST_ID
from metering.texts.timestamps import NotAnInstant, instant_from, iso

from .documents import (
    AttributionDocument,
    AttributionEndDocument,
    AttributionPage,
    PayerDocument,
    ProblemDocument,
)
from .pagination import KeyCursorPagination
from .parsing import Query, members_of, text_of
from .visibility import principal_of_request, visible_project

_MEMBERS = ("billing_attribution_project", "surface", "effective_from", "effective_until")
_ALIASES = {
    "billing_attribution_project_id": "billing_attribution_project",
    "payer": "billing_attribution_project",
}
_SURFACE = OpenApiParameter("surface", description="Key of a surface that is installed in the project.")


class AttributionRulesView(APIView):
    """Who pays for a project, since when."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "metering.view_attributionrule", "POST": "metering.add_attributionrule"}

    @extend_schema(
        operation_id="attribution_list",
        summary="Who pays for a project since when",
        description="The project's own rules and those of its surfaces.",
        parameters=[
            _SURFACE,
            OpenApiParameter("at", description="Only rules in force at this time: RFC 3339, or a date."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: AttributionPage, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        query = Query(request.query_params, known=("surface", "at", "limit", "cursor"))
        project = visible_project(principal_of_request(request), key)
        rules = AttributionRule.objects.filter(project=project).select_related(
            "project", "surface", "billing_attribution_project"
        )
        surface = _surface_of(project, query.text("surface"))
        if surface is not None:
            rules = rules.filter(surface=surface)
        instant = query.instant("at", zone=UTC_ZONE)
        if instant is not None:
            rules = rules.filter(
                Q(effective_from=None) | Q(effective_from__lte=instant),
                Q(effective_until=None) | Q(effective_until__gt=instant),
            )
        pages = KeyCursorPagination()
        page: list[AttributionRule] = pages.paginate_queryset(rules, request, view=self) or []
        return pages.get_paginated_response([_shown(rule) for rule in page])

    @extend_schema(
        operation_id="attribution_create",
        summary="Let another project pay from an instant on",
        description="An open rule in force ends where the new one begins. Recorded events keep their payer.",
        request=AttributionDocument,
        responses={
            201: AttributionDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request, key: str) -> Response:
        principal = principal_of_request(request)
        project = visible_project(principal, key)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        payer_key = text_of(members, "billing_attribution_project")
        if payer_key is None:
            raise Invalid("This member is needed.", field="billing_attribution_project", code="missing_field")
        rule = attribute(
            project,
            payer=visible_project(principal, payer_key),
            surface=_surface_of(project, text_of(members, "surface")),
            effective_from=_instant(members, "effective_from"),
            effective_until=_instant(members, "effective_until"),
        )
        return Response(_shown(rule), status=201)


class AttributionRuleView(APIView):
    permissions = {"GET": "read", "DELETE": "manage"}
    staff_rights = {"GET": "metering.view_attributionrule", "DELETE": "metering.delete_attributionrule"}

    @extend_schema(
        operation_id="attribution_get",
        summary="One attribution rule",
        responses={200: AttributionDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str, rule_id: int) -> Response:
        return Response(_shown(_rule(request, key, rule_id)))

    @extend_schema(
        operation_id="attribution_withdraw",
        summary="Withdraw a rule that has decided nothing yet",
        description=(
            "One that has yet to begin, or whose project has no usage and pays for nobody. Any other is 409: "
            "end it instead. A rule that ended because this one was to follow stays ended."
        ),
        responses={204: None, 404: ProblemDocument, 409: ProblemDocument},
    )
    def delete(self, request: Request, key: str, rule_id: int) -> Response:
        withdraw_attribution(_rule(request, key, rule_id), at=database_now())
        return Response(status=204)


class AttributionEndView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.change_attributionrule"}

    @extend_schema(
        operation_id="attribution_end",
        summary="End a rule",
        description=(
            "From `effective_until` on the project pays for itself, unless another rule says otherwise. A "
            "rule can be ended earlier than it does, not later. Recorded events keep their payer."
        ),
        request=AttributionEndDocument,
        responses={200: AttributionDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request, key: str, rule_id: int) -> Response:
        rule = _rule(request, key, rule_id)
        members = members_of(request.data, known=("effective_until",))
        until = _instant(members, "effective_until") or database_now()
        return Response(_shown(end_attribution(rule, effective_until=until)))


class PayerView(APIView):
    """Who pays at an instant."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_project"}

    @extend_schema(
        operation_id="payer_get",
        summary="Who pays at an instant, and why",
        description=(
            "The chain from the project, or one of its surfaces, to whoever pays for itself: each step with "
            "the rule that decided it. Usage is attributed by when it happened, by the rules as they stand "
            "when it is recorded."
        ),
        parameters=[
            OpenApiParameter("at", description="RFC 3339 with an offset, or a date (UTC). Default: now."),
            _SURFACE,
        ],
        responses={200: PayerDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        query = Query(request.query_params, known=("at", "surface"))
        principal = principal_of_request(request)
        project = visible_project(principal, key)
        surface = _surface_of(project, query.text("surface"))
        at = query.instant("at", zone=UTC_ZONE) or database_now()
        return Response(_chain_shown(principal, project, surface, at))


def _chain_shown(
    principal: Principal, project: Project, surface: SurfaceInstallation | None, at: dt.datetime
) -> dict[str, Any]:
    """The chain as far as the caller sees the projects whose rules it follows; who pays is told anyway."""
    catalogue = current()
    steps = chain_at(catalogue, project.pk, at, surface_id=surface.pk if surface else None)
    projects = Project.objects.in_bulk({id for step in steps for id in (step.project_id, step.payer_id)})
    seen = [step for step in steps if principal.sees(projects[step.project_id].path)]
    rules = AttributionRule.objects.select_related(
        "project", "surface", "billing_attribution_project"
    ).in_bulk([step.rule.id for step in seen if step.rule is not None])
    return {
        "project": project.key,
        "surface": surface.key if surface else None,
        "at": iso(at),
        "billing_scope": projects[steps[-1].payer_id].key,
        "is_complete": len(seen) == len(steps),
        "steps": [
            {
                "project": projects[step.project_id].key,
                "surface": surface.key if surface and step.surface_id else None,
                "decided_by": "no_rule" if step.rule is None else "rule",
                "rule": None if step.rule is None else _shown(rules[step.rule.id]),
                "paid_by": projects[step.payer_id].key,
            }
            for step in seen
        ],
    }


def _rule(request: Request, key: str, rule_id: int) -> AttributionRule:
    """The project's rule. Raises `NotFound`, also for a rule of another project."""
    project = visible_project(principal_of_request(request), key)
    rule = None
    if rule_id <= LARGEST_ID:
        rule = (
            AttributionRule.objects.filter(pk=rule_id, project=project)
            .select_related("project", "surface", "billing_attribution_project")
            .first()
        )
    if rule is None:
        raise NotFound(f"Project '{project.key}' has no attribution rule {rule_id}.")
    return rule


def _surface_of(project: Project, key: str | None) -> SurfaceInstallation | None:
    if key is None:
        return None
    surface = SurfaceInstallation.objects.filter(project=project, key=key).first()
    if surface is None:
        raise Invalid("No such surface is installed in this project.", field="surface")
    return surface


def _instant(members: dict[str, Any], name: str) -> dt.datetime | None:
    text = text_of(members, name)
    if text is None:
        return None
    try:
        return instant_from(text)
    except NotAnInstant as error:
        raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=name) from None


def _shown(rule: AttributionRule) -> dict[str, Any]:
    return {
        "id": rule.pk,
        "project": rule.project.key,
        "billing_attribution_project": rule.billing_attribution_project.key,
        "surface": rule.surface.key if rule.surface else None,
        "effective_from": iso(rule.effective_from) if rule.effective_from else None,
        "effective_until": iso(rule.effective_until) if rule.effective_until else None,
    }
