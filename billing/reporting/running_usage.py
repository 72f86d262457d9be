"""The usage of a running period as it came in: a value for each day, week or month of it. Writes nothing."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.measured_usage import meaning_of
from metering.answering.usage import Scope, Slice, usage_in
from metering.catalogue import current
from metering.measuring.windows import Window, windows_between

from .running_period import Charge

_DAILY_UP_TO, _WEEKLY_UP_TO = dt.timedelta(days=63), dt.timedelta(days=200)


@dataclass(frozen=True, slots=True)
class Point:
    """Usage in one window on the account's clocks; `value` is None where there was none."""

    window: Window
    value: Decimal | None


def usage_over_time(charge: Charge, *, now: dt.datetime, position: int) -> Sequence[Point]:
    """What a price of usage took so far, in order; none for a fee, and none before the first event."""
    if charge.ask is None or charge.usage is None or not charge.usage.event_count:
        return []
    period = charge.priced.period
    length = now - period.start
    unit = "day" if length <= _DAILY_UP_TO else "week" if length <= _WEEKLY_UP_TO else "month"
    windows = list(windows_between(period.start, min(now, period.end), unit, period.zone))
    found = usage_in(
        meaning_of(charge.ask, current()),
        [(window.start, window.end) for window in windows],
        slice=Slice(scope=Scope(payer_id=charge.ask.payer_id)),
        as_of=position,
    )
    values = {usage.window: usage.value for usage in found}
    return [Point(window, values.get(number)) for number, window in enumerate(windows)]
