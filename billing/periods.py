"""Billing periods: when those of a subscription begin and end, and which days they have. Pure.

Boundaries come from a lattice that counts from its original anchor (`measuring.lattice`), at local midnight
of the account's zone. A change of anchor or zone is a further cycle, which rules the boundaries after one of
the cycle before. Service that begins or ends between boundaries makes shorter periods. Law: the periods tile
the service; every instant of it is in exactly one, a boundary instant in the later.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from metering.measuring.lattice import boundary, number_holding
from metering.measuring.windows import first_instant

from .proration import Days, share_of

_FIRST_DAY = dt.date(1970, 1, 1)
_FIRST_MONDAY = dt.date(1970, 1, 5)


def calendar_anchor(unit: str) -> dt.date:
    """What periods by the calendar count from: 1 January 1970, and for weeks the Monday after it."""
    return _FIRST_MONDAY if unit == "week" else _FIRST_DAY


@dataclass(frozen=True, slots=True)
class Cycle:
    """A lattice, and the day after which its boundaries hold; None: from the beginning.

    `after` is a boundary of the cycle before, on that one's clocks.
    """

    anchor_on: dt.date
    unit: str
    every: int
    zone: ZoneInfo
    after: dt.date | None = None

    def day(self, number: int) -> dt.date:
        """The local day on which period `number` of the lattice begins."""
        return boundary(self.anchor_on, number, unit=self.unit, every=self.every)

    def starts_at(self, day: dt.date) -> dt.datetime:
        return first_instant(day, self.zone)

    def local_day(self, instant: dt.datetime) -> dt.date:
        return instant.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Term:
    """When service begins, and ends if it does; nothing is charged before `trial_until`."""

    start: dt.datetime
    end: dt.datetime | None = None
    trial_until: dt.datetime | None = None

    @property
    def charged_from(self) -> dt.datetime:
        return self.start if self.trial_until is None else self.trial_until

    def covers(self, instant: dt.datetime) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """One half-open interval that is billed on its own.

    `service` are its local days, `full` those of the whole period that holds them. A trial has no share in
    any: nothing is charged for it.
    """

    start: dt.datetime
    end: dt.datetime
    service: Days
    full: Days
    zone: ZoneInfo
    is_trial: bool = False

    @property
    def share(self) -> Fraction:
        """Of a full period's fee, minimum, maximum and included quantity."""
        return Fraction(0) if self.is_trial else share_of(self.service, self.full)

    @property
    def is_partial(self) -> bool:
        return self.share < 1


@dataclass(frozen=True, slots=True)
class Grid:
    """One period of the cycles, whether there is service or not: its instants, its days, its full days."""

    start: dt.datetime
    end: dt.datetime
    days: Days
    full: Days
    cycle: Cycle


def grid_around(instant: dt.datetime, cycles: Sequence[Cycle]) -> Grid:
    """The period between boundaries that holds `instant`. Cycles come in the order of their days."""
    index, begun_at = 0, None
    for number in range(1, len(cycles)):
        switches_at = _switch(cycles, number)
        if switches_at <= instant:
            index, begun_at = number, switches_at
    cycle = cycles[index]
    number = number_holding(
        cycle.local_day(instant), anchor=cycle.anchor_on, unit=cycle.unit, every=cycle.every
    )
    end_on = cycle.day(number + 1)
    # Beyond the instant where the clocks went back across midnight, beyond the switch where zones differ.
    while cycle.starts_at(end_on) <= instant or (cycle.after is not None and end_on <= cycle.after):
        number, end_on = number + 1, cycle.day(number + 2)
    start_on = cycle.day(number)
    full = Days(start_on, end_on)
    start, end = cycle.starts_at(start_on), cycle.starts_at(end_on)
    if begun_at is not None and cycle.after is not None and (start_on <= cycle.after or start <= begun_at):
        start_on, start = cycle.after, begun_at
    if index + 1 < len(cycles):
        following, switches_at = cycles[index + 1].after, _switch(cycles, index + 1)
        if following is not None and switches_at < end:
            end_on, end = following, switches_at
    return Grid(start, end, Days(start_on, end_on), _holding(full, Days(start_on, end_on)), cycle)


def _switch(cycles: Sequence[Cycle], number: int) -> dt.datetime:
    """The instant from which cycle `number` holds: a boundary of the one before."""
    day = cycles[number].after
    assert day is not None  # only the first cycle has none
    return cycles[number - 1].starts_at(day)


def _holding(full: Days, days: Days) -> Days:
    """The full period, stretched where a change of zone made the period longer than its lattice has it."""
    return Days(min(full.start, days.start), full.end)


def period_holding(instant: dt.datetime, *, cycles: Sequence[Cycle], term: Term) -> BillingPeriod | None:
    """The billing period that holds `instant`; None where there is no service then."""
    if not term.covers(instant):
        return None
    if instant < term.charged_from:
        return _trial(cycles, term)
    grid = grid_around(instant, cycles)
    start, end = max(grid.start, term.charged_from), grid.end
    first_day, end_day = grid.days.start, grid.days.end
    if start > grid.start:
        first_day = max(first_day, grid.cycle.local_day(start))
    if term.end is not None and term.end < end:
        end = term.end
        end_day = min(end_day, max(grid.cycle.local_day(end), first_day))
    return BillingPeriod(start, end, Days(first_day, end_day), grid.full, grid.cycle.zone)


def _trial(cycles: Sequence[Cycle], term: Term) -> BillingPeriod:
    """The time before anything is charged, as one period."""
    end = term.charged_from if term.end is None else min(term.charged_from, term.end)
    cycle = grid_around(term.start, cycles).cycle
    days = Days(cycle.local_day(term.start), cycle.local_day(end))
    return BillingPeriod(term.start, end, days, days, cycle.zone, is_trial=True)


def periods_of(cycles: Sequence[Cycle], term: Term, *, until: dt.datetime) -> Iterator[BillingPeriod]:
    """The periods of the service that begin before `until`, in order of time."""
    instant = term.start
    while instant < until:
        period = period_holding(instant, cycles=cycles, term=term)
        if period is None:
            return
        yield period
        instant = period.end
