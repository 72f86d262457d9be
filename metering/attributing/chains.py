"""Walking links that hold from one instant to another: who is reached from here, and when. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

# What it leads to, since when and until when; half-open, None is unbounded.
Link = tuple[int, dt.datetime | None, dt.datetime | None]


def reached(
    origin: int,
    links: Mapping[int, Sequence[Link]],
    start: dt.datetime | None,
    end: dt.datetime | None,
    *,
    stop: int | None,
    most_links: int,
) -> Iterator[tuple[int, dt.datetime | None, dt.datetime | None, int]]:
    """Nodes reached from `origin`, itself included, with the interval and the number of links.

    Every link of a way holds at each instant of its interval. Ways end at `stop`, and with one link more than
    `most_links`.
    """
    walk = [(origin, start, end, 0)]
    while walk:
        node, since, until, count = walk.pop()
        yield node, since, until, count
        if node == stop or count > most_links:
            continue
        for following, link_since, link_until in links.get(node, ()):
            overlap_start, overlap_end = later(since, link_since), earlier(until, link_until)
            if is_interval(overlap_start, overlap_end):
                walk.append((following, overlap_start, overlap_end, count + 1))


def is_interval(start: dt.datetime | None, end: dt.datetime | None) -> bool:
    """Whether [start, end) holds an instant."""
    return start is None or end is None or start < end


def later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    """The later of two beginnings; None is since ever."""
    return one if other is None else other if one is None else max(one, other)


def earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    """The earlier of two ends; None is until further notice."""
    return one if other is None else other if one is None else min(one, other)
