"""The arithmetic of an invoice line, step by step, from what was measured to what is charged. Pure but for
the rows it is given.

Nothing is worked out anew where the line itself says it: what was rated, how the whole was rounded, which
part of it is the line's.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.models import InvoiceLine
from billing.money import exact_text, rounded
from billing.proration import Days, Fee, fee_for, prorated_price
from billing.rating import Price, price_from, prices_events
from billing.rating.flat import Flat
from billing.rating.package import Package
from metering.texts.numbers import EXACT

Kind = InvoiceLine.Kind
FEES = (Kind.FEE, Kind.FEE_CREDIT)
ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the arithmetic.

    | kind | quantity | of | rate | amount |
    |---|---|---|---|---|
    | quantity | what was measured of the whole | | | |
    | none_below_zero | 0: negative usage bills as zero | | | |
    | conversion | converted (`name`: up, down or exact) | divided by | | |
    | included | what is left to price | what was included | | |
    | packages | beyond the free units | free units | | |
    | `rating.Kind` | of a part | | of a unit | of the part |
    | rounded | | | | of the whole, at the currency's scale |
    | split | the line's quantity | that of the whole | | the line's part of the whole |
    | minimum, short_of, true_up | | | | the minimum; what the usage comes to; what that lacks of it |
    | fee, fee_discount | | | percent of the discount | of a full period |
    | days | days charged, negative where given back | days of the full period | | rounded |
    | at_most_paid | | | | the credit, cut to what was paid |
    | reversal | | | | the line's, which is that of another with the other sign |
    | by_hand | if one was given | | if one was given | |
    | invoice_discount | | | | |
    | tax | | | percent | |
    | total | | | | with discounts and taxes |
    """

    kind: str
    quantity: Fraction | None = None
    of: Fraction | None = None
    rate: Fraction | None = None
    flat: Fraction | None = None
    amount: Fraction | None = None
    tier: int | None = None
    name: str = ""


def applied_price(line: InvoiceLine) -> Price | None:
    """The price as it was applied: what is included, minimum and maximum cut to the share of the period.

    A fee's is that of a full period; without a price there is none.
    """
    if line.price is None:
        return None
    price = price_from(line.price)
    if line.kind in FEES or not line.share:
        return price
    return prorated_price(price, Fraction(line.share))


def steps_of(line: InvoiceLine, origin: InvoiceLine) -> tuple[Step, ...]:
    """The steps from usage, days or words to the line with its discount and taxes.

    `origin` is the line that was worked out: `line` itself, or the one that it takes back in the end.
    """
    return (*_of_origin(origin), *_of_line(line, origin))


def _of_origin(origin: InvoiceLine) -> Iterator[Step]:
    currency = origin.invoice.currency
    price = applied_price(origin)
    if origin.kind in FEES:
        assert price is not None
        yield from _of_fee(origin, price, currency)
    elif origin.kind == Kind.MANUAL:
        rate = next((Fraction(one["unit_amount"]) for one in origin.detail if one.get("unit_amount")), None)
        yield Step("by_hand", quantity=_exact(origin.quantity), rate=rate, amount=Fraction(origin.amount))
    elif origin.kind == Kind.TRUE_UP:
        assert price is not None
        assert price.min_amount is not None
        minimum = rounded(price.min_amount, currency)
        yield Step("minimum", amount=Fraction(minimum))
        yield Step("short_of", amount=Fraction(minimum) - Fraction(origin.amount))
        yield Step("true_up", amount=Fraction(origin.amount))
    else:
        assert price is not None
        yield from _of_usage(origin, price)


def _of_usage(origin: InvoiceLine, price: Price) -> Iterator[Step]:
    quantity = Fraction(origin.rated_quantity or 0)
    yield Step("quantity", quantity=_exact(origin.rated_quantity))
    if not prices_events(price):
        yield from _until_priced(quantity, price)
    for part in origin.detail:
        yield Step(
            part["kind"],
            quantity=_fraction(part["quantity"]),
            rate=_fraction(part["unit_amount"]),
            flat=_fraction(part["flat_amount"]),
            amount=_fraction(part["amount"]),
            tier=part["tier"],
        )
    yield Step("rounded", amount=_exact(origin.rated_amount))
    if origin.rated_amount != origin.amount or origin.quantity != origin.rated_quantity:
        yield Step(
            "split",
            quantity=_exact(origin.quantity),
            of=_exact(origin.rated_quantity),
            amount=Fraction(origin.amount),
        )


def _until_priced(units: Fraction, price: Price) -> Iterator[Step]:
    """What happens to the quantity before it meets the price."""
    if price.unit_conversion is not None:
        units = price.unit_conversion.converted(units)
        conversion = price.unit_conversion
        yield Step("conversion", quantity=units, of=conversion.divide_by, name=conversion.round or "exact")
    left = max(units - price.usage_discount, ZERO)
    if price.usage_discount:
        yield Step("included", quantity=left, of=price.usage_discount)
    elif units < 0:
        yield Step("none_below_zero", quantity=left)
    if isinstance(price.model, Package) and price.model.free_units:
        free = price.model.free_units
        yield Step("packages", quantity=max(left - free, ZERO), of=free)


def _of_fee(origin: InvoiceLine, price: Price, currency: str) -> Iterator[Step]:
    assert isinstance(price.model, Flat)
    yield Step("fee", amount=price.model.amount)
    net = price.model.amount
    if price.discount_percent:
        net = net * (100 - price.discount_percent) / 100
        yield Step("fee_discount", rate=price.discount_percent, amount=net)
    by_days = fee_by_days(origin, price, currency)
    yield Step(
        "days", quantity=_exact(origin.day_count), of=_exact(origin.full_day_count), amount=Fraction(by_days)
    )
    if by_days != origin.amount:
        yield Step("at_most_paid", amount=Fraction(origin.amount))


def fee_by_days(line: InvoiceLine, price: Price, currency: str) -> Decimal:
    """What a fee comes to by its days alone: negative where they are given back."""
    assert isinstance(price.model, Flat)
    assert line.service_start_on is not None
    assert line.service_end_on is not None
    service = Days(line.service_start_on, line.service_end_on)
    full = Days(line.service_start_on, line.service_start_on + dt.timedelta(days=line.full_day_count or 1))
    fee = Fee(Decimal(exact_text(price.model.amount)), Decimal(exact_text(price.discount_percent)))
    amount = fee_for(service, fee=fee, period=full, currency=currency)
    return EXACT.minus(amount) if line.kind == Kind.FEE_CREDIT else amount


def _of_line(line: InvoiceLine, origin: InvoiceLine) -> Iterator[Step]:
    if line.pk != origin.pk:
        yield Step("reversal", amount=Fraction(line.amount))
    total = Fraction(line.amount)
    if line.discount_amount:
        total += Fraction(line.discount_amount)
        yield Step("invoice_discount", amount=Fraction(line.discount_amount))
    for tax in line.taxes:
        amount = Fraction(tax["amount"])
        total += amount
        yield Step("tax", name=tax["name"], rate=Fraction(tax["percent"]), amount=amount)
    if line.discount_amount or line.taxes:
        yield Step("total", amount=total)


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def _exact(value: Decimal | int | None) -> Fraction | None:
    return None if value is None else Fraction(value)
