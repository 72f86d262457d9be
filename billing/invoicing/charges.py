"""The lines of one price over one period: usage with its evidence, fees by days. Pure but for what it reads.

Each function returns unsaved `InvoiceLine`s that carry everything they show. Whoever writes them sets the
document and their places.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.models import InvoiceLine, Price, Subscription
from billing.money import exact_text, split
from billing.periods import BillingPeriod
from billing.proration import Days, Fee, credit_for, fee_for, prorated_price
from billing.rating import Price as RatingPrice
from billing.rating import Rating, bill, prices_events, rated
from billing.rating.flat import Flat
from billing.rating.parts import Part
from metering.answering.answers import catalogue_now
from metering.texts.numbers import EXACT

from .measured_usage import PROJECT, Measured, UsageAsk, match_text, measured, rating_at

ZERO = Decimal(0)
Kind = InvoiceLine.Kind


@dataclass(frozen=True, slots=True)
class PricedPeriod:
    """One price of a subscription over one of its billing periods, paid by a project."""

    subscription: Subscription
    price: Price
    period: BillingPeriod
    payer_id: int

    @property
    def key(self) -> tuple[int, int, Any]:
        """What a `BilledPeriod` is unique by."""
        return self.subscription.pk, self.price.pk, self.period.start


def ask_of(priced: PricedPeriod, prices: Iterable[Price]) -> UsageAsk:
    """Which usage a price takes in a period. `prices` are those of its plan, in order.

    Of the prices of one metric the first whose match holds takes an event, the one without a match the rest.
    """
    price, period = priced.price, priced.period
    assert price.metric_id is not None
    rivals = [
        rival
        for rival in prices
        if rival.metric_id == price.metric_id
        and rival.label_match
        and (price.is_default or rival.position < price.position)
    ]
    return UsageAsk(
        metric_id=price.metric_id,
        payer_id=priced.payer_id,
        start=period.start,
        end=period.end,
        match=match_text(price.label_match),
        excluding=tuple(match_text(rival.label_match) for rival in rivals),
        group_by=_group_by(price),
    )


def _group_by(price: Price) -> tuple[str, ...]:
    """Sorted, as the pairs that name a group are."""
    return tuple(sorted({*price.split_by, *((PROJECT,) if price.per_project else ())}))


def usage_lines(priced: PricedPeriod, ask: UsageAsk, usage: Measured, *, position: int) -> list[InvoiceLine]:
    """What the usage of a period costs: lines that add up to its rating, rounded once, and the true-up.

    A price of each project on its own is rated by project; else the rounded whole is split by quantity over
    the groups. Without events and without an amount there is no line.
    """
    parsed = prorated_price(priced.price.parsed, priced.period.share)
    if not priced.price.per_project:
        return list(_rated_lines(priced, parsed, ask, usage, position=position))
    lines: list[InvoiceLine] = []
    place = ask.group_by.index(PROJECT)
    whole_ask = ask.grouped_by(PROJECT)
    by_project = measured([whole_ask], position=position)[whole_ask] if len(ask.group_by) > 1 else usage
    for (key,), of_project in by_project.groups.items():
        groups = {group: part for group, part in usage.groups.items() if group[place] == key}
        of_project = Measured(of_project.quantity, of_project.event_count, of_project.digest, groups)
        lines += _rated_lines(priced, parsed, ask, of_project, position=position, project_key=key)
    return lines


def _rated_lines(
    priced: PricedPeriod,
    parsed: RatingPrice,
    ask: UsageAsk,
    usage: Measured,
    *,
    position: int,
    project_key: str | None = None,
) -> Iterator[InvoiceLine]:
    currency = priced.subscription.currency
    place: dict[str, str | None] = {} if project_key is None else {PROJECT: project_key}
    own = ask.narrowed_to(place) if place else ask.grouped_by()
    rating = _rating(parsed, own, usage, position)
    whole = bill(parsed, rating, currency=currency)
    common = {
        "rated_quantity": usage.quantity,
        "rated_amount": whole.usage_amount,
        "detail": detail_of(rating.parts),
    }
    if usage.event_count or whole.usage_amount:
        for group, part, amount in _split(ask, usage, whole.usage_amount, currency):
            narrow = ask.narrowed_to(group) if group else own
            yield _usage_line(
                priced,
                Kind.USAGE,
                amount,
                **common,
                **_of_group(group or place),
                **_evidence(narrow, part, position),
            )
    if whole.true_up:
        yield _usage_line(
            priced,
            Kind.TRUE_UP,
            whole.true_up,
            rated_quantity=common["rated_quantity"],
            rated_amount=whole.true_up,
            **_of_group(place),
            **{**_evidence(own, usage, position), "quantity": None},
        )


def _rating(parsed: RatingPrice, ask: UsageAsk, usage: Measured, position: int) -> Rating:
    if prices_events(parsed):
        return rating_at(ask, parsed, position=position)
    return rated(parsed, _rated_quantity(usage.quantity))


def _rated_quantity(value: Decimal | None) -> Decimal:
    return ZERO if value is None else value


def _split(
    ask: UsageAsk, usage: Measured, amount: Decimal, currency: str
) -> Iterator[tuple[dict[str, str | None], Measured, Decimal]]:
    """The groups of a rated whole with their parts of its amount. One without a name where nothing tells
    how to split."""
    groups = {
        tuple((text is None, text or "") for text in group): (group, part)
        for group, part in usage.groups.items()
        if part.event_count or part.quantity
    }
    weights = {key: max(_rated_quantity(part.quantity), ZERO) for key, (_group, part) in groups.items()}
    if not ask.group_by or not groups or (amount and not any(weights.values())):
        yield {}, usage, amount
        return
    amounts = split(amount, weights, currency)
    for key in sorted(groups):
        group, part = groups[key]
        yield dict(zip(ask.group_by, group, strict=True)), part, amounts[key]


def _usage_line(priced: PricedPeriod, kind: str, amount: Decimal, **fields: Any) -> InvoiceLine:
    price = priced.price
    assert price.metric is not None
    return InvoiceLine(
        kind=kind,
        name=price.name,
        amount=amount,
        metric=price.metric,
        metric_key=price.metric.key,
        unit=price.metric.unit,
        **_of_period(priced),
        **fields,
    )


def _of_period(priced: PricedPeriod) -> dict[str, Any]:
    period = priced.period
    return {
        "plan_name": priced.subscription.plan.name,
        "period_start": period.start,
        "period_end": period.end,
        "service_start_on": period.service.start,
        "service_end_on": period.service.end,
        "full_day_count": period.full.count,
        "price": priced.price.price,
        "share": str(period.share) if period.is_partial else "",
    }


def _of_group(group: Mapping[str, str | None]) -> dict[str, Any]:
    """The project and the labels of a line."""
    labels = {name.removeprefix("labels."): text for name, text in group.items() if name != PROJECT}
    key = group.get(PROJECT)
    if key is None:
        return {"group": labels}
    node = catalogue_now().project(key)
    assert node is not None  # its usage is in the ledger, so it is there
    return {"group": labels, "project_id": node.id, "project_key": key}


def _evidence(ask: UsageAsk, usage: Measured, position: int) -> dict[str, Any]:
    return {
        "quantity": usage.quantity,
        "evidence": ask.predicate(position),
        "event_count": usage.event_count,
        "event_digest": usage.digest,
    }


def detail_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """What an amount is made of, as JSON with exact texts: informative, never computed with."""

    def text(value: Fraction | None) -> str | None:
        return None if value is None else exact_text(value)

    return [
        {
            "kind": str(part.kind),
            "tier": part.tier,
            "quantity": text(part.quantity),
            "unit_amount": text(part.unit_amount),
            "flat_amount": text(part.flat_amount) if part.flat_amount else None,
            "amount": text(part.amount),
        }
        for part in parts
    ]


def fee_of(price: Price) -> Fee:
    """What a full period of a fixed price costs, and its discount."""
    parsed = price.parsed
    assert isinstance(parsed.model, Flat)
    return Fee(Decimal(exact_text(parsed.model.amount)), Decimal(exact_text(parsed.discount_percent)))


def fee_lines(priced: PricedPeriod) -> list[InvoiceLine]:
    """What a fixed fee comes to over the days of service of a period; no line where that is nothing."""
    period = priced.period
    amount = fee_for(
        period.service, fee=fee_of(priced.price), period=period.full, currency=priced.subscription.currency
    )
    if not amount:
        return []
    return [_fee_line(priced, Kind.FEE, amount, service=period.service, day_count=period.service.count)]


def fee_change_lines(
    priced: PricedPeriod, *, billed_until: Any, paid: Decimal, credited: Decimal
) -> list[InvoiceLine]:
    """What becomes of a fee whose service ends on another day than it was billed for.

    Days that won't be used are given back, never more than `paid` less `credited`; further ones are charged.
    """
    period, currency = priced.period, priced.subscription.currency
    fee, end = fee_of(priced.price), period.service.end
    if end < billed_until:
        unused = Days(end, billed_until)
        amount = credit_for(
            unused, fee=fee, period=period.full, currency=currency, paid=paid, credited=credited
        )
        line = _fee_line(priced, Kind.FEE_CREDIT, amount, service=unused, day_count=-unused.count)
    else:
        further = Days(billed_until, end)
        amount = fee_for(further, fee=fee, period=period.full, currency=currency)
        line = _fee_line(priced, Kind.FEE, amount, service=further, day_count=further.count)
    line.is_adjustment = True
    return [line]


def _fee_line(
    priced: PricedPeriod, kind: str, amount: Decimal, *, service: Days, day_count: int
) -> InvoiceLine:
    of_period = {**_of_period(priced), "service_start_on": service.start, "service_end_on": service.end}
    return InvoiceLine(
        kind=kind,
        name=priced.price.name,
        amount=amount,
        day_count=day_count,
        rated_amount=amount,
        **of_period,
    )


def mirrored(line: InvoiceLine) -> InvoiceLine:
    """The line that takes another back: every amount with the other sign, so that the two cancel exactly."""
    return InvoiceLine(
        kind=line.kind,
        is_adjustment=True,
        reverses=line,
        billed_period_id=line.billed_period_id,
        amount=EXACT.minus(line.amount),
        discount_amount=EXACT.minus(line.discount_amount),
        tax_amount=EXACT.minus(line.tax_amount),
        taxes=[{**tax, "amount": _negated(tax["amount"])} for tax in line.taxes],
        quantity=None if line.quantity is None else EXACT.minus(line.quantity),
        day_count=None if line.day_count is None else -line.day_count,
        **{name: getattr(line, name) for name in _COPIED},
    )


_COPIED = (
    "name",
    "plan_name",
    "metric_id",
    "metric_key",
    "unit",
    "project_id",
    "project_key",
    "project_name",
    "group",
    "period_start",
    "period_end",
    "service_start_on",
    "service_end_on",
    "full_day_count",
    "price",
    "share",
    "evidence",
    "event_count",
    "event_digest",
)


def _negated(text: str) -> str:
    if not Decimal(text):
        return text
    return text.removeprefix("-") if text.startswith("-") else f"-{text}"
