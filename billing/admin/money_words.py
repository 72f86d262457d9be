"""Amounts of money and changes of them, as pages of finance show them."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from billing.reporting.receivables import Amount
from metering import numerals
from metering.admin import cells

from .document_words import in_words

WHOLE = Decimal(1)


def signed(amount: Decimal, currency: str) -> str:
    """“+12.00 EUR”, “−3.00 EUR”."""
    sign = numerals.MINUS if amount < 0 else "+" if amount else ""
    return f"{sign}{in_words(abs(amount), currency)}"


def signed_cell(amount: Decimal, currency: str) -> SafeString:
    return format_html('<span class="mb-number">{}</span>', signed(amount, currency))


def percent(fraction: Decimal | None) -> str:
    """“+12%”, “−3%”; “new” where there is nothing to take a share of."""
    if fraction is None:
        return ""
    whole = abs(fraction * 100).quantize(WHOLE, rounding=ROUND_HALF_UP)
    sign = numerals.MINUS if fraction < 0 else "+" if fraction else ""
    return sign + numerals.with_percent_sign(numerals.exact(whole))


def figures(amounts: Mapping[str, Amount], *, empty: str = "") -> SafeString:
    """The amounts of a few currencies, one beneath another, for a card."""
    if not amounts:
        return format_html("{}", empty or cells.DASH)
    return format_html_join(
        "", "<div>{}</div>", ((in_words(each.amount, currency),) for currency, each in amounts.items())
    )


def count_of(amounts: Mapping[str, Amount]) -> int:
    return sum(each.count for each in amounts.values())


def balance_bar(left: Decimal, granted: Decimal) -> SafeString:
    """How much of a grant is left, in colour and in words."""
    fraction = left / granted
    words = _("%s left") % percent(fraction).lstrip("+")
    return format_html(
        '<div><div class="mb-meter" role="img" aria-label="{0}"><span style="width: {1}%"></span></div>'
        '<span class="mb-small mb-quiet">{0}</span></div>',
        words,
        f"{max(Decimal(0), min(fraction, Decimal(1))) * 100:.1f}",
    )
