"""Numbers of pages: written as each language does, and read as they were meant."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from metering import numerals
from metering.numerals import NoNumber, plainly_written

NNBSP, NBSP = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("language", "amount", "count", "percentage"),
    [
        ("en", "−1,234,567.5 EUR", "45,764", "12.5%"),
        ("de", f"−1.234.567,5{NBSP}EUR", "45.764", f"12,5{NBSP}%"),
        ("fr", f"−1{NNBSP}234{NNBSP}567,5{NBSP}EUR", f"45{NNBSP}764", f"12,5{NNBSP}%"),
    ],
)
def test_each_language_has_its_separators(language: str, amount: str, count: str, percentage: str) -> None:
    with translation.override(language):
        assert numerals.with_unit(numerals.exact(Decimal("-1234567.50")), "EUR") == amount
        assert numerals.count(45764) == count
        assert numerals.percent(Decimal("0.125"), decimals=1) == percentage


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_a_minus_is_as_wide_as_a_plus_and_is_read_back(language: str) -> None:
    with translation.override(language):
        assert numerals.fixed(Decimal(-5), decimals=1).startswith("−5")
        assert numerals.percent(Decimal("-0.07")).startswith("−7")
        assert plainly_written(numerals.exact(Decimal("-75.5"))) == "-75.5"


def test_nothing_is_lost_of_a_long_number() -> None:
    with translation.override("de"):
        assert numerals.exact(Decimal("12345678901234567890.123456789012")) == (
            "12.345.678.901.234.567.890,123456789012"
        )
        assert numerals.exact(Decimal("1E+6")) == "1.000.000"


def test_without_a_language_it_is_the_systems() -> None:
    with translation.override(None):
        assert numerals.count(1234) == "1,234"


@pytest.mark.parametrize(
    ("language", "typed", "plain"),
    [
        ("de", "1,234", "1.234"),
        ("de", "1.234,50", "1234.50"),
        ("de", "1.234.567", "1234567"),
        ("de", "75.50", "75.50"),
        ("de", "1,234.50", "1234.50"),
        ("fr", "1,234", "1.234"),
        ("fr", "1.234", "1.234"),
        ("fr", f"1{NNBSP}234,5", "1234.5"),
        ("fr", "1 234 567", "1234567"),
        ("fr", "-75,5", "-75.5"),
        ("en", "1,234,567", "1234567"),
        ("en", "1.234", "1.234"),
    ],
)
def test_the_language_decides_what_a_comma_is(language: str, typed: str, plain: str) -> None:
    with translation.override(language):
        assert plainly_written(typed) == plain


@pytest.mark.parametrize(
    ("language", "typed", "readings"),
    [("en", "1,234", ("1234", "1.234")), ("de", "1.234", ("1234", "1,234"))],
)
def test_what_could_mean_two_numbers_is_refused_with_both(
    language: str, typed: str, readings: tuple[str, str]
) -> None:
    with translation.override(language), pytest.raises(ValidationError) as refused:
        plainly_written(typed)

    (sentence,) = refused.value.messages
    assert sentence.count(readings[0]) == 1
    assert readings[1] in sentence.replace(typed, "", 1)


@pytest.mark.parametrize("language", ["en", "de", "fr"])
@pytest.mark.parametrize(
    "text",
    [
        "twelve",
        "1e5",
        "-",
        "1 2",
        "+1.234",
        "+12",
        "1_000",
        "１.２３４",
        "١٢٣",
        "1’234",
        ".5",
        "5.",
        "NaN",
        "--1",
    ],
)
def test_what_is_no_number_is_refused_with_an_example(language: str, text: str) -> None:
    with translation.override(language), pytest.raises(NoNumber) as refused:
        plainly_written(text)

    (sentence,) = refused.value.messages
    assert f"{text}" in sentence
    assert ("1234.50" if language == "en" else "1234,50") in sentence


def test_nothing_typed_is_nothing() -> None:
    assert plainly_written(" ") == ""


@pytest.mark.parametrize(("language", "text"), [("de", "01.234"), ("de", "-00.234"), ("en", "01,234")])
def test_a_zero_in_front_does_not_make_it_one_number(language: str, text: str) -> None:
    with translation.override(language), pytest.raises(ValidationError, match=r"two numbers|zwei Zahlen"):
        plainly_written(text)


@pytest.mark.parametrize(("language", "text"), [("de", "0.234"), ("en", "0,234"), ("de", "-0,5")])
def test_less_than_one_is_read_with_either_sign(language: str, text: str) -> None:
    with translation.override(language):
        assert plainly_written(text) == text.replace(",", ".")
