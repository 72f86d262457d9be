"""Numbers and days as documents show them. Pure."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from billing.money import amount_text, exact_text, rounded, scale_of
from metering.texts.numbers import plain

MINUS = "−"
Written = Callable[[str], str]  # how a plain number is written: `grouped`, or as a page does
_NOT_IN_FILE_NAMES = re.compile("[^A-Za-z0-9._-]+")
UNKNOWN_SHOWN = "none"  # a label that the usage doesn't carry


def grouped(text: str) -> str:
    """A plain number with thousands separators and a minus that is as wide as a plus: "−1,234.50"."""
    sign, digits = (MINUS, text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def money_words(amount: Decimal, currency: str, *, written: Written = grouped) -> str:
    """An amount with all decimals of its currency, without its code: "1,249.50"."""
    return written(amount_text(amount, currency))


def quantity_words(quantity: Decimal | None) -> str:
    return "" if quantity is None else grouped(plain(quantity))


def rate_words(text: str | None, currency: str, *, written: Written = grouped) -> str:
    """The price of one unit, exact, with no fewer decimals than an amount; "" where there is none."""
    if text is None:
        return ""
    return written(exact_text(Fraction(text), decimals=scale_of(currency)))


def part_words(text: str, currency: str, *, written: Written = grouped) -> str:
    """What a tier comes to, at the scale of the currency: for reading, the line's amount is what counts."""
    return money_words(rounded(Fraction(text), currency), currency, written=written)


def percent_words(percent: Fraction, *, written: Written = grouped) -> str:
    """ "19%", "7.7%"."""
    return f"{written(exact_text(percent))}%"


def day_words(day: dt.date) -> str:
    """ "1 March 2026"."""
    return f"{day.day} {day:%B %Y}"


def days_words(start: dt.date | None, end: dt.date | None) -> str:
    """Local days as people say them, the last one included: "1–31 March 2026". `end` is the day after it."""
    if start is None or end is None:
        return ""
    last = end - dt.timedelta(days=1)
    if last <= start:
        return day_words(start)
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day}–{day_words(last)}"
    if start.year == last.year:
        return f"{start.day} {start:%B} – {day_words(last)}"
    return f"{day_words(start)} – {day_words(last)}"


def period_words(start: dt.datetime | None, end: dt.datetime | None, *, zone: ZoneInfo) -> str:
    """The days by the clocks of `zone` that an interval of instants touches."""
    if start is None or end is None:
        return ""
    last = (end - dt.timedelta(microseconds=1)).astimezone(zone).date()
    return days_words(start.astimezone(zone).date(), last + dt.timedelta(days=1))


def file_name(name: str, extension: str) -> str:
    """What a document's file is called, whatever its number begins with: "INV-000042.pdf"."""
    stem = _NOT_IN_FILE_NAMES.sub("-", name).strip(".-")
    return f"{stem or 'document'}.{extension}"
