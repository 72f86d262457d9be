"""Exact numbers from untrusted text."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.texts.numbers import NotANumber, average, decimal_from, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0e999999", "0"),
        ("7", "7"),
        ("007", "7"),
        ("1.50", "1.5"),
        ("-12.25", "-12.25"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("25e-1", "2.5"),
        ("0.000000000001", "0.000000000001"),
        ("1e-12", "0.000000000001"),
        ("1.0000000000000000000", "1"),
        ("99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"),
    ],
)
def test_plain_decimal_text_is_read_exactly(text: str, value: str) -> None:
    assert decimal_from(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NaN",
        "nan",
        "sNaN",
        "Infinity",
        "-inf",
        "1_000",
        "1,000",
        "1.",
        ".5",
        "+5",
        "--5",
        "5 ",
        " 5",
        "5\n",
        "0x10",
        "1e",
        "1e1.5",
        "true",
        "٣",
        "१२",
        "１２",
        "1٠",
        "½",
    ],
)
def test_anything_but_a_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(NotANumber, match="not a decimal number"):
        decimal_from(text)


@pytest.mark.parametrize(
    "text",
    ["1" + "0" * 26, "1e26", "-1e26", "1e400", "9" * 27 + ".5", "1e999999", "1e999999999", "1e" + "9" * 90],
)
def test_more_than_26_digits_before_the_point_are_refused(text: str) -> None:
    with pytest.raises(NotANumber, match="26 digits before"):
        decimal_from(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0000000000001",
        "1.2345678901234",
        "1e-13",
        "1e-400",
        "-1e-999999",
        "1e-2000000",
        "1e-999999999",
        "1e-" + "9" * 90,
    ],
)
def test_more_than_12_decimals_are_refused(text: str) -> None:
    with pytest.raises(NotANumber, match="12 digits after"):
        decimal_from(text)


@pytest.mark.parametrize("text", ["1" * 101, "9" * 5_000, "0." + "0" * 5_000, "-" + "0" * 100])
def test_texts_over_100_characters_are_refused(text: str) -> None:
    with pytest.raises(NotANumber, match="more than 100 characters"):
        decimal_from(text)


def test_trailing_zeros_do_not_count_as_decimals() -> None:
    assert decimal_from("1.5" + "0" * 60) == Decimal("1.5")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+2", "100"),
        ("1.50", "1.5"),
        ("0E-12", "0"),
        ("-0", "0"),
        ("-1.10", "-1.1"),
        ("1E-7", "0.0000001"),
        ("1E+25", "1" + "0" * 25),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**25), max_value=10**25),
)
def test_plain_text_reads_back_as_the_same_number(value: Decimal) -> None:
    assert decimal_from(plain(value)) == value
    assert plain(decimal_from(plain(value))) == plain(value)


@given(st.text(max_size=120))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        value = decimal_from(text)
    except NotANumber:
        return

    assert value.is_finite()


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        ("10", 4, "2.5"),
        ("1", 3, "0.333333333333"),
        ("2", 3, "0.666666666667"),
        ("0.000000000001", 2, "0.000000000001"),
        ("-0.000000000001", 2, "-0.000000000001"),
        ("0", 7, "0"),
        ("-5", 2, "-2.5"),
    ],
)
def test_an_average_has_12_decimals_half_away_from_zero(total: str, count: int, expected: str) -> None:
    assert average(Decimal(total), count) == Decimal(expected)


def test_an_average_of_ten_thousand_largest_numbers_is_exact() -> None:
    largest = Decimal("99999999999999999999999999.999999999999")
    total = Decimal("999999999999999999999999999999.999999990000")

    assert average(total, 10_000) == largest
