"""`/quotas/`: limiting what projects may use."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.accountability import changed_by
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, choice_of, members_of, text_of
from metering.api.visibility import principal_of_request, visible_project
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.models import MetricDefinition, Project
from metering.principal import Principal
from metering.texts.numbers import plain
from metering.texts.timestamps import iso
from quotas.decisions import actor_of
from quotas.enforcement import UNCHANGED, change_quota, remove_quota, set_quota
from quotas.models import REASON_MAX_LENGTH, ProjectQuota, QuotaOverride

from .documents import QuotaChangeDocument, QuotaDocument, QuotaPage
from .overrides import override_shown
from .visibility import visible_quota, visible_quotas

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MEMBERS = ("project", "metric", "limit", "mode", "period", "anchor", "counting", "reason")
_ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "metric_key": "metric",
    "reset_period": "period",
    "period_type": "period",
}
# Periods may be named as metrics name theirs.
PERIODS = {period: period for period in ProjectQuota.Period.values} | {
    "hourly": ProjectQuota.Period.HOUR.value,
    "daily": ProjectQuota.Period.DAY.value,
    "weekly": ProjectQuota.Period.WEEK.value,
    "monthly": ProjectQuota.Period.MONTH.value,
    "yearly": ProjectQuota.Period.YEAR.value,
}


class QuotasView(APIView):
    """The quotas of the projects that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "quotas.view_projectquota", "POST": "quotas.add_projectquota"}

    @extend_schema(
        operation_id="quotas_list",
        summary="List quotas",
        parameters=[
            OpenApiParameter("project", description="Only quotas of this project."),
            OpenApiParameter("metric", description="Only quotas on metrics of this key."),
            OpenApiParameter("mode", enum=ProjectQuota.Mode.values),
            OpenApiParameter("period", enum=ProjectQuota.Period.values),
            OpenApiParameter("limit", int, description="Quotas per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: QuotaPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "metric", "mode", "period", "limit", "cursor"))
        principal = principal_of_request(request)
        quotas = visible_quotas(principal)
        project_key = query.text("project")
        if project_key is not None:
            quotas = quotas.filter(project=visible_project(principal, project_key))
        metric_key = query.text("metric")
        if metric_key is not None:
            quotas = quotas.filter(metric__key=metric_key)
        mode = query.choice("mode", ProjectQuota.Mode.values)
        if mode is not None:
            quotas = quotas.filter(mode=mode)
        period = query.choice("period", PERIODS)
        if period is not None:
            quotas = quotas.filter(period=PERIODS[period])
        pages = KeyCursorPagination()
        page: list[ProjectQuota] = pages.paginate_queryset(quotas, request, view=self) or []
        return pages.get_paginated_response(_shown(page))

    @extend_schema(
        operation_id="quotas_create",
        summary="Limit what a project may use",
        description="It holds at once, and usage of the running period counts.",
        request=QuotaDocument,
        responses={201: QuotaDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        for name in ("metric", "limit", "mode", "period"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        project = _project(members, principal)
        metric = _metric(members, project)
        mode = choice_of(members, "mode", ProjectQuota.Mode.values) or ""
        period = PERIODS[choice_of(members, "period", PERIODS) or ""]
        anchor = _day(members, "anchor")
        counting = choice_of(members, "counting", ProjectQuota.Counting.values) or "rollups"
        with _changing(principal, text_of(members, "reason", max_length=REASON_MAX_LENGTH)):
            quota = set_quota(
                project,
                metric=metric,
                limit=members["limit"],
                mode=mode,
                period=period,
                anchor=anchor,
                counting=counting,
            )
        return Response(_shown([quota])[0], status=201)


class QuotaView(APIView):
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "quotas.view_projectquota",
        "PATCH": "quotas.change_projectquota",
        "DELETE": "quotas.delete_projectquota",
    }

    @extend_schema(
        operation_id="quotas_get",
        summary="One quota",
        responses={200: QuotaDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, quota_id: int) -> Response:
        return Response(_shown([visible_quota(request, quota_id)])[0])

    @extend_schema(
        operation_id="quotas_change",
        summary="Change a quota",
        description=(
            "Limit, mode, period, anchor and what it counts by. It holds at once. Recorded usage stays and "
            "counts, also where it is above the new limit."
        ),
        request=QuotaChangeDocument,
        responses={200: QuotaDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, quota_id: int) -> Response:
        quota = visible_quota(request, quota_id)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        for name, value in members.items():
            if name in {"project", "metric"}:
                raise Invalid("This can't be changed; remove the quota and set another.", field=name)
            if value is None and name not in {"anchor", "reason"}:
                raise Invalid("A quota has one; to lift the limit, remove the quota.", field=name)
        period = choice_of(members, "period", PERIODS)
        mode = choice_of(members, "mode", ProjectQuota.Mode.values)
        anchor = _day(members, "anchor") if "anchor" in members else UNCHANGED
        counting = choice_of(members, "counting", ProjectQuota.Counting.values)
        reason = text_of(members, "reason", max_length=REASON_MAX_LENGTH)
        with _changing(principal_of_request(request), reason):
            quota = change_quota(
                quota,
                limit=members.get("limit"),
                mode=mode,
                period=None if period is None else PERIODS[period],
                anchor=anchor,
                counting=counting,
            )
        return Response(_shown([quota])[0])

    @extend_schema(
        operation_id="quotas_remove",
        summary="Lift a limit",
        parameters=[OpenApiParameter("reason", description="Why; it is kept in the history.")],
        responses={204: None, 404: ProblemDocument},
    )
    def delete(self, request: Request, quota_id: int) -> Response:
        query = Query(request.query_params, known=("reason",))
        quota = visible_quota(request, quota_id)
        with _changing(principal_of_request(request), query.text("reason")):
            remove_quota(quota)
        return Response(status=204)


def _changing(principal: Principal, reason: str | None) -> AbstractContextManager[None]:
    return changed_by(actor_of(principal), reason=reason, through="API")


def _project(members: Mapping[str, Any], principal: Principal) -> Project:
    """The project named, or the key's own where it has none below it."""
    key = text_of(members, "project")
    if key is not None:
        return visible_project(principal, key)
    if principal.project_id is not None:
        project = Project.objects.get(pk=principal.project_id)
        if not project.children.exists():
            return project
    raise Invalid("The quota must name its project.", field="project", code="missing_field")


def _metric(members: Mapping[str, Any], project: Project) -> MetricDefinition:
    """The metric named, as the project sees it. Raises `NotFound`."""
    key = text_of(members, "metric") or ""
    catalogue = current()
    meaning = catalogue.metric_for(catalogue.project_by_id(project.pk), key)
    if meaning is None:
        raise NotFound(f"Project '{project.key}' has no metric '{key[:100]}'.")
    return MetricDefinition.objects.select_related("project").get(pk=meaning.metric_id)


def _day(members: Mapping[str, Any], name: str) -> dt.date | None:
    text = text_of(members, name)
    if text is None:
        return None
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Invalid("Must be a day: YYYY-MM-DD.", field=name) from None


def _shown(quotas: Sequence[ProjectQuota]) -> list[dict[str, Any]]:
    now = database_now()
    overrides: dict[int, list[QuotaOverride]] = defaultdict(list)
    for override in QuotaOverride.objects.filter(quota__in=quotas, effective_until__gt=now):
        overrides[override.quota_id].append(override)
    return [
        {
            "id": quota.pk,
            "project": quota.project.key,
            "metric": quota.metric.key,
            "limit": plain(quota.limit),
            "limit_in_force": plain(
                next((o.limit for o in overrides[quota.pk] if o.effective_from <= now), quota.limit)
            ),
            "mode": quota.mode,
            "period": quota.period,
            "anchor": None if quota.anchor is None else quota.anchor.isoformat(),
            "counting": quota.counting,
            "overrides": [override_shown(override) for override in overrides[quota.pk]],
            "created_at": iso(quota.created_at),
        }
        for quota in quotas
    ]
