"""Reading the JSON of a price strictly: exact numbers, known members, complaints that name the path. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from metering.errors import Invalid
from metering.texts.numbers import NotANumber, decimal_from, decimal_from_integer

_MAX_SHOWN_NAME = 100


def exact_number(value: Any, field: str) -> Decimal:
    """The value of a decimal string (or of an exact JSON number). Raises `Invalid` that names `field`.

    A float is refused: whoever hands one over has lost the number already.
    """
    try:
        if isinstance(value, str | Decimal):
            return decimal_from(str(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return decimal_from_integer(value)
    except NotANumber as error:
        raise Invalid("Can't be read: {why}.", why=error, field=field) from None
    raise Invalid('Must be a decimal number as a text, such as "0.25".', field=field)


class Members:
    """The members of one JSON object at the path `at`; null is absence.

    Every complaint is an `Invalid` whose field is the path of the member at fault.
    """

    def __init__(self, value: Any, *, at: str, known: Iterable[str]) -> None:
        if not isinstance(value, Mapping):
            raise Invalid("Must be a JSON object.", field=at)
        self._values, self.at = value, at
        names = set(known)
        for name in value:
            if name not in names:
                raise Invalid(
                    "There is no such member here; known are {known}.",
                    known=", ".join(sorted(names)),
                    field=self.path(str(name)[:_MAX_SHOWN_NAME]),
                )

    def path(self, name: str) -> str:
        return f"{self.at}.{name}"

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def needed(self, name: str) -> Any:
        """The raw value. Raises `Invalid` with the code `missing_field` where there is none."""
        if not self.has(name):
            raise Invalid("This member is needed.", field=self.path(name), code="missing_field")
        return self._values[name]

    def value(self, name: str) -> Any:
        """The raw value, or None."""
        return self._values.get(name)

    def number(self, name: str) -> Fraction:
        """A number that isn't negative."""
        number = Fraction(exact_number(self.needed(name), self.path(name)))
        if number < 0:
            raise Invalid("Must not be negative.", field=self.path(name))
        return number

    def number_or_none(self, name: str) -> Fraction | None:
        return self.number(name) if self.has(name) else None

    def number_or_zero(self, name: str) -> Fraction:
        return self.number(name) if self.has(name) else Fraction(0)

    def positive_number(self, name: str) -> Fraction:
        number = self.number(name)
        if not number:
            raise Invalid("Must be greater than 0.", field=self.path(name))
        return number

    def count_or_none(self, name: str) -> Fraction | None:
        """A whole number that isn't negative."""
        count = self.number_or_none(name)
        if count is not None and count.denominator != 1:
            raise Invalid("Must be a whole number.", field=self.path(name))
        return count

    def choice_or_none(self, name: str, choices: Iterable[str]) -> str | None:
        """One of `choices`, in any case."""
        if not self.has(name):
            return None
        by_folded = {choice.casefold(): choice for choice in choices}
        value = self._values[name]
        if not isinstance(value, str) or value.casefold() not in by_folded:
            raise Invalid(
                "Must be one of {known}.", known=", ".join(by_folded.values()), field=self.path(name)
            )
        return by_folded[value.casefold()]

    def flag(self, name: str) -> bool:
        """True or false; false where it is absent."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise Invalid("Must be true or false.", field=self.path(name))
        return bool(value)
