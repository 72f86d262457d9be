"""Periods counted from an anchor: a lattice of days, weeks, months or years by the clocks of a zone. Pure.

Boundary k is the anchor plus k intervals, always from the original anchor and cut to the end of its month: 31
January, 28 or 29 February, 31 March. Law: the periods of a lattice tile; every instant is in exactly one; the
boundary instant belongs to the later.
"""

import calendar
import datetime as dt
from zoneinfo import ZoneInfo

from .windows import Window, first_instant

UNITS = ("day", "week", "month", "year")
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def boundary(anchor: dt.date, number: int, *, unit: str, every: int = 1) -> dt.date:
    """The local day on which period `number` begins; 0 begins on the anchor, negative ones before it.

    `every` is how many units an interval has: 3 months make a quarter.
    """
    if unit in _DAYS:
        return anchor + dt.timedelta(days=number * every * _DAYS[unit])
    months = anchor.year * 12 + anchor.month - 1 + number * every * _MONTHS[unit]
    year, month = months // 12, months % 12 + 1
    return dt.date(year, month, min(anchor.day, calendar.monthrange(year, month)[1]))


def number_holding(day: dt.date, *, anchor: dt.date, unit: str, every: int = 1) -> int:
    """The number of the period that a local day lies in."""
    if unit in _DAYS:
        return (day - anchor).days // (every * _DAYS[unit])
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    number = months // (every * _MONTHS[unit])
    # In the month of a boundary, the days before it belong to the period that ends there.
    return number - 1 if day < boundary(anchor, number, unit=unit, every=every) else number


def period_around(
    instant: dt.datetime, *, anchor: dt.date, unit: str, zone: ZoneInfo, every: int = 1
) -> Window:
    """The period of the lattice that `instant` falls in, from local midnight to local midnight."""
    instant = instant.astimezone(dt.UTC)
    number = number_holding(instant.astimezone(zone).date(), anchor=anchor, unit=unit, every=every)

    def starts_at(number: int) -> dt.datetime:
        return first_instant(boundary(anchor, number, unit=unit, every=every), zone)

    start, end = starts_at(number), starts_at(number + 1)
    while instant >= end:
        # The clocks went back across midnight: the day that had begun goes on, whatever they show.
        number += 1
        start, end = end, starts_at(number + 1)
    return Window(start, end)
