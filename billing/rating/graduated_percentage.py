"""The graduated walk over an amount of money, in percent. Pure.

    f(a) = sum over tiers that a reaches into of (a's part in the tier) x rate_percent / 100 + flat_amount

The amount is that of the whole period; single events don't matter here.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .graduated import graduated_parts
from .members import Members
from .parts import Part
from .tiers import PercentTier, percent_tiers_from


@dataclass(frozen=True, slots=True)
class GraduatedPercentage:
    tiers: tuple[PercentTier, ...]

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(percent_tiers_from(members))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        return graduated_parts(self.tiers, quantity, flat_on_zero=flat_on_zero)
