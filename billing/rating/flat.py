"""A fixed fee of the period, whatever was used. Pure.

f(q) = amount
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import Part, usage


@dataclass(frozen=True, slots=True)
class Flat:
    amount: Fraction

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(members.number("amount"))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        """One fee, also where nothing was used: that is what tells it from a tier's flat."""
        return (usage(Fraction(1), self.amount),)
