"""Segments that adjoin are read as one span, in which every instant finds exactly its window."""

import datetime as dt
from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from metering.measuring.buckets import DAY, EDGE, HOUR, Segment
from metering.measuring.spans import Span, spans_of

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
A_HOUR = dt.timedelta(hours=1)


def hours(first: int, last: int, *, granularity: str = HOUR) -> Segment:
    return Segment(granularity, START + first * A_HOUR, START + last * A_HOUR)


def windows_at(spans: list[Span], granularity: str, instant: dt.datetime) -> list[int]:
    """As `width_bucket` finds them."""
    found = [
        span.windows[bisect_right(span.starts, instant) - 1]
        for span in spans
        if span.granularity == granularity and span.start <= instant < span.end
    ]
    return sorted(window for window in found if window is not None)


def test_a_year_of_hours_is_one_span() -> None:
    [span] = spans_of((number, hours(number, number + 1)) for number in range(8760))

    assert (span.start, span.end) == (START, START + dt.timedelta(days=365))
    assert (len(span.starts), span.windows, span.has_gaps) == (8760, list(range(8760)), False)


def test_a_gap_is_bridged_where_less_lies_in_it_than_before_it() -> None:
    [span] = spans_of([(0, hours(0, 3)), (1, hours(5, 6))])

    assert (span.windows, span.has_gaps) == ([0, None, 1], True)
    assert span.starts == [START, START + 3 * A_HOUR, START + 5 * A_HOUR]


def test_windows_far_apart_are_read_each_alone() -> None:
    assert len(spans_of([(0, hours(0, 1)), (1, hours(5, 6)), (2, hours(10, 11))])) == 3


def test_what_is_read_whole_anyway_has_as_few_spans_as_can_be() -> None:
    segments = [(0, hours(0, 1)), (1, hours(5, 6)), (2, hours(10, 11)), (3, hours(0, 11))]

    assert len(spans_of(segments, bridging=True)) == 2


def test_buckets_of_different_size_are_in_different_spans() -> None:
    spans = spans_of([(0, hours(0, 24, granularity=DAY)), (0, hours(24, 25))])

    assert {span.granularity: span.windows for span in spans} == {DAY: [0], HOUR: [0]}


ends = st.none() | st.integers(0, 12)
segments_drawn = st.lists(
    st.tuples(st.sampled_from([HOUR, EDGE]), ends, ends).filter(
        lambda drawn: drawn[1] is None or drawn[2] is None or drawn[1] < drawn[2]
    ),
    max_size=12,
)


@given(segments_drawn, st.booleans())
def test_every_instant_finds_the_windows_that_hold_it(
    drawn: list[tuple[str, int | None, int | None]], bridging: bool
) -> None:
    def instant(number: int | None) -> dt.datetime | None:
        return None if number is None else START + number * A_HOUR

    segments = [Segment(granularity, instant(start), instant(end)) for granularity, start, end in drawn]

    spans = spans_of(enumerate(segments), bridging=bridging)

    for granularity in (HOUR, EDGE):
        for number in range(-1, 14):
            at = START + number * A_HOUR
            assert windows_at(spans, granularity, at) == [
                window
                for window, segment in enumerate(segments)
                if segment.granularity == granularity
                and (segment.start is None or segment.start <= at)
                and (segment.end is None or at < segment.end)
            ]
