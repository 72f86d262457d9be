"""The month so far in usage: each metric beside last month, and who pays for most of one of them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering import numerals
from metering.answering.month_usage import (
    ADDING,
    Compared,
    MonthSoFar,
    PayersUsage,
    month_days,
    month_payers,
    month_so_far,
    month_usage,
)
from metering.models import MetricDefinition
from metering.texts.numbers import EXACT

from . import cells
from .charts import Chart
from .metric_words import reach_in_words
from .month_chart import month_chart

SHOWN_METRICS = 12
SHOWN_PAYERS = 5
WHOLE = Decimal(1)
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, and where its rows are listed; without a link where there are none."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Two lengths in percent of the longest of a table, empty for none: now, and the same span before."""

    now: str
    same: str

    @classmethod
    def of(cls, now: Decimal, same: Decimal, *, most: Decimal) -> "Bars":
        def length(value: Decimal) -> str:
            return f"{100 * value / most:.1f}" if value > 0 else ""

        return cls(length(now), length(same))


@dataclass(frozen=True, slots=True)
class Line:
    """One metric or customer. `unit` stands beside the number; `url` leads to its page."""

    name: str
    note: str
    url: str
    unit: str
    now: Number
    same: Number
    before: Number
    change: str
    bars: Bars | None = None


@dataclass(frozen=True, slots=True)
class UsageOfMonth:
    """What the template shows. `chosen` is the metric of the chart and of the customers."""

    month: str
    same_span: str
    last_month: str
    metrics: Sequence[Line]
    hidden_metric_count: int
    has_usage: bool
    choices: Sequence[tuple[int, str]]
    chosen: MetricDefinition | None = None
    chart: Chart | None = None
    payers: Sequence[Line] = ()


def usage_of_month(request: HttpRequest, *, now: dt.datetime) -> UsageOfMonth | None:
    """Four statements, whatever the number of metrics and projects. None: not for this person."""
    if not request.user.has_perm("metering.view_usagemeterrollup"):
        return None
    month = month_so_far(now)
    metrics = list(MetricDefinition.objects.order_by("display_name", "id"))
    found = month_usage(month, metrics)
    used = sorted(
        (metric for metric in metrics if metric.pk in found),
        key=lambda metric: -found[metric.pk].record_count,
    )
    adding = [metric for metric in used if metric.aggregation in ADDING]
    wanted = request.GET.get("metric", "")
    chosen = next((metric for metric in adding if str(metric.pk) == wanted), next(iter(adding), None))
    shown = used[:SHOWN_METRICS]
    return UsageOfMonth(
        month=f"{month.start:%Y-%m}",
        same_span=span_in_words(month),
        last_month=f"{month.before:%Y-%m}",
        metrics=[_metric_line(metric, found[metric.pk], month) for metric in shown],
        hidden_metric_count=len(metrics) - len(shown),
        has_usage=bool(used),
        choices=[(metric.pk, metric.display_name) for metric in adding],
        chosen=chosen,
        chart=None if chosen is None else month_chart(chosen, month_days(month, chosen), month, now=now),
        payers=()
        if chosen is None
        else _payer_lines(
            chosen,
            month_payers(month, chosen, count=SHOWN_PAYERS),
            found[chosen.pk],
            month,
            has_pages=request.user.has_perm("metering.view_project"),
        ),
    )


def span_in_words(month: MonthSoFar) -> str:
    """“2026-10-01 to 2026-10-23, 06:00 UTC”; all of a month that was shorter."""
    if month.is_beyond_last:
        return _("all of %s") % f"{month.before:%Y-%m}"
    return _("%(first)s to %(end)s UTC") % {
        "first": f"{month.before:%Y-%m-%d}",
        "end": f"{month.same_end:%Y-%m-%d %H:%M}",
    }


def change_in_words(now: Decimal | None, before: Decimal | None) -> str:
    """“▲ 12 % more”, “▼ 3 % less”, “= same”, “new”; empty where there is nothing to compare."""
    now, before = now or NOTHING, before or NOTHING
    if now == before:
        return _("= same") if now else ""
    if not before:
        return _("new")
    fraction = EXACT.subtract(now, before) / abs(before)
    percent = numerals.exact(abs(fraction * 100).quantize(WHOLE, rounding=ROUND_HALF_UP))
    if percent == "0":
        percent = "<1"
    words = _("▲ %s %% more") if fraction > 0 else _("▼ %s %% less")
    return words % percent


def _metric_line(metric: MetricDefinition, usage: Compared, month: MonthSoFar) -> Line:
    return Line(
        name=metric.display_name,
        note=""
        if metric.aggregation in ADDING
        else reach_in_words(metric.aggregation) or str(metric.get_aggregation_display()),
        url=reverse("admin:metering_usage", query={"metric": metric.pk}),
        unit=metric.unit,
        **_numbers(
            _zeros(usage) if metric.aggregation in ADDING else usage, month, metric__id__exact=metric.pk
        ),
    )


def _zeros(usage: Compared) -> Compared:
    """What adds up came to nothing where there is nothing."""
    return Compared(usage.now or NOTHING, usage.same or NOTHING, usage.before or NOTHING, usage.record_count)


def _payer_lines(
    metric: MetricDefinition, payers: PayersUsage, whole: Compared, month: MonthSoFar, *, has_pages: bool
) -> list[Line]:
    """The largest payers, and the others as one line; all lines together are the metric's."""
    most = max((_most(payer.usage) for payer in payers.largest), default=NOTHING)
    lines = [
        Line(
            name=payer.name,
            note=payer.key,
            url=reverse("admin:metering_project_change", args=[payer.project_id]) if has_pages else "",
            unit=metric.unit,
            **_numbers(
                payer.usage,
                month,
                metric__id__exact=metric.pk,
                billing_scope__id__exact=payer.project_id,
            ),
            bars=Bars.of(payer.usage.now or NOTHING, payer.usage.same or NOTHING, most=most),
        )
        for payer in payers.largest
    ]
    other_count = payers.count - len(payers.largest)
    if other_count:
        now, same, before = (_rest(whole, payers, span) for span in ("now", "same", "before"))
        lines.append(
            Line(
                name=ngettext("%s other", "%s others", other_count) % numerals.count(other_count),
                note="",
                url="",
                unit=metric.unit,
                now=_unlinked(now),
                same=_unlinked(same),
                before=_unlinked(before),
                change=change_in_words(now, same),
            )
        )
    return lines


def _unlinked(value: Decimal | None) -> Number:
    """Of the others: no list holds their rows alone."""
    return Number(cells.readable(value or NOTHING))


def _rest(whole: Compared, payers: PayersUsage, span: str) -> Decimal:
    value = getattr(whole, span) or NOTHING
    for payer in payers.largest:
        value = EXACT.subtract(value, getattr(payer.usage, span) or NOTHING)
    return value


def _numbers(usage: Compared, month: MonthSoFar, **filters: object) -> dict[str, Any]:
    return {
        "now": _number(usage.now, "month", month.start, month.end, filters),
        "same": _number(usage.same, "hour", month.before, month.same_end, filters),
        "before": _number(usage.before, "month", month.before, month.start, filters),
        "change": change_in_words(usage.now, usage.same),
    }


def _number(
    value: Decimal | None, granularity: str, start: dt.datetime, end: dt.datetime, filters: dict[str, object]
) -> Number:
    """A value with the rollups that it is made of."""
    if not value:
        return Number(cells.DASH if value is None else "0")
    rows = {
        **filters,
        "granularity__exact": granularity,
        "detail": "totals",
        "bucket_start_from": f"{start:%Y-%m-%dT%H:%M}",
        "bucket_start_until": f"{end:%Y-%m-%dT%H:%M}",
    }
    return Number(cells.readable(value), reverse("admin:metering_usagemeterrollup_changelist", query=rows))


def _most(usage: Compared) -> Decimal:
    return max(usage.now or NOTHING, usage.same or NOTHING)
