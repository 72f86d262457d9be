"""Local windows of time: hours, days, weeks, months and years by the clocks of a zone. Pure.

Law: windows tile; every instant is in exactly one; the boundary instant belongs to the later one.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

UNITS = ("hour", "day", "week", "month", "year")
_EARLIEST_YEAR, _LATEST_YEAR = 1, 9998


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval [start, end), both in UTC."""

    start: dt.datetime
    end: dt.datetime


class UnknownTimeZone(ValueError):
    """No such IANA zone."""


def zone_named(name: str) -> ZoneInfo:
    """The zone `name`. Raises `UnknownTimeZone`; never touches the file system outside the zone database."""
    if name == "UTC":
        return ZoneInfo("UTC")
    if name not in _zone_names():
        raise UnknownTimeZone(name)
    return ZoneInfo(name)


_ZONE_NAMES: frozenset[str] = frozenset()


def _zone_names() -> frozenset[str]:
    global _ZONE_NAMES
    if not _ZONE_NAMES:
        _ZONE_NAMES = frozenset(available_timezones())
    return _ZONE_NAMES


def first_instant(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """The first instant of a local calendar day, in UTC.

    A midnight that the clocks skip becomes the first instant after the gap; a repeated one, the earlier.
    """
    midnight = dt.datetime.combine(day, dt.time(), tzinfo=zone)
    before, after = midnight.utcoffset(), midnight.replace(fold=1).utcoffset()
    instant = midnight.astimezone(dt.UTC)
    if before == after or before is None or after is None or before > after:
        return instant
    # Inside a gap (the offset grows): the day begins where the clocks jump. Find that instant to the second.
    low, high = midnight.replace(fold=1).astimezone(dt.UTC), instant
    while high - low > dt.timedelta(seconds=1):
        middle = low + dt.timedelta(seconds=(high - low) // dt.timedelta(seconds=2))
        if middle.astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle
    return high


def _first_day(day: dt.date, unit: str) -> dt.date:
    if unit == "week":
        return day - dt.timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "year":
        return day.replace(month=1, day=1)
    return day


def _next_first_day(day: dt.date, unit: str) -> dt.date:
    if unit == "week":
        return day + dt.timedelta(days=7)
    if unit == "month":
        return dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)
    if unit == "year":
        return dt.date(day.year + 1, 1, 1)
    return day + dt.timedelta(days=1)


def window_holding(instant: dt.datetime, unit: str, zone: ZoneInfo) -> Window:
    """The local hour, day, week (from Monday), month or year that `instant` falls in."""
    instant = instant.astimezone(dt.UTC)
    if unit == "hour":
        return _hour_holding(instant, zone)
    day = _first_day(instant.astimezone(zone).date(), unit)
    start, end = first_instant(day, zone), first_instant(_next_first_day(day, unit), zone)
    while instant >= end:
        # The clocks went back across midnight: the day that had begun goes on, whatever they show.
        day = _next_first_day(day, unit)
        start, end = end, first_instant(_next_first_day(day, unit), zone)
    return Window(start, end)


def _hour_holding(instant: dt.datetime, zone: ZoneInfo) -> Window:
    """Local clock hour; a change of the clocks by half an hour (Lord Howe) makes a shorter one."""
    local = instant.astimezone(zone)
    past = dt.timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    start = instant - past
    end = start + dt.timedelta(hours=1)
    offset = local.utcoffset()
    if start.astimezone(zone).utcoffset() != offset:
        # The clocks changed within this hour; if not by whole hours, it began with the change.
        start = max(start, _change_between(start, instant, zone))
    if (end - dt.timedelta(microseconds=1)).astimezone(zone).utcoffset() != offset:
        end = min(end, _change_between(instant, end, zone))
    return Window(start, end)


def _change_between(low: dt.datetime, high: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The second between `low` and `high` at which the offset of `zone` changes."""
    before = low.astimezone(zone).utcoffset()
    low_second = int(low.timestamp())
    high_second = int(high.timestamp()) + 1
    while high_second - low_second > 1:
        middle = (low_second + high_second) // 2
        if dt.datetime.fromtimestamp(middle, dt.UTC).astimezone(zone).utcoffset() == before:
            low_second = middle
        else:
            high_second = middle
    return dt.datetime.fromtimestamp(high_second, dt.UTC)


def windows_between(start: dt.datetime, end: dt.datetime, unit: str, zone: ZoneInfo) -> Iterator[Window]:
    """The local windows that tile [start, end), in order; the first and the last are cut to it."""
    while start < end:
        window = window_holding(start, unit, zone)
        yield Window(start, min(window.end, end))
        start = window.end
