"""Scales, the one rounding, texts, and splitting a total."""

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import SCALES, UnknownCurrency, amount_text, exact_text, rounded, scale_of, split

amounts_of_any_size = st.fractions() | st.decimals(allow_nan=False, allow_infinity=False, places=6).map(
    Fraction
)
currencies = st.sampled_from(["JPY", "USD", "KWD", "CLF"])


@pytest.mark.parametrize(
    ("currency", "scale"),
    [
        ("JPY", 0),
        ("KRW", 0),
        ("ISK", 0),
        ("USD", 2),
        ("EUR", 2),
        ("CHF", 2),
        ("HUF", 2),
        ("MGA", 2),
        ("MRU", 2),
        ("KWD", 3),
        ("BHD", 3),
        ("TND", 3),
        ("CLF", 4),
        ("UYW", 4),
    ],
)
def test_scale_is_that_of_iso_4217(currency, scale):
    assert scale_of(currency) == scale


def test_every_currency_of_the_list_is_there_once():
    assert len(SCALES) == 165
    assert all(len(code) == 3 and code.isupper() for code in SCALES)


@pytest.mark.parametrize("code", ["", "usd", "US", "XAU", "XDR", "XXX", "EURO", "DEM"])
def test_what_nobody_is_billed_in_is_no_currency(code):
    with pytest.raises(UnknownCurrency):
        scale_of(code)


@pytest.mark.parametrize(
    ("exact", "currency", "amount"),
    [
        ("8500.5", "JPY", "8501"),
        ("8500.499999999999", "JPY", "8500"),
        ("0.5", "JPY", "1"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "3"),
        ("0.005", "USD", "0.01"),
        ("0.015", "USD", "0.02"),
        ("0.0049999999999999999999999999999999999999999", "USD", "0.00"),
        ("2.675", "USD", "2.68"),
        ("1.0005", "KWD", "1.001"),
        ("1.00005", "CLF", "1.0001"),
        ("41.5", "USD", "41.50"),
        ("0", "USD", "0.00"),
    ],
)
def test_half_is_rounded_away_from_zero(exact, currency, amount):
    assert str(rounded(Decimal(exact), currency)) == amount


def test_negative_half_is_rounded_away_from_zero_too():
    assert str(rounded(Decimal("-0.005"), "USD")) == "-0.01"
    assert str(rounded(Decimal("-8500.5"), "JPY")) == "-8501"


def test_thirds_are_rounded_from_the_exact_value():
    assert rounded(Fraction(2, 3), "USD") == Decimal("0.67")
    assert rounded(Fraction(1, 3), "JPY") == 0


def test_what_rounds_to_nothing_has_no_sign():
    assert str(rounded(Decimal("-0.001"), "USD")) == "0.00"


def test_amounts_beyond_28_digits_lose_nothing():
    assert str(rounded(Decimal("12345678901234567890123456789012345.675"), "USD")) == (
        "12345678901234567890123456789012345.68"
    )


def test_nothing_else_decides_how_an_amount_is_rounded():
    with pytest.raises(UnknownCurrency):
        rounded(Decimal(1), "XAU")


@given(amounts_of_any_size, currencies)
def test_reversal_cancels_exactly(amount, currency):
    assert rounded(amount, currency) + rounded(-amount, currency) == 0


@given(amounts_of_any_size, currencies)
def test_rounding_moves_by_half_a_unit_at_most_and_only_once(amount, currency):
    result = rounded(amount, currency)

    assert abs(Fraction(result) - amount) <= Fraction(1, 2 * 10 ** SCALES[currency])
    assert rounded(result, currency) == result


@given(amounts_of_any_size, amounts_of_any_size, currencies)
def test_more_is_never_rounded_to_less(one, other, currency):
    low, high = sorted([one, other])

    assert rounded(low, currency) <= rounded(high, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("41.5", "USD", "41.50"),
        ("-0.1", "USD", "-0.10"),
        ("8501", "JPY", "8501"),
        ("1E+3", "JPY", "1000"),
        ("1", "KWD", "1.000"),
        ("0", "CLF", "0.0000"),
    ],
)
def test_amount_is_written_with_all_decimals_of_its_currency(amount, currency, text):
    assert amount_text(Decimal(amount), currency) == text


def test_amount_that_was_not_rounded_is_not_written():
    with pytest.raises(Inexact):
        amount_text(Decimal("41.505"), "USD")


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (Fraction(0), 0, "0"),
        (Fraction(0), 2, "0.00"),
        (Fraction(100), 0, "100"),
        (Fraction(1, 2), 0, "0.5"),
        (Fraction(1, 2), 2, "0.50"),
        (Fraction(1, 1000), 2, "0.001"),
        (Fraction(-17, 2), 0, "-8.5"),
        (Fraction(1, 10**24), 2, "0.000000000000000000000001"),
        (Fraction(1, 625), 0, "0.0016"),
        (Fraction(3, 40), 0, "0.075"),
        (Fraction(2, 3), 0, "0.666666666667"),
        (Fraction(-2, 3), 2, "-0.666666666667"),
        (Fraction(10, 3), 14, "3.33333333333333"),
    ],
)
def test_exact_value_is_written_as_long_as_it_needs(value, decimals, text):
    assert exact_text(value, decimals=decimals) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12), st.integers(0, 4))
def test_any_decimal_is_written_exactly(value, decimals):
    text = exact_text(Fraction(value), decimals=decimals)

    assert Decimal(text) == value
    assert "E" not in text


# -- splitting --------------------------------------------------------------------------------------------


def parts(total: str, currency: str = "USD", **weights: str) -> dict[str, str]:
    found = split(Decimal(total), {key: Decimal(weight) for key, weight in weights.items()}, currency)
    return {key: str(part) for key, part in found.items()}


def test_100_over_three_equal_projects_leaves_one_cent_that_goes_to_the_first_key():
    assert parts("100", c="1", a="1", b="1") == {"c": "33.33", "a": "33.34", "b": "33.33"}


def test_left_over_cents_go_to_the_largest_remainders():
    # 10.00 over 1 : 2 : 4 is 142.86, 285.71, 571.43 cents: one cent is left, for the remainder of .86.
    assert parts("10", a="1", b="2", c="4") == {"a": "1.43", "b": "2.86", "c": "5.71"}


def test_two_left_over_cents_go_to_two_parts():
    # 1.00 over 1 : 1 : 1 : 2 : 2 is 14.29 three times and 28.57 twice; 14 x 3 + 28 x 2 = 98.
    assert parts("1", a="1", b="1", c="1", d="2", e="2") == {
        "a": "0.14",
        "b": "0.14",
        "c": "0.14",
        "d": "0.29",
        "e": "0.29",
    }


def test_negative_total_mirrors_the_positive_one():
    assert parts("-100", a="1", b="1", c="1") == {"a": "-33.34", "b": "-33.33", "c": "-33.33"}


def test_yen_are_split_whole():
    assert parts("100", "JPY", a="1", b="1", c="1") == {"a": "34", "b": "33", "c": "33"}


def test_project_without_usage_pays_nothing():
    assert parts("0.01", a="0", b="5") == {"a": "0.00", "b": "0.01"}


def test_nothing_is_split_over_nobody_and_over_zeros():
    assert parts("0") == {}
    assert parts("0", a="0", b="0") == {"a": "0.00", "b": "0.00"}


@pytest.mark.parametrize(
    ("total", "weights"),
    [("1", {}), ("1", {"a": "0"}), ("1.005", {"a": "1"}), ("1", {"a": "2", "b": "-1"})],
)
def test_split_that_cannot_add_up_is_an_error(total, weights):
    with pytest.raises(ValueError):
        parts(total, **weights)


weightings = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.decimals(min_value=0, max_value=10**12, places=12),
    min_size=1,
    max_size=12,
).filter(lambda weights: any(weights.values()))


@given(st.integers(-(10**12), 10**12), weightings, currencies)
def test_parts_add_up_to_the_total_and_none_is_a_unit_off_its_share(units, weights, currency):
    unit = Fraction(1, 10 ** SCALES[currency])
    total = Decimal(units).scaleb(-SCALES[currency])

    found = split(total, weights, currency)

    assert sum(found.values()) == total
    whole = sum(map(Fraction, weights.values()))
    for key, weight in weights.items():
        assert abs(Fraction(found[key]) - Fraction(total) * Fraction(weight) / whole) < unit


@given(st.integers(0, 10**6), weightings)
def test_split_mirrors_and_does_not_depend_on_the_order_of_keys(units, weights):
    total = Decimal(units).scaleb(-2)
    backwards = dict(reversed(weights.items()))

    assert split(-total, weights, "USD") == {
        key: -part for key, part in split(total, backwards, "USD").items()
    }
