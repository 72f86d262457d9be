"""Tiers of a price are typed and shown in the language of the page, and kept as plain numbers."""

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import translation

from billing.admin.price_form import TiersField, TiersWidget


class Form(forms.Form):
    tiers = TiersField(widget=TiersWidget())


def test_rows_shown_in_german_are_read_as_they_are_stored() -> None:
    stored = [("1000", "0.125", ""), ("", "1.234", "5")]

    with translation.override("de"):
        rows = Form(initial={"tiers": stored})["tiers"].value()

        assert rows == [("1000", "0,125", ""), ("", "1,234", "5")]
        assert TiersField().clean(rows) == stored


def test_a_row_that_could_mean_two_numbers_is_named_and_shown_as_typed() -> None:
    sent = QueryDict("tiers_up_to=9&tiers_up_to=&tiers_rate=1&tiers_rate=1,234&tiers_flat=&tiers_flat=")

    form = Form(sent)

    assert form.errors["tiers"] == ["Tier 2: “1,234” could mean two numbers. Type 1234 or 1.234."]
    assert 'value="1,234"' in str(form["tiers"])
    with pytest.raises(ValidationError):
        TiersField().clean([("1,234", "1", "")])
