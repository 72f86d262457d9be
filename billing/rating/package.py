"""Units are sold in packages. Pure.

    f(q) = ceil(max(q - free_units, 0) / package_size) x package_amount

`round: "down"` charges full packages alone. The division is one of exact rationals.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from .members import Members
from .parts import ZERO, Part, usage

ROUNDINGS = ("up", "down")


@dataclass(frozen=True, slots=True)
class Package:
    package_size: Fraction
    package_amount: Fraction
    free_units: Fraction = ZERO
    round: str = "up"

    @classmethod
    def read(cls, members: Members) -> Self:
        return cls(
            package_size=members.positive_number("package_size"),
            package_amount=members.number("package_amount"),
            free_units=members.number_or_zero("free_units"),
            round=members.choice_or_none("round", ROUNDINGS) or "up",
        )

    def parts(self, quantity: Fraction, *, flat_on_zero: bool) -> tuple[Part, ...]:
        """The quantity of the part is the number of packages."""
        sold = max(quantity - self.free_units, ZERO) / self.package_size
        count = math.ceil(sold) if self.round == "up" else math.floor(sold)
        return (usage(Fraction(count), self.package_amount),) if count else ()
