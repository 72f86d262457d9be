"""Percentages of a threshold are read in the language of the page."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from quotas.admin.threshold_form import percent_from, steps_in


@pytest.mark.parametrize(
    ("language", "typed", "steps"),
    [
        ("en", "50, 80,100 %", ["50", "80", "100"]),
        ("en", "62.5", ["62.5"]),
        ("de", "50, 80, 100 %", ["50", "80", "100"]),
        ("de", "62,5; 80", ["62,5", "80"]),
        ("fr", "62,5, 80,", ["62,5", "80"]),
    ],
)
def test_a_comma_separates_steps_unless_decimals_follow_it(
    language: str, typed: str, steps: list[str]
) -> None:
    with translation.override(language):
        assert steps_in(typed) == steps


def test_a_percentage_is_read_as_its_language_says() -> None:
    with translation.override("de"):
        assert percent_from("62,5 %") == Decimal("0.625")
        with pytest.raises(ValidationError):
            percent_from("1.234")
