"""What is said about crossings, the same in mails and on pages: whose usage, of what, when. Pure."""

import datetime as dt
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

from metering.texts.numbers import EXACT

READABLE_DECIMALS = 6
BAR_CELLS = 20
_ROUNDING = Context(prec=200)
_THOUSANDTH = Decimal("0.001")


def number_words(value: Decimal) -> str:
    """`1234567.5` as "1,234,567.5"; a long fraction cut down to three decimals and marked so."""
    exact = format(EXACT.normalize(value), ",f")
    if len(exact.partition(".")[2]) <= READABLE_DECIMALS:
        return exact
    return "≈ " + format(value.quantize(_THOUSANDTH, rounding=ROUND_HALF_UP, context=_ROUNDING), ",f")


def amount_words(value: Decimal, unit: str) -> str:
    return f"{number_words(value)} {unit}".strip()


def percent_words(value: Decimal, level: Decimal) -> str:
    """Whole percent of the level, cut so that 99.99% isn't called 100%; empty at level 0."""
    return "" if level <= 0 else f"{int(100 * value / level):,}%"


def filled_fraction(value: Decimal, level: Decimal) -> Decimal:
    """How much of a bar is full, 0 to 1."""
    if level <= 0:
        return Decimal(1)
    return min(max(value / level, Decimal(0)), Decimal(1))


def text_bar(value: Decimal, level: Decimal) -> str:
    """A bar for mails without pictures: "[################....]"."""
    full = int(BAR_CELLS * filled_fraction(value, level))
    return "[" + "#" * full + "." * (BAR_CELLS - full) + "]"


def subject_words(subject_type: str, subject_id: str) -> str:
    """Whose usage: "customer kim", "all of type customer", "all usage", "usage without a subject"."""
    if subject_id == "*":
        return f"all of type {subject_type} together" if subject_type else "all usage together"
    if not subject_id:
        return f"{subject_type} without an id" if subject_type else "usage without a subject"
    return f"{subject_type} {subject_id}".strip()


def period_words(kind: str, start: dt.datetime | None, end: dt.datetime | None, *, zone: ZoneInfo) -> str:
    """A period by the calendar of `zone`: "November 2026", "22 November 2026, 14:00 to 15:00"."""
    if start is None or end is None:
        return "since the beginning"
    first, last = start.astimezone(zone), (end - dt.timedelta(microseconds=1)).astimezone(zone)
    if kind == "year" and first.year == last.year:
        return f"{first.year}"
    if kind == "month" and (first.year, first.month) == (last.year, last.month):
        return f"{first:%B %Y}"
    if kind == "hour":
        return f"{_day(first)}, {first:%H:%M} to {end.astimezone(zone):%H:%M}"
    return _day(first) if first.date() == last.date() else f"{_day(first)} to {_day(last)}"


def moment_words(instant: dt.datetime, *, zone: ZoneInfo) -> str:
    """ "22 November 2026, 14:05 (Europe/Zurich)"."""
    local = instant.astimezone(zone)
    return f"{_day(local)}, {local:%H:%M} ({zone.key})"


def _day(instant: dt.datetime) -> str:
    return f"{instant.day} {instant:%B %Y}"
