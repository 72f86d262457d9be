"""A share of each event's amount, and a fee per event. Pure.

    charge(a) = min(max(a x rate_percent / 100 + fixed_amount_per_event, per_event_min), per_event_max)
    f(events) = sum of charge(what of the event is beyond the allowances)

Events come in (time, id) order. `free_events` and `free_amount` are allowances of the period: while both have
something left, events are free, and the first one exhausted ends both. An event that is wholly free pays
nothing, the minimum included; one that straddles the end of `free_amount` pays on its remainder.

`Charged` is what a fold over events leaves; `billing/event_pricing.py` finds the same in the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from metering.errors import Invalid

from .members import Members
from .parts import ZERO, Kind, Part, usage


@dataclass(frozen=True, slots=True)
class Charged:
    """What was charged: on which amount, for how many events, raised and cut by how much in all."""

    amount: Fraction = ZERO
    event_count: int = 0
    raised: Fraction = ZERO
    cut: Fraction = ZERO


@dataclass(frozen=True, slots=True)
class Percentage:
    rate_percent: Fraction
    fixed_amount_per_event: Fraction = ZERO
    free_events: Fraction | None = None
    free_amount: Fraction | None = None
    per_event_min: Fraction | None = None
    per_event_max: Fraction | None = None

    @classmethod
    def read(cls, members: Members) -> Self:
        found = cls(
            rate_percent=members.number("rate_percent"),
            fixed_amount_per_event=members.number_or_zero("fixed_amount_per_event"),
            free_events=members.count_or_none("free_events"),
            free_amount=members.number_or_none("free_amount"),
            per_event_min=members.number_or_none("per_event_min"),
            per_event_max=members.number_or_none("per_event_max"),
        )
        if found.free_events is not None and found.free_amount is not None:
            for name in ("free_events", "free_amount"):
                if not getattr(found, name):
                    raise Invalid(
                        "An allowance of 0 would end the other one at once; leave one of them out.",
                        field=members.path(name),
                    )
        low, high = found.per_event_min, found.per_event_max
        if low is not None and high is not None and low > high:
            raise Invalid("Must not be above per_event_max.", field=members.path("per_event_min"))
        return found

    def charged(self, amounts: Iterable[Fraction]) -> Charged:
        """Fold the amounts of the period's events, none of them negative, in order."""
        event_number, left = 0, self.free_amount
        total, count, raised, cut = ZERO, 0, ZERO, ZERO
        for amount in amounts:
            event_number += 1
            if self._is_open(event_number, left):
                free = amount if left is None else min(amount, left)
                left = None if left is None else left - free
                if free == amount:
                    continue
                amount -= free
            charge = amount * self.rate_percent / 100 + self.fixed_amount_per_event
            if self.per_event_min is not None:
                raised += max(self.per_event_min - charge, ZERO)
            if self.per_event_max is not None:
                cut += max(charge - self.per_event_max, ZERO)
            total, count = total + amount, count + 1
        return Charged(total, count, raised, cut)

    def _is_open(self, event_number: int, left: Fraction | None) -> bool:
        """Whether the allowances still hold at this event, numbered from 1."""
        if self.free_events is None and left is None:
            return False
        return (self.free_events is None or event_number <= self.free_events) and (left is None or left > 0)

    def parts(self, charged: Charged) -> tuple[Part, ...]:
        if not charged.event_count:
            return ()
        fee = self.fixed_amount_per_event
        count = Fraction(charged.event_count)
        found = [usage(charged.amount, self.rate_percent / 100)]
        if fee:
            found.append(Part(Kind.EVENT_FEE, count * fee, quantity=count, unit_amount=fee))
        if charged.raised:
            found.append(Part(Kind.EVENT_MINIMUM, charged.raised))
        if charged.cut:
            found.append(Part(Kind.EVENT_MAXIMUM, -charged.cut))
        return tuple(found)
