"""`/quotas/`: limiting what projects may use."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

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
from quotas.enforcement import change_quota, remove_quota, set_quota
from quotas.models import ProjectQuota

from .documents import QuotaChangeDocument, QuotaDocument, QuotaPage

_MEMBERS = ("project", "metric", "limit", "mode", "period", "counting")
_ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "metric_key": "metric",
    "reset_period": "period",
    "period_type": "period",
}
# Periods may be named as metrics name theirs.
_PERIODS = {period: period for period in ProjectQuota.Period.values} | {
    "hourly": ProjectQuota.Period.HOUR.value,
    "daily": ProjectQuota.Period.DAY.value,
    "weekly": ProjectQuota.Period.WEEK.value,
    "monthly": ProjectQuota.Period.MONTH.value,
    "yearly": ProjectQuota.Period.YEAR.value,
}


class QuotasView(APIView):
    """The quotas of the projects that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}

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
        quotas = _visible_quotas(principal)
        project_key = query.text("project")
        if project_key is not None:
            quotas = quotas.filter(project=visible_project(principal, project_key))
        metric_key = query.text("metric")
        if metric_key is not None:
            quotas = quotas.filter(metric__key=metric_key)
        mode = query.choice("mode", ProjectQuota.Mode.values)
        if mode is not None:
            quotas = quotas.filter(mode=mode)
        period = query.choice("period", _PERIODS)
        if period is not None:
            quotas = quotas.filter(period=_PERIODS[period])
        pages = KeyCursorPagination()
        page: list[ProjectQuota] = pages.paginate_queryset(quotas, request, view=self) or []
        return pages.get_paginated_response([_shown(quota) for quota in page])

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
        quota = set_quota(
            project,
            metric=_metric(members, project),
            limit=members["limit"],
            mode=choice_of(members, "mode", ProjectQuota.Mode.values) or "",
            period=_PERIODS[choice_of(members, "period", _PERIODS) or ""],
            counting=(text_of(members, "counting") or ProjectQuota.Counting.ROLLUPS).lower(),
        )
        return Response(_shown(quota), status=201)


class QuotaView(APIView):
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}

    @extend_schema(
        operation_id="quotas_get",
        summary="One quota",
        responses={200: QuotaDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, quota_id: int) -> Response:
        return Response(_shown(_visible_quota(request, quota_id)))

    @extend_schema(
        operation_id="quotas_change",
        summary="Change limit or mode",
        description="It holds at once. Recorded usage stays, also where it is above the new limit.",
        request=QuotaChangeDocument,
        responses={200: QuotaDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, quota_id: int) -> Response:
        quota = _visible_quota(request, quota_id)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        for name in members:
            if name not in {"limit", "mode"}:
                raise Invalid(
                    "Only limit and mode can be changed; remove the quota and set another.", field=name
                )
        if "limit" in members and members["limit"] is None:
            raise Invalid("A quota has a limit; to lift it, remove the quota.", field="limit")
        quota = change_quota(
            quota,
            limit=members.get("limit"),
            mode=choice_of(members, "mode", ProjectQuota.Mode.values),
        )
        return Response(_shown(quota))

    @extend_schema(
        operation_id="quotas_remove",
        summary="Lift a limit",
        responses={204: None, 404: ProblemDocument},
    )
    def delete(self, request: Request, quota_id: int) -> Response:
        remove_quota(_visible_quota(request, quota_id))
        return Response(status=204)


def _visible_quotas(principal: Principal) -> QuerySet[ProjectQuota]:
    quotas = ProjectQuota.objects.select_related("project", "metric")
    if principal.project_path is not None:
        quotas = quotas.filter(project__path__startswith=principal.project_path)
    return quotas


def _visible_quota(request: Request, quota_id: int) -> ProjectQuota:
    quota = _visible_quotas(principal_of_request(request)).filter(pk=quota_id).first()
    if quota is None:
        raise NotFound(f"There is no quota {quota_id}.")
    return quota


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


def _shown(quota: ProjectQuota) -> dict[str, Any]:
    return {
        "id": quota.pk,
        "project": quota.project.key,
        "metric": quota.metric.key,
        "limit": plain(quota.limit),
        "mode": quota.mode,
        "period": quota.period,
        "counting": quota.counting,
        "created_at": iso(quota.created_at),
    }
