"""A cost passed on, with a margin."""

import pytest

from metering.errors import Invalid
from tests.billing.prices import a_price, amounts, cost, parts_of, slices


def test_cost_of_12_34_with_a_margin_of_20_percent_is_14_808():
    assert cost(a_price("dynamic", multiplier="1.2"), "12.34") == "14.808"


def test_cost_is_passed_on_as_it_is_with_a_multiplier_of_1():
    assert cost(a_price("dynamic", multiplier="1"), "0.000000000001") == "0.000000000001"


def test_line_shows_the_cost_and_the_multiplier():
    assert parts_of(a_price("dynamic", multiplier="1.2"), "10") == [("usage", None, "10", "1.2", "0", "12")]


def test_no_cost_has_no_line():
    assert parts_of(a_price("dynamic", multiplier="1.2"), "0") == []


def test_negative_net_cost_bills_nothing():
    assert cost(a_price("dynamic", multiplier="1.2"), "-10") == "0"


def test_halves_of_a_cent_add_up_over_slices():
    # 0.005 -> 0.01, 0.010 -> 0.01, 0.015 -> 0.02
    assert amounts(slices(a_price("dynamic", multiplier="1"), "0.005", "0.005", "0.005")) == [
        "0.01",
        "0.00",
        "0.01",
    ]


def test_multiplier_is_needed_and_not_negative():
    with pytest.raises(Invalid) as missing:
        a_price("dynamic")
    with pytest.raises(Invalid) as negative:
        a_price("dynamic", multiplier="-1")

    assert missing.value.field == negative.value.field == "price.multiplier"
