"""In this order: conversion, usage discount, price, percent discount, minimum, maximum."""

from decimal import Decimal

import pytest

from billing.money import UnknownCurrency
from billing.rating import bill, rated
from tests.billing.prices import a_price, amounts, cost, parts_of, slices, tiers


def test_seconds_are_billed_as_hours():
    price = a_price("per_unit", unit_amount="2", unit_conversion={"divide_by": "3600"})

    assert cost(price, "5400") == "3"


def test_hours_begun_are_billed_as_whole_ones():
    price = a_price("per_unit", unit_amount="2", unit_conversion={"divide_by": "3600", "round": "up"})

    assert [cost(price, seconds) for seconds in ("0", "1", "3600", "3601")] == ["0", "2", "2", "4"]


def test_full_hours_alone_are_billed_when_rounded_down():
    price = a_price("per_unit", unit_amount="2", unit_conversion={"divide_by": "3600", "round": "down"})

    assert [cost(price, seconds) for seconds in ("3599", "3600", "7199")] == ["0", "2", "2"]


def test_thirds_lose_nothing_before_the_line_is_rounded():
    price = a_price("per_unit", unit_amount="3", unit_conversion={"divide_by": "3"})

    assert cost(price, "1") == "1"
    assert parts_of(price, "1") == [("usage", None, "0.333333333333", "3", "0", "1")]


def test_conversion_rounds_the_period_and_not_each_slice():
    # 1 byte, 1 byte, 1,000,000 bytes: 1 MB, still 1 MB, 2 MB begun. Slice by slice it would be 3 MB.
    price = a_price("per_unit", unit_amount="5", unit_conversion={"divide_by": "1000000", "round": "up"})

    assert amounts(slices(price, "1", "1", "1000000")) == ["5.00", "0.00", "5.00"]


def test_first_100_units_are_free():
    price = a_price("per_unit", unit_amount="2", usage_discount="100")

    assert [cost(price, quantity) for quantity in ("99", "100", "101")] == ["0", "0", "2"]


def test_free_units_are_counted_after_conversion():
    # 5,000,000 bytes are 5 MB, 2 of them free.
    price = a_price("per_unit", unit_amount="1", unit_conversion={"divide_by": "1000000"}, usage_discount="2")

    assert cost(price, "5000000") == "3"


def test_free_units_move_the_quantity_down_the_tiers():
    # 16 less 1 free is 15, which is still in the first tier.
    price = a_price("volume", tiers=tiers(("15", "10"), (None, "5")), usage_discount="1")

    assert cost(price, "16") == "150"
    assert cost(price, "17") == "80"


def test_ten_percent_are_taken_from_the_amount_flats_included():
    price = a_price("graduated", tiers=tiers(("5", "5", "10"), (None, "4", "2.5")), discount_percent="10")

    assert cost(price, "6") == "37.35"
    assert parts_of(price, "6")[-1] == ("discount", None, None, None, "0", "-4.15")


def test_discount_of_everything_leaves_nothing():
    assert cost(a_price("per_unit", unit_amount="5", discount_percent="100"), "3") == "0"


def test_maximum_of_20_caps_the_period():
    price = a_price("per_unit", unit_amount="5", max_amount="20")

    assert [cost(price, quantity) for quantity in ("3", "4", "5")] == ["15", "20", "20"]
    assert parts_of(price, "5") == [
        ("usage", None, "5", "5", "0", "25"),
        ("maximum", None, None, None, "0", "-5"),
    ]


def test_discount_comes_before_the_maximum():
    # 30 less half is 15, which isn't capped.
    price = a_price("per_unit", unit_amount="5", discount_percent="50", max_amount="20")

    assert cost(price, "6") == "15"


def test_maximum_caps_all_slices_together():
    price = a_price("per_unit", unit_amount="5", max_amount="20")

    assert amounts(slices(price, "3", "3", "3")) == ["15.00", "5.00", "0.00"]


def billed(price, quantity: str, currency: str = "USD", **options):
    one = bill(price, rated(price, Decimal(quantity)), currency=currency, **options)
    return (str(one.usage_amount), str(one.true_up), str(one.amount))


def test_minimum_of_10000_yen_is_reached_from_the_rounded_line():
    # round(8500.5) is 8501, which leaves 1499.
    price = a_price("per_unit", unit_amount="8500.5", min_amount="10000")

    assert billed(price, "1", "JPY") == ("8501", "1499", "10000")


def test_minimum_that_is_reached_adds_nothing():
    price = a_price("per_unit", unit_amount="5", min_amount="10")

    assert billed(price, "2") == ("10.00", "0", "10.00")
    assert billed(price, "3") == ("15.00", "0", "15.00")


def test_minimum_is_owed_without_any_usage():
    assert billed(a_price("per_unit", unit_amount="5", min_amount="10"), "0") == ("0.00", "10.00", "10.00")


def test_minimum_is_measured_after_the_discount():
    price = a_price("per_unit", unit_amount="5", min_amount="10", discount_percent="50")

    assert billed(price, "3") == ("7.50", "2.50", "10.00")


def test_minimum_equal_to_the_maximum_is_a_fixed_amount():
    price = a_price("per_unit", unit_amount="5", min_amount="10", max_amount="10")

    assert [billed(price, quantity)[2] for quantity in ("0", "1", "9")] == ["10.00", "10.00", "10.00"]


def test_minimum_with_more_decimals_than_the_currency_is_rounded_like_any_amount():
    assert billed(a_price("per_unit", unit_amount="1", min_amount="0.005"), "0") == ("0.00", "0.01", "0.01")


def test_true_up_waits_for_the_slice_that_closes_the_period():
    price = a_price("per_unit", unit_amount="1", min_amount="10")

    first, second, last = slices(price, "2", "3", "1")

    assert [str(one.usage_amount) for one in (first, second, last)] == ["2.00", "3.00", "1.00"]
    assert [str(one.true_up) for one in (first, second, last)] == ["0", "0", "4.00"]


def test_slice_that_falls_is_made_up_by_the_true_up():
    # 15 at 10 are 150; 16 at 5 are 80: the minimum of 100 lacks 20.
    price = a_price("volume", tiers=tiers(("15", "10"), (None, "5")), min_amount="100")

    assert amounts(slices(price, "15", "1")) == ["150.00", "-50.00"]


def test_bill_in_no_currency_is_an_error():
    with pytest.raises(UnknownCurrency):
        billed(a_price("flat", amount="1"), "0", "XXX")
