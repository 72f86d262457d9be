"""The usage of a running period as it came in: a value for each day, week or month of it. Writes nothing."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.invoicing.measured_usage import meaning_of
from metering.answering.answers import catalogue_now
from metering.answering.several_usages import Question, usages_in
from metering.answering.usage import Scope, Slice, Usage
from metering.measuring.windows import Window, windows_between

from .running_period import Charge

_DAILY_UP_TO, _WEEKLY_UP_TO = dt.timedelta(days=63), dt.timedelta(days=200)


@dataclass(frozen=True, slots=True)
class Point:
    """Usage in one window on the account's clocks; `value` is None where there was none."""

    window: Window
    value: Decimal | None


def usages_over_time(charges: Sequence[Charge], *, now: dt.datetime, position: int) -> list[Sequence[Point]]:
    """What each of some prices took so far, in order, all by one statement; none for a fee."""
    catalogue = catalogue_now()
    questions, windows_of = [], []
    for charge in charges:
        windows = _windows_of(charge, now=now) if charge.ask else []
        windows_of.append(windows)
        if charge.ask is not None:
            slice = Slice(scope=Scope(payer_id=charge.ask.payer_id))
            intervals = [(window.start, window.end) for window in windows]
            questions.append(Question(meaning_of(charge.ask, catalogue), intervals, slice))
    answers = iter(usages_in(questions, as_of=position))
    return [
        _points(windows, [] if charge.ask is None else next(answers))
        for charge, windows in zip(charges, windows_of, strict=True)
    ]


def _windows_of(charge: Charge, *, now: dt.datetime) -> list[Window]:
    period = charge.priced.period
    length = now - period.start
    unit = "day" if length <= _DAILY_UP_TO else "week" if length <= _WEEKLY_UP_TO else "month"
    return list(windows_between(period.start, min(now, period.end), unit, period.zone))


def _points(windows: Sequence[Window], usages: Sequence[Usage]) -> Sequence[Point]:
    values = {usage.window: usage.value for usage in usages}
    return [Point(window, values.get(number)) for number, window in enumerate(windows)]
