"""Prices as JSON: what is read, what is refused and where, how it is written back."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rating import MODELS, price_from, price_json
from billing.rating.tiers import MAX_TIERS
from metering.errors import Invalid
from tests.billing.prices import tiers

PER_UNIT = {"model": "per_unit", "unit_amount": "1"}
TWO_TIERS = tiers(("10", "2"), (None, "1"))
CANONICAL = [
    {"model": "flat", "amount": "49.9"},
    {"model": "per_unit", "unit_amount": "0.000000000001"},
    {
        "model": "graduated",
        "tiers": [
            {"up_to": "0.5", "unit_amount": "1", "flat_amount": "0"},
            {"up_to": None, "unit_amount": "0", "flat_amount": "7.25"},
        ],
        "charge_flat_on_zero": True,
    },
    {"model": "volume", "tiers": [{"up_to": None, "unit_amount": "0", "flat_amount": "1"}]},
    {
        "model": "package",
        "package_size": "1000",
        "package_amount": "3",
        "free_units": "10",
        "round": "down",
    },
    {
        "model": "percentage",
        "rate_percent": "2.9",
        "fixed_amount_per_event": "0.3",
        "free_events": "3",
        "free_amount": "100",
        "per_event_min": "0.5",
        "per_event_max": "25",
    },
    {
        "model": "graduated_percentage",
        "tiers": [{"up_to": None, "rate_percent": "3", "flat_amount": "0"}],
    },
    {
        "model": "dynamic",
        "multiplier": "1.2",
        "min_amount": "1",
        "max_amount": "2",
        "usage_discount": "3",
        "unit_conversion": {"divide_by": "3600", "round": "up"},
        "discount_percent": "12.5",
    },
]


@pytest.mark.parametrize("value", CANONICAL, ids=lambda value: value["model"])
def test_price_is_written_back_as_it_was_read(value):
    assert price_json(price_from(value)) == value


def test_every_model_is_among_them():
    assert [value["model"] for value in CANONICAL] == list(MODELS)


def test_defaults_and_nulls_are_absence():
    sent = {
        **PER_UNIT,
        "min_amount": None,
        "max_amount": None,
        "usage_discount": "0",
        "unit_conversion": None,
        "discount_percent": "0",
        "charge_flat_on_zero": False,
    }

    assert price_from(sent) == price_from(PER_UNIT)
    assert price_json(price_from(sent)) == PER_UNIT


def test_numbers_are_normalised():
    sent = {"model": "PER_UNIT", "unit_amount": "1.50e1", "unit_conversion": {"divide_by": 60, "round": "UP"}}

    assert price_json(price_from(sent)) == {
        "model": "per_unit",
        "unit_amount": "15",
        "unit_conversion": {"divide_by": "60", "round": "up"},
    }


def test_exact_json_numbers_are_taken_and_floats_are_not():
    assert price_from({**PER_UNIT, "unit_amount": Decimal("0.1")}).model.unit_amount == Fraction(1, 10)
    with pytest.raises(Invalid, match="as a text"):
        price_from({**PER_UNIT, "unit_amount": 0.1})


def test_last_tier_may_leave_its_open_end_out():
    open_ended = [TWO_TIERS[0], {"unit_amount": "1"}]

    assert price_from({"model": "volume", "tiers": open_ended}) == price_from(
        {"model": "volume", "tiers": TWO_TIERS}
    )


@pytest.mark.parametrize(
    ("value", "field", "code"),
    [
        (None, "price", "invalid_field"),
        ("per_unit", "price", "invalid_field"),
        ([PER_UNIT], "price", "invalid_field"),
        ({}, "price.model", "missing_field"),
        ({"model": None}, "price.model", "missing_field"),
        ({"model": "bulk"}, "price.model", "invalid_field"),
        ({"model": ["flat"]}, "price.model", "invalid_field"),
        ({**PER_UNIT, "colour": "red"}, "price.colour", "invalid_field"),
        ({**PER_UNIT, "tiers": TWO_TIERS}, "price.tiers", "invalid_field"),
        ({**PER_UNIT, "unit_price": "1"}, "price.unit_price", "invalid_field"),
        ({**PER_UNIT, "min_amount": "2", "max_amount": "1"}, "price.min_amount", "invalid_field"),
        ({**PER_UNIT, "min_amount": "-2"}, "price.min_amount", "invalid_field"),
        ({**PER_UNIT, "max_amount": "NaN"}, "price.max_amount", "invalid_field"),
        ({**PER_UNIT, "usage_discount": "-1"}, "price.usage_discount", "invalid_field"),
        ({**PER_UNIT, "discount_percent": "100.01"}, "price.discount_percent", "invalid_field"),
        ({**PER_UNIT, "discount_percent": "-1"}, "price.discount_percent", "invalid_field"),
        ({**PER_UNIT, "charge_flat_on_zero": "yes"}, "price.charge_flat_on_zero", "invalid_field"),
        ({**PER_UNIT, "charge_flat_on_zero": 1}, "price.charge_flat_on_zero", "invalid_field"),
        ({**PER_UNIT, "unit_conversion": "60"}, "price.unit_conversion", "invalid_field"),
        ({**PER_UNIT, "unit_conversion": {}}, "price.unit_conversion.divide_by", "missing_field"),
        (
            {**PER_UNIT, "unit_conversion": {"divide_by": "0"}},
            "price.unit_conversion.divide_by",
            "invalid_field",
        ),
        (
            {**PER_UNIT, "unit_conversion": {"divide_by": "1", "round": "half"}},
            "price.unit_conversion.round",
            "invalid_field",
        ),
        (
            {**PER_UNIT, "unit_conversion": {"divide_by": "1", "multiply_by": "2"}},
            "price.unit_conversion.multiply_by",
            "invalid_field",
        ),
    ],
)
def test_price_that_cannot_be_meant_is_refused_by_its_member(value, field, code):
    with pytest.raises(Invalid) as refused:
        price_from(value)

    assert (refused.value.field, refused.value.code) == (field, code)


@pytest.mark.parametrize("model", ["graduated", "volume"])
@pytest.mark.parametrize(
    ("listed", "field", "code", "why"),
    [
        (None, "", "missing_field", "needed"),
        ([], "", "invalid_field", "at least one tier"),
        ({}, "", "invalid_field", "array"),
        (["10"], "[0]", "invalid_field", "object"),
        (tiers(("10", "2")), "[0].up_to", "invalid_field", "last tier must be open"),
        (tiers(("10", "2"), ("20", "1")), "[1].up_to", "invalid_field", "last tier must be open"),
        (tiers((None, "2"), (None, "1")), "[0].up_to", "invalid_field", "Only the last tier is open"),
        (tiers(("10", "2"), ("10", "1"), (None, "1")), "[1].up_to", "invalid_field", "ascend"),
        (tiers(("10", "2"), ("9.999", "1"), (None, "1")), "[1].up_to", "invalid_field", "ascend"),
        (tiers(("0", "2"), (None, "1")), "[0].up_to", "invalid_field", "ascend from 0"),
        (tiers(("-5", "2"), (None, "1")), "[0].up_to", "invalid_field", "negative"),
        (tiers(("ten", "2"), (None, "1")), "[0].up_to", "invalid_field", "decimal number"),
        (tiers(("10", "2"), (None, "-1")), "[1].unit_amount", "invalid_field", "negative"),
        (tiers((None, "2", "-3")), "[0].flat_amount", "invalid_field", "negative"),
        ([{"up_to": None}], "[0].unit_amount", "missing_field", "unit_amount or flat_amount"),
        (
            [{"up_to": None, "unit_amount": "1", "from": "0"}],
            "[0].from",
            "invalid_field",
            "no such member here; known are flat_amount, unit_amount, up_to",
        ),
    ],
)
def test_tiers_that_leave_a_gap_or_a_doubt_are_refused_by_their_place(model, listed, field, code, why):
    with pytest.raises(Invalid, match=why) as refused:
        price_from({"model": model, "tiers": listed})

    assert (refused.value.field, refused.value.code) == (f"price.tiers{field}", code)


def test_as_many_tiers_as_allowed_and_no_more():
    bounds = [(str(number), "1") for number in range(1, MAX_TIERS)]

    assert (
        len(price_from({"model": "graduated", "tiers": tiers(*bounds, (None, "1"))}).model.tiers) == MAX_TIERS
    )
    with pytest.raises(Invalid, match="At most 100 tiers") as refused:
        price_from({"model": "graduated", "tiers": tiers(("0.5", "1"), *bounds, (None, "1"))})
    assert refused.value.field == "price.tiers"


def test_path_begins_where_the_caller_says():
    with pytest.raises(Invalid) as refused:
        price_from({"model": "flat"}, at="prices[3]")

    assert refused.value.field == "prices[3].amount"


def test_name_of_an_unknown_member_is_repeated_in_part_only():
    with pytest.raises(Invalid) as refused:
        price_from({**PER_UNIT, "x" * 5000: "1"})

    assert refused.value.field == "price." + "x" * 100
