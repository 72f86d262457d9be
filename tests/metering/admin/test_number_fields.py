"""Amounts are taken as people type them; what could mean two numbers is refused with what to type."""

import pytest
from django.core.exceptions import ValidationError

from metering.admin.number_fields import NumberField, NumberTextField
from metering.numerals import plainly_written


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("75.50", "75.50"),
        ("75,50", "75.50"),
        ("-75,5", "-75.5"),
        ("−75.50", "-75.50"),
        ("0,125", "0.125"),
        ("1,234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("1,234,567.8", "1234567.8"),
        ("1\u202f234,50", "1234.50"),
        (" 12 ", "12"),
    ],
)
def test_a_number_is_read_as_it_was_meant(typed: str, plain: str) -> None:
    assert plainly_written(typed) == plain


def test_a_number_with_two_meanings_is_refused_with_both() -> None:
    with pytest.raises(ValidationError) as refused:
        plainly_written("1,234")

    assert refused.value.messages == ["“1,234” could mean two numbers. Type 1234 or 1.234."]


@pytest.mark.parametrize("typed", ["1,2,3", "1,23.4", "12,34,567", ",5", "5,", "1.23,4.5"])
def test_other_commas_are_refused_with_an_example(typed: str) -> None:
    with pytest.raises(ValidationError) as refused:
        plainly_written(typed)

    assert refused.value.messages == ["Type a point before the decimals and no other separators: 1234.50."]


def test_fields_pass_on_what_was_meant() -> None:
    assert str(NumberField(max_digits=28).clean("75,50")) == "75.50"
    assert NumberTextField(max_length=60).clean("0,10") == "0.10"
    assert NumberField(required=False).clean("") is None
    assert NumberTextField(required=False).clean("") == ""
