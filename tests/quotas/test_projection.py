"""Where usage is heading."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.texts.numbers import EXACT
from quotas.projection import projected_end
from tests.factories import at

MAY = {"start": at("2024-05-01T00:00:00Z"), "end": at("2024-06-01T00:00:00Z")}


@pytest.mark.parametrize(
    ("used", "now", "projected"),
    [
        ("310", "2024-05-11T00:00:00Z", "961"),  # 31 a day for 31 days
        ("100", "2024-05-16T12:00:00Z", "200"),  # half of it is over
        ("0", "2024-05-16T12:00:00Z", "0"),
        ("1", "2024-05-01T01:00:00Z", "744"),  # an hour of 31 days
        ("1", "2024-05-04T00:00:00Z", "10.3333"),  # an estimate has six digits
        ("12345678901234567890.5", "2024-05-31T23:59:59.999999Z", "12345700000000000000"),
    ],
)
def test_usage_is_stretched_over_the_whole_period(used, now, projected):
    assert projected_end(Decimal(used), now=at(now), **MAY) == Decimal(projected)


@pytest.mark.parametrize("now", ["2024-05-01T00:00:00Z", "2024-05-01T00:59:59.999999Z"])
def test_first_hour_says_nothing(now):
    assert projected_end(Decimal(5), now=at(now), **MAY) is None


@pytest.mark.parametrize("now", ["2024-04-30T23:59:59Z", "2024-06-01T00:00:00Z"])
def test_period_that_is_not_running_has_no_projection(now):
    assert projected_end(Decimal(5), now=at(now), **MAY) is None


def test_endless_period_has_no_projection():
    assert projected_end(Decimal(5), start=None, end=None, now=MAY["start"]) is None


@given(
    used=st.decimals(min_value=0, max_value=10**26, places=12),
    seconds=st.integers(3600, 31 * 86_400 - 1),
)
def test_projection_is_never_below_what_is_used(used, seconds):
    now = MAY["start"] + seconds * (at("1970-01-01T00:00:01Z") - at("1970-01-01T00:00:00Z"))

    with localcontext(EXACT):
        assert projected_end(used, now=now, **MAY) >= used
