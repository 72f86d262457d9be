"""How an amount came about, as customers read it: one rate, or the parts that add up to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from billing.models import InvoiceLine
from billing.money import exact_text
from billing.proration import prorated_price
from billing.rating import price_from, prices_events
from billing.rating.package import Package

from . import document_words as words
from .document_words import Written

_PERCENTAGES = ("percentage", "graduated_percentage")


@dataclass(frozen=True, slots=True)
class TierView:
    """One tier or other part of an amount: how much of the quantity it took, at which rate."""

    name: str  # "Tier 1", "Tier 1, with 5.00 flat", "Packages of 1,000"
    quantity: str
    rate: str
    amount: str


def rate_of(line: InvoiceLine, currency: str, *, written: Written = words.grouped) -> str:
    """The price of one unit, where the amount is the line's quantity at that price and nothing else."""
    if len(line.detail) != 1 or not _is_plain(line, line.detail[0]):
        return ""
    return _rate(line, line.detail[0], currency, written)


def tiers_of(line: InvoiceLine, currency: str, *, written: Written = words.grouped) -> tuple[TierView, ...]:
    """The parts of an amount, where one rate doesn't say it all."""
    if len(line.detail) == 1 and _is_plain(line, line.detail[0]):
        return ()
    priced = tuple(
        TierView(
            name=_name(line, part, currency, written),
            quantity="" if part.get("quantity") is None else written(part["quantity"]),
            rate=_rate(line, part, currency, written),
            amount=words.part_words(part["amount"], currency, written=written),
        )
        for part in line.detail
        if part.get("amount") is not None
    )
    return (*_included(line, written), *priced) if priced else ()


def _included(line: InvoiceLine, written: Written) -> tuple[TierView, ...]:
    """What of the quantity costs nothing, so that it and the tiers are seen to make the whole."""
    if not line.price or not line.rated_quantity or line.rated_quantity < 0:
        return ()
    price = price_from(line.price)
    if prices_events(price):
        return ()
    if line.share:
        price = prorated_price(price, Fraction(line.share))
    units = Fraction(line.rated_quantity)
    if price.unit_conversion is not None:
        units = price.unit_conversion.converted(units)
    free = price.usage_discount + (price.model.free_units if isinstance(price.model, Package) else 0)
    taken = min(units, Fraction(free))
    if not taken:
        return ()
    name = _sized(_("Included"), line.price, written)
    return (TierView(name=name, quantity=written(exact_text(taken)), rate="", amount=""),)


def _sized(name: str, price: Mapping[str, Any], written: Written) -> str:
    """The name with the size of what the price counts, where that isn't the metric's own unit."""
    if not price.get("unit_conversion"):
        return name
    size = written(price["unit_conversion"]["divide_by"])
    return _("%(name)s, in units of %(size)s") % {"name": name, "size": size}


def _is_plain(line: InvoiceLine, part: Mapping[str, Any]) -> bool:
    """Whether the part is the whole quantity at one rate: no packages, nothing free, no flat."""
    if part.get("kind") != "usage" or part.get("flat_amount"):
        return False
    quantity = part.get("quantity")
    return quantity is None or line.rated_quantity is None or Decimal(quantity) == line.rated_quantity


def _rate(line: InvoiceLine, part: Mapping[str, Any], currency: str, written: Written) -> str:
    rate = part.get("unit_amount")
    if rate is None:
        return ""
    model = (line.price or {}).get("model")
    if part["kind"] == "usage" and model in _PERCENTAGES:
        return words.percent_words(Fraction(rate) * 100, written=written)
    if part["kind"] == "usage" and model == "dynamic":
        return f"× {written(rate)}"
    return words.rate_words(rate, currency, written=written)


def _name(line: InvoiceLine, part: Mapping[str, Any], currency: str, written: Written) -> str:
    names = {
        "event_fee": _("Fee for each event"),
        "event_minimum": _("Up to the minimum of each event"),
        "event_maximum": _("Down to the maximum of each event"),
        "discount": _("Discount"),
        "maximum": _("Down to the maximum"),
    }
    name = names.get(part["kind"]) or _usage_name(line, part, written)
    if part.get("flat_amount"):
        flat = words.rate_words(part["flat_amount"], currency, written=written)
        name = _("%(name)s, with %(flat)s flat") % {"name": name, "flat": flat}
    return name


def _usage_name(line: InvoiceLine, part: Mapping[str, Any], written: Written) -> str:
    price = line.price or {}
    if part.get("tier") is not None:
        return _sized(_("Tier %(number)d") % {"number": part["tier"]}, price, written)
    if price.get("model") == "package":
        return _("Packages of %(size)s") % {"size": written(price["package_size"])}
    if price.get("unit_conversion"):
        size = written(price["unit_conversion"]["divide_by"])
        return _("Units of %(size)s") % {"size": size}
    return _("Usage") if _is_plain(line, part) else _("Beyond what is included")
