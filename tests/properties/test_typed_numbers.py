"""What a page writes is read back exactly, in every language; so is what a form shows."""

from decimal import Decimal

import pytest
from django import forms
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from metering import numerals
from metering.admin.number_fields import NumberField, NumberTextField, shown
from metering.texts.numbers import plain

LANGUAGES = ("en", "de", "fr")
numbers = st.decimals(
    min_value=Decimal(-(10**26)), max_value=Decimal(10**26), allow_nan=False, allow_infinity=False, places=12
) | st.decimals(min_value=-2000, max_value=2_000_000, allow_nan=False, allow_infinity=False, places=3)


class Form(forms.Form):
    amount = NumberField(max_digits=50)
    text = NumberTextField(max_length=100)


@pytest.mark.parametrize("language", LANGUAGES)
@given(number=numbers)
def test_what_a_form_shows_is_what_it_reads(language: str, number: Decimal) -> None:
    with translation.override(language):
        filled = Form(initial={"amount": number, "text": plain(number)})
        sent = {name: filled[name].value() for name in filled.fields}

        form = Form(sent, initial=filled.initial)

        assert form.is_valid(), form.errors
        assert form.cleaned_data == {"amount": number, "text": plain(number)}
        assert not form.has_changed()
        assert {name: form[name].value() for name in form.fields} == sent  # shown again as it was typed


@pytest.mark.parametrize("language", LANGUAGES)
@given(number=numbers)
def test_what_a_page_writes_is_read_back_or_refused_but_never_misread(language: str, number: Decimal) -> None:
    with translation.override(language):
        written = numerals.exact(number)
        try:
            read = Decimal(numerals.plainly_written(written))
        except forms.ValidationError:
            assert language != "fr"
            digits = written.removeprefix(numerals.MINUS)
            assert sum(not each.isdigit() for each in digits) == 1  # 1,234 or 1.234
        else:
            assert read == number


@given(number=numbers)
def test_the_plain_format_is_read_in_every_language_unless_it_could_mean_two(number: Decimal) -> None:
    for language in LANGUAGES:
        with translation.override(language):
            try:
                assert Decimal(numerals.plainly_written(plain(number))) == number
            except forms.ValidationError:
                assert language == "de"
                assert len(plain(number).partition(".")[2]) == 3
                assert shown(number) == plain(number).replace(".", ",")
