"""A fixed fee of the period."""

import pytest

from metering.errors import Invalid
from tests.billing.prices import a_price, amounts, cost, parts_of, slices


@pytest.mark.parametrize("quantity", ["0", "1", "1000000", "-5"])
def test_base_fee_of_49_is_49_whatever_was_used(quantity):
    assert cost(a_price("flat", amount="49"), quantity) == "49"


def test_base_fee_is_shown_as_one_fee():
    assert parts_of(a_price("flat", amount="49.90"), "7") == [("usage", None, "1", "49.9", "0", "49.9")]


def test_fee_is_billed_with_the_first_slice_and_not_again():
    fee = a_price("flat", amount="49")

    assert amounts(slices(fee, "0", "10", "20")) == ["49.00", "0.00", "0.00"]


def test_fee_of_49_less_10_percent_is_44_10():
    assert cost(a_price("flat", amount="49", discount_percent="10"), "0") == "44.1"


def test_fee_needs_an_amount_that_is_not_negative():
    with pytest.raises(Invalid, match="needed") as missing:
        a_price("flat")
    with pytest.raises(Invalid, match="negative") as negative:
        a_price("flat", amount="-1")

    assert (missing.value.field, missing.value.code) == ("price.amount", "missing_field")
    assert (negative.value.field, negative.value.code) == ("price.amount", "invalid_field")
