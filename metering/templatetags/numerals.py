"""`{% load numerals %}`: numbers in templates as cells show them."""

from decimal import Decimal

from django import template

from metering import numerals
from metering.texts.numbers import NotANumber, decimal_from

register = template.Library()


@register.filter
def numeral(value: Decimal | int | str | None) -> str:
    """A number with the separators of the language; a dash for none, a text that is no number as it is."""
    if isinstance(value, str):
        try:
            return numerals.exact(decimal_from(value))
        except NotANumber:
            return value
    return numerals.DASH if value is None else numerals.exact(value)


@register.filter
def percentage(percent: Decimal | int | str) -> str:
    """19 as "19%"."""
    return numerals.with_percent_sign(numeral(percent))


@register.filter
def measured(value: float | None) -> str:
    """A measurement to one decimal."""
    return numerals.DASH if value is None else numerals.fixed(value, decimals=1)
