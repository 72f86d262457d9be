"""Numbers as people read and type them: in the language of the page.

Pages alone write like this. Files, the API, mails, documents and commands have formats of their own, which
don't follow whoever looks.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.formats import get_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from metering.texts.numbers import plain

DASH = "–"  # where there is no number
MINUS = "−"  # as wide as a plus
POINT, COMMA = ".", ","
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_GROUPS = r"-?[1-9][0-9]{0,2}"
_POINT_LAST = re.compile(rf"{_GROUPS}(?:,[0-9]{{3}})+\.[0-9]+", re.ASCII)  # 1,234.50
_COMMA_LAST = re.compile(rf"{_GROUPS}(?:\.[0-9]{{3}})+,[0-9]+", re.ASCII)  # 1.234,50
_ONE_COMMA = re.compile(r"-?[0-9]+,[0-9]+", re.ASCII)
_THOUSANDS_BY_COMMA = re.compile(rf"{_GROUPS}(?:,[0-9]{{3}}){{2,}}", re.ASCII)  # 1,234,567
_THOUSANDS_BY_POINT = re.compile(rf"{_GROUPS}(?:\.[0-9]{{3}}){{2,}}", re.ASCII)  # 1.234.567
_TWO_MEANINGS = {  # 1,234 and 1.234: a thousand and more, or a little over one; 0,234 is less for everybody
    COMMA: re.compile(r"-?(?!0,)[0-9]{1,3},[0-9]{3}", re.ASCII),
    POINT: re.compile(r"-?(?!0\.)[0-9]{1,3}\.[0-9]{3}", re.ASCII),
}
_SPACED = re.compile(rf"{_GROUPS}(?: [0-9]{{3}})+(?:[.,][0-9]+)?", re.ASCII)  # 1 234,50
_UNBREAKABLE = re.compile("[\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}]")


class NoNumber(ValidationError):
    """What was typed is no number, whatever its separators mean."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What a language puts between thousands, before decimals, before a unit, and for percent."""

    thousands: str
    decimals: str
    unit_space: str
    percent: str


def signs() -> Signs:
    """Those of the active language; of the system's where none is active."""
    language = get_language() or settings.LANGUAGE_CODE
    return Signs(
        *(
            str(get_format(name, lang=language))
            for name in ("THOUSAND_SEPARATOR", "DECIMAL_SEPARATOR", "UNIT_SPACE", "PERCENT_SIGN")
        )
    )


def written(text: str) -> str:
    """A plain number, exactly as it is, with the separators of the language: "-1234.50" as "−1.234,50"."""
    used = signs()
    sign, digits = (MINUS, text[1:]) if text.startswith("-") else ("", text)
    whole, point, fraction = digits.partition(".")
    grouped = f"{int(whole):,}".replace(COMMA, used.thousands)
    return f"{sign}{grouped}{used.decimals if point else ''}{fraction}"


def exact(value: Decimal | int) -> str:
    """`1234567.5` as "1,234,567.5", without exponent or trailing zeros."""
    return written(plain(Decimal(value)))


def count(number: int) -> str:
    """How many, or which position of the ledger: "1,234"."""
    return written(str(number))


def fixed(value: Decimal | float, *, decimals: int) -> str:
    """A measurement, rounded to so many decimals: "1,234.5"."""
    return written(f"{value:.{decimals}f}")


def percent(fraction: Decimal, *, decimals: int = 0) -> str:
    """A fraction as a percentage: 0.125 with one decimal is "12.5%"."""
    return with_percent_sign(fixed(fraction * 100, decimals=decimals))


def exact_percent(fraction: Decimal) -> str:
    """The same without rounding: 0.895 is "89.5%"."""
    return with_percent_sign(exact(fraction.scaleb(2)))


def with_percent_sign(number: str) -> str:
    """“12.5%”, “12,5 %”: of a number as it is written already."""
    return f"{number}{signs().percent}"


def with_unit(number: str, unit: str) -> str:
    """“1,234.50 EUR”."""
    return f"{number}{signs().unit_space}{unit}" if unit else number


def as_typed(text: str) -> str:
    """A plain number as a field shows it, and as `plainly_written` reads it: "1234.50" as "1234,50".

    Nothing stands between thousands, so that only one reading is left. Other texts stay as they are.
    """
    return text.replace(POINT, signs().decimals) if _PLAIN.fullmatch(text) else text


def plainly_written(text: str) -> str:
    """`text` with a point before the decimals and nothing between thousands; an empty one as it is.

    The language decides what a comma or point before three digits is. In English "1,234" is refused: it is
    a thousand and more to some and a little over one to others. Where decimals follow a comma it is the
    latter; there "1.234" is refused if points stand between thousands, as in German, and else read as it is.

    Raises `ValidationError` for these, and for commas that separate neither thousands nor decimals; and
    `NoNumber` for what has other signs than digits, such as a plus or another script's digits, which
    Python's own reading takes and which would go past these rules.
    """
    text = text.strip()
    read = _without_separators(text)
    if text and not _PLAIN.fullmatch(read):
        raise NoNumber(
            _("“%(text)s” is no number. Type digits alone, such as %(example)s.")
            % {"text": text[:50], "example": as_typed("1234.50")}
        )
    return read


def _without_separators(text: str) -> str:
    used = signs()
    text = text.replace(MINUS, "-")
    text = _UNBREAKABLE.sub(" ", text)
    if _SPACED.fullmatch(text):
        return text.replace(" ", "").replace(COMMA, POINT)
    unclear = COMMA if used.decimals == POINT else POINT if used.thousands == POINT else None
    if unclear and _TWO_MEANINGS[unclear].fullmatch(text):
        raise ValidationError(
            _("“%(text)s” could mean two numbers. Type %(whole)s or %(fraction)s.")
            % {
                "text": text,
                "whole": text.replace(unclear, ""),
                "fraction": text.replace(unclear, used.decimals),
            }
        )
    if _THOUSANDS_BY_POINT.fullmatch(text):
        return text.replace(POINT, "")
    if COMMA not in text:
        return text
    if _POINT_LAST.fullmatch(text) or _THOUSANDS_BY_COMMA.fullmatch(text):
        return text.replace(COMMA, "")
    if _COMMA_LAST.fullmatch(text) or _ONE_COMMA.fullmatch(text):
        return text.replace(POINT, "").replace(COMMA, POINT)
    if used.decimals == COMMA:
        raise ValidationError(_("Type a comma before the decimals and no other separators: 1234,50."))
    raise ValidationError(_("Type a point before the decimals and no other separators: 1234.50."))


def typing_hint() -> str:
    """What a field says about the numbers that are typed into it."""
    if signs().decimals == COMMA:
        return _("Decimals follow a comma: 1234,50.")
    return ""
