"""`/thresholds/`: levels of usage at which people are told, or further usage is refused."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from django.db.models import QuerySet
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
from metering.errors import Invalid, NotFound
from metering.models import MetricDefinition, Project
from metering.principal import Principal
from metering.texts.numbers import plain
from metering.texts.timestamps import iso
from quotas.decisions import actor_of
from quotas.models import DEFAULT_APPROACH_FRACTION, REASON_MAX_LENGTH, UsageThreshold
from quotas.thresholds import change_threshold, remove_threshold, set_threshold

from .documents import ThresholdChangeDocument, ThresholdDocument, ThresholdPage
from .quotas import PERIODS

_CHANGEABLE = ("threshold", "quota_fraction", "action", "notify_emails", "approach_fraction", "is_enabled")
_MEMBERS = ("project", "metric", "subject_type", "subject_id", "period", "reason", *_CHANGEABLE)
_ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "metric_key": "metric",
    "reset_period": "period",
    "period_type": "period",
    "amount": "threshold",
    "enabled": "is_enabled",
}
_FILTERS = (
    "project",
    "metric",
    "subject_type",
    "subject_id",
    "action",
    "period",
    "is_enabled",
    "limit",
    "cursor",
)


class ThresholdsView(APIView):
    """The thresholds of the projects that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "quotas.view_usagethreshold", "POST": "quotas.add_usagethreshold"}

    @extend_schema(
        operation_id="thresholds_list",
        summary="List thresholds",
        parameters=[
            OpenApiParameter("project", description="Only thresholds of this project."),
            OpenApiParameter("metric", description="Only thresholds on metrics of this key."),
            OpenApiParameter("subject_type"),
            OpenApiParameter("subject_id", description="As it was set; `*` for those on totals."),
            OpenApiParameter("action", enum=UsageThreshold.Action.values),
            OpenApiParameter("period", enum=UsageThreshold.Period.values),
            OpenApiParameter("is_enabled", bool),
            OpenApiParameter("limit", int, description="Thresholds per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: ThresholdPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=_FILTERS)
        principal = principal_of_request(request)
        thresholds = _visible_thresholds(principal)
        project_key = query.text("project")
        if project_key is not None:
            thresholds = thresholds.filter(project=visible_project(principal, project_key))
        metric_key = query.text("metric")
        if metric_key is not None:
            thresholds = thresholds.filter(metric__key=metric_key)
        for name in ("subject_type", "subject_id"):
            text = query.text(name)
            if text is not None:
                thresholds = thresholds.filter(**{name: text})
        action = query.choice("action", UsageThreshold.Action.values)
        if action is not None:
            thresholds = thresholds.filter(action=action)
        period = query.choice("period", PERIODS)
        if period is not None:
            thresholds = thresholds.filter(period=PERIODS[period])
        is_enabled = query.flag_or_none("is_enabled")
        if is_enabled is not None:
            thresholds = thresholds.filter(is_enabled=is_enabled)
        pages = KeyCursorPagination()
        page: list[UsageThreshold] = pages.paginate_queryset(thresholds, request, view=self) or []
        return pages.get_paginated_response([_shown(threshold) for threshold in page])

    @extend_schema(
        operation_id="thresholds_create",
        summary="Watch a level of usage",
        description=(
            "It holds at once, and usage of the running period counts: what is crossed already is told now. "
            'Without subject each subject is watched on its own; `subject_id: "*"` watches their total. '
            "Several levels of the same usage are several thresholds."
        ),
        request=ThresholdDocument,
        responses={201: ThresholdDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        if members.get("metric") is None:
            raise Invalid("This member is needed.", field="metric", code="missing_field")
        project = _project(members, principal)
        period = choice_of(members, "period", PERIODS)
        with _changing(principal, members):
            threshold = set_threshold(
                project,
                metric=_metric(members, project),
                amount=members.get("threshold"),
                quota_fraction=members.get("quota_fraction"),
                subject_type=text_of(members, "subject_type") or "",
                subject_id=text_of(members, "subject_id") or "",
                action=choice_of(members, "action", UsageThreshold.Action.values)
                or UsageThreshold.Action.ALERT,
                notify_emails=_emails(members) or (),
                period=None if period is None else PERIODS[period],
                approach_fraction=members.get("approach_fraction", DEFAULT_APPROACH_FRACTION),
                is_enabled=_flag(members, "is_enabled", default=True),
            )
        return Response(_shown(threshold), status=201)


class ThresholdView(APIView):
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "quotas.view_usagethreshold",
        "PATCH": "quotas.change_usagethreshold",
        "DELETE": "quotas.delete_usagethreshold",
    }

    @extend_schema(
        operation_id="thresholds_get",
        summary="One threshold",
        responses={200: ThresholdDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, threshold_id: int) -> Response:
        return Response(_shown(_visible_threshold(request, threshold_id)))

    @extend_schema(
        operation_id="thresholds_change",
        summary="Change level, action, addresses or early warning",
        description=(
            "Another level is a new version: the running period is evaluated anew, and a block that the old "
            "level made is lifted. An amount takes the place of a share of the quota, and vice versa."
        ),
        request=ThresholdChangeDocument,
        responses={200: ThresholdDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, threshold_id: int) -> Response:
        threshold = _visible_threshold(request, threshold_id)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        for name in members:
            if name not in {*_CHANGEABLE, "reason"}:
                raise Invalid(
                    f"Only {', '.join(_CHANGEABLE)} can be changed; remove the threshold and set another.",
                    field=name,
                )
        changes: dict[str, Any] = {}
        if members.get("threshold") is not None or members.get("quota_fraction") is not None:
            changes |= {"amount": members.get("threshold"), "quota_fraction": members.get("quota_fraction")}
        elif "threshold" in members or "quota_fraction" in members:
            name = "threshold" if "threshold" in members else "quota_fraction"
            raise Invalid("A threshold has a level; to watch nothing, disable or remove it.", field=name)
        if "approach_fraction" in members:
            changes["approach_fraction"] = members["approach_fraction"]
        if "is_enabled" in members:
            changes["is_enabled"] = _flag(members, "is_enabled", default=True)
        action = choice_of(members, "action", UsageThreshold.Action.values)
        emails = _emails(members) if "notify_emails" in members else None
        with _changing(principal_of_request(request), members):
            threshold = change_threshold(threshold, action=action, notify_emails=emails, **changes)
        return Response(_shown(threshold))

    @extend_schema(
        operation_id="thresholds_remove",
        summary="Stop watching a level",
        description="A block that it made is lifted. What was crossed stays on record.",
        parameters=[OpenApiParameter("reason", description="Why; it is kept in the history.")],
        responses={204: None, 404: ProblemDocument, 422: ProblemDocument},
    )
    def delete(self, request: Request, threshold_id: int) -> Response:
        query = Query(request.query_params, known=("reason",))
        threshold = _visible_threshold(request, threshold_id)
        with _changing(principal_of_request(request), {"reason": query.text("reason")}):
            remove_threshold(threshold)
        return Response(status=204)


def _changing(principal: Principal, members: Mapping[str, Any]) -> AbstractContextManager[None]:
    reason = text_of(members, "reason", max_length=REASON_MAX_LENGTH)
    return changed_by(actor_of(principal), reason=reason, through="API")


def _visible_thresholds(principal: Principal) -> QuerySet[UsageThreshold]:
    thresholds = UsageThreshold.objects.kept().select_related("project", "metric")
    if principal.project_path is not None:
        thresholds = thresholds.filter(project__path__startswith=principal.project_path)
    return thresholds


def _visible_threshold(request: Request, threshold_id: int) -> UsageThreshold:
    threshold = _visible_thresholds(principal_of_request(request)).filter(pk=threshold_id).first()
    if threshold is None:
        raise NotFound(f"There is no threshold {threshold_id}.")
    return threshold


def _project(members: Mapping[str, Any], principal: Principal) -> Project:
    """The project named, or else the key's own."""
    key = text_of(members, "project")
    if key is not None:
        return visible_project(principal, key)
    if principal.project_id is not None:
        return Project.objects.get(pk=principal.project_id)
    raise Invalid("The threshold must name its project.", field="project", code="missing_field")


def _metric(members: Mapping[str, Any], project: Project) -> MetricDefinition:
    """The metric named, as the project sees it. Raises `NotFound`."""
    key = text_of(members, "metric") or ""
    catalogue = current()
    meaning = catalogue.metric_for(catalogue.project_by_id(project.pk), key)
    if meaning is None:
        raise NotFound(f"Project '{project.key}' has no metric '{key[:100]}'.")
    return MetricDefinition.objects.select_related("project").get(pk=meaning.metric_id)


def _emails(members: Mapping[str, Any]) -> list[str]:
    value = members.get("notify_emails")
    if value is None:
        return []
    if not isinstance(value, list):
        raise Invalid("Must be a list of addresses.", field="notify_emails")
    return value


def _flag(members: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = members.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Invalid("Must be true or false.", field=name)
    return value


def _shown(threshold: UsageThreshold) -> dict[str, Any]:
    return {
        "id": threshold.pk,
        "project": threshold.project.key,
        "metric": threshold.metric.key,
        "subject_type": threshold.subject_type or None,
        "subject_id": threshold.subject_id or None,
        "threshold": None if threshold.amount is None else plain(threshold.amount),
        "quota_fraction": None if threshold.quota_fraction is None else plain(threshold.quota_fraction),
        "level": None if threshold.level is None else plain(threshold.level),
        "action": threshold.action,
        "notify_emails": threshold.notify_emails,
        "period": threshold.period,
        "approach_fraction": (
            None if threshold.approach_fraction is None else plain(threshold.approach_fraction)
        ),
        "is_enabled": threshold.is_enabled,
        "version": threshold.version,
        "created_at": iso(threshold.created_at),
    }
