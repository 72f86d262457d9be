"""From the metric's unit to the one that is priced: seconds to hours, bytes to gigabytes. Pure.

c(q) = q / divide_by, exact; with `round` to the next whole unit up or down
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members

ROUNDINGS = ("up", "down")


@dataclass(frozen=True, slots=True)
class UnitConversion:
    divide_by: Fraction
    round: str | None = None

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(members.positive_number("divide_by"), members.choice_or_none("round", ROUNDINGS))

    def converted(self, quantity: Fraction) -> Fraction:
        """Of the period's cumulative quantity; rounding slice by slice would charge a unit per slice."""
        units = quantity / self.divide_by
        if self.round == "up":
            return Fraction(math.ceil(units))
        return Fraction(math.floor(units)) if self.round == "down" else units
