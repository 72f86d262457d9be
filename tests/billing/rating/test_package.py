"""Units are sold in packages."""

import pytest

from metering.errors import Invalid
from tests.billing.prices import a_price, amounts, cost, parts_of, slices

MAILS = a_price("package", package_size="100", package_amount="5", free_units="200")


@pytest.mark.parametrize(
    ("mails", "amount"),
    [("0", "0"), ("200", "0"), ("201", "5"), ("300", "5"), ("301", "10"), ("500", "15"), ("500.01", "20")],
)
def test_mails_beyond_200_are_5_for_each_hundred_begun(mails, amount):
    assert cost(MAILS, mails) == amount


def test_packages_rounded_down_charge_full_ones_alone():
    price = a_price("package", package_size="100", package_amount="5", round="down")

    assert [cost(price, quantity) for quantity in ("99", "100", "199.99", "200")] == ["0", "5", "5", "10"]


def test_line_shows_how_many_packages():
    assert parts_of(MAILS, "450") == [("usage", None, "3", "5", "0", "15")]
    assert parts_of(MAILS, "200") == []


def test_tenths_of_a_unit_fill_packages_exactly():
    # 0.6 / 0.2 is 3 packages; in binary floating point it would be 2.9999999999999996, and 2 full ones.
    full = a_price("package", package_size="0.2", package_amount="1", round="down")
    begun = a_price("package", package_size="0.2", package_amount="1")

    assert [cost(full, quantity) for quantity in ("0.599999999999", "0.6")] == ["2", "3"]
    assert [cost(begun, quantity) for quantity in ("0.6", "0.600000000001")] == ["3", "4"]


def test_package_begun_in_one_slice_is_not_charged_again_in_the_next():
    # 250 mails: 1 package. 290: still 1. 310: 2.
    assert amounts(slices(MAILS, "250", "40", "20")) == ["5.00", "0.00", "5.00"]


def test_mails_taken_back_give_their_package_back():
    assert amounts(slices(MAILS, "310", "-20")) == ["10.00", "-5.00"]


def test_more_taken_back_than_used_costs_nothing():
    assert cost(a_price("package", package_size="100", package_amount="5"), "-250") == "0"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"package_amount": "5"}, "price.package_size"),
        ({"package_size": "0", "package_amount": "5"}, "price.package_size"),
        ({"package_size": "-1", "package_amount": "5"}, "price.package_size"),
        ({"package_size": "100"}, "price.package_amount"),
        ({"package_size": "100", "package_amount": "5", "free_units": "-1"}, "price.free_units"),
        ({"package_size": "100", "package_amount": "5", "round": "half_up"}, "price.round"),
        ({"package_size": "100", "package_amount": "5", "round": 1}, "price.round"),
    ],
)
def test_package_that_makes_no_sense_is_refused(members, field):
    with pytest.raises(Invalid) as refused:
        a_price("package", **members)

    assert refused.value.field == field
