"""Where usage will be at the end of a period if it goes on as it went so far. Pure.

A straight line: what was used in the elapsed part of the period, stretched to all of it,

    projected = used x (end - start) / (now - start)

It is for values that only grow by being used: counts, and sums of counters. In the first hour of a period it
says nothing, because a minute's usage stretched over a month is noise.
"""

import datetime as dt
from decimal import Context, Decimal

from metering.measuring.aggregations import seconds_of

QUIET = dt.timedelta(hours=1)
_SIX_DIGITS = Context(prec=6)  # an estimate shouldn't look like a measurement


def projected_end(
    used: Decimal, *, start: dt.datetime | None, end: dt.datetime | None, now: dt.datetime
) -> Decimal | None:
    """Usage at the end of [start, end), to six digits; never less than what is used already.

    None for a period without start or end, one that isn't running, and in its first hour.
    """
    if start is None or end is None or not start + QUIET <= now < end:
        return None
    stretched = used * (seconds_of(end) - seconds_of(start))
    projected = _SIX_DIGITS.divide(_rounded(stretched), seconds_of(now) - seconds_of(start))
    return max(projected, used)


def _rounded(value: Decimal) -> Decimal:
    """Cut to what a division can take, whatever the context of the caller traps."""
    return Context(prec=60).plus(value)
