"""The tier that holds the whole quantity prices all of it. Pure.

    f(q) = q x unit_amount + flat_amount of the tier with lower < q <= up_to

Flats of other tiers don't count. A stairstep is a flat with a rate of 0. The amount may fall where the next
tier is cheaper, and then a slice of a period bills a negative amount.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import Part, usage
from .tiers import Tier, tier_holding, tiers_from


@dataclass(frozen=True, slots=True)
class Volume:
    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(tiers_from(members))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        if not quantity and not flat_on_zero:
            return ()
        held = tier_holding(self.tiers, quantity)
        return (usage(quantity, held.tier.unit_amount, tier=held.number, flat_amount=held.tier.flat_amount),)
