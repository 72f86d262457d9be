"""A share of each event's amount, and a fee per event."""

import pytest

from billing.rating import WrongUsage
from metering.errors import Invalid
from tests.billing.prices import a_price, cost, parts_of

CARDS = a_price("percentage", rate_percent="2.9", fixed_amount_per_event="0.30")


def test_payments_of_10_and_80_at_2_9_percent_and_30_cents_are_3_21():
    # 0.29 + 0.30 + 2.32 + 0.30
    assert cost(CARDS, ["10", "80"]) == "3.21"


def test_share_and_fees_are_lines_of_their_own():
    assert parts_of(CARDS, ["10", "80"]) == [
        ("usage", None, "90", "0.029", "0", "2.61"),
        ("event_fee", None, "2", "0.3", "0", "0.6"),
    ]


def test_no_events_cost_nothing():
    assert parts_of(CARDS, []) == []


def test_event_of_nothing_pays_its_fee():
    assert cost(CARDS, ["0"]) == "0.3"


def test_minimum_per_event_holds_the_fee_inside():
    # 0.1 + 0.3 is below 1; 10 + 0.3 isn't.
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="0.3", per_event_min="1")

    assert cost(price, ["1", "100"]) == "11.3"
    assert parts_of(price, ["1", "100"]) == [
        ("usage", None, "101", "0.1", "0", "10.1"),
        ("event_fee", None, "2", "0.3", "0", "0.6"),
        ("event_minimum", None, None, None, "0", "0.6"),
    ]


def test_maximum_per_event_holds_the_fee_inside():
    # 10 + 2 is cut to 11; 5 + 2 isn't.
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="2", per_event_max="11")

    assert cost(price, ["100", "50"]) == "18"
    assert parts_of(price, ["100", "50"])[2:] == [("event_maximum", None, None, None, "0", "-1")]


def test_minimum_and_maximum_clamp_each_event_and_not_their_sum():
    price = a_price("percentage", rate_percent="1", per_event_min="2", per_event_max="5")

    # 0.10 -> 2, 3 -> 3, 10 -> 5
    assert cost(price, ["10", "300", "1000"]) == "10"


def test_first_two_events_are_free():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", free_events="2")

    assert cost(price, ["500", "7", "20", "0"]) == "4"


def test_first_100_are_free_and_the_event_that_straddles_pays_on_its_remainder():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", free_amount="100")

    # 60 free; of 60, 40 are free and 20 pay 2 + 1; 50 pay 5 + 1
    assert cost(price, ["60", "60", "50"]) == "9"


def test_event_that_ends_exactly_at_the_allowance_is_wholly_free():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", free_amount="100")

    assert cost(price, ["60", "40"]) == "0"
    assert cost(price, ["60", "40", "0"]) == "1"


def test_free_amount_exhausted_first_ends_the_free_events():
    price = a_price("percentage", rate_percent="10", free_events="10", free_amount="100")

    # The second event exhausts the amount and pays on 50; the third pays though it is number 3 of 10.
    assert cost(price, ["90", "60", "40"]) == "9"


def test_free_events_exhausted_first_end_the_free_amount():
    price = a_price("percentage", rate_percent="10", free_events="2", free_amount="1000")

    assert cost(price, ["10", "10", "50"]) == "5"


def test_wholly_free_events_skip_the_minimum_and_the_straddling_one_does_not():
    price = a_price("percentage", rate_percent="1", free_amount="100", per_event_min="2")

    assert cost(price, ["100"]) == "0"
    assert cost(price, ["100", "1"]) == "2"
    assert cost(price, ["99", "2"]) == "2"


def test_order_of_events_decides_which_are_free():
    price = a_price("percentage", rate_percent="10", free_events="1")

    assert cost(price, ["100", "10"]) == "1"
    assert cost(price, ["10", "100"]) == "10"


def test_negative_event_pays_nothing_gives_nothing_back_and_uses_no_allowance():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", free_events="1")

    assert cost(price, ["-50", "30", "20", "-20"]) == "3"


def test_amounts_in_cents_are_converted_before_they_are_priced():
    price = a_price("percentage", rate_percent="2.9", unit_conversion={"divide_by": "100"})

    assert cost(price, ["1000", "8000"]) == "2.61"


def test_usage_discount_takes_the_first_of_the_amounts():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", usage_discount="30")

    # 20 are taken whole, which leaves no event; 10 of 25 are taken, 15 pay 1.50 + 1
    assert cost(price, ["20", "25"]) == "2.5"


def test_event_taken_whole_by_the_discount_is_not_one_of_the_free_events():
    price = a_price("percentage", rate_percent="10", usage_discount="30", free_events="1")

    # 30 discounted, 40 free, 50 pays
    assert cost(price, ["30", "40", "50"]) == "5"


def test_percent_discount_and_maximum_are_of_the_whole_period():
    price = a_price("percentage", rate_percent="10", discount_percent="50", max_amount="6")

    assert cost(price, ["100"]) == "5"
    assert parts_of(price, ["100", "100"]) == [
        ("usage", None, "200", "0.1", "0", "20"),
        ("discount", None, None, None, "0", "-10"),
        ("maximum", None, None, None, "0", "-4"),
    ]


def test_price_per_event_takes_events_and_no_quantity():
    with pytest.raises(WrongUsage):
        cost(CARDS, "90")
    with pytest.raises(WrongUsage):
        cost(a_price("per_unit", unit_amount="1"), ["90"])


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "price.rate_percent"),
        ({"rate_percent": "-1"}, "price.rate_percent"),
        ({"rate_percent": "1", "free_events": "1.5"}, "price.free_events"),
        ({"rate_percent": "1", "free_events": "-1"}, "price.free_events"),
        ({"rate_percent": "1", "free_events": "0", "free_amount": "5"}, "price.free_events"),
        ({"rate_percent": "1", "free_events": "5", "free_amount": "0"}, "price.free_amount"),
        ({"rate_percent": "1", "per_event_min": "2", "per_event_max": "1"}, "price.per_event_min"),
        (
            {"rate_percent": "1", "unit_conversion": {"divide_by": "2", "round": "up"}},
            "price.unit_conversion.round",
        ),
    ],
)
def test_percentage_that_makes_no_sense_is_refused(members, field):
    with pytest.raises(Invalid) as refused:
        a_price("percentage", **members)

    assert refused.value.field == field


def test_allowance_of_zero_alone_is_no_allowance():
    for name in ("free_events", "free_amount"):
        assert cost(a_price("percentage", rate_percent="10", **{name: "0"}), ["50"]) == "5"


def test_minimum_may_equal_the_maximum():
    price = a_price("percentage", rate_percent="1", per_event_min="2", per_event_max="2")

    assert cost(price, ["1", "100000"]) == "4"
