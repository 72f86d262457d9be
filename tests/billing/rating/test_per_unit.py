"""Every unit at the same rate."""

import pytest

from metering.errors import Invalid
from tests.billing.prices import a_price, amounts, cost, parts_of, slices


def test_1000_calls_at_2_cents_are_20():
    assert cost(a_price("per_unit", unit_amount="0.02"), "1000") == "20"


def test_half_an_hour_pays_half_the_rate():
    assert cost(a_price("per_unit", unit_amount="3"), "0.5") == "1.5"


def test_12_decimals_of_a_price_per_token_are_kept():
    price = a_price("per_unit", unit_amount="0.000000000123")

    assert cost(price, "1") == "0.000000000123"
    assert cost(price, "12345678901") == "1.518518504823"


def test_fraction_of_a_unit_and_of_a_price_multiply_exactly():
    price = a_price("per_unit", unit_amount="0.000000000001")

    assert cost(price, "0.000000000001") == "0.000000000000000000000001"


def test_largest_quantity_at_the_largest_price_stays_exact():
    nines = "99999999999999999999999999"

    assert cost(a_price("per_unit", unit_amount=nines), nines) == str(int(nines) ** 2)


def test_line_shows_quantity_rate_and_amount():
    price = a_price("per_unit", unit_amount="0.333")

    assert parts_of(price, "3") == [("usage", None, "3", "0.333", "0", "0.999")]


def test_no_usage_has_no_line_and_costs_nothing():
    assert parts_of(a_price("per_unit", unit_amount="5"), "0") == []


def test_more_taken_back_than_used_bills_zero():
    assert cost(a_price("per_unit", unit_amount="5"), "-3") == "0"


def test_0_333_a_unit_over_two_slices_of_one_unit_is_33_and_34_cents():
    assert amounts(slices(a_price("per_unit", unit_amount="0.333"), "1", "1")) == ["0.33", "0.34"]


def test_third_slice_of_0_333_catches_up_to_one():
    # 0.333, 0.666, 0.999 are 0.33, 0.67, 1.00 when rounded.
    assert amounts(slices(a_price("per_unit", unit_amount="0.333"), "1", "1", "1")) == [
        "0.33",
        "0.34",
        "0.33",
    ]


@pytest.mark.parametrize("wrong", ["-0.01", "free", "", True, 0.1, ["1"], "0.0000000000001"])
def test_price_that_is_not_an_exact_amount_is_refused(wrong):
    with pytest.raises(Invalid) as refused:
        a_price("per_unit", unit_amount=wrong)

    assert refused.value.field == "price.unit_amount"
