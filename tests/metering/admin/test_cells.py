from decimal import Decimal

from metering.admin import cells


def test_a_long_fraction_is_cut_for_reading_and_kept_on_hover() -> None:
    average = Decimal("78.266712360064")

    assert cells.readable(average) == "≈ 78.267"
    assert 'title="78.266712360064"' in cells.number(average)


def test_a_short_fraction_is_shown_as_it_is() -> None:
    assert cells.readable(Decimal("1234.500100")) == "1,234.5001"
    assert cells.readable(None) == cells.DASH
