"""What a definition would make of recorded usage, as a card above its form."""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from metering import numerals
from metering.answering.usage_charts import Interval, Point, days_interval
from metering.defining.previews import (
    DEFAULT_DAYS,
    MAX_DAYS,
    MAX_EVENTS,
    Evaluation,
    Part,
    Preview,
    preview_of,
)
from metering.errors import PreviewTooSlow
from metering.measuring.meaning import Meaning
from metering.measuring.windows import Window
from metering.models import MetricDefinition

from . import cells
from .charts import Chart, usage_chart
from .metric_form import MetricForm
from .metric_words import meaning_in_words
from .refusals import worded

PREVIEW = "_preview"  # name of the buttons that look ahead
LIVE = "_live"  # comes along where the page looks ahead by itself, while somebody types
DAY_CHOICES = (7, 30, MAX_DAYS)
_GREY = "#9ca3af"
_SHORTEST = dt.timedelta(days=7)  # a chart by days, however few were looked at


def preview_card(draft: MetricDefinition, *, stored: MetricDefinition | None, days: int) -> dict[str, Any]:
    """What the template shows. Raises `PreviewTooSlow`."""
    preview = preview_of(draft, stored=stored, days=days)
    proposed = preview.proposed
    return {
        "words": meaning_in_words(draft),
        "first": preview.start,
        "last": preview.end - dt.timedelta(microseconds=1),
        "days": days,
        "day_choices": DAY_CHOICES,
        "note": _("Only the latest %(count)s events were looked at.") % {"count": numerals.count(MAX_EVENTS)}
        if preview.is_capped
        else "",
        "unit": draft.unit,
        "value": cells.readable(proposed.value),
        "facts": _facts(proposed, preview.stored),
        "has_stored": preview.stored is not None,
        "refused_count": numerals.count(proposed.refused_count),
        "misfits": proposed.misfits,
        "groups": [_group_line(part) for part in proposed.groups],
        "group_headers": draft.primary_labels,
        "more_groups": max(0, proposed.group_count - len(proposed.groups)),
        "chart": _chart(draft, preview) if proposed.record_count else None,
        "is_empty": not proposed.matching_count,
        "event_name": draft.event_name,
    }


def live_preview(request: HttpRequest, form: MetricForm) -> HttpResponse:
    """The sentence and the effect on recent events, for the line above the form; or what is still missing."""
    facts: dict[str, Any] = {"errors": _errors_of(form)}
    if form.draft is not None and not form.errors:
        facts["words"] = meaning_in_words(form.draft)
        try:
            days = form.preview_days or DEFAULT_DAYS
            facts["preview"] = preview_card(form.draft, stored=form.stored, days=days)
        except PreviewTooSlow as refusal:
            facts["problem"] = worded(refusal)
    return TemplateResponse(request, "admin/metering/metricdefinition/live_preview.html", facts)


def _errors_of(form: MetricForm) -> list[tuple[str, str]]:
    """(field, what is wrong with it), in the order of the form."""
    return [
        (str(form.fields[name].label) if name in form.fields else "", str(messages[0]))
        for name, messages in form.errors.items()
    ]


def _facts(proposed: Evaluation, stored: Evaluation | None) -> list[tuple[str, str, str]]:
    """(what, with this definition, as in force)."""

    def fact(label: str, name: str) -> tuple[str, str, str]:
        return (
            label,
            cells.readable(getattr(proposed, name)),
            cells.readable(getattr(stored, name)) if stored is not None else "",
        )

    return [
        fact(_("Value"), "value"),
        fact(_("Events that match"), "matching_count"),
        fact(_("Events that count"), "record_count"),
        fact(_("Events that would be refused"), "refused_count"),
    ]


def _group_line(part: Part) -> dict[str, Any]:
    return {
        "labels": [value if value is not None else cells.DASH for value in (part.group or {}).values()],
        "value": cells.readable(part.value),
        "record_count": numerals.count(part.record_count),
    }


def _chart(draft: MetricDefinition, preview: Preview) -> Chart:
    """The definition's days, and beside them those of the one in force."""
    meaning = Meaning(draft, owner_path="")
    interval = days_interval(min(preview.start, preview.end - _SHORTEST).date(), preview.end.date())
    interval = Interval(interval.start, preview.end)
    points = _points(preview.proposed.days)
    chart = usage_chart(meaning, points, interval, name=_("With this definition"), height=220)
    if preview.stored is None:
        return chart
    data = json.loads(chart.data)
    data["datasets"].append(
        data["datasets"][0]
        | {
            "label": _("As in force"),
            "data": [None if part.value is None else float(part.value) for part in preview.stored.days],
            "backgroundColor": _GREY,
            "borderColor": _GREY,
        }
    )
    options = json.loads(chart.options)
    options["plugins"]["legend"] = {"display": True, "position": "bottom", "align": "start"}
    rows = [
        (
            f"{part.day}",
            cells.grouped(part.value),
            cells.grouped(before.value),
            numerals.count(part.record_count),
        )
        for part, before in zip(preview.proposed.days, preview.stored.days, strict=True)
        if part.record_count or before.record_count
    ]
    return dataclasses.replace(
        chart,
        data=json.dumps(data),
        options=json.dumps(options),
        headers=[_("Day (UTC)"), _("With this definition"), _("As in force"), _("Readings")],
        rows=rows[::-1],
    )


def _points(parts: Sequence[Part]) -> list[Point]:
    points = []
    for part in parts:
        assert part.day is not None
        start = dt.datetime.combine(part.day, dt.time(tzinfo=dt.UTC))
        points.append(Point(Window(start, start + dt.timedelta(days=1)), part.value, part.record_count))
    return points
