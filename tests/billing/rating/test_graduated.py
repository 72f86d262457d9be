"""Each unit pays the rate of its own tier."""

from tests.billing.prices import a_price, amounts, cost, parts_of, slices, tiers

# The first 5 at 5 and 10 for starting, everything above at 4 and 2.50 for reaching it.
SEATS = a_price("graduated", tiers=tiers(("5", "5", "10"), (None, "4", "2.5")))
# 100 free, then 10 cents up to 1,000, then 5 cents.
CALLS = a_price("graduated", tiers=tiers(("100", "0"), ("1000", "0.10"), (None, "0.05")))


def test_six_seats_are_41_50():
    # 5 x 5 + 10 = 35, 1 x 4 + 2.50 = 6.50
    assert cost(SEATS, "6") == "41.5"


def test_each_tier_has_a_line_with_what_falls_into_it():
    assert parts_of(SEATS, "6") == [
        ("usage", 1, "5", "5", "10", "35"),
        ("usage", 2, "1", "4", "2.5", "6.5"),
    ]


def test_five_seats_stay_in_the_first_tier_as_its_bound_is_inclusive():
    assert cost(SEATS, "5") == "35"
    assert parts_of(SEATS, "5") == [("usage", 1, "5", "5", "10", "35")]


def test_fraction_above_the_bound_pays_the_next_flat_in_full():
    # 35 + 0.1 x 4 + 2.50: bounds are continuous and the flat is due once the bound is exceeded.
    assert cost(SEATS, "5.1") == "37.9"


def test_first_flat_is_due_with_the_first_fraction_of_a_unit():
    assert cost(SEATS, "0.1") == "10.5"


def test_no_seats_cost_nothing_unless_the_flat_is_charged_on_zero():
    charged = a_price("graduated", tiers=tiers(("5", "5", "10"), (None, "4")), charge_flat_on_zero=True)

    assert cost(SEATS, "0") == "0"
    assert cost(charged, "0") == "10"
    assert parts_of(charged, "0") == [("usage", 1, "0", "5", "10", "10")]
    assert cost(charged, "1") == "15"


def test_free_tier_shows_that_it_was_free():
    assert parts_of(CALLS, "150") == [
        ("usage", 1, "100", "0", "0", "0"),
        ("usage", 2, "50", "0.1", "0", "5"),
    ]


def test_1500_calls_are_115():
    # 100 x 0 + 900 x 0.10 + 500 x 0.05
    assert cost(CALLS, "1500") == "115"


def test_calls_up_to_each_bound():
    assert [cost(CALLS, quantity) for quantity in ("100", "101", "1000", "1001")] == [
        "0",
        "0.1",
        "90",
        "90.05",
    ]


def test_one_open_tier_is_a_price_per_unit_with_a_fee_for_using_at_all():
    price = a_price("graduated", tiers=tiers((None, "0.25", "3")))

    assert [cost(price, quantity) for quantity in ("0", "1", "8")] == ["0", "3.25", "5"]


def test_flats_are_charged_once_however_the_period_is_sliced():
    # 3 seats: 25. 5 seats: 35. 6 seats: 41.50.
    assert amounts(slices(SEATS, "3", "2", "1")) == ["25.00", "10.00", "6.50"]


def test_negative_usage_costs_nothing():
    assert cost(SEATS, "-6") == "0"
