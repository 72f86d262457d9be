"""What the history says of terms and prices: amounts, tax rates and prices as the other pages word them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing.rating import price_from
from billing.selling.accounts import LIMITS
from metering.admin.metric_words import condition_in_words
from metering.errors import MeterbookError

from .consequences import rates_words
from .document_words import in_words
from .price_words import Words


def of_account(name: str, value: Any, row: Mapping[str, Any]) -> str | None:
    """A term of an account; None for one that is said like any other value."""
    if name == "tax_rates":
        return rates_words(value)
    if name in LIMITS:
        return in_words(Decimal(str(value)), row["currency"])
    return None


def of_price(name: str, value: Any, row: Mapping[str, Any]) -> str | None:
    """A part of a price, without the currency, which its plan says; None as above, and for one of old."""
    if name == "label_match":
        return condition_in_words(value)
    if name != "price":
        return None
    try:
        return Words("").of(price_from(value))
    except MeterbookError:
        return None
