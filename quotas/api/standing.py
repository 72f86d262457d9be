"""`/quotas/standing/`: how much of each limit is used."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.answering.fences import last_position
from metering.api.documents import ProblemDocument
from metering.api.parsing import Query
from metering.api.usage import CSVRenderer
from metering.api.visibility import principal_of_request, visible_project
from metering.clock import database_now
from metering.errors import Invalid
from metering.texts.csv_cells import neutral
from metering.texts.cursors import cursor_text, place_at, row_id
from metering.texts.numbers import NotANumber, decimal_from, plain
from metering.texts.timestamps import iso
from quotas.models import ProjectQuota
from quotas.utilisation import Utilisation, utilisations_of

from .visibility import visible_quotas

DEFAULT_PAGE, MAX_PAGE = 100, 1000
MAX_LOOKED_AT = 5_000  # for one page, where `min_fraction` lets few through
COLUMNS = (
    "quota",
    "project",
    "metric",
    "unit",
    "mode",
    "period",
    "counting",
    "period_start",
    "resets_at",
    "used",
    "held",
    "limit",
    "remaining",
    "fraction",
    "projected",
)


class StandingDocument(serializers.Serializer):
    """How one quota stands in the period that runs now."""

    quota = serializers.IntegerField(help_text="Its id.")
    project = serializers.CharField()
    metric = serializers.CharField()
    unit = serializers.CharField()
    mode = serializers.ChoiceField(choices=ProjectQuota.Mode.choices)
    period = serializers.ChoiceField(choices=ProjectQuota.Period.choices)
    counting = serializers.ChoiceField(choices=ProjectQuota.Counting.choices)
    period_start = serializers.DateTimeField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)
    used = serializers.CharField(allow_null=True, help_text="Null where the metric has no value yet.")
    held = serializers.CharField(help_text="Reserved by open holds.")
    limit = serializers.CharField(help_text="In force now.")
    remaining = serializers.CharField()
    fraction = serializers.CharField(
        allow_null=True, help_text="Used and held, as a share of the limit. Null where the limit is 0."
    )
    projected = serializers.CharField(
        allow_null=True,
        help_text=(
            "Usage at the end of the period if it goes on as until now: used x period / elapsed. Null in the "
            "first hour, without an end, and for values that don't grow by being used."
        ),
    )


class StandingPage(serializers.Serializer):
    position = serializers.IntegerField(help_text="Every event up to this ledger position is counted.")
    results = StandingDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """Behind a quota, by its id, in one direction."""

    quota_id: int
    is_backwards: bool = False

    @property
    def text(self) -> str:
        return cursor_text([self.quota_id, int(self.is_backwards)])

    @classmethod
    def from_text(cls, text: str) -> "_Place":
        def read(facts: list[Any]) -> "_Place":
            quota_id, is_backwards = facts
            return cls(row_id(quota_id), bool(is_backwards))

        return place_at(text, read)


class StandingView(APIView):
    """How much of each limit is used, what is left, and where it is heading."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "quotas.view_projectquota"}
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="quotas_standing_list",
        summary="How much of each limit is used",
        description=(
            "As of now, by the database's clock, with the limits in force. `Accept: text/csv` gives the "
            "same as CSV."
        ),
        parameters=[
            OpenApiParameter("project", description="Only quotas of this project."),
            OpenApiParameter("metric", description="Only quotas on metrics of this key."),
            OpenApiParameter("mode", enum=ProjectQuota.Mode.values),
            OpenApiParameter("min_fraction", description="Only where this share of the limit is taken."),
            OpenApiParameter("limit", int, description="Quotas per page."),
            OpenApiParameter("cursor"),
        ],
        responses={(200, "application/json"): StandingPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> HttpResponse:
        query = Query(
            request.query_params,
            known=("project", "metric", "mode", "min_fraction", "limit", "cursor", "format"),
        )
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
        least = _fraction(query)
        size = query.number("limit", default=DEFAULT_PAGE, least=1, most=MAX_PAGE)
        cursor_given = query.text("cursor")
        place = None if cursor_given is None else _Place.from_text(cursor_given)
        # Read first: everything up to it is in what is read next.
        position = last_position()
        rows, following, preceding = _page(quotas, least=least, size=size, place=place)

        def url(place: _Place | None) -> str | None:
            if place is None:
                return None
            parameters = request.query_params.copy()
            parameters["cursor"] = place.text
            return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")

        results = [_shown(quota, standing) for quota, standing in rows]
        if request.accepted_renderer.format == "csv":
            return _csv_of(results, following=url(following))
        return Response(
            {"position": position, "results": results, "next": url(following), "previous": url(preceding)}
        )


Row = tuple[ProjectQuota, Utilisation]


def _page(
    quotas: QuerySet[ProjectQuota], *, least: Decimal | None, size: int, place: _Place | None
) -> tuple[list[Row], _Place | None, _Place | None]:
    """The quotas of a page by id, and the places behind and before it; None where there are no more."""
    backwards = place is not None and place.is_backwards
    rows: list[Row] = []
    last_seen: int | None = None
    has_more = False
    for quota, standing in _standings(quotas, size=size, place=place):
        if quota is None:
            has_more = True  # looked at enough; the rest is another page's
            break
        if least is None or (standing.fraction is not None and standing.fraction >= least):
            if len(rows) == size:
                has_more = True
                break
            rows.append((quota, standing))
        last_seen = quota.pk
    if backwards:
        rows.reverse()
        following = _Place(place.quota_id - 1) if place is not None else None
        preceding = _Place(last_seen, is_backwards=True) if has_more and last_seen is not None else None
        return rows, following, preceding
    following = _Place(last_seen) if has_more and last_seen is not None else None
    preceding = _Place(place.quota_id + 1, is_backwards=True) if place is not None else None
    return rows, following, preceding


def _standings(
    quotas: QuerySet[ProjectQuota], *, size: int, place: _Place | None
) -> Iterator[tuple[Any, Any]]:
    """Quotas with how they stand, from the place on, read by the page; (None, None) where that takes long."""
    now = database_now()
    backwards = place is not None and place.is_backwards
    ordered = quotas.order_by("-pk" if backwards else "pk")
    behind = None if place is None else place.quota_id
    looked_at = 0
    while looked_at < MAX_LOOKED_AT:
        rest = ordered
        if behind is not None:
            rest = rest.filter(pk__lt=behind) if backwards else rest.filter(pk__gt=behind)
        chunk = list(rest[: size + 1])
        found = utilisations_of(chunk, now=now)
        for quota in chunk:
            yield quota, found[quota.pk]
        if len(chunk) <= size:
            return
        looked_at += len(chunk)
        behind = chunk[-1].pk
    yield None, None


def _fraction(query: Query) -> Decimal | None:
    text = query.text("min_fraction")
    if text is None:
        return None
    try:
        value = decimal_from(text)
    except NotANumber:
        value = Decimal(-1)
    if value < 0:
        raise Invalid("Must be a share such as 0.8, not negative.", field="min_fraction")
    return value


def _shown(quota: ProjectQuota, standing: Utilisation) -> dict[str, Any]:
    def number(value: Decimal | None) -> str | None:
        return None if value is None else plain(value)

    return {
        "quota": quota.pk,
        "project": quota.project.key,
        "metric": quota.metric.key,
        "unit": quota.metric.unit,
        "mode": quota.mode,
        "period": quota.period,
        "counting": quota.counting,
        "period_start": None if standing.period.start is None else iso(standing.period.start),
        "resets_at": None if standing.period.end is None else iso(standing.period.end),
        "used": number(standing.used),
        "held": number(standing.held),
        "limit": number(standing.limit),
        "remaining": number(standing.remaining),
        "fraction": number(standing.fraction),
        "projected": number(standing.projected),
    }


def _csv_of(results: list[dict[str, Any]], *, following: str | None) -> HttpResponse:
    """One page as a table; where another follows, a Link header says so."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    texts = {"project", "metric", "unit"}
    for result in results:
        writer.writerow([neutral(result[name]) if name in texts else result[name] for name in COLUMNS])
    response = HttpResponse(buffer.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="quotas.csv"'
    if following is not None:
        response["Link"] = f'<{following}>; rel="next"'
    return response
