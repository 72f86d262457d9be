"""Many windows as few stretches of time, so that a row finds its windows by binary search. Pure, and as SQL.

A join on "start <= instant < end" costs windows x rows. Segments that adjoin are therefore read as one span,
which carries the starts of its segments and their windows side by side; what lies in a span is in the
window at `width_bucket(instant, starts)`. Segments that overlap are in different spans: there are as many
spans at one instant as there are windows that hold it.
"""

import datetime as dt
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .buckets import Segment
from .label_filter import Params

_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)
_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(slots=True)
class Span:
    """Half-open interval, read from buckets of one granularity.

    `windows[n]` is the number of the window from `starts[n]` up to the next start, or the end; None is a gap.
    """

    granularity: str
    start: dt.datetime
    end: dt.datetime
    starts: list[dt.datetime] = field(default_factory=list)
    windows: list[int | None] = field(default_factory=list)
    needed: dt.timedelta = dt.timedelta(0)

    @property
    def has_gaps(self) -> bool:
        return None in self.windows


def spans_of(segments: Iterable[tuple[int, Segment]], *, bridging: bool = False) -> list[Span]:
    """Spans that hold each of the numbered segments once, and nothing else but gaps.

    A gap is bridged where that at most doubles what is read; with `bridging`, wherever one is: then there are
    as few spans as can be.
    """
    ordered = sorted(
        (segment.granularity, segment.start or _EVER, segment.end or _NEVER, window)
        for window, segment in segments
    )
    spans: list[Span] = []
    ends: list[tuple[str, dt.datetime, int]] = []  # of all spans, to find the one that ends last before
    for granularity, start, end, window in ordered:
        place = bisect_right(ends, (granularity, start, len(spans))) - 1
        number = len(spans)
        if place >= 0 and ends[place][0] == granularity:
            before = spans[ends[place][2]]
            if bridging or start == before.end or start - before.end <= before.needed:
                number = ends.pop(place)[2]
        if number == len(spans):
            spans.append(Span(granularity, start, end))
        span = spans[number]
        if span.end < start:
            span.starts.append(span.end)
            span.windows.append(None)
        span.starts.append(start)
        span.windows.append(window)
        if start != _EVER and end != _NEVER:
            span.needed += end - start
        span.end = end
        insort(ends, (granularity, end, number))
    return spans


def spans_sql(spans: Sequence[Span], params: Params) -> str:
    """The spans as a relation (granularity, start_at, end_at, starts, windows); open ends are infinities."""
    columns = (
        (name, kind, params.add(list(values)))
        for name, kind, values in (
            ("granularity", "text", [span.granularity for span in spans]),
            ("start_at", "timestamptz", [_text(span.start) for span in spans]),
            ("end_at", "timestamptz", [_text(span.end) for span in spans]),
            ("starts", "text", ["{" + ",".join(map(_text, span.starts)) + "}" for span in spans]),
            (
                "windows",
                "text",
                [
                    "{" + ",".join("NULL" if w is None else str(w) for w in span.windows) + "}"
                    for span in spans
                ],
            ),
        )
    )
    names, kinds, values = zip(*columns, strict=True)
    arrays = ", ".join(f"{value}::{kind}[]" for value, kind in zip(values, kinds, strict=True))
    # Arrays of arrays must be even, so the inner ones come as text.
    return f"""
            SELECT granularity, start_at, end_at, starts::timestamptz[] AS starts, windows::int[] AS windows
              FROM unnest({arrays}) AS spans ({", ".join(names)})
    """  # noqa: S608 (values are bound; the text is ours)


def window_sql(span: str, instant: str) -> str:
    """The number of the window in which an instant of the span lies; NULL in a gap."""
    return f"{span}.windows[width_bucket({instant}, {span}.starts)]"


def _text(instant: dt.datetime) -> str:
    if instant == _EVER:
        return "-infinity"
    return "infinity" if instant == _NEVER else instant.isoformat()
