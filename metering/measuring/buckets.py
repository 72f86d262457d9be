"""UTC buckets, and how an interval is covered by the largest of them. Pure.

Law: the segments of `cover(start, end)` are disjoint, in order, and their union is [start, end).
"""

import datetime as dt
from dataclasses import dataclass

EDGE = "edge"  # a part of an hour: read from the ledger
HOUR, DAY, MONTH = "hour", "day", "month"

_HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Segment:
    """Half-open interval that is read from buckets of one granularity. None is open-ended."""

    granularity: str
    start: dt.datetime | None
    end: dt.datetime | None


def bucket_floor(instant: dt.datetime, granularity: str) -> dt.datetime:
    """The start of the UTC bucket that holds `instant`."""
    hour = instant.replace(minute=0, second=0, microsecond=0)
    if granularity == HOUR:
        return hour
    day = hour.replace(hour=0)
    return day if granularity == DAY else day.replace(day=1)


def bucket_end(start: dt.datetime, granularity: str) -> dt.datetime:
    """The start of the bucket after the one that begins at `start`."""
    if granularity == HOUR:
        return start + _HOUR
    if granularity == DAY:
        return start + _DAY
    return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def bucket_ceiling(instant: dt.datetime, granularity: str) -> dt.datetime:
    """The first bucket start at or after `instant`."""
    floor = bucket_floor(instant, granularity)
    return floor if floor == instant else bucket_end(floor, granularity)


def cover(start: dt.datetime | None, end: dt.datetime | None) -> list[Segment]:
    """Segments that tile [start, end), months where they fit, then days, hours, and edges in the ledger.

    Both ends in UTC; None is open. An empty interval gives no segment.
    """
    if start is not None and end is not None and start >= end:
        return []
    head: list[Segment] = []
    tail: list[Segment] = []
    for granularity, coarser in ((EDGE, HOUR), (HOUR, DAY), (DAY, MONTH)):
        inner_start = None if start is None else bucket_ceiling(start, coarser)
        inner_end = None if end is None else bucket_floor(end, coarser)
        if inner_start is not None and inner_end is not None and inner_start >= inner_end:
            # No bucket of the coarser grain fits in between: the rest is read at this grain.
            head.append(Segment(granularity, start, end))
            return [*head, *reversed(tail)]
        if start is not None and inner_start is not None and start < inner_start:
            head.append(Segment(granularity, start, inner_start))
        if end is not None and inner_end is not None and inner_end < end:
            tail.append(Segment(granularity, inner_end, end))
        start, end = inner_start, inner_end
    return [*head, Segment(MONTH, start, end), *reversed(tail)]
