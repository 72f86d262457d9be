"""Stored aggregates, for looking. They can be thrown away and rebuilt."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)

from metering import numerals
from metering.answering.answers import answer
from metering.answering.usage import Scope, Slice, usage_in
from metering.measuring.aggregations import AGGREGATIONS
from metering.measuring.buckets import bucket_end
from metering.measuring.label_filter import Params
from metering.measuring.streams import TOTAL
from metering.models import MetricDefinition, UsageMeterRollup

from . import cells, file_columns
from .filters import BucketRangeFilter, ProjectFilter
from .paging import Place, PlaceChangeList, RowPage, cut
from .row_ids import id_from
from .usage_page import UsagePage


class MetricFilter(RelatedDropdownFilter):
    """Metrics are few enough to list."""

    def has_output(self) -> bool:
        return True


class GranularityFilter(ChoicesDropdownFilter):
    """Hours, days or months."""


class PayerFilter(AutocompleteSelectFilter):
    """Who pays, told from the project that used: both filters are of projects."""


class DetailFilter(DropdownFilter):
    """Totals of a project and payer, unless asked otherwise: a total and its parts don't add up."""

    title = _("detail")
    parameter_name = "detail"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("totals", _("Totals")),
            ("streams", _("By subject and labels")),
            ("all", _("Both, which count everything twice")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all":
            return queryset
        if self.value() == "streams":
            return queryset.exclude(stream=TOTAL)
        return queryset.filter(stream=TOTAL)


@admin.register(UsageMeterRollup)
class UsageMeterRollupAdmin(UsagePage):
    """Latest buckets first, by the index rollup_by_metric_and_time: its next rows for each metric and
    granularity asked for, merged."""

    intro = _(
        "What the ledger adds up to in each UTC hour, day and month: totals of a project and its payer, "
        "or by the filter the same by subject and labels. Usage recorded since the last tick is still "
        "pending and not in here; the page of usage and the API include it."
    )
    empty_title = _("No rollups here")
    empty_text = _(
        "The worker merges recorded usage every few seconds; see the ledger's health beside usage."
    )
    csv_columns = file_columns.ROLLUPS
    list_display = ("metric_key", "bucket", "per", "project_key", "payer", "of", "value", "records")
    list_display_links = ("metric_key",)
    list_filter = (
        ("metric", MetricFilter),
        ("granularity", GranularityFilter),
        DetailFilter,
        ("project", ProjectFilter),
        ("billing_scope", PayerFilter),
        ("bucket_start", BucketRangeFilter),
    )
    fieldsets = (
        (None, {"fields": ("metric_full", "project_full", "payer", "per", "bucket_full", "of_full")}),
        (
            _("Aggregate"),
            {
                "fields": ("value_full", "records", "sum_", "least", "greatest", "latest"),
                "description": _(
                    "What the metric's aggregation needs to be merged exactly; the rest stays empty."
                ),
            },
        ),
    )

    def rows_in_file(self, changelist: PlaceChangeList) -> QuerySet:
        rows: QuerySet = changelist.queryset
        return rows.order_by("-bucket_start", "-project_id", "-pk")

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        size = self.list_per_page
        here = Place.from_text(place)
        edge = None
        if here is not None:
            edge = (
                UsageMeterRollup.objects.filter(pk=here.row_id)
                .values_list("bucket_start", "project_id", "id")
                .first()
            )
        if edge is None:
            here = None  # the row is gone: rollups were rebuilt meanwhile
        ids = self._ids(changelist, edge=edge, is_backwards=bool(here and here.is_backwards), limit=size + 1)
        by_id = UsageMeterRollup.objects.select_related("metric", "project", "billing_scope").in_bulk(ids)
        return cut([by_id[row_id] for row_id in ids if row_id in by_id], size=size, place=here)

    @staticmethod
    def _ids(
        changelist: PlaceChangeList, *, edge: tuple[Any, ...] | None, is_backwards: bool, limit: int
    ) -> list[int]:
        metric, project = changelist.chosen_id(MetricFilter), changelist.chosen_id(ProjectFilter)
        payer = changelist.chosen_id(PayerFilter)
        granularity = changelist.spec(GranularityFilter).value()
        detail = changelist.spec(DetailFilter).value()
        span = changelist.spec(BucketRangeFilter)
        metrics = (
            [metric] if metric is not None else list(MetricDefinition.objects.values_list("pk", flat=True))
        )
        params = Params()
        clauses = []
        if project is not None:
            clauses.append(f"AND r.project_id = {params.add(project)}")
        if payer is not None:
            clauses.append(f"AND r.billing_scope_id = {params.add(payer)}")
        if detail != "all":
            clauses.append(f"AND r.stream {'<>' if detail == 'streams' else '='} '{TOTAL}'")
        if span.start is not None:
            clauses.append(f"AND r.bucket_start >= {params.add(span.start)}")
        if span.end is not None:
            clauses.append(f"AND r.bucket_start < {params.add(span.end)}")
        order = "ASC" if is_backwards else "DESC"
        if edge is not None:
            sign = ">" if is_backwards else "<"
            place = ", ".join(params.add(value) for value in edge)
            clauses.append(f"AND (r.bucket_start, r.project_id, r.id) {sign} ({place})")
        granularities = [granularity] if granularity else UsageMeterRollup.Granularity.values
        statement = f"""
            SELECT found.id
              FROM unnest({params.add(metrics)}::bigint[]) AS m (metric_id)
             CROSS JOIN unnest({params.add(granularities)}::text[]) AS g (granularity)
             CROSS JOIN LATERAL (
                   SELECT r.id, r.bucket_start, r.project_id
                     FROM metering_usagemeterrollup r
                    WHERE r.metric_id = m.metric_id
                      AND r.granularity = g.granularity
                      {" ".join(clauses)}
                    ORDER BY r.bucket_start {order}, r.project_id {order}, r.id {order}
                    LIMIT {params.add(limit)}
                   ) found
             ORDER BY found.bucket_start {order}, found.project_id {order}, found.id {order}
             LIMIT {params.add(limit)}
        """  # noqa: S608 (values are bound; the text is ours)
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            return [row_id for (row_id,) in cursor.fetchall()]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        rows = UsageMeterRollup.objects.select_related("metric", "project", "billing_scope")
        return rows.filter(pk=id_from(object_id) or 0).first()

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def metric_key(self, rollup: UsageMeterRollup) -> str:
        return rollup.metric.display_name

    @admin.display(description=_("bucket (UTC)"))
    def bucket(self, rollup: UsageMeterRollup) -> str:
        if rollup.granularity == UsageMeterRollup.Granularity.MONTH:
            return f"{rollup.bucket_start:%Y-%m}"
        if rollup.granularity == UsageMeterRollup.Granularity.DAY:
            return f"{rollup.bucket_start:%Y-%m-%d}"
        return f"{rollup.bucket_start:%Y-%m-%d %H:%M}"

    @admin.display(description=_("per"))
    def per(self, rollup: UsageMeterRollup) -> SafeString:
        return cells.badge(rollup.get_granularity_display())

    @admin.display(description=_("project"))
    def project_key(self, rollup: UsageMeterRollup) -> SafeString:
        return cells.project_link(rollup.project)

    @admin.display(description=_("paid by"))
    def payer(self, rollup: UsageMeterRollup) -> SafeString:
        return cells.project_link(rollup.billing_scope)

    @admin.display(description=_("of"))
    def of(self, rollup: UsageMeterRollup) -> SafeString:
        if rollup.stream == TOTAL:
            return cells.badge(gettext("Total"), "info")
        labels = ", ".join(f"{name}={value}" for name, value in rollup.group.items())
        return cells.two_lines(rollup.subject_id or gettext("no subject"), labels or rollup.subject_type)

    @admin.display(description=_("value"))
    def value(self, rollup: UsageMeterRollup) -> SafeString:
        if rollup.metric.aggregation == MetricDefinition.Aggregation.UNIQUE_COUNT:
            return cells.quiet(gettext("one of its values"))
        if rollup.metric.aggregation == MetricDefinition.Aggregation.TIME_WEIGHTED_AVG:
            return cells.quiet(gettext("level %(change)s") % {"change": _signed(rollup.value_sum)})
        return cells.number(self._value(rollup), unit=rollup.metric.unit)

    @admin.display(description=_("records"))
    def records(self, rollup: UsageMeterRollup) -> SafeString:
        return cells.number(rollup.record_count)

    @staticmethod
    def _value(rollup: UsageMeterRollup) -> Any:
        """What the row alone says; distinct values and levels are more than one row."""
        return AGGREGATIONS[rollup.metric.aggregation].value(rollup)  # type: ignore[arg-type]

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def metric_full(self, rollup: UsageMeterRollup) -> SafeString:
        url = reverse("admin:metering_metricdefinition_change", args=[rollup.metric_id])
        return cells.two_lines(
            cells.link(url, rollup.metric.display_name), rollup.metric.get_aggregation_display()
        )

    @admin.display(description=_("project"))
    def project_full(self, rollup: UsageMeterRollup) -> SafeString:
        return cells.two_lines(cells.project_link(rollup.project), rollup.project.name)

    @admin.display(description=_("bucket"))
    def bucket_full(self, rollup: UsageMeterRollup) -> SafeString:
        end = bucket_end(rollup.bucket_start, rollup.granularity)
        return cells.two_lines(
            gettext("%s UTC") % f"{rollup.bucket_start:%Y-%m-%d %H:%M:%S}",
            gettext("until %(end)s, not included") % {"end": f"{end:%Y-%m-%d %H:%M:%S}"},
        )

    @admin.display(description=_("of"))
    def of_full(self, rollup: UsageMeterRollup) -> str:
        if rollup.stream == TOTAL:
            return gettext("All usage of this project and payer.")
        labels = ", ".join(f"{name}={value}" for name, value in rollup.group.items())
        subject = " · ".join(part for part in (rollup.subject_type, rollup.subject_id) if part)
        return cells.two_lines(subject or gettext("no subject"), labels)

    @admin.display(description=_("value"))
    def value_full(self, rollup: UsageMeterRollup) -> str:
        if rollup.metric.aggregation in {
            MetricDefinition.Aggregation.UNIQUE_COUNT,
            MetricDefinition.Aggregation.TIME_WEIGHTED_AVG,
        }:
            return gettext("%(value)s in the whole bucket") % {"value": cells.grouped(_in_bucket(rollup))}
        return numerals.with_unit(cells.grouped(self._value(rollup)), rollup.metric.unit)

    @admin.display(description=_("sum"))
    def sum_(self, rollup: UsageMeterRollup) -> str:
        return cells.grouped(rollup.value_sum)

    @admin.display(description=_("minimum"))
    def least(self, rollup: UsageMeterRollup) -> str:
        return cells.grouped(rollup.value_min)

    @admin.display(description=_("maximum"))
    def greatest(self, rollup: UsageMeterRollup) -> str:
        return cells.grouped(rollup.value_max)

    @admin.display(description=_("latest value"))
    def latest(self, rollup: UsageMeterRollup) -> str:
        if rollup.last_at is None:
            return cells.DASH
        return cells.two_lines(cells.grouped(rollup.last_value), cells.moment(rollup.last_at))


def _signed(change: Decimal | None) -> str:
    """A change of a level: "+5", "−2.5", "+0"."""
    text = cells.grouped(change or Decimal(0))
    return text if text.startswith(numerals.MINUS) else f"+{text}"


def _in_bucket(rollup: UsageMeterRollup) -> Decimal | None:
    """What the metric comes to in the row's bucket, for the row's stream or total, pending included."""
    is_total = rollup.stream == TOTAL
    scope = Scope(project_ids=[rollup.project_id], payer_id=rollup.billing_scope_id)
    slice = Slice(scope=scope)
    if not is_total:
        labels = {name: text for name, text in rollup.group.items() if text is not None}
        slice = Slice(
            scope=scope, subject_type=rollup.subject_type, subject_id=rollup.subject_id, labels=labels
        )
    window = (rollup.bucket_start, bucket_end(rollup.bucket_start, rollup.granularity))
    found = answer(lambda held: usage_in(held.meanings[rollup.metric_id], [window], slice=slice))
    return found[0].value if found else None
