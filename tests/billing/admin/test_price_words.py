"""Prices as a price list says them."""

import pytest

from billing.admin.price_preview import preview_card, quantities_of
from billing.admin.price_words import Words
from billing.rating import price_from
from tests.billing.prices import a_price, tiers

TIERS = tiers(("1000", "0.10"), ("10000", "0.08", "5"), (None, "0.05"))


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (a_price("flat", amount="49"), "49.00 EUR"),
        (a_price("per_unit", unit_amount="0.00025"), "0.00025 EUR per unit"),
        (
            a_price("graduated", tiers=tiers(("1000", "0.10"), (None, "0.08")), min_amount="50"),
            "0.10 EUR per unit up to 1,000, then 0.08; at least 50.00 EUR",
        ),
        (
            a_price("graduated", tiers=TIERS, usage_discount="100", max_amount="5000"),
            "0.10 EUR per unit up to 1,000, then 0.08 up to 10,000 plus 5.00 EUR, then 0.05; 100 included; at"
            " most 5,000.00 EUR",
        ),
        (
            a_price("volume", tiers=TIERS),
            "all units at 0.10 EUR per unit up to 1,000, all at 0.08 up to 10,000 plus 5.00 EUR, all at 0.05"
            " above",
        ),
        (
            a_price("volume", tiers=tiers(("10", "0", "5"), (None, "0", "20"))),
            "5.00 EUR up to 10, 20.00 above",
        ),
        (
            a_price("package", package_size="1000", package_amount="2", free_units="500"),
            "2.00 EUR per 1,000 units begun, the first 500 free",
        ),
        (
            a_price("package", package_size="10", package_amount="2", round="down"),
            "2.00 EUR per full 10 units",
        ),
        (
            a_price("percentage", rate_percent="2.9", fixed_amount_per_event="0.30", per_event_min="1"),
            "2.9 % of each amount plus 0.30 EUR, at least 1.00 EUR each",
        ),
        (
            a_price("graduated_percentage", tiers=tiers(("1000", "2"), (None, "1.5"), rate="rate_percent")),
            "2 % of the amount up to 1,000, then 1.5 %",
        ),
        (a_price("dynamic", multiplier="1.2"), "the cost, times 1.2"),
        (
            a_price(
                "per_unit",
                unit_amount="3",
                discount_percent="10",
                unit_conversion={"divide_by": "3600", "round": "up"},
            ),
            "3.00 EUR per 3,600 units; rounded up; less 10 %",
        ),
        (
            a_price(
                "graduated",
                tiers=tiers(("5000", "0.003"), (None, "0.002")),
                usage_discount="50",
                unit_conversion={"divide_by": "1000"},
            ),
            "0.003 EUR per 1,000 units up to 5,000,000 units, then 0.002; 50,000 included",
        ),
    ],
)
def test_price_reads_like_a_price_list(price, words):
    assert Words("EUR").of(price) == words


def test_preview_shows_amounts_where_something_changes():
    price = price_from({"model": "volume", "tiers": TIERS, "min_amount": "50"})

    card = preview_card(price, currency="EUR", unit="tokens")

    assert [(row["quantity"], row["amount"], row["average"]) for row in card["rows"]] == [
        ("0", "50.00", "–"),
        ("1", "50.00", "50"),
        ("1,000", "100.00", "0.1"),
        ("1,001", "85.08", "≈ 0.084995"),
        ("10,000", "805.00", "0.0805"),
        ("10,001", "500.05", "0.05"),
        ("20,000", "1,000.00", "0.05"),
    ]
    assert card["tiers"] == [
        ("up to 1,000", "0.10", "–"),
        ("above 1,000, up to 10,000", "0.08", "5.00"),
        ("above 10,000", "0.05", "–"),
    ]
    assert card["drawing"].highest_amount == "1,000.00 EUR"
    assert card["drawing"].highest_quantity == "20,000"


@pytest.mark.parametrize(
    "price",
    [
        a_price("per_unit", unit_amount="1"),
        a_price("per_unit", unit_amount="0"),
        a_price("graduated", tiers=TIERS, usage_discount="7", unit_conversion={"divide_by": "3"}),
        a_price("package", package_size="0.3", package_amount="1"),
        a_price("percentage", rate_percent="1", free_events="2"),
        a_price("graduated_percentage", tiers=tiers(("0.5", "2"), (None, "1"), rate="rate_percent")),
        a_price("dynamic", multiplier="0"),
        a_price("volume", tiers=tiers(*((str(number), "1") for number in range(1, 100)), (None, "1"))),
    ],
    ids=lambda price: price.model_name,
)
def test_every_model_can_be_drawn(price):
    card = preview_card(price, currency="JPY", unit="")

    assert len(card["rows"]) == len(quantities_of(price))
    places = [tuple(map(float, point.split(","))) for point in card["drawing"].points.split()]
    assert all(0 <= x <= card["drawing"].width and 0 <= y <= card["drawing"].height for x, y in places)


def test_fee_has_words_and_no_drawing():
    card = preview_card(a_price("flat", amount="49"), currency="EUR", unit="")

    assert (card["words"], card["rows"], card["drawing"]) == ("49.00 EUR", [], None)
