"""Every account is in exactly one bucket, and bounds belong to the one nearer to no change."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.reporting.distribution import distribution

parts = st.none() | st.fractions(-1, 3) | st.sampled_from([Fraction(n, 100) for n in (-50, -10, 0, 10, 50)])


def test_bounds_belong_to_the_bucket_nearer_to_no_change():
    percents = (-60, -50, -25, -10, -1, 0, 1, 10, 50, 51)

    found = distribution([*(Fraction(percent, 100) for percent in percents), None])

    assert [bucket.count for bucket in found] == [1, 1, 1, 2, 1, 2, 0, 1, 1, 1]
    assert (found[0].above, found[0].below) == (None, Fraction(-1, 2))
    assert (found[4].above, found[4].below) == (0, 0)
    assert found[-1].is_new


@given(st.lists(parts, max_size=30))
def test_every_account_is_in_one_bucket(fractions):
    assert sum(bucket.count for bucket in distribution(fractions)) == len(fractions)
