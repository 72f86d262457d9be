"""The fold of prices per event in the database, held against the pure one."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.event_pricing import rating_of_events
from billing.money import exact_text
from billing.proration import prorated_price
from billing.rating import Price, Rating, WrongUsage, price_from, rated_events
from tests.billing.prices import a_price
from tests.billing.rating.test_laws import percentages

pytestmark = pytest.mark.django_db

Event = tuple[int, int, Decimal | None]  # second, id, amount
EVENTS = """
SELECT to_timestamp(e.second) AS occurred_at, e.id, e.amount
FROM unnest(%(seconds)s::int[], %(ids)s::bigint[], %(amounts)s::numeric[]) AS e (second, id, amount)
"""


def folded(price: Price, events: list[Event]) -> Rating:
    """By the database, which is given the events in any order."""
    seconds, ids, amounts = (list(column) for column in zip(*events, strict=True)) if events else ([], [], [])
    return rating_of_events(price, EVENTS, {"seconds": seconds, "ids": ids, "amounts": amounts})


def walked(price: Price, events: list[Event]) -> Rating:
    """By the pure model, in (time, id) order."""
    in_order = sorted((second, event_id, amount) for second, event_id, amount in events if amount is not None)
    return rated_events(price, [amount for _, _, amount in in_order])


def events_of(*amounts: str) -> list[Event]:
    return [(number, number, Decimal(amount)) for number, amount in enumerate(amounts)]


def test_payments_of_10_and_80_at_2_9_percent_and_30_cents_are_3_21():
    price = a_price("percentage", rate_percent="2.9", fixed_amount_per_event="0.30")

    rating = folded(price, events_of("10", "80"))

    assert exact_text(rating.amount) == "3.21"
    assert rating == walked(price, events_of("10", "80"))


def test_no_events_cost_nothing():
    assert folded(a_price("percentage", rate_percent="2.9"), []) == Rating(())


def test_time_decides_which_event_is_free_and_the_id_among_equal_times():
    price = a_price("percentage", rate_percent="10", free_events="1")

    by_time = folded(price, [(5, 1, Decimal(100)), (4, 2, Decimal(10))])
    by_id = folded(price, [(5, 9, Decimal(100)), (5, 8, Decimal(10))])

    assert exact_text(by_time.amount) == "10"
    assert exact_text(by_id.amount) == "10"


@pytest.mark.parametrize(
    ("allowance", "amount"),
    [
        # The first two are taken or free exactly to the end; the third pays 2 + 1, the fourth 1.
        ({"usage_discount": "50"}, "4"),
        ({"free_amount": "50"}, "4"),
        ({"free_events": "2"}, "4"),
        # The discount leaves two events, of which one is free.
        ({"usage_discount": "50", "free_events": "1"}, "1"),
        ({"free_amount": "50", "free_events": "9"}, "4"),
        ({"free_amount": "9999", "free_events": "2"}, "4"),
    ],
)
def test_allowance_that_an_event_exhausts_exactly_leaves_nothing_of_it(allowance, amount):
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", **allowance)
    events = events_of("30", "20", "20", "0")

    assert exact_text(folded(price, events).amount) == amount
    assert folded(price, events) == walked(price, events)


def test_event_without_a_value_is_no_event():
    price = a_price("percentage", rate_percent="10", fixed_amount_per_event="1", free_events="1")

    assert exact_text(folded(price, [(1, 1, None), (2, 2, Decimal(5)), (3, 3, Decimal(5))]).amount) == "1.5"


def test_thirds_come_out_exact():
    # Seconds priced by the minute, three thirds of 100 free.
    price = prorated_price(
        a_price(
            "percentage",
            rate_percent="10",
            free_amount="100",
            per_event_min="0.7",
            unit_conversion={"divide_by": "7"},
        ),
        Fraction(1, 3),
    )

    rating = folded(price, events_of("200", "100", "1"))

    # 33.3 converted units are free, 233.3 of the first 300; the rest is 66.6 / 7 / 10 = 0.95, and 1 / 70
    # is raised to 0.7.
    assert rating.amount == Fraction(200, 3) / 70 + Fraction(7, 10)
    assert rating == walked(price, events_of("200", "100", "1"))


def test_largest_amounts_lose_no_digit():
    price = a_price("percentage", rate_percent="0.000000000001", per_event_max="99999999999999999999999999")
    huge = "99999999999999999999999999.999999999999"

    rating = folded(price, events_of(huge, huge, "0.000000000001"))

    assert rating == walked(price, events_of(huge, huge, "0.000000000001"))
    assert rating.amount == (2 * Fraction(huge) + Fraction(1, 10**12)) / 10**14


def test_quantities_are_not_priced_by_event():
    with pytest.raises(WrongUsage):
        folded(a_price("per_unit", unit_amount="1"), events_of("1"))


any_events = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(1, 10**6),
        st.none() | st.integers(-5, 40).map(Decimal) | st.decimals(-1, 100, places=3),
    ),
    max_size=15,
    unique_by=lambda event: event[1],
)
shares = st.sampled_from([Fraction(1), Fraction(1, 3), Fraction(20, 31)])


@settings(max_examples=300)
@given(percentages.map(price_from), any_events, shares)
def test_database_charges_what_the_pure_model_does(price, events, share):
    partial = prorated_price(price, share)

    assert folded(partial, events) == walked(partial, events)


def test_fold_over_thousands_of_events_is_that_of_the_pure_model():
    price = a_price(
        "percentage",
        rate_percent="2.9",
        fixed_amount_per_event="0.3",
        free_events="100",
        free_amount="5000",
        per_event_min="0.5",
        per_event_max="2",
        usage_discount="77.7",
    )
    start = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE payments ON COMMIT DROP AS"
            " SELECT %s + (n * 7919 %% 5000) * interval '1 minute' AS occurred_at, n AS id,"
            " round((n * 104729 %% 9973)::numeric / 100, 2) AS amount FROM generate_series(1, 5000) AS n",
            [start],
        )
        cursor.execute("SELECT amount FROM payments ORDER BY occurred_at, id")
        amounts = [amount for (amount,) in cursor.fetchall()]

    rating = rating_of_events(price, "SELECT occurred_at, id, amount FROM payments")

    assert rating == rated_events(price, amounts)
    assert len(rating.parts) == 4
