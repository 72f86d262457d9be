"""`/usage/` and `/usage-summaries/`: how much was used."""

import csv
import datetime as dt
import io
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.answering.answers import answer
from metering.answering.fences import last_position
from metering.answering.summaries import PERIODS, SummaryCursor, SummaryFilter, summaries_page
from metering.answering.summaries import SummaryPage as SummaryRows
from metering.answering.usage import (
    PROJECT_COLUMNS,
    SUBJECT_COLUMNS,
    Interval,
    Scope,
    Slice,
    Usage,
    group_name,
    usage_in,
    usage_span,
    value_between,
)
from metering.catalogue import Catalogue, project_ids_below
from metering.errors import Invalid, NotFound
from metering.measuring.aggregations import Aggregate
from metering.measuring.meaning import Meaning
from metering.measuring.windows import window_holding, windows_between
from metering.principal import Principal
from metering.texts.csv_cells import neutral
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .documents import ProblemDocument, SummaryPage, UsageDocument
from .event_query import AS_OF_PARAMETER, LABELS_PARAMETER
from .parsing import Query
from .visibility import principal_of_request, visible_node, visible_project_ids

MAX_WINDOWS = 10_000
MAX_RESULTS = 100_000
MAX_GROUPS = 10
WINDOWS = ("hour", "day", "week", "month")


class CSVRenderer(BaseRenderer):
    """Lets `Accept: text/csv` through content negotiation; the view writes the text itself."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        return data


class UsageView(APIView):
    """Usage of one metric over a time, whole or in windows, grouped or not. Exact at once."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_usageevent"}
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="usage_get",
        summary="Usage of a metric",
        parameters=[
            OpenApiParameter("metric", required=True, description="Key of the metric."),
            OpenApiParameter("project", description="Key. Without it: all that the key sees."),
            OpenApiParameter(
                "scope",
                enum=["own", "tree", "billed"],
                description="own: that project alone; tree: with everything below; billed: what it pays for.",
            ),
            OpenApiParameter("subject_type"),
            OpenApiParameter("subject_id"),
            OpenApiParameter("from", description="RFC 3339 time, or a date in `timezone`; inclusive."),
            OpenApiParameter("to", description="Likewise, exclusive."),
            OpenApiParameter("window", enum=list(WINDOWS)),
            LABELS_PARAMETER,
            OpenApiParameter(
                "timezone", description="IANA name; windows are cut on its clocks. Default UTC."
            ),
            OpenApiParameter(
                "group_by",
                description="Of project, billing_scope, subject_type, subject_id, labels.<name>.",
            ),
            OpenApiParameter("fill", bool, description="Show windows without events, too."),
            AS_OF_PARAMETER,
        ],
        responses={(200, "application/json"): UsageDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> HttpResponse:
        query = Query(
            request.query_params,
            known=(
                "metric",
                "project",
                "scope",
                "subject_type",
                "subject_id",
                "from",
                "to",
                "window",
                "timezone",
                "group_by",
                "fill",
                "as_of",
                "format",
            ),
            with_labels=True,
        )
        as_of = query.position()
        return answer(lambda catalogue: self._answer(request, query, catalogue, as_of))

    @staticmethod
    def _answer(request: Request, query: Query, catalogue: Catalogue, as_of: int | None) -> HttpResponse:
        meaning, scope = metric_and_scope(query, principal_of_request(request), catalogue)
        zone = query.zone()
        start, end = query.instant("from", zone=zone), query.instant("to", zone=zone)
        if start is not None and end is not None and start >= end:
            raise Invalid("'to' must lie after 'from'.", field="to")
        wanted = Slice(
            scope=scope,
            subject_type=query.text("subject_type"),
            subject_id=query.text("subject_id"),
            labels=query.labels,
            group_by=_group_by(query.text("group_by"), meaning),
        )
        window = query.choice("window", WINDOWS)
        fills = query.flag("fill")
        _ensure_levels_stay_whole(meaning, wanted, start, end, window)
        # Read first: everything up to it is in the snapshot that follows.
        position = last_position() if as_of is None else as_of
        intervals: list[Interval] = [(start, end)]
        if window is not None:
            intervals = _windows(meaning, wanted, start, end, window, zone, as_of=as_of)
        usages = usage_in(meaning, intervals, slice=wanted, limit=MAX_RESULTS + 1, as_of=as_of)
        if len(usages) > MAX_RESULTS:
            raise Invalid(
                f"More than {MAX_RESULTS} results; ask for a shorter time, fewer groups, or the export.",
                field="group_by" if wanted.group_by else "window",
            )
        if (window is None and not wanted.group_by) or fills:
            usages = _filled(meaning, wanted, intervals, usages)
        results = [
            {
                "window_start": _shown(intervals[usage.window][0], zone),
                "window_end": _shown(intervals[usage.window][1], zone),
                "value": None if usage.value is None else plain(usage.value),
                "record_count": usage.aggregate.record_count,
                "group": usage.group,
            }
            for usage in usages
        ]
        if request.accepted_renderer.format == "csv":
            return _csv_of(results, wanted.group_by, filename=f"usage-{meaning.key}.csv")
        return Response(
            {
                "metric": meaning.key,
                "unit": meaning.unit,
                "from": _shown(start, zone),
                "to": _shown(end, zone),
                "position": position,
                "read_from": "ledger" if as_of is not None or wanted.needs_ledger(meaning) else "rollups",
                "results": results,
            }
        )


class UsageSummariesView(APIView):
    """Rows of the rollups, what is pending added: one per stream and period, newest first."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_usagemeterrollup"}

    @extend_schema(
        operation_id="usage_summaries_list",
        summary="Usage per hour, day or month (UTC) and subject",
        parameters=[
            OpenApiParameter("metric", required=True),
            OpenApiParameter("project"),
            OpenApiParameter("subject_type"),
            OpenApiParameter("subject_id"),
            OpenApiParameter("period_type", enum=list(PERIODS), description="Default: daily."),
            OpenApiParameter("period_start", description="Only the period that begins at this instant."),
            AS_OF_PARAMETER,
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: SummaryPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(
            request.query_params,
            known=(
                "metric",
                "project",
                "subject_type",
                "subject_id",
                "period_type",
                "period_start",
                "as_of",
                "limit",
                "cursor",
            ),
        )
        principal = principal_of_request(request)
        period_type = query.choice("period_type", PERIODS) or "daily"
        cursor_text = query.text("cursor")
        as_of = query.position()

        def page_by(catalogue: Catalogue) -> SummaryRows:
            meaning, scope = metric_and_scope(query, principal, catalogue)
            return summaries_page(
                meaning,
                SummaryFilter(
                    period_type=period_type,
                    scope=scope,
                    subject_type=query.text("subject_type"),
                    subject_id=query.text("subject_id"),
                    period_start=query.instant("period_start", zone=ZoneInfo("UTC")),
                    as_of=as_of,
                ),
                cursor=None if cursor_text is None else SummaryCursor.from_text(cursor_text),
                limit=query.number("limit", default=100, least=1, most=1000),
            )

        page = answer(page_by)

        def url(cursor: SummaryCursor | None) -> str | None:
            if cursor is None:
                return None
            parameters = request.query_params.copy()
            parameters["cursor"] = cursor.text
            if as_of is not None:
                parameters["as_of"] = str(as_of)  # further pages show the same position
            return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")

        document = {"results": page.rows, "next": url(page.following), "previous": url(page.preceding)}
        return Response(document if as_of is None else {"position": as_of, **document})


def metric_and_scope(query: Query, principal: Principal, catalogue: Catalogue) -> tuple[Meaning, Scope]:
    """The metric by key and whose usage, both within what the caller sees."""
    key = query.needed("metric")
    project_key = query.text("project")
    kind = query.choice("scope", ("own", "tree", "billed")) or "own"
    if project_key is None and kind == "billed" and principal.project_id is not None:
        project_key = catalogue.project_by_id(principal.project_id).key
    if project_key is None:
        if kind == "billed":
            raise Invalid("Name the project that pays.", field="project", code="missing_field")
        return catalogue.metric_within(principal.project_path, key), Scope(visible_project_ids(principal))
    node = visible_node(principal, catalogue, project_key)
    if kind == "own":
        meaning = catalogue.metric_for(node, key)
        if meaning is None:
            raise NotFound(f"There is no metric '{key[:100]}'.")
        return meaning, Scope([node.id])
    meaning = catalogue.metric_within(node.path, key)
    if kind == "billed":
        return meaning, Scope(payer_id=node.id)
    return meaning, Scope(project_ids_below([node.path]))


def _ensure_levels_stay_whole(
    meaning: Meaning, wanted: Slice, start: dt.datetime | None, end: dt.datetime | None, window: str | None
) -> None:
    """A level belongs to its stream and its mean to a time. Raises `Invalid` for other questions."""
    if not meaning.carries_level:
        return
    if wanted.needs_ledger(meaning):
        raise Invalid(
            "A time-weighted average can be grouped and filtered by primary labels only.", field="group_by"
        )
    if window is None and (start is None or end is None):
        raise Invalid(
            "A time-weighted average needs a time to be averaged over.",
            field="from" if start is None else "to",
            code="missing_field",
        )


def _group_by(text: str | None, meaning: Meaning) -> list[str]:
    """Names of groups: our columns, `labels.<name>`, `labels[<name>]`, or a primary label's bare name."""
    groups: list[str] = []
    for name in filter(None, (part.strip() for part in (text or "").split(","))):
        if name.startswith("labels[") and name.endswith("]"):
            group = f"labels.{name[7:-1]}"
        elif name in PROJECT_COLUMNS or name in SUBJECT_COLUMNS or name.startswith("labels."):
            group = name
        elif name in meaning.primary_labels:
            group = f"labels.{name}"
        else:
            raise Invalid(
                f"Can't group by '{name[:100]}'; use project, billing_scope, subject_type, subject_id"
                " or labels.<name>.",
                field="group_by",
            )
        if group == "labels.":
            raise Invalid("A label needs a name.", field="group_by")
        if len(groups) >= MAX_GROUPS:
            raise Invalid(f"At most {MAX_GROUPS} groups.", field="group_by")
        if group in groups:
            raise Invalid(f"'{name[:100]}' is named twice.", field="group_by")
        groups.append(group)
    return groups


def _windows(
    meaning: Meaning,
    wanted: Slice,
    start: dt.datetime | None,
    end: dt.datetime | None,
    unit: str,
    zone: ZoneInfo,
    *,
    as_of: int | None,
) -> list[Interval]:
    """The local windows that tile the interval; an open end is that of the whole window of last usage."""
    if start is None or end is None:
        span = usage_span(meaning, slice=wanted, as_of=as_of)
        if span is None:
            return []
        first, last = span[0], span[1] - dt.timedelta(microseconds=1)
        start = window_holding(first, unit, zone).start if start is None else start
        end = window_holding(last, unit, zone).end if end is None else end
    intervals: list[Interval] = []
    for window in windows_between(start, end, unit, zone):
        if len(intervals) >= MAX_WINDOWS:
            raise Invalid(f"More than {MAX_WINDOWS} windows; ask for a shorter time.", field="window")
        intervals.append((window.start, window.end))
    return intervals


def _filled(meaning: Meaning, wanted: Slice, intervals: list[Interval], usages: list[Usage]) -> list[Usage]:
    """Every window with every group that occurs; the empty ones have the aggregation's empty answer."""
    found = {(usage.window, tuple(usage.group.items())): usage for usage in usages}
    groups = list(dict.fromkeys(tuple(usage.group.items()) for usage in usages))
    if not wanted.group_by:
        groups = [()]
    if len(groups) * len(intervals) > MAX_RESULTS:
        raise Invalid(f"More than {MAX_RESULTS} results when filled; ask for a shorter time.", field="fill")
    filled = []
    for window in range(len(intervals)):
        for group in groups:
            usage = found.get((window, group))
            if usage is None:
                start, end = intervals[window]
                nothing = Aggregate()
                value = value_between(meaning, nothing, before=None, start=start, end=end)
                usage = Usage(window, dict(group), nothing, value)
            filled.append(usage)
    return filled


def _shown(instant: dt.datetime | None, zone: ZoneInfo) -> str | None:
    """RFC 3339 with the offset of the asked zone."""
    if instant is None:
        return None
    if zone.key == "UTC":
        return iso(instant)
    return instant.astimezone(zone).isoformat()


def _csv_of(results: list[dict[str, Any]], group_by: list[str] | Any, *, filename: str) -> HttpResponse:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    names = [group_name(name) for name in group_by]
    writer.writerow(["window_start", "window_end", *map(neutral, names), "value", "record_count"])
    for result in results:
        writer.writerow(
            [
                result["window_start"],
                result["window_end"],
                *(neutral(result["group"][name]) for name in names),
                result["value"],
                result["record_count"],
            ]
        )
    response = HttpResponse(buffer.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
