"""A cost passed on, with a margin. Pure.

    f(q) = q x multiplier

The metric is a SUM whose value is a cost in the invoice's currency, so the quantity is money already.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import Part, usage


@dataclass(frozen=True, slots=True)
class Dynamic:
    multiplier: Fraction

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(members.number("multiplier"))

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        return (usage(quantity, self.multiplier),) if quantity else ()
