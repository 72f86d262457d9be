"""Fixed fees of partial periods, by local days over the actual days of the full period."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import rounded
from billing.proration import Change, Days, Fee, change_of_fee, credit_for, fee_for, prorated_price, share_of
from billing.rating import bill, rated
from tests.billing.prices import a_price, cost, tiers


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def days(start: str, end: str) -> Days:
    return Days(day(start), day(end))


JUNE = days("2026-06-01", "2026-07-01")
FEBRUARY = days("2026-02-01", "2026-03-01")
LEAP_FEBRUARY = days("2028-02-01", "2028-03-01")
THIRTY = Fee(Decimal("30"))


def fee(
    start: str, end: str, *, period: Days = JUNE, amount: str = "30", currency: str = "USD", **options
) -> str:
    whole = Fee(Decimal(amount), **options)
    return str(fee_for(days(start, end), fee=whole, period=period, currency=currency))


# -- shares -----------------------------------------------------------------------------------------------


def test_joining_on_the_11th_of_june_pays_20_of_30_days():
    assert fee("2026-06-11", "2026-07-01") == "20.00"


def test_whole_period_pays_the_whole_fee():
    assert fee("2026-06-01", "2026-07-01") == "30.00"


def test_first_day_alone_pays_one_day():
    assert fee("2026-06-01", "2026-06-02") == "1.00"


def test_no_day_pays_nothing():
    assert fee("2026-06-11", "2026-06-11") == "0.00"
    assert fee("2026-06-11", "2026-06-01") == "0.00"


def test_14_days_are_half_of_february_and_not_half_of_a_leap_february():
    assert fee("2026-02-15", "2026-03-01", period=FEBRUARY, amount="29") == "14.50"
    # 15 days from the 15th, as there is a 29th: 15 of 29
    assert fee("2028-02-15", "2028-03-01", period=LEAP_FEBRUARY, amount="29") == "15.00"
    assert fee("2028-02-15", "2028-02-29", period=LEAP_FEBRUARY, amount="29") == "14.00"


def test_29th_of_february_is_a_day_of_the_year_that_holds_it():
    leap_year = days("2027-03-01", "2028-03-01")
    common_year = days("2026-03-01", "2027-03-01")

    assert share_of(days("2028-02-01", "2028-03-01"), leap_year) == Fraction(29, 366)
    assert share_of(days("2027-02-01", "2027-03-01"), common_year) == Fraction(28, 365)
    assert fee("2028-02-29", "2028-03-01", period=leap_year, amount="366") == "1.00"


def test_period_from_31_january_to_28_february_has_28_days():
    period = days("2026-01-31", "2026-02-28")

    assert fee("2026-02-14", "2026-02-28", period=period, amount="28") == "14.00"


def test_service_longer_than_the_period_pays_the_full_amount_once():
    assert fee("2026-06-01", "2026-07-05") == "30.00"
    assert share_of(days("2026-01-01", "2027-01-01"), JUNE) == 1


def test_discount_is_taken_before_the_days_and_the_result_rounded_once():
    # 99.99 less 15 % is 84.9915; 7 of 30 days are 19.83135.
    assert fee("2026-06-24", "2026-07-01", amount="99.99", discount_percent=Decimal(15)) == "19.83"


def test_half_a_yen_is_rounded_away_from_zero():
    # 101 x 15 / 30 = 50.5
    assert fee("2026-06-16", "2026-07-01", amount="101", currency="JPY") == "51"


def test_period_without_days_is_an_error():
    with pytest.raises(ValueError, match="at least one day"):
        share_of(JUNE, days("2026-06-01", "2026-06-01"))


# -- credits ----------------------------------------------------------------------------------------------


def credit(start: str, *, paid: str = "30", credited: str = "0", of: Fee = THIRTY) -> str:
    return str(
        credit_for(
            JUNE.since(day(start)),
            fee=of,
            period=JUNE,
            currency="USD",
            paid=Decimal(paid),
            credited=Decimal(credited),
        )
    )


def test_cancelling_on_the_11th_credits_the_20_unused_days():
    assert credit("2026-06-11") == "-20.00"


def test_cancelling_on_the_first_day_credits_everything():
    assert credit("2026-06-01") == "-30.00"


def test_cancelling_at_the_end_credits_nothing():
    assert credit("2026-07-01") == "0.00"
    assert credit("2026-09-01") == "0.00"


def test_credit_is_at_the_discount_that_was_granted():
    assert credit("2026-06-11", paid="24", of=Fee(Decimal(30), Decimal(20))) == "-16.00"


def test_credit_never_exceeds_what_was_paid():
    assert credit("2026-06-11", paid="12.50") == "-12.50"
    assert credit("2026-06-11", paid="0") == "0.00"


def test_credit_never_exceeds_what_was_paid_less_what_was_credited():
    assert credit("2026-06-11", credited="15") == "-15.00"
    assert credit("2026-06-11", credited="30") == "0.00"
    assert credit("2026-06-11", credited="31") == "0.00"


# -- changes ----------------------------------------------------------------------------------------------


def change(on: str, **overrides) -> Change:
    facts = {
        "period": JUNE,
        "old": THIRTY,
        "new": Fee(Decimal("90")),
        "currency": "USD",
        "paid": Decimal("30"),
        **overrides,
    }
    return change_of_fee(day(on), **facts)


def test_upgrade_on_the_11th_credits_20_and_charges_60():
    upgraded = change("2026-06-11")

    assert (upgraded.credit, upgraded.charge) == (Decimal("-20.00"), Decimal("60.00"))
    assert upgraded.net == Decimal("40.00")


def test_downgrade_on_the_16th_is_a_credit():
    downgraded = change("2026-06-16", old=Fee(Decimal("90")), new=THIRTY, paid=Decimal("90"))

    assert (downgraded.credit, downgraded.charge) == (Decimal("-45.00"), Decimal("15.00"))
    assert downgraded.net == Decimal("-30.00")


def test_day_of_the_change_is_paid_at_the_new_price():
    last_day = change("2026-06-30")

    assert (last_day.credit, last_day.charge) == (Decimal("-1.00"), Decimal("3.00"))


def test_change_with_the_period_replaces_the_whole_fee():
    assert change("2026-06-01") == Change(Decimal("-30.00"), Decimal("90.00"))
    assert change("2026-07-01") == Change(Decimal("0.00"), Decimal("0.00"))


def test_change_before_the_period_counts_from_its_first_day():
    assert JUNE.since(day("2026-05-20")) == JUNE
    assert change("2026-05-20") == change("2026-06-01")


def test_each_side_has_its_own_discount():
    # 30 less 50 % for 20 days; 90 less 10 % for 20 days
    changed = change(
        "2026-06-11",
        old=Fee(Decimal(30), Decimal(50)),
        new=Fee(Decimal(90), Decimal(10)),
        paid=Decimal("15"),
    )

    assert changed == Change(Decimal("-10.00"), Decimal("54.00"))


def test_change_from_monthly_to_yearly_credits_the_rest_and_charges_the_year_in_full():
    changed = change("2026-06-11", new=Fee(Decimal("300"), Decimal(10)), restarts_cycle=True)

    assert changed == Change(Decimal("-20.00"), Decimal("270.00"))


def test_credit_of_a_change_is_held_by_what_was_paid():
    assert change("2026-06-11", paid=Decimal("5")).credit == Decimal("-5.00")
    assert change("2026-06-11", credited=Decimal("12")).credit == Decimal("-18.00")


def test_second_change_in_a_period_credits_what_the_first_one_charged():
    # 60 were charged for the 20 days from the 11th; 10 of them remain on the 21st.
    second = change("2026-06-21", old=Fee(Decimal("90")), new=THIRTY, paid=Decimal("60"))

    assert second == Change(Decimal("-30.00"), Decimal("10.00"))


@given(st.integers(0, 30), st.integers(0, 10**6), st.sampled_from(["USD", "JPY", "KWD"]))
def test_change_to_the_same_fee_changes_nothing(number, units, currency):
    same = Fee(rounded(Fraction(units, 100), currency))
    on = JUNE.start + dt.timedelta(days=number)

    changed = change_of_fee(on, period=JUNE, old=same, new=same, currency=currency, paid=same.amount)

    assert changed.net == 0


@given(st.integers(0, 30), st.integers(0, 10**6))
def test_used_and_unused_days_are_the_whole_fee_to_the_cent(number, cents):
    whole = Fee(Decimal(cents).scaleb(-2))
    on = JUNE.start + dt.timedelta(days=number)
    used = Fraction(whole.amount) * number / 30

    returned = credit_for(JUNE.since(on), fee=whole, period=JUNE, currency="USD", paid=whole.amount)

    assert -whole.amount <= returned <= 0
    assert abs(Fraction(whole.amount + returned) - used) <= Fraction(1, 200)


# -- prices of partial periods ----------------------------------------------------------------------------


def test_minimum_and_maximum_are_prorated_by_the_same_days():
    price = a_price("per_unit", unit_amount="1", min_amount="30", max_amount="60")
    partial = prorated_price(price, share_of(days("2026-06-11", "2026-07-01"), JUNE))

    def bill_of(quantity: str) -> str:
        return str(bill(partial, rated(partial, Decimal(quantity)), currency="USD").amount)

    assert [bill_of(quantity) for quantity in ("0", "20", "30", "40", "50")] == [
        "20.00",
        "20.00",
        "30.00",
        "40.00",
        "40.00",
    ]


def test_prorated_minimum_that_is_no_round_number_is_rounded_with_the_true_up():
    # 100 x 10 / 30 = 33.333...; 5 were used
    price = prorated_price(a_price("per_unit", unit_amount="1", min_amount="100"), Fraction(1, 3))

    billed = bill(price, rated(price, Decimal(5)), currency="USD")

    assert (billed.usage_amount, billed.true_up) == (Decimal("5.00"), Decimal("28.33"))


def test_free_units_are_prorated():
    discounted = prorated_price(a_price("per_unit", unit_amount="1", usage_discount="30"), Fraction(1, 2))
    packages = prorated_price(
        a_price("package", package_size="10", package_amount="1", free_units="100"), Fraction(1, 2)
    )

    assert [cost(discounted, quantity) for quantity in ("15", "16")] == ["0", "1"]
    assert [cost(packages, quantity) for quantity in ("50", "51")] == ["0", "1"]


def test_allowances_of_events_are_prorated_and_only_whole_free_events_count():
    events = prorated_price(a_price("percentage", rate_percent="10", free_events="5"), Fraction(1, 2))
    amount = prorated_price(a_price("percentage", rate_percent="10", free_amount="100"), Fraction(1, 2))

    assert cost(events, ["10", "10"]) == "0"
    assert cost(events, ["10", "10", "10"]) == "1"
    assert cost(amount, ["60"]) == "1"


def test_rates_tiers_and_packages_stay_as_they_are():
    price = a_price("graduated", tiers=tiers(("10", "2", "5"), (None, "1")), discount_percent="10")

    assert prorated_price(price, Fraction(1, 3)) == price


def test_full_period_keeps_the_price():
    price = a_price("package", package_size="10", package_amount="1", free_units="7", min_amount="3")

    assert prorated_price(price, Fraction(1)) == price
