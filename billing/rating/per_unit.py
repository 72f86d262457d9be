"""Every unit at the same rate. Pure.

f(q) = q x unit_amount
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import Part, usage


@dataclass(frozen=True, slots=True)
class PerUnit:
    unit_amount: Fraction

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(members.number("unit_amount"))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        return (usage(quantity, self.unit_amount),) if quantity else ()
