"""Charts of one quota: its last periods beside the limit, and the running period's way towards it."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from metering import numerals
from metering.admin import cells
from metering.admin.charts import COLOUR, GREY, Chart, chart_options, drawn
from quotas.course import Course

_RED = "#dc2626"
_PATTERNS = {
    "hour": "%Y-%m-%d %H:%M",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
    "year": "%Y",
}


def periods_chart(course: Course, *, zone: ZoneInfo) -> Chart | None:
    """What was used in each of the last periods, with the limit of today as a line; None without periods."""
    used = [number for number, past in enumerate(course.periods) if past.used]
    periods = course.periods[used[0] if used else -1 :]  # from the first that had any
    if not periods:
        return None
    pattern = _PATTERNS[course.quota.period]
    if course.quota.anchor is not None:
        pattern = "%Y-%m-%d"
    labels = [_local(past.period.start, zone, pattern) for past in periods]
    limit = course.standing.limit
    datasets = [
        {
            "type": "bar",
            "label": _named(course, _("Used")),
            "data": [drawn(past.used) for past in periods],
            "backgroundColor": [
                _RED if past.used is not None and past.used > limit else COLOUR for past in periods
            ],
            "borderRadius": 2,
            "maxBarThickness": 40,
            "order": 2,
        },
        _limit_line(course, len(labels)),
    ]
    return Chart(
        kind="bar",
        data=json.dumps({"labels": labels, "datasets": datasets}),
        options=json.dumps(_with_legend()),
        description=_("%(metric)s in the last %(count)d periods, beside the limit")
        % {"metric": course.quota.metric.display_name, "count": len(labels)},
        headers=[_("Period from"), course.quota.metric.unit or _("Used"), _("Limit of today"), _("Share")],
        rows=[
            (label, cells.readable(past.used), cells.readable(limit), _share(past.used, limit))
            for label, past in reversed(list(zip(labels, periods, strict=True)))
        ],
        height=220,
    )


def course_chart(course: Course, *, zone: ZoneInfo) -> Chart:
    """The period's value as it grew until now, the limit, and where it is heading."""
    period, standing = course.standing.period, course.standing
    is_long = period.end is None or period.start is None or period.end - period.start > dt.timedelta(days=2)
    pattern = "%Y-%m-%d" if is_long else "%m-%d %H:%M"
    labels = [_local(point.at, zone, pattern) for point in course.points]
    used: list[float | None] = [drawn(point.used) for point in course.points]
    ahead: list[float | None] = [*(None for one in used[1:]), *used[-1:]]
    if standing.projected is not None and period.end is not None:
        labels.append(_local(period.end, zone, pattern))
        used.append(None)
        ahead.append(drawn(standing.projected))
    plain_line: dict[str, Any] = {"pointRadius": 0, "tension": 0, "borderWidth": 2, "spanGaps": True}
    datasets = [
        {
            **plain_line,
            "label": _named(course, _("Used since the period began")),
            "data": used,
            "borderColor": COLOUR,
            "backgroundColor": COLOUR,
            "pointRadius": 3 if len(course.points) == 1 else 0,
        },
        _limit_line(course, len(labels)),
    ]
    if standing.projected is not None:
        datasets.append(
            {
                **plain_line,
                "label": _("If it goes on"),
                "data": ahead,
                "borderColor": COLOUR,
                "backgroundColor": COLOUR,
                "borderDash": [2, 4],
            }
        )
    return Chart(
        kind="line",
        data=json.dumps({"labels": labels, "datasets": datasets}),
        options=json.dumps(_with_legend()),
        description=_("%(metric)s since the period began, beside the limit")
        % {"metric": course.quota.metric.display_name},
        headers=[
            _("Until (%s)") % zone.key,
            course.quota.metric.unit or _("Used"),
            _("Limit"),
            _("Share"),
        ],
        rows=[
            (
                f"{point.at.astimezone(zone):%Y-%m-%d %H:%M}",
                cells.readable(point.used),
                cells.readable(standing.limit),
                _share(point.used, standing.limit),
            )
            for point in reversed(course.points)
        ],
        height=220,
    )


def _limit_line(course: Course, count: int) -> dict[str, Any]:
    return {
        "type": "line",
        "label": _("Limit"),
        "data": [drawn(course.standing.limit)] * count,
        "borderColor": _RED,
        "backgroundColor": _RED,
        "borderWidth": 1.5,
        "borderDash": [6, 4],
        "pointRadius": 0 if count > 1 else 3,
        "order": 1,
    }


def _with_legend() -> dict[str, Any]:
    options = chart_options()
    options["plugins"]["legend"] = {
        "display": True,
        "position": "bottom",
        "align": "start",
        "labels": {"color": GREY, "boxWidth": 18, "boxHeight": 2},
    }
    return options


def _named(course: Course, words: str) -> str:
    unit = course.quota.metric.unit
    return f"{words} ({unit})" if unit else words


def _share(used: Any, limit: Any) -> str:
    return cells.DASH if not limit or used is None else numerals.percent(used / limit, decimals=1)


def _local(instant: dt.datetime | None, zone: ZoneInfo, pattern: str) -> str:
    return "" if instant is None else instant.astimezone(zone).strftime(pattern)
