"""Laws of rating, for any price and any usage, held against naive readings of what the models mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.money import rounded
from billing.rating import NOTHING_YET, Kind, bill, price_from, price_json, rated, rated_events
from tests.billing.prices import a_price

CURRENCIES = st.sampled_from(["JPY", "USD", "KWD"])
# Small and round often, so that bounds are met exactly.
money = st.sampled_from(["0", "0.005", "0.01", "1", "2.5", "10"]) | st.decimals(0, 1000, places=4).map(str)
positive = st.sampled_from(["0.5", "1", "3", "7", "100"]) | st.decimals("0.001", 1000, places=3).map(str)
percents = st.sampled_from(["0", "10", "33.3", "100"])
quantities = st.integers(0, 60).map(Decimal) | st.decimals(0, 2000, places=3)
changes = st.integers(-30, 60).map(Decimal) | st.decimals(-100, 500, places=3)


any_bounds = st.integers(1, 50).map(Decimal) | st.decimals("0.1", 50, places=1)


@st.composite
def tier_lists(
    draw: st.DrawFn, rate: str = "unit_amount", bounds: st.SearchStrategy[Decimal] = any_bounds
) -> list[dict[str, Any]]:
    ascending = sorted(draw(st.sets(bounds, max_size=4)))
    return [
        {"up_to": up_to, rate: draw(money), "flat_amount": draw(money)}
        for up_to in [*map(str, ascending), None]
    ]


models = st.one_of(
    st.fixed_dictionaries({"model": st.just("flat"), "amount": money}),
    st.fixed_dictionaries({"model": st.just("per_unit"), "unit_amount": money}),
    st.fixed_dictionaries({"model": st.just("graduated"), "tiers": tier_lists()}),
    st.fixed_dictionaries({"model": st.just("volume"), "tiers": tier_lists()}),
    st.fixed_dictionaries(
        {"model": st.just("package"), "package_size": positive, "package_amount": money},
        optional={"free_units": money, "round": st.sampled_from(["up", "down"])},
    ),
    st.fixed_dictionaries({"model": st.just("graduated_percentage"), "tiers": tier_lists("rate_percent")}),
    st.fixed_dictionaries({"model": st.just("dynamic"), "multiplier": money}),
)
conversions = st.fixed_dictionaries(
    {"divide_by": positive}, optional={"round": st.sampled_from(["up", "down"])}
)
options = st.fixed_dictionaries(
    {},
    optional={
        "max_amount": st.sampled_from(["50", "100.5", "5000"]),
        "min_amount": st.sampled_from(["0", "0.005", "10", "49.99"]),
        "usage_discount": st.sampled_from(["0", "1", "2.5", "40"]),
        "discount_percent": percents,
        "charge_flat_on_zero": st.booleans(),
        "unit_conversion": conversions,
    },
)
any_price = st.tuples(models, options).map(lambda both: price_from({**both[0], **both[1]}))
percentages = st.fixed_dictionaries(
    {"model": st.just("percentage"), "rate_percent": percents},
    optional={
        "fixed_amount_per_event": money,
        "free_events": st.integers(1, 5).map(str),
        "free_amount": positive,
        "per_event_min": st.sampled_from(["0.1", "1"]),
        "per_event_max": st.sampled_from(["1", "2", "30"]),
        "usage_discount": st.sampled_from(["0", "5", "20"]),
        "unit_conversion": st.fixed_dictionaries({"divide_by": positive}),
    },
)
event_amounts = st.lists(st.integers(-5, 40).map(Decimal) | st.decimals(0, 100, places=2), max_size=12)


def billed_in_slices(price, steps: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Usage lines of a period whose quantity moves by `steps`."""
    lines: list[Decimal] = []
    so_far = Decimal(0)
    for step in steps:
        so_far += step
        billed = sum(lines, Decimal(0))
        lines.append(bill(price, rated(price, so_far), currency=currency, billed=billed).usage_amount)
    return lines


# -- slices -----------------------------------------------------------------------------------------------


@given(any_price, st.lists(changes, min_size=1, max_size=6), CURRENCIES)
def test_any_slicing_of_the_same_usage_bills_the_same_total(price, steps, currency):
    at_once = billed_in_slices(price, [sum(steps, Decimal(0))], currency)

    assert sum(billed_in_slices(price, steps, currency)) == at_once[0]


@given(any_price, quantities, changes, CURRENCIES)
def test_usage_taken_back_gives_back_what_it_was_billed(price, quantity, change, currency):
    _, there, back = billed_in_slices(price, [quantity, change, -change], currency)

    assert there + back == 0


@given(any_price, quantities, quantities)
def test_what_changed_adds_up_to_the_difference_of_two_ratings(price, quantity, other):
    earlier, later = rated(price, other), rated(price, quantity)

    changed = later.since(earlier)

    assert sum(part.amount for part in changed) == later.amount - earlier.amount
    assert later.since(NOTHING_YET) == tuple(part for part in later.parts if part.amount or part.quantity)
    assert later.since(later) == ()


@given(any_price, st.lists(quantities, min_size=1, max_size=4), CURRENCIES)
def test_only_the_closing_slice_owes_the_minimum(price, steps, currency):
    so_far = sum(steps, Decimal(0))
    rating = rated(price, so_far)

    open_bill = bill(price, rating, currency=currency, closes_period=False)
    closed = bill(price, rating, currency=currency)

    assert open_bill.true_up == 0
    assert closed.usage_amount == open_bill.usage_amount
    assert closed.amount == max(open_bill.usage_amount, rounded(price.min_amount or Fraction(0), currency))


@given(any_price, quantities, CURRENCIES)
def test_period_costs_at_least_the_minimum_and_at_most_the_maximum(price, quantity, currency):
    amount = bill(price, rated(price, quantity), currency=currency).amount

    assert amount >= rounded(price.min_amount or Fraction(0), currency)
    if price.max_amount is not None:
        assert amount <= rounded(price.max_amount, currency)


# -- quantities -------------------------------------------------------------------------------------------


@given(any_price, quantities)
def test_negative_net_usage_bills_as_none(price, quantity):
    assert rated(price, -quantity) == rated(price, Decimal(0))


@given(any_price.filter(lambda price: price.model_name != "volume"), quantities, quantities)
def test_more_usage_never_costs_less_unless_volume_makes_all_of_it_cheaper(price, one, other):
    low, high = sorted([one, other])

    assert rated(price, low).amount <= rated(price, high).amount


@given(any_price, quantities)
def test_lines_explain_themselves(price, quantity):
    for part in rated(price, quantity).parts:
        if part.quantity is not None and part.unit_amount is not None:
            assert part.amount == part.quantity * part.unit_amount + part.flat_amount
        else:
            assert part.kind in {Kind.DISCOUNT, Kind.MAXIMUM}
            assert part.amount < 0


@given(any_price)
def test_price_survives_being_written_and_read(price):
    assert price_from(price_json(price)) == price


# -- tiers ------------------------------------------------------------------------------------------------


@given(tier_lists(), quantities)
def test_graduated_tiers_share_the_quantity_without_loss(listed, quantity):
    parts = rated(a_price("graduated", tiers=listed), quantity).parts

    assert sum(part.quantity for part in parts) == quantity
    assert [part.tier for part in parts] == list(range(1, len(parts) + 1))


@given(tier_lists(), quantities)
def test_volume_puts_all_of_the_quantity_into_one_tier(listed, quantity):
    parts = rated(a_price("volume", tiers=listed), quantity).parts

    assert [part.quantity for part in parts] == ([quantity] if quantity else [])


def bound(tier: dict[str, Any]) -> Fraction | float:
    return math.inf if tier["up_to"] is None else Fraction(tier["up_to"])


@given(tier_lists(bounds=st.integers(1, 50).map(Decimal)), st.integers(0, 60))
def test_graduated_is_what_walking_unit_by_unit_costs(listed, units):
    total, reached = Fraction(0), set()
    for unit in range(1, units + 1):
        place = next(place for place, tier in enumerate(listed) if unit <= bound(tier))
        total += Fraction(listed[place]["unit_amount"])
        if place not in reached:
            reached.add(place)
            total += Fraction(listed[place]["flat_amount"])

    assert rated(a_price("graduated", tiers=listed), Decimal(units)).amount == total


@given(tier_lists(), quantities.filter(bool))
def test_volume_is_the_first_tier_whose_bound_is_not_exceeded(listed, quantity):
    tier = next(tier for tier in listed if quantity <= bound(tier))

    expected = Fraction(quantity) * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
    assert rated(a_price("volume", tiers=listed), quantity).amount == expected


@given(positive, money, money, quantities)
def test_packages_are_opened_one_after_the_other(size, amount, free, quantity):
    size = str(max(Decimal(size), Decimal("0.5")))
    left, opened = Fraction(quantity) - Fraction(free), 0
    while left > 0:
        left -= Fraction(size)
        opened += 1

    price = a_price("package", package_size=size, package_amount=amount, free_units=free)
    assert rated(price, quantity).amount == opened * Fraction(amount)


# -- events -----------------------------------------------------------------------------------------------


@dataclass
class Till:
    """A naive cashier: one event at a time, by the words of the contract."""

    rate: Fraction
    fixed: Fraction
    free_events: int | None
    free_amount: Fraction | None
    low: Fraction | None
    high: Fraction | None
    discount: Fraction
    divide_by: Fraction
    total: Fraction = Fraction(0)
    seen: int = 0
    seen_amount: Fraction = Fraction(0)

    def take(self, amount: Fraction) -> None:
        if amount < 0:
            return
        amount /= self.divide_by
        if self.discount > 0:
            taken = min(self.discount, amount)
            self.discount -= taken
            amount -= taken
            if amount == 0:
                return
        self.seen += 1
        before, self.seen_amount = self.seen_amount, self.seen_amount + amount
        allowances = [
            allowance_left
            for allowance_left in (
                None if self.free_events is None else self.seen <= self.free_events,
                None if self.free_amount is None else before < self.free_amount,
            )
            if allowance_left is not None
        ]
        if allowances and all(allowances):
            if self.free_amount is None or self.seen_amount <= self.free_amount:
                return
            amount = self.seen_amount - self.free_amount
        charge = amount * self.rate + self.fixed
        charge = charge if self.low is None else max(charge, self.low)
        self.total += charge if self.high is None else min(charge, self.high)


def till_of(members: dict[str, Any]) -> Till:
    def number(name: str) -> Fraction | None:
        return Fraction(members[name]) if name in members else None

    free_events = number("free_events")
    return Till(
        rate=Fraction(members["rate_percent"]) / 100,
        fixed=number("fixed_amount_per_event") or Fraction(0),
        free_events=None if free_events is None else int(free_events),
        free_amount=number("free_amount"),
        low=number("per_event_min"),
        high=number("per_event_max"),
        discount=number("usage_discount") or Fraction(0),
        divide_by=Fraction(members.get("unit_conversion", {}).get("divide_by", "1")),
    )


@given(percentages, event_amounts)
def test_percentage_is_what_a_naive_cashier_takes(members, events):
    till = till_of(members)
    for amount in events:
        till.take(Fraction(amount))

    assert rated_events(price_from(members), events).amount == till.total


@given(percentages, event_amounts, event_amounts, CURRENCIES)
def test_later_events_never_change_what_earlier_ones_were_billed(members, events, later, currency):
    price = price_from(members)
    first = rated_events(price, events)
    both = rated_events(price, [*events, *later])

    assert both.amount >= first.amount
    billed = bill(price, first, currency=currency).usage_amount
    slice_amount = bill(price, both, currency=currency, billed=billed).usage_amount
    assert billed + slice_amount == rounded(both.amount, currency)


@given(percents, event_amounts)
def test_share_of_each_event_adds_up_to_the_share_of_their_sum(percent, events):
    price = a_price("percentage", rate_percent=percent)
    total = sum((amount for amount in events if amount > 0), Decimal(0))

    assert rated_events(price, events).amount == Fraction(total) * Fraction(percent) / 100
