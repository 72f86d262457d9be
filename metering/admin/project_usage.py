"""The usage of one project over time: which metric, by which windows, whose; as a chart and as a file."""

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from metering import moments, numerals
from metering.answering.answers import answer
from metering.answering.last_uses import last_uses_of
from metering.answering.usage_charts import Course, Interval, Unit, course_of, days_interval
from metering.catalogue import Catalogue, project_ids_below
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Scope
from metering.models import MetricDefinition, Project
from metering.texts.csv_cells import neutral
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from . import cells
from .charts import Chart, usage_chart
from .day_fields import DayField

WINDOWS: dict[Unit, Any] = {
    "hour": gettext_lazy("Hours"),
    "day": gettext_lazy("Days"),
    "week": gettext_lazy("Weeks"),
    "month": gettext_lazy("Months"),
}
OWN, TREE, BILLED = "own", "tree", "billed"
SCOPES = {
    OWN: gettext_lazy("Its own"),
    TREE: gettext_lazy("With all below it"),
    BILLED: gettext_lazy("What it pays for"),
}
# How many days are shown unless others are asked for, and how many at most: about 400 bars.
USUAL_DAYS: dict[Unit, int] = {"hour": 3, "day": 30, "week": 26 * 7, "month": 365}
MOST_DAYS: dict[Unit, int] = {"hour": 16, "day": 400, "week": 400 * 7, "month": 400 * 30}
_DAY = dt.timedelta(days=1)
_FIRST, _LAST = dt.date(1970, 1, 1), dt.date(9998, 1, 1)


class UsageForm(forms.Form):
    """The toolbar above the chart. The calendar is the theme's: the browser's own wouldn't be ISO."""

    def __init__(self, *args: Any, metrics: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "usage-%s", **kwargs})
        self.fields["metric"] = forms.ChoiceField(label=_("Metric"), choices=metrics)
        self.fields["window"] = forms.ChoiceField(
            label=pgettext_lazy("per hour, per day", "By"), choices=WINDOWS.items()
        )
        self.fields["scope"] = forms.ChoiceField(label=_("Usage"), choices=SCOPES.items())
        for name, label in (("from", _("From (UTC)")), ("to", _("To, included"))):
            self.fields[name] = DayField(label=label, required=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks for, whatever of it is made up taken as not said.

    `meaning` is None where the project sees no metric at all, `interval` where the metric was never used.
    """

    meaning: Meaning | None
    choices: Sequence[Meaning]
    unit: Unit
    scope_name: str
    scope: Scope
    interval: Interval | None
    is_cut: bool = False


def asked_of(
    query: Mapping[str, Any], catalogue: Catalogue, project: Project, *, below_ids: Sequence[int]
) -> Asked:
    """The question of a toolbar or of the link to its file: one statement.

    Without a scope an organisation is shown with all below it, without a metric the one used last, those that
    add up before others; without days the latest ones with usage.
    """
    scope_name = str(query.get("scope") or (TREE if below_ids else OWN))
    scope_name = scope_name if scope_name in SCOPES else OWN
    scope = {
        OWN: Scope([project.pk]),
        TREE: Scope([project.pk, *below_ids]),
        BILLED: Scope(payer_id=project.pk),
    }[scope_name]
    unit: Unit = next((one for one in WINDOWS if one == query.get("window")), "day")
    seen = metrics_along(catalogue, project)
    if scope_name == OWN:  # those of projects below can't count it
        seen = [one for one in seen if project.path.startswith(one.owner_path)]
    last = last_uses_of([one.metric_id for one in seen], scope=scope)
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    choices = sorted(
        (one for one in seen if one.archived_from is None or one.metric_id in last),
        key=lambda one: (-(last.get(one.metric_id, never) - never), one.key),
    )
    adding = [one for one in choices if one.metric_id in last and one.aggregation.name in {"COUNT", "SUM"}]
    first = next(iter(adding or choices), None)
    meaning = next((one for one in choices if str(one.metric_id) == query.get("metric")), first)
    if meaning is None:
        return Asked(None, choices, unit, scope_name, scope, None)
    interval, is_cut = _interval(query, unit, last.get(meaning.metric_id))
    return Asked(meaning, choices, unit, scope_name, scope, interval, is_cut)


def metrics_along(catalogue: Catalogue, project: Project) -> list[Meaning]:
    """The metrics that its branch of the tree knows: of all, of those above it, its own, of those below."""
    return [
        one
        for one in catalogue.meanings.values()
        if project.path.startswith(one.owner_path) or one.owner_path.startswith(project.path)
    ]


def _interval(query: Mapping[str, Any], unit: Unit, last: dt.datetime | None) -> tuple[Interval | None, bool]:
    """The days asked for, the usual number of them where one end is left open; and whether they were cut."""
    first_day, last_day = _day(query.get("from")), _day(query.get("to"))
    if last_day is None and first_day is not None:
        last_day = first_day + (USUAL_DAYS[unit] - 1) * _DAY
    if last_day is None and last is not None:
        last_day = last.date()
    if last_day is None:
        return None, False
    if first_day is None or first_day > last_day:
        first_day = _begun(last_day - (USUAL_DAYS[unit] - 1) * _DAY, unit)
    earliest = max(_FIRST, last_day - (MOST_DAYS[unit] - 1) * _DAY)
    interval = days_interval(max(first_day, earliest), last_day)
    return Interval(interval.start, interval.end, unit), first_day < earliest


def _begun(day: dt.date, unit: Unit) -> dt.date:
    """The first day of the week or month that begins at or after `day`: no window is cut short."""
    if unit == "week":
        return day + (-day.weekday() % 7) * _DAY
    if unit == "month" and day.day != 1:
        return dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day


def _day(text: Any) -> dt.date | None:
    try:
        day = moments.day_from(str(text or ""))
    except ValueError:
        return None
    return day if _FIRST <= day < _LAST else None


@dataclass(frozen=True, slots=True)
class UsageCard:
    """The chart with its toolbar. `chart` is None where nothing was used in these days."""

    form: UsageForm
    name: str
    unit: str
    value: str
    record_count: str
    interval: Interval | None
    chart: Chart | None
    notes: Sequence[str]
    csv_url: str
    metric_url: str
    rollups_url: str


def usage_card(
    request: HttpRequest,
    catalogue: Catalogue,
    project: Project,
    *,
    below_ids: Sequence[int],
    metrics: Mapping[int, MetricDefinition],
) -> UsageCard | None:
    """What the page shows of usage, in two statements; None where the project sees no metric.

    `metrics` are the definitions of `metrics_along`, by id.
    """
    asked = asked_of(request.GET, catalogue, project, below_ids=below_ids)
    if asked.meaning is None:
        return None
    meaning, interval = asked.meaning, asked.interval
    ids = [one.metric_id for one in asked.choices]
    name = metrics[meaning.metric_id].display_name
    course = None if interval is None else course_of(meaning, interval, scope=asked.scope)
    has_usage = course is not None and any(point.record_count for point in course.points)
    query = {"metric": meaning.metric_id, "window": asked.unit, "scope": asked.scope_name}
    days = {}
    if interval is not None:
        days = {"from": interval.first_day.isoformat(), "to": interval.last_day.isoformat()}
    return UsageCard(
        form=UsageForm(
            initial={**query, **days}, metrics=[(str(one), metrics[one].display_name) for one in ids]
        ),
        name=name,
        unit=meaning.unit,
        value=cells.readable(course.value if course else None),
        record_count=numerals.count(course.record_count if course else 0),
        interval=interval,
        chart=usage_chart(meaning, course.points, interval, name=name, height=280)
        if course is not None and interval is not None and has_usage
        else None,
        notes=_notes(asked, meaning),
        csv_url=reverse("admin:metering_project_usage_csv", args=[project.pk])
        + "?"
        + urlencode({**query, **days}),
        metric_url=reverse("admin:metering_metricdefinition_change", args=[meaning.metric_id]),
        rollups_url=reverse("admin:metering_usagemeterrollup_changelist")
        + "?"
        + urlencode({"metric__id__exact": meaning.metric_id, "project__id__exact": project.pk}),
    )


def _notes(asked: Asked, meaning: Meaning) -> list[str]:
    """What has to be known in order to read the numbers."""
    notes = []
    if asked.is_cut:
        notes.append(
            _("Only the latest %(days)s of these days: for more, choose longer windows.")
            % {"days": numerals.count(MOST_DAYS[asked.unit])}
        )
    if asked.scope_name != OWN and meaning.aggregation.name not in {"COUNT", "SUM"}:
        notes.append(_("Of all these projects together, not added up."))
    return notes


def usage_csv(request: HttpRequest, project_id: int) -> HttpResponse:
    """The windows of the chart as a file: the same question, the same numbers, unrounded."""
    if not request.user.has_perms(["metering.view_project", "metering.view_usagemeterrollup"]):
        raise PermissionDenied
    project = get_object_or_404(Project, pk=project_id)
    below_ids = [one for one in project_ids_below([project.path]) if one != project.pk]

    def read(catalogue: Catalogue) -> tuple[Asked, Course | None]:
        asked = asked_of(request.GET, catalogue, project, below_ids=below_ids)
        if asked.meaning is None or asked.interval is None:
            return asked, None
        return asked, course_of(asked.meaning, asked.interval, scope=asked.scope)

    asked, course = answer(read)
    key = asked.meaning.key if asked.meaning else "usage"
    response = HttpResponse(_csv_text(asked, course, project), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{project.key}-{key}-{asked.unit}.csv"'
    return response


def _csv_text(asked: Asked, course: Course | None, project: Project) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(
        ["project", "scope", "metric", "unit", "window_start", "window_end", "value", "record_count"]
    )
    for point in course.points if course else ():
        assert asked.meaning is not None
        writer.writerow(
            [
                neutral(project.key),
                asked.scope_name,
                neutral(asked.meaning.key),
                neutral(asked.meaning.unit),
                iso(point.window.start),
                iso(point.window.end),
                "" if point.value is None else plain(point.value),
                point.record_count,
            ]
        )
    return buffer.getvalue()
