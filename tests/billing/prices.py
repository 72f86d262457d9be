"""Prices and what they bill, as short as tests need them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billing.money import exact_text
from billing.rating import Bill, Part, Price, bill, price_from, rated, rated_events


def a_price(model: str, **members: Any) -> Price:
    return price_from({"model": model, **members})


def tiers(*rows: tuple[str | None, str] | tuple[str | None, str, str], rate: str = "unit_amount") -> list:
    """Rows of (up_to, rate) or (up_to, rate, flat) as JSON spells them."""
    return [dict(zip(("up_to", rate, "flat_amount"), row, strict=False)) for row in rows]


def cost(price: Price, usage: str | Sequence[str]) -> str:
    """The exact amount for a quantity, or for a list of events' amounts."""
    if isinstance(usage, str):
        return exact_text(rated(price, Decimal(usage)).amount)
    return exact_text(rated_events(price, map(Decimal, usage)).amount)


def shown(parts: Sequence[Part]) -> list[tuple[str | int | None, ...]]:
    """(kind, tier, quantity, unit amount, flat, amount) of each part, as texts."""
    return [
        (
            part.kind.value,
            part.tier,
            part.quantity if part.quantity is None else exact_text(part.quantity),
            part.unit_amount if part.unit_amount is None else exact_text(part.unit_amount),
            exact_text(part.flat_amount),
            exact_text(part.amount),
        )
        for part in parts
    ]


def parts_of(price: Price, usage: str | Sequence[str]) -> list[tuple[str | int | None, ...]]:
    if isinstance(usage, str):
        return shown(rated(price, Decimal(usage)).parts)
    return shown(rated_events(price, map(Decimal, usage)).parts)


def slices(price: Price, *quantities: str, currency: str = "USD") -> list[Bill]:
    """The bills of a period that is billed slice by slice; the last one closes it."""
    bills: list[Bill] = []
    so_far = Decimal(0)
    for number, quantity in enumerate(quantities, start=1):
        so_far += Decimal(quantity)
        bills.append(
            bill(
                price,
                rated(price, so_far),
                currency=currency,
                billed=sum((one.usage_amount for one in bills), Decimal(0)),
                closes_period=number == len(quantities),
            )
        )
    return bills


def amounts(bills: Sequence[Bill]) -> list[str]:
    return [str(one.amount) for one in bills]
