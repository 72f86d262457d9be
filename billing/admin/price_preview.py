"""What a price would bill, while it is edited: amounts at quantities, a small chart, rates by tier."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _

from billing.money import exact_text, rounded
from billing.rating import Price, bill, prices_events, rated, rated_events
from billing.rating.flat import Flat
from billing.rating.package import Package
from metering import numerals

from .price_words import Words, grouped, in_units

WIDTH, HEIGHT = 560, 150  # of the drawing, in its own units
SAMPLES = 120
MOST_ROWS = 9


@dataclass(frozen=True, slots=True)
class Drawing:
    """A polyline of amounts over quantities, and what stands at its ends."""

    points: str
    width: int
    height: int
    highest_amount: str
    highest_quantity: str
    description: str


def preview_card(
    price: Price, *, currency: str, unit: str, quantity: Decimal | None = None
) -> dict[str, Any]:
    """What the template shows. `quantity` is one that somebody asks for, beside those that tell most."""
    words = Words(currency)
    is_fee = isinstance(price.model, Flat)
    quantities = [] if is_fee else quantities_of(price, asked=quantity)
    return {
        "words": words.of(price),
        "currency": currency,
        "unit": unit,
        "is_fee": is_fee,
        "prices_events": prices_events(price),
        "rows": [
            {
                "quantity": grouped(number),
                "amount": words.bare(Fraction(amount_for(price, number, currency))),
                "average": _average(price, number, currency),
                "is_asked": quantity is not None and number == Fraction(quantity),
            }
            for number in quantities
        ],
        "tiers": list(_tier_rows(price, words)),
        "drawing": None if is_fee else _drawing(price, quantities[-1], currency, words),
    }


def amount_for(price: Price, quantity: Fraction, currency: str) -> Decimal:
    """The bill of a whole period for so much; prices per event take it for one event's amount."""
    number = Decimal(exact_text(quantity))
    rating = rated_events(price, [number] if number else []) if prices_events(price) else rated(price, number)
    return bill(price, rating, currency=currency).amount


def quantities_of(price: Price, *, asked: Decimal | None = None) -> list[Fraction]:
    """Quantities, ascending, at which the price is worth looking at: bounds of tiers and just beyond."""
    bounds = [tier.up_to for tier in getattr(price.model, "tiers", ()) if tier.up_to is not None]
    scale = price.unit_conversion.divide_by if price.unit_conversion else Fraction(1)
    if isinstance(price.model, Package):
        size = price.model.package_size
        found = [Fraction(1), size, size + 1, 2 * size, 10 * size]
    elif bounds:
        shown = bounds if len(bounds) <= 3 else [bounds[0], bounds[len(bounds) // 2], bounds[-1]]
        found = [Fraction(1), *(edge for bound in shown for edge in (bound, bound + 1)), 2 * bounds[-1]]
    else:
        found = [Fraction(10) ** power for power in range(5)]
    # Bounds are those of priced units: beyond what is included, and after conversion.
    found = [(each + price.usage_discount) * scale for each in found]
    found = [Fraction(0), *found]
    if asked is not None and asked >= 0:
        found.append(Fraction(asked))
    return sorted(set(found))[: MOST_ROWS + 1]


def _average(price: Price, quantity: Fraction, currency: str) -> str:
    """What a unit costs on average, at most six decimals; a dash where nothing was used."""
    if not quantity:
        return "–"
    average = Fraction(amount_for(price, quantity, currency)) / quantity
    scaled = average * 10**6
    if scaled.denominator == 1:
        return grouped(average)
    nearest = Fraction(round(scaled), 10**6)
    return f"≈ {grouped(nearest)}"


def _tier_rows(price: Price, words: Words) -> Iterator[tuple[str, str, str]]:
    """(from – to, rate, flat) of each tier."""
    lower = Fraction(0)
    for tier in getattr(price.model, "tiers", ()):
        if tier.up_to is None:
            bounds = _("above %s") % in_units(price, lower) if lower else _("any quantity")
        else:
            bounds = _("up to %s") % in_units(price, tier.up_to)
            if lower:
                bounds = _("above %(lower)s, up to %(upper)s") % {
                    "lower": in_units(price, lower),
                    "upper": in_units(price, tier.up_to),
                }
            lower = tier.up_to
        rate = (
            numerals.with_percent_sign(grouped(tier.rate_percent))
            if hasattr(tier, "rate_percent")
            else words.bare(tier.unit_amount)
        )
        yield bounds, rate, words.bare(tier.flat_amount) if tier.flat_amount else "–"


def _drawing(price: Price, most: Fraction, currency: str, words: Words) -> Drawing:
    """Straight between samples; the bounds of tiers are sampled on both sides, so that jumps are steep."""
    tiny = most / 10_000
    edges = [edge for each in quantities_of(price) for edge in (each, each + tiny) if edge <= most]
    places = sorted({*edges, *(most * number / SAMPLES for number in range(SAMPLES + 1))})
    amounts = [_exact_amount(price, place) for place in places]
    highest = max(amounts) or Fraction(1)
    points = " ".join(
        f"{float(place / most) * WIDTH:.1f},{HEIGHT - float(max(amount, Fraction(0)) / highest) * HEIGHT:.1f}"
        for place, amount in zip(places, amounts, strict=True)
    )
    top = words.amount(Fraction(rounded(max(amounts), currency)))
    return Drawing(
        points=points,
        width=WIDTH,
        height=HEIGHT,
        highest_amount=top,
        highest_quantity=grouped(most),
        description=_("Amount from 0 to %(most)s: it rises to %(amount)s")
        % {"most": grouped(most), "amount": top},
    )


def _exact_amount(price: Price, quantity: Fraction) -> Fraction:
    """Before rounding, the minimum included."""
    number = Decimal(exact_text(quantity))
    rating = rated_events(price, [number] if number else []) if prices_events(price) else rated(price, number)
    return max(rating.amount, price.min_amount or Fraction(0))
