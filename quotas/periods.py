"""The periods over which quotas count: by the calendar of a time zone, from an anchor, or all of time. Pure.

Law: the periods of one kind tile; every instant is in exactly one; the boundary instant belongs to the later.
"""

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from metering.measuring.lattice import UNITS, period_around
from metering.measuring.windows import window_holding

NEVER = "never"
ANCHORED_KINDS = UNITS  # an hour begins where the clocks say, and all of time nowhere

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


def period_holding(
    instant: dt.datetime, *, kind: str, zone: ZoneInfo, anchor: dt.date | None = None
) -> Period:
    """The local hour, day, week, month or year of `zone` that `instant` falls in; all time for never.

    With an anchor, the period that is counted from that local day; see `metering.measuring.lattice`.
    """
    if kind == NEVER:
        return ALL_TIME
    if anchor is not None and kind in ANCHORED_KINDS:
        window = period_around(instant, anchor=anchor, unit=kind, zone=zone)
    else:
        window = window_holding(instant, kind, zone)
    return Period(window.start, window.end)
