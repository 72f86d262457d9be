"""Usage as Chart.js data, each chart with the table behind it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from metering import numerals
from metering.answering.usage_charts import Interval, Point, Share, Unit
from metering.measuring.meaning import Meaning

from . import cells

GREY = "#71717a"  # until charts.js puts the colour of the theme in its place
COLOUR = "var(--color-primary-500)"
_PATTERNS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}
_ADDING = frozenset({"COUNT", "SUM"})  # bars: their heights add up; the others are levels, drawn as lines


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture. `rows` are the table behind it; numbers in `data` are for drawing only."""

    kind: str
    data: str
    options: str
    description: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    height: int


def usage_chart(
    meaning: Meaning,
    points: Sequence[Point],
    interval: Interval,
    *,
    name: str,
    height: int = 260,
    is_small: bool = False,
) -> Chart:
    """Usage of one metric over time."""
    pattern = _PATTERNS[interval.unit]
    labels = [f"{point.window.start:{pattern}}" for point in points]
    is_bar = meaning.aggregation.name in _ADDING
    dataset: dict[str, Any] = {
        "label": f"{name} ({meaning.unit})" if meaning.unit else name,
        "data": [drawn(point.value) for point in points],
        "backgroundColor": COLOUR,
        "borderColor": COLOUR,
    }
    if is_bar:
        dataset |= {"borderRadius": 2, "maxBarThickness": 40, "categoryPercentage": 0.85, "barPercentage": 1}
    else:
        dataset |= {
            "borderWidth": 2,
            "pointRadius": 0 if len(points) > 1 else 3,
            "spanGaps": True,
            "tension": 0,
        }
    return Chart(
        kind="bar" if is_bar else "line",
        data=json.dumps({"labels": labels, "datasets": [dataset]}),
        options=json.dumps(
            chart_options(
                is_small=is_small,
                x_title=_("Hour (UTC)") if interval.unit == "hour" else _("Day (UTC)"),
                y_title=meaning.unit or _("Value"),
            )
        ),
        description=_("%(metric)s from %(first)s to %(last)s")
        % {"metric": name, "first": interval.first_day, "last": interval.last_day},
        headers=[
            _unit_words(interval.unit),
            meaning.unit or _("Value"),
            _("Readings"),
        ],
        rows=[
            (label, cells.grouped(point.value), numerals.count(point.record_count))
            for label, point in reversed(list(zip(labels, points, strict=True)))
            if point.record_count
        ],
        height=height,
    )


def _unit_words(unit: Unit) -> str:
    return {
        "hour": _("Hour (UTC)"),
        "day": _("Day (UTC)"),
        "week": _("Week from (UTC)"),
        "month": _("Month (UTC)"),
    }[unit]


def shares_chart(meaning: Meaning, shares: Sequence[Share], interval: Interval, *, name: str) -> Chart:
    """Who used most, as horizontal bars."""
    options = chart_options(y_title=meaning.unit or _("Value"))
    options["indexAxis"] = "y"
    options["scales"]["x"], options["scales"]["y"] = options["scales"]["y"], options["scales"]["x"]
    options["scales"]["y"]["ticks"]["autoSkip"] = False
    dataset = {
        "label": f"{name} ({meaning.unit})" if meaning.unit else name,
        "data": [drawn(share.value) for share in shares],
        "backgroundColor": COLOUR,
        "borderRadius": 2,
        "maxBarThickness": 22,
    }
    return Chart(
        kind="bar",
        data=json.dumps({"labels": [share.project for share in shares], "datasets": [dataset]}),
        options=json.dumps(options),
        description=_("Projects with most %(metric)s from %(first)s to %(last)s")
        % {"metric": name, "first": interval.first_day, "last": interval.last_day},
        headers=[_("Project"), meaning.unit or _("Value"), _("Readings")],
        rows=[
            (share.project, cells.grouped(share.value), numerals.count(share.record_count))
            for share in shares
        ],
        height=max(120, 34 * len(shares) + 40),
    )


def drawn(value: Decimal | None) -> float | None:
    """A number near enough for a pixel."""
    return None if value is None else float(value)


def legend() -> dict[str, Any]:
    """What each dataset is called, with a sample of its pattern."""
    return {
        "display": True,
        "position": "bottom",
        "align": "start",
        "labels": {"color": GREY, "boxWidth": 24, "boxHeight": 12},
    }


def chart_options(*, is_small: bool = False, x_title: str = "", y_title: str = "") -> dict[str, Any]:
    """How every chart of ours is drawn; the title of an axis says its unit."""
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {
                "display": not is_small,
                "border": {"display": False},
                "grid": {"display": False},
                "title": {"display": bool(x_title), "text": x_title, "color": GREY},
                "ticks": {"color": GREY, "maxRotation": 0, "autoSkipPadding": 24},
            },
            "y": {
                "display": not is_small,
                "beginAtZero": True,
                "border": {"display": False},
                "grid": {"drawTicks": False},
                "title": {"display": bool(y_title), "text": y_title, "color": GREY},
                "ticks": {
                    "color": GREY,
                    "maxTicksLimit": 6,
                    "padding": 8,
                    "format": {"notation": "compact", "maximumFractionDigits": 1, "useGrouping": "always"},
                },
            },
        },
    }
