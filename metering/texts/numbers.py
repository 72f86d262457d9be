"""Exact numbers from untrusted text, and back. Pure."""

import re
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from metering.errors import Worded

# Enough for sums of ten thousand numbers of 38 digits; a result that doesn't fit raises, it isn't rounded.
EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_DIVIDING = Context(prec=100)

MAX_NUMBER_LENGTH = 100
INTEGER_DIGITS = 26  # numeric(38,12): 38 digits, 12 of them after the point
LARGEST_INTEGER = 10**INTEGER_DIGITS - 1
SCALE = 12
AVERAGE_QUANTUM = Decimal(1).scaleb(-SCALE)

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_SHORT_INTEGER = re.compile(r"(?:0|[1-9][0-9]{0,17})", re.ASCII)


class NotANumber(Worded, ValueError):
    """The text is no number that the ledger can hold; the message says why."""


def decimal_from(text: str) -> Decimal:
    """The exact value of a plain decimal number: ASCII digits, optional fraction and exponent.

    Raises `NotANumber` for anything else (NaN, infinity, "1_000", other scripts' digits), for more than 26
    digits before or 12 after the point, and for texts over 100 characters.
    """
    if _SHORT_INTEGER.fullmatch(text):
        return Decimal(text)
    if len(text) > MAX_NUMBER_LENGTH:
        raise NotANumber("the number has more than {most} characters", most=MAX_NUMBER_LENGTH)
    if not _NUMBER.fullmatch(text):
        raise NotANumber("not a decimal number")
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent beyond what the decimal module holds
        raise (_too_fine() if re.search("[eE]-", text) else _too_large()) from None
    if not value:
        return Decimal(0)
    if value.adjusted() >= INTEGER_DIGITS:
        raise _too_large()
    if value.adjusted() < -SCALE:
        raise _too_fine()
    value = EXACT.normalize(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > SCALE:
        raise _too_fine()
    return value


def decimal_from_integer(number: int) -> Decimal:
    """The same for an integer."""
    if -LARGEST_INTEGER <= number <= LARGEST_INTEGER:
        return Decimal(number)
    raise _too_large()


def _too_large() -> NotANumber:
    return NotANumber("more than {most} digits before the decimal point", most=INTEGER_DIGITS)


def _too_fine() -> NotANumber:
    return NotANumber("more than {most} digits after the decimal point", most=SCALE)


def plain(value: Decimal) -> str:
    """`value` without exponent and trailing zeros: 1E+2 is "100", 1.50 is "1.5"."""
    if not value:
        return "0"
    return format(EXACT.normalize(value), "f")


def average(total: Decimal, count: int) -> Decimal:
    """total / count at 12 decimals, half away from zero."""
    return _DIVIDING.divide(total, Decimal(count)).quantize(
        AVERAGE_QUANTUM, rounding=ROUND_HALF_UP, context=_DIVIDING
    )
