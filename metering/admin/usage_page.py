"""Usage over time: one metric, who uses most of it, all metrics small, and whether the ledger is well."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from metering import moments, numerals
from metering.answering.answers import answer
from metering.answering.several_usages import Question, usages_in
from metering.answering.usage_charts import (
    MAX_CHART_DAYS,
    Course,
    Interval,
    courses_of,
    days_interval,
    days_until,
    largest_shares,
    last_used_first,
)
from metering.catalogue import Catalogue
from metering.health import LedgerHealth, ledger_health
from metering.measuring.meaning import Meaning
from metering.models import MetricDefinition, Project
from metering.verifying.verification import last_verification

from . import cells
from .charts import Chart, shares_chart, usage_chart
from .day_fields import DayField
from .metric_words import reach_in_words
from .paging import LargeTableAdmin

DEFAULT_DAYS = 30
RANGES = (1, 7, 30, 90)
TOP_PROJECTS = 10
SMALL_CHARTS = 12  # all of them are one query


class DaysForm(forms.Form):
    """The two dates of the toolbar, with the theme's calendar: the browser's own wouldn't be ISO."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (("from", _("From (UTC)")), ("to", _("To, included"))):
            self.fields[name] = DayField(label=label)


@dataclass(frozen=True, slots=True)
class SmallChart:
    """One metric among all, over its own latest days."""

    name: str
    unit: str
    value: str
    reach: str
    days: str
    url: str
    metric_url: str
    chart: Chart
    is_chosen: bool


class UsagePage(LargeTableAdmin):
    """Adds the page to the URLs of rollups, from which it is drawn."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.usage)
        return [path("usage/", page, name="metering_usage"), *super().get_urls()]

    def usage(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("metering.view_usagemeterrollup"):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": _("Usage over time")}
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/metering/usagemeterrollup/usage.html",
            answer(lambda catalogue: _with_usage(request, context, catalogue)),
        )


def _with_usage(request: HttpRequest, context: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    names = dict(MetricDefinition.objects.values_list("pk", "display_name"))
    metrics = last_used_first(catalogue.meanings.values())
    health = ledger_health()
    lines = _health_lines(health)
    context |= {
        "health": lines,
        "is_well": not any(line["is_bad"] for line in lines),
        "is_late": health.tick_is_late,
        "tick_age": cells.ago(health.ticked_at, now=health.asked_at),
        "counts": _counts(
            health, [meaning for meaning, end in metrics if end is not None], defined_count=len(names)
        ),
        "metric_choices": [(meaning.metric_id, names[meaning.metric_id]) for meaning, _end in metrics],
        "has_metrics": bool(metrics),
        "ranges": RANGES,
    }
    chosen = _chosen(request, [meaning for meaning, _end in metrics])
    if chosen is None:
        return context
    interval = _interval(request, dict(metrics)[chosen])
    context["days_form"] = DaysForm(
        initial={"from": interval.first_day, "to": interval.last_day} if interval else None
    )
    context |= {"chosen": chosen, "chosen_name": names[chosen.metric_id]}
    shown = [
        (meaning, days_until(end, days=DEFAULT_DAYS))
        for meaning, end in metrics[:SMALL_CHARTS]
        if end is not None
    ]
    # The chart on top comes first among those that are asked for together.
    courses = courses_of([*([(chosen, interval)] if interval is not None else []), *shown])
    if interval is not None:
        context |= _main_charts(chosen, interval, courses.pop(0), name=names[chosen.metric_id])
    context["small_charts"] = [
        _small_chart(meaning, days, course, name=names[meaning.metric_id], is_chosen=meaning is chosen)
        for (meaning, days), course in zip(shown, courses, strict=True)
    ]
    context["is_cut"] = sum(end is not None for _meaning, end in metrics) > SMALL_CHARTS
    return context


def _chosen(request: HttpRequest, meanings: list[Meaning]) -> Meaning | None:
    """The metric asked for, else the one that was used last; one that adds up before others."""
    wanted = request.GET.get("metric", "")
    adding = [one for one in meanings if one.aggregation.name in {"COUNT", "SUM"}]
    first = next(iter(adding or meanings), None)
    return next((one for one in meanings if str(one.metric_id) == wanted), first)


def _interval(request: HttpRequest, end: dt.datetime | None) -> Interval | None:
    """The days asked for; without any, the latest that have usage. None where the metric was never used.
    `end` is that of its last hour of usage."""
    first, last = _day(request.GET.get("from")), _day(request.GET.get("to"))
    if first is not None and last is not None and first <= last:
        return days_interval(max(first, last - dt.timedelta(days=MAX_CHART_DAYS - 1)), last)
    days = request.GET.get("days", "")
    if end is None:
        return None
    return days_until(end, days=int(days) if days in map(str, RANGES) else DEFAULT_DAYS)


def _day(text: str | None) -> dt.date | None:
    try:
        day = moments.day_from(text or "")
    except ValueError:
        return None
    return day if dt.date(1970, 1, 1) <= day < dt.date(9998, 1, 1) else None


def _main_charts(meaning: Meaning, interval: Interval, course: Course, *, name: str) -> dict[str, Any]:
    shares = largest_shares(meaning, interval, count=TOP_PROJECTS)
    step = dt.timedelta(days=interval.day_count)
    return {
        "interval": interval,
        "value": cells.readable(course.value),
        "reach": reach_in_words(meaning.aggregation.name),
        "record_count": numerals.count(course.record_count),
        "usage_chart": usage_chart(meaning, course.points, interval, name=name, height=320),
        "shares_chart": shares_chart(meaning, shares, interval, name=name) if shares else None,
        "earlier_url": _url(meaning, interval.first_day - step, interval.last_day - step),
        "later_url": _url(meaning, interval.first_day + step, interval.last_day + step),
        "rollups_url": reverse("admin:metering_usagemeterrollup_changelist")
        + "?"
        + urlencode(
            {
                "metric__id__exact": meaning.metric_id,
                "granularity__exact": interval.unit,
                "detail": "totals",
                "bucket_start_from": interval.first_day.isoformat(),
                "bucket_start_until": (interval.last_day + dt.timedelta(days=1)).isoformat(),
            }
        ),
    }


def _url(meaning: Meaning, first: dt.date, last: dt.date) -> str:
    return "?" + urlencode({"metric": meaning.metric_id, "from": first.isoformat(), "to": last.isoformat()})


def _small_chart(
    meaning: Meaning, interval: Interval, course: Course, *, name: str, is_chosen: bool
) -> SmallChart:
    return SmallChart(
        name=name,
        unit=meaning.unit,
        value=cells.readable(course.value),
        reach=reach_in_words(meaning.aggregation.name),
        days=f"{interval.first_day} – {interval.last_day}",
        url="?" + urlencode({"metric": meaning.metric_id}),
        metric_url=reverse("admin:metering_metricdefinition_change", args=[meaning.metric_id]),
        chart=usage_chart(meaning, course.points, interval, name=name, height=56, is_small=True),
        is_chosen=is_chosen,
    )


def _counts(health: LedgerHealth, used: list[Meaning], *, defined_count: int) -> list[dict[str, str]]:
    """The few numbers at the top."""
    day_ago = health.asked_at.replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=23)
    next_hour = day_ago + dt.timedelta(hours=24)
    of_a_day = usages_in([Question(meaning, [(day_ago, next_hour)]) for meaning in used])
    readings = sum(usage.aggregate.record_count for found in of_a_day for usage in found)
    about = "" if health.events.is_exact else _("about") + " "
    return [
        {
            "title": _("Events in the ledger"),
            "value": about + numerals.count(health.events.count),
            "note": _("%(size)s MB on disk")
            % {"size": numerals.fixed(health.ledger_bytes / 1_000_000, decimals=1)},
            "url": reverse("admin:metering_usageevent_changelist"),
        },
        {
            "title": _("Readings in the last 24 hours"),
            "value": numerals.count(readings),
            "note": _("an event is read once by each metric that listens to it"),
            "url": reverse("admin:metering_usagemeterrollup_changelist") + "?granularity__exact=hour",
        },
        {
            "title": _("Projects"),
            "value": numerals.count(Project.objects.count()),
            "note": _("tenants and organisations included"),
            "url": reverse("admin:metering_project_changelist"),
        },
        {
            "title": _("Metrics in use"),
            "value": numerals.count(len(used)),
            "note": _("of %(count)s defined") % {"count": numerals.count(defined_count)},
            "url": reverse("admin:metering_metricdefinition_changelist"),
        },
    ]


def _verification_line(health: LedgerHealth) -> dict[str, Any]:
    run = last_verification()
    if run is None:
        note = _("the nightly job does it")
        return {"title": _("Last verified"), "value": _("never"), "note": note, "is_bad": False}
    has_passed = run.state == run.State.PASSED
    count = numerals.count(run.breach_count)
    return {
        "title": _("Last verified"),
        "value": cells.ago(run.finished_at, now=health.asked_at),
        "note": _("passed") if has_passed else _("failed: %s breaches") % count,
        "is_bad": not has_passed,
    }


def _health_lines(health: LedgerHealth) -> list[dict[str, Any]]:
    more = "" if health.pending.is_exact else _("more than") + " "
    oldest = ""
    if health.oldest_pending_at is not None:
        oldest = _("the oldest from %s") % cells.ago(health.oldest_pending_at, now=health.asked_at)
    merged = health.tick_facts.get("merged")
    fence = health.fence
    set_aside = []
    if health.set_aside_count:
        set_aside.append(
            {
                "title": _("Set aside"),
                "value": numerals.count(health.set_aside_count),
                "note": _("pending rows that can't be merged; they count, and the worker's log says why"),
                "is_bad": True,
            }
        )
    if health.owed_count:
        set_aside.append(
            {
                "title": _("Not evaluated yet"),
                "value": numerals.count(health.owed_count),
                "note": _("merged usage that an evaluation failed at; it is tried again each minute"),
                "is_bad": True,
            }
        )
    return [
        *set_aside,
        _verification_line(health),
        {
            "title": _("Last tick"),
            "value": cells.ago(health.ticked_at, now=health.asked_at),
            "note": "" if merged is None else _("%s pending rows merged") % numerals.count(merged),
            "is_bad": health.tick_is_late,
        },
        {
            "title": _("Waiting to be merged"),
            "value": more + numerals.count(health.pending.count),
            "note": oldest or _("rollups hold everything"),
            "is_bad": health.tick_is_late and health.pending.count > 0,
        },
        {
            "title": _("Last fence"),
            "value": numerals.count(fence.position) if fence else _("none yet"),
            "note": cells.ago(fence.fenced_at, now=health.asked_at) if fence else "",
            "is_bad": False,
        },
        {
            "title": _("End of the ledger"),
            "value": numerals.count(health.ledger_end),
            "note": _("last id drawn, refused attempts included"),
            "is_bad": False,
        },
    ]
