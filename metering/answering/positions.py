"""From what a question calls `as_of` to a final ledger position."""

import datetime as dt
import re

from django.db.models import Max

from metering.clock import ledger_end
from metering.errors import Invalid
from metering.models import Fence
from metering.texts.cursors import LARGEST_ID
from metering.texts.timestamps import NotAnInstant, instant_from

from .fences import last_position, raise_fence

# A question waits this long for the recorders that run now; a request that hangs longer has been given up.
PATIENCE_SECONDS = 10.0
_POSITION = re.compile("[0-9]{1,19}", re.ASCII)


def position_at(as_of: str) -> int:
    """The ledger position that `as_of` means; everything up to it is committed and final.

    `as_of` is a position (decimal digits, 0 is before the first event), or an RFC 3339 time with an offset. A
    time means the last fence at or before it, 0 before the first fence; one later than every fence makes a
    new fence and means that one. So an answer at a time is reproduced by the position that it names.

    Raises `Invalid` for what is neither and for a position that the ledger hasn't reached, `Unavailable` when
    a recorder outlasts `PATIENCE_SECONDS`. Not to be called inside a recorder.
    """
    if _POSITION.fullmatch(as_of):
        return _final(int(as_of))
    try:
        instant = instant_from(as_of)
    except NotAnInstant as error:
        raise Invalid(
            "Neither a ledger position nor a time with an offset: {why}.", why=error, field="as_of"
        ) from None
    return _fenced_at(instant)


def _final(position: int) -> int:
    """`position` itself, once it is final."""
    if position <= last_position():
        return position
    end = ledger_end() if position <= LARGEST_ID else 0
    if position > end:
        raise Invalid("The ledger hasn't reached this position.", field="as_of")
    raise_fence(patience_seconds=PATIENCE_SECONDS)  # at or behind `end`, hence at or behind the position
    return position


def _fenced_at(instant: dt.datetime) -> int:
    # Index: fence_by_time. Every fence is final, so among those in time the furthest counts.
    if Fence.objects.filter(fenced_at__gte=instant).exists():
        fences = Fence.objects.filter(fenced_at__lte=instant)
        return fences.aggregate(furthest=Max("position"))["furthest"] or 0
    return max(raise_fence(patience_seconds=PATIENCE_SECONDS).position, last_position())
