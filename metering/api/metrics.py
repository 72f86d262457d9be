"""`/metrics/`: defining what is measured, and cloning it."""

from typing import Any

from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.catalogue import current
from metering.defining.cloning import clone_metric
from metering.defining.definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    archive_metric,
    change_metric,
    define_metric,
)
from metering.errors import Invalid, NotFound
from metering.models import MetricDefinition, Project
from metering.principal import Principal
from metering.texts.timestamps import iso

from .documents import ProblemDocument
from .metric_documents import MetricCloneDocument, MetricDocument, MetricPage
from .pagination import KeyCursorPagination
from .parsing import Query, choice_of, members_of, text_of
from .visibility import principal_of_request, visible_project

_CHOICES = {
    "meter_type": MetricDefinition.MeterType.values,
    "data_type": MetricDefinition.DataType.values,
    "aggregation": MetricDefinition.Aggregation.values,
    "reporting_method": MetricDefinition.ReportingMethod.values,
    "reset_period": MetricDefinition.ResetPeriod.values,
}
_TEXTS = {"display_name": 200, "description": 10_000, "unit": 50, "event_name": 200, "value_property": 200}
_LISTS = ("expected_labels", "primary_labels")
MEMBERS = (*MEANING_FIELDS, *WORDING_FIELDS)
ALIASES = {
    "aggregation_type": "aggregation",
    "meter_kind": "meter_type",
    "unit_name": "unit",
    "project_id": "project",
    "org_id": "project",
}


WHOSE = OpenApiParameter("project", description="Where several projects have a metric of this key.")


class MetricsView(APIView):
    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "metering.view_metricdefinition", "POST": "metering.add_metricdefinition"}

    @extend_schema(
        operation_id="metrics_list",
        summary="List metrics",
        description="Those of the caller's projects, of their ancestors, and global ones.",
        parameters=[
            OpenApiParameter("project", description="Only what this project sees."),
            OpenApiParameter("event_name"),
            OpenApiParameter("archived", bool, description="Default: both."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: MetricPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "event_name", "archived", "limit", "cursor"))
        principal = principal_of_request(request)
        project_key = query.text("project")
        if project_key is not None:
            metrics = _seen_from(visible_project(principal, project_key).path, below=False)
        else:
            metrics = _seen_from(principal.project_path, below=True)
        event_name = query.text("event_name")
        if event_name is not None:
            metrics = metrics.filter(event_name=event_name)
        if query.text("archived") is not None:
            metrics = metrics.filter(archived_from__isnull=not query.flag("archived"))
        pages = KeyCursorPagination()
        page: list[MetricDefinition] = pages.paginate_queryset(metrics, request, view=self) or []
        return pages.get_paginated_response([shown(metric) for metric in page])

    @extend_schema(
        operation_id="metrics_define",
        summary="Define a metric",
        description="It counts from now on; with `counts_from: 0`, all history that matches too: at once, or"
        " where there is much of it within the next tick, which then makes `counts_from` 0.",
        request=MetricDocument,
        responses={201: MetricDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(
            request.data, known=("key", "name", "project", "counts_from", *MEMBERS), aliases=ALIASES
        )
        key = key_of(members)
        counts_from = counts_from_of(members)
        fields = fields_of(members)
        name = text_of(members, "name", max_length=200)
        if name is not None:
            fields.setdefault("display_name", name)
        metric = define_metric(
            key=key,
            project=owner_of(members, principal),
            counts_from=counts_from,
            **fields,
        )
        metric.refresh_from_db()
        return Response(shown(metric), status=201)


class MetricView(APIView):
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "metering.view_metricdefinition",
        "PATCH": "metering.change_metricdefinition",
        "DELETE": "metering.change_metricdefinition",
    }

    @extend_schema(
        operation_id="metrics_get",
        summary="One metric",
        parameters=[WHOSE],
        responses={200: MetricDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        return Response(shown(metric_of(request, key)))

    @extend_schema(
        operation_id="metrics_change",
        summary="Change a metric",
        description="What changes the meaning of numbers freezes with the first event that matches.",
        parameters=[WHOSE],
        request=MetricDocument,
        responses={200: MetricDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, key: str) -> Response:
        metric = metric_of(request, key, to_change=True)
        members = members_of(request.data, known=MEMBERS, aliases={**ALIASES, "name": "display_name"})
        return Response(shown(change_metric(metric, fields_of(members))))

    @extend_schema(
        operation_id="metrics_archive",
        summary="Archive a metric",
        description="It counts no more from now on; its history stays and can be read.",
        parameters=[WHOSE],
        responses={200: MetricDocument, 404: ProblemDocument},
    )
    def delete(self, request: Request, key: str) -> Response:
        return Response(shown(archive_metric(metric_of(request, key, to_change=True))))


class MetricCloneView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.add_metricdefinition"}

    @extend_schema(
        operation_id="metrics_clone",
        summary="Define a metric from another",
        description=(
            "The way out when a meaning is frozen: the new metric means what the old one does but for the "
            "members sent, and belongs to the same project. With `archive` the old one stops counting at the "
            "very position from which the new one counts."
        ),
        parameters=[WHOSE],
        request=MetricCloneDocument,
        responses={201: MetricDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request, key: str) -> Response:
        metric = metric_of(request, key, to_change=True)
        members = members_of(
            request.data,
            known=("key", "counts_from", "archive", *MEMBERS),
            aliases={**ALIASES, "name": "display_name"},
        )
        clone = clone_metric(
            metric,
            key=key_of(members),
            counts_from=counts_from_of(members),
            archives=flag_of(members, "archive"),
            **fields_of(members),
        )
        clone.refresh_from_db()
        return Response(shown(clone), status=201)


def _seen_from(path: str | None, *, below: bool) -> Any:
    """Metrics that the project at `path` sees; with `below`, those of its descendants too."""
    metrics = MetricDefinition.objects.select_related("project")
    if path is None:
        return metrics
    ancestors = [int(part) for part in path.strip("/").split("/")]
    seen = Q(project=None) | Q(project_id__in=ancestors)
    if below:
        seen |= Q(project__path__startswith=path)
    return metrics.filter(seen)


def metric_of(request: Request, key: str, *, to_change: bool = False) -> MetricDefinition:
    """The metric by key. To change it, its owner must lie within what the caller sees: else not found."""
    query = Query(request.query_params, known=("project",))
    principal = principal_of_request(request)
    path = principal.project_path
    project_key = query.text("project")
    if project_key is not None:
        path = visible_project(principal, project_key).path
    meaning = current().metric_within(path, key)
    metric = MetricDefinition.objects.select_related("project").get(pk=meaning.metric_id)
    if to_change and principal.project_path is not None and not principal.sees(meaning.owner_path or ""):
        raise NotFound(f"There is no metric '{key[:100]}' that this key may change.")
    return metric


def owner_of(members: dict[str, Any], principal: Principal) -> Project | None:
    """The named project, else the key's; staff may define global metrics by naming none."""
    key = text_of(members, "project")
    if key is not None:
        return visible_project(principal, key)
    return None if principal.project_id is None else Project.objects.get(pk=principal.project_id)


def key_of(members: dict[str, Any]) -> str:
    key = text_of(members, "key", max_length=100)
    if key is None:
        raise Invalid("This member is needed.", field="key", code="missing_field")
    return key


def counts_from_of(members: dict[str, Any]) -> int | None:
    """0 for all history, None for from now on."""
    counts_from = members.get("counts_from")
    if counts_from is not None and (isinstance(counts_from, bool) or counts_from != 0):
        raise Invalid("A metric counts from now on, or from 0: all history.", field="counts_from")
    return None if counts_from is None else 0


def flag_of(members: dict[str, Any], name: str) -> bool:
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise Invalid("Must be true or false.", field=name)
    return bool(value)


def fields_of(members: dict[str, Any]) -> dict[str, Any]:
    """The definition's own fields that were sent, each of its type. Raises `Invalid`."""
    fields: dict[str, Any] = {}
    for name, value in members.items():
        if name not in MEMBERS or value is None:
            continue
        if name in _CHOICES:
            fields[name] = choice_of(members, name, _CHOICES[name])
        elif name in _TEXTS:
            fields[name] = text_of(members, name, max_length=_TEXTS[name])
        elif name in _LISTS:
            if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
                raise Invalid("Must be an array of texts.", field=name)
            fields[name] = value
        elif name == "is_incremental":
            fields[name] = flag_of(members, name)
        else:
            fields[name] = value  # the filter; the verb reads it
    return fields


def shown(metric: MetricDefinition) -> dict[str, Any]:
    return {
        "key": metric.key,
        "display_name": metric.display_name,
        "description": metric.description,
        "unit": metric.unit,
        "project": metric.project.key if metric.project else None,
        **{name: getattr(metric, name) for name in MEANING_FIELDS},
        "reset_period": metric.reset_period,
        "counts_from": metric.counts_from,
        "archived_from": metric.archived_from,
        "created_at": iso(metric.created_at),
    }
