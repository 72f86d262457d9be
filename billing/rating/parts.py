"""What an amount is made of: exact parts, whose sum it is. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

ZERO = Fraction(0)


class Kind(StrEnum):
    """What a part is for, in the order in which parts are shown."""

    USAGE = "usage"
    EVENT_FEE = "event_fee"
    EVENT_MINIMUM = "event_minimum"
    EVENT_MAXIMUM = "event_maximum"
    DISCOUNT = "discount"
    MAXIMUM = "maximum"
    TRUE_UP = "true_up"


_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Part:
    """`quantity` x `unit_amount` + `flat_amount` = `amount`, never rounded.

    Tiers are numbered from 1. Parts that no quantity explains (discount, maximum) have an amount alone.
    """

    kind: Kind
    amount: Fraction
    tier: int | None = None
    quantity: Fraction | None = None
    unit_amount: Fraction | None = None
    flat_amount: Fraction = ZERO


def usage(
    quantity: Fraction, unit_amount: Fraction, *, tier: int | None = None, flat_amount: Fraction = ZERO
) -> Part:
    """A quantity at its rate, and a tier's flat."""
    return Part(
        Kind.USAGE,
        quantity * unit_amount + flat_amount,
        tier=tier,
        quantity=quantity,
        unit_amount=unit_amount,
        flat_amount=flat_amount,
    )


def total_of(parts: Iterable[Part]) -> Fraction:
    return sum((part.amount for part in parts), ZERO)


def difference(parts: Iterable[Part], earlier: Iterable[Part]) -> tuple[Part, ...]:
    """What `parts` have that `earlier` ones hadn't, and with a minus what they no longer have.

    Law: its total is the difference of the totals. Both come from the same price.
    """
    found = {(part.kind, part.tier): _nothing_of(part) for part in (*earlier, *parts)}
    for sign, side in ((-1, earlier), (1, parts)):
        for part in side:
            key = (part.kind, part.tier)
            found[key] = _plus(found[key], part, sign)
    changed = [part for part in found.values() if part.amount or part.quantity or part.flat_amount]
    return tuple(sorted(changed, key=lambda part: (_ORDER[part.kind], part.tier or 0)))


def _nothing_of(part: Part) -> Part:
    return replace(part, amount=ZERO, flat_amount=ZERO, quantity=None if part.quantity is None else ZERO)


def _plus(into: Part, part: Part, sign: int) -> Part:
    quantity = None
    if into.quantity is not None and part.quantity is not None:
        quantity = into.quantity + sign * part.quantity
    return replace(
        into,
        amount=into.amount + sign * part.amount,
        flat_amount=into.flat_amount + sign * part.flat_amount,
        quantity=quantity,
    )
