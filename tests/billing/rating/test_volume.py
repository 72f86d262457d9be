"""The tier that holds the whole quantity prices all of it."""

from tests.billing.prices import a_price, amounts, cost, parts_of, slices, tiers

SEATS = a_price("volume", tiers=tiers(("15", "10"), (None, "5")))
STAIRS = a_price("volume", tiers=tiers(("10", "0", "100"), ("50", "0", "300"), (None, "0", "500")))


def test_fifteen_seats_at_10_are_150():
    assert cost(SEATS, "15") == "150"


def test_sixteenth_seat_makes_all_of_them_cost_5():
    assert cost(SEATS, "16") == "80"


def test_anything_above_the_bound_is_in_the_next_tier():
    # Bounds are continuous: 15.5 x 5
    assert cost(SEATS, "15.5") == "77.5"


def test_line_names_the_one_tier_that_prices_all():
    assert parts_of(SEATS, "15") == [("usage", 1, "15", "10", "0", "150")]
    assert parts_of(SEATS, "16") == [("usage", 2, "16", "5", "0", "80")]


def test_late_seat_beyond_the_first_slice_is_a_credit_of_70():
    assert amounts(slices(SEATS, "15", "1")) == ["150.00", "-70.00"]


def test_seat_taken_back_is_charged_70_again():
    assert amounts(slices(SEATS, "15", "1", "-1")) == ["150.00", "-70.00", "70.00"]


def test_stairstep_is_the_flat_of_the_tier_that_holds_the_quantity():
    assert [cost(STAIRS, quantity) for quantity in ("1", "10", "11", "50", "51", "9999")] == [
        "100",
        "100",
        "300",
        "300",
        "500",
        "500",
    ]


def test_flat_of_that_tier_alone_is_added_to_the_rate():
    price = a_price("volume", tiers=tiers(("10", "2", "7"), (None, "1", "30")))

    assert cost(price, "10") == "27"
    assert cost(price, "11") == "41"


def test_no_seats_cost_nothing_unless_the_flat_is_charged_on_zero():
    charged = a_price("volume", tiers=tiers(("10", "2", "7"), (None, "1", "30")), charge_flat_on_zero=True)

    assert cost(STAIRS, "0") == "0"
    assert parts_of(STAIRS, "0") == []
    assert cost(charged, "0") == "7"
    assert parts_of(charged, "0") == [("usage", 1, "0", "2", "7", "7")]


def test_negative_usage_costs_what_none_does():
    assert cost(SEATS, "-3") == "0"
