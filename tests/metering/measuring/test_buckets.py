"""UTC buckets, and covering an interval with the largest of them."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.measuring.buckets import DAY, EDGE, HOUR, MONTH, Segment, bucket_end, bucket_floor, cover

GRAINS = (EDGE, HOUR, DAY, MONTH)
instants = st.datetimes(
    min_value=dt.datetime(1970, 1, 1), max_value=dt.datetime(2060, 1, 1), timezones=st.just(dt.UTC)
)
# Half the time on a boundary of some grain, where the cases are.
edgy_instants = instants | st.builds(bucket_floor, instants, st.sampled_from([HOUR, DAY, MONTH]))


def utc(*fields: int) -> dt.datetime:
    return dt.datetime(*fields, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("granularity", "start", "end"),
    [
        (HOUR, utc(2023, 12, 31, 23), utc(2024, 1, 1)),
        (DAY, utc(2023, 12, 31), utc(2024, 1, 1)),
        (MONTH, utc(2023, 12, 1), utc(2024, 1, 1)),
    ],
)
def test_a_bucket_holds_its_start_and_not_its_end(
    granularity: str, start: dt.datetime, end: dt.datetime
) -> None:
    last = dt.timedelta(microseconds=1)

    assert bucket_floor(start, granularity) == start
    assert bucket_floor(end - last, granularity) == start
    assert bucket_end(start, granularity) == end
    assert bucket_floor(end, granularity) == end


def test_february_of_a_leap_year_ends_after_29_days() -> None:
    assert bucket_end(utc(2024, 2, 1), MONTH) == utc(2024, 3, 1)
    assert bucket_end(utc(2024, 2, 28), DAY) == utc(2024, 2, 29)


def test_a_ragged_interval_is_months_within_days_within_hours_within_edges() -> None:
    assert cover(utc(2024, 1, 30, 22, 15), utc(2024, 4, 2, 3, 0, 1)) == [
        Segment(EDGE, utc(2024, 1, 30, 22, 15), utc(2024, 1, 30, 23)),
        Segment(HOUR, utc(2024, 1, 30, 23), utc(2024, 1, 31)),
        Segment(DAY, utc(2024, 1, 31), utc(2024, 2, 1)),
        Segment(MONTH, utc(2024, 2, 1), utc(2024, 4, 1)),
        Segment(DAY, utc(2024, 4, 1), utc(2024, 4, 2)),
        Segment(HOUR, utc(2024, 4, 2), utc(2024, 4, 2, 3)),
        Segment(EDGE, utc(2024, 4, 2, 3), utc(2024, 4, 2, 3, 0, 1)),
    ]


def test_whole_months_are_one_segment() -> None:
    assert cover(utc(2023, 11, 1), utc(2024, 2, 1)) == [
        Segment(MONTH, utc(2023, 11, 1), utc(2024, 2, 1)),
    ]


def test_a_day_from_midnight_is_one_segment() -> None:
    assert cover(utc(2024, 5, 15), utc(2024, 5, 16)) == [Segment(DAY, utc(2024, 5, 15), utc(2024, 5, 16))]


def test_an_interval_within_an_hour_is_one_edge() -> None:
    assert cover(utc(2024, 5, 15, 12, 5), utc(2024, 5, 15, 12, 6)) == [
        Segment(EDGE, utc(2024, 5, 15, 12, 5), utc(2024, 5, 15, 12, 6)),
    ]


def test_two_edges_that_meet_on_the_hour_leave_no_whole_hour_between() -> None:
    assert cover(utc(2024, 5, 15, 11, 30), utc(2024, 5, 15, 12, 30)) == [
        Segment(EDGE, utc(2024, 5, 15, 11, 30), utc(2024, 5, 15, 12, 30)),
    ]


def test_open_ends_are_months() -> None:
    assert cover(None, None) == [Segment(MONTH, None, None)]
    assert cover(None, utc(2024, 5, 2)) == [
        Segment(MONTH, None, utc(2024, 5, 1)),
        Segment(DAY, utc(2024, 5, 1), utc(2024, 5, 2)),
    ]
    assert cover(utc(2024, 4, 30), None) == [
        Segment(DAY, utc(2024, 4, 30), utc(2024, 5, 1)),
        Segment(MONTH, utc(2024, 5, 1), None),
    ]


def test_an_empty_interval_has_no_segment() -> None:
    assert cover(utc(2024, 5, 15), utc(2024, 5, 15)) == []
    assert cover(utc(2024, 5, 16), utc(2024, 5, 15)) == []


@given(edgy_instants, edgy_instants)
def test_segments_tile_the_interval(one: dt.datetime, other: dt.datetime) -> None:
    start, end = min(one, other), max(one, other)

    segments = cover(start, end)

    at = start
    for segment in segments:
        assert segment.start == at
        assert segment.end is not None
        assert segment.end > at
        at = segment.end
    assert at == end


@given(edgy_instants, edgy_instants)
def test_bucket_segments_begin_and_end_on_their_own_boundaries(one: dt.datetime, other: dt.datetime) -> None:
    for segment in cover(min(one, other), max(one, other)):
        if segment.granularity != EDGE:
            assert segment.start is not None
            assert segment.end is not None
            assert bucket_floor(segment.start, segment.granularity) == segment.start
            assert bucket_floor(segment.end, segment.granularity) == segment.end


@given(edgy_instants, edgy_instants)
def test_the_largest_buckets_that_fit_are_used(one: dt.datetime, other: dt.datetime) -> None:
    for segment in cover(min(one, other), max(one, other)):
        if segment.granularity == MONTH:
            continue
        coarser = GRAINS[GRAINS.index(segment.granularity) + 1]
        assert segment.start is not None
        assert segment.end is not None
        floor = bucket_floor(segment.start, coarser)
        first_whole = floor if floor == segment.start else bucket_end(floor, coarser)
        assert bucket_end(first_whole, coarser) > segment.end
