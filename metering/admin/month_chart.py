"""One metric day by day, added up since the first of the month, beside last month."""

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal

from django.utils.translation import gettext as _

from metering.answering.month_usage import MonthSoFar
from metering.models import MetricDefinition
from metering.texts.numbers import EXACT

from . import cells
from .charts import COLOUR, Chart, chart_options, drawn

NOTHING = Decimal(0)
_DAY = dt.timedelta(days=1)


def month_chart(
    metric: MetricDefinition, days: Mapping[dt.date, Decimal], month: MonthSoFar, *, now: dt.datetime
) -> Chart:
    """Two lines: this month solid up to today, last month dashed to its end."""
    this = _added_up(days, month.start.date(), now.astimezone(dt.UTC).date() + _DAY)
    last = _added_up(days, month.before.date(), month.start.date())
    length = max((month.end - month.start).days, (month.start - month.before).days)
    names = (f"{month.start:%Y-%m}", f"{month.before:%Y-%m}")
    unit = metric.unit or _("Value")
    options = chart_options(x_title=_("Day of the month (UTC)"), y_title=unit)
    line = {
        "borderColor": COLOUR,
        "backgroundColor": COLOUR,
        "tension": 0,
        "pointRadius": 0,
        "isNamedAtEnd": True,
    }
    datasets = [
        {**line, "label": names[0], "data": [drawn(one) for one in this], "borderWidth": 3},
        {
            **line,
            "label": names[1],
            "data": [drawn(one) for one in last],
            "borderWidth": 2,
            "borderDash": [6, 4],
            "borderColor": "var(--color-base-500)",
        },
    ]
    return Chart(
        kind="line",
        data=json.dumps({"labels": list(range(1, length + 1)), "datasets": datasets}),
        options=json.dumps(options),
        description=_("%(metric)s added up since the first of the month: %(now)s so far beside %(before)s")
        % {"metric": metric.display_name, "now": names[0], "before": names[1]},
        headers=[_("Day"), *(f"{name}, {unit}" for name in names)],
        rows=[
            (
                str(day + 1),
                cells.readable(this[day]) if day < len(this) else cells.DASH,
                cells.readable(last[day]) if day < len(last) else cells.DASH,
            )
            for day in range(length)
        ],
        height=260,
    )


def _added_up(days: Mapping[dt.date, Decimal], first: dt.date, end: dt.date) -> list[Decimal]:
    """The sum up to the end of each day."""
    value, found = NOTHING, []
    while first < end:
        value = EXACT.add(value, days.get(first, NOTHING))
        found.append(value)
        first += _DAY
    return found
