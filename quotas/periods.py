"""The periods over which quotas count: calendar windows of a time zone, or all of time. Pure.

Law: the periods of one kind tile; every instant is in exactly one; the boundary instant belongs to the later.
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from metering.measuring.windows import window_holding

NEVER = "never"

# Late usage of a finished period is taken this long, for producers that queue; after it, only backfill is.
PAST_PERIOD_GRACE = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open interval [start, end) in UTC; None is open-ended."""

    start: dt.datetime | None
    end: dt.datetime | None

    def holds(self, instant: dt.datetime) -> bool:
        return (self.start is None or self.start <= instant) and (self.end is None or instant < self.end)

    def is_closed(self, *, at: dt.datetime, grace: dt.timedelta = PAST_PERIOD_GRACE) -> bool:
        """Whether the period and its grace are over: from exactly `end + grace` on."""
        return self.end is not None and self.end + grace <= at


ALL_TIME = Period(None, None)


def period_holding(instant: dt.datetime, *, kind: str, zone: ZoneInfo) -> Period:
    """The local hour, day, week, month or year of `zone` that `instant` falls in; all time for never."""
    if kind == NEVER:
        return ALL_TIME
    window = window_holding(instant, kind, zone)
    return Period(window.start, window.end)
