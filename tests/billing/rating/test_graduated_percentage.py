"""The graduated walk over an amount of money."""

import pytest

from metering.errors import Invalid
from tests.billing.prices import a_price, amounts, cost, parts_of, slices, tiers

# 3 % up to 1,000 and 5 for starting, 2 % up to 10,000, 1 % and 20 above.
SALES = a_price(
    "graduated_percentage",
    tiers=tiers(("1000", "3", "5"), ("10000", "2"), (None, "1", "20"), rate="rate_percent"),
)


@pytest.mark.parametrize(
    ("sales", "commission"),
    [
        ("0", "0"),
        ("100", "8"),  # 3 + 5
        ("1000", "35"),  # 30 + 5
        ("1000.01", "35.0002"),
        ("10000", "215"),  # 35 + 180
        ("12000", "255"),  # 215 + 20 + 20
    ],
)
def test_commission_on_sales(sales, commission):
    assert cost(SALES, sales) == commission


def test_each_tier_shows_its_share_of_the_amount():
    assert parts_of(SALES, "12000") == [
        ("usage", 1, "1000", "0.03", "5", "35"),
        ("usage", 2, "9000", "0.02", "0", "180"),
        ("usage", 3, "2000", "0.01", "20", "40"),
    ]


def test_no_sales_owe_the_first_flat_where_it_is_charged_on_zero():
    price = a_price(
        "graduated_percentage",
        tiers=tiers((None, "3", "5"), rate="rate_percent"),
        charge_flat_on_zero=True,
    )

    assert cost(price, "0") == "5"


def test_commission_of_a_third_of_a_cent_is_rounded_once_over_the_period():
    price = a_price("graduated_percentage", tiers=tiers((None, "0.333"), rate="rate_percent"))

    assert amounts(slices(price, "100", "100", "100")) == ["0.33", "0.34", "0.33"]


def test_more_refunded_than_sold_owes_nothing():
    assert cost(SALES, "-100") == "0"


def test_tiers_of_a_percentage_have_no_unit_amount():
    with pytest.raises(Invalid, match="no such member") as refused:
        a_price("graduated_percentage", tiers=tiers((None, "3")))

    assert refused.value.field == "price.tiers[0].unit_amount"
