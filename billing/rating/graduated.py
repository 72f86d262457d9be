"""Each unit pays the rate of its own tier. Pure.

    f(q) = sum over tiers that q reaches into of (q's part in the tier) x unit_amount + flat_amount

A tier's flat is charged once, when usage strictly exceeds the tier's lower bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import ZERO, Part, usage
from .tiers import AnyTier, Tier, stretches, tiers_from


@dataclass(frozen=True, slots=True)
class Graduated:
    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(tiers_from(members))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        return graduated_parts(self.tiers, quantity, flat_on_zero=flat_on_zero)


def graduated_parts(tiers: Sequence[AnyTier], quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
    """A part for each tier that `quantity` reaches into; at zero, if asked for, the first tier's flat."""
    if not quantity:
        return (_part(1, tiers[0], ZERO),) if flat_on_zero else ()
    return tuple(_part(each.number, each.tier, each.quantity) for each in stretches(tiers, quantity))


def _part(number: int, tier: AnyTier, quantity: Fraction) -> Part:
    return usage(quantity, tier.unit_amount, tier=number, flat_amount=tier.flat_amount)
