"""Levels that last: what is carried from window to window, and the mean over each. Pure.

The level carried into a window is the sum of all changes before: of the windows before it in its chain, and
of what lies between them, which is read as windows of negative numbers.
"""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from metering.measuring.aggregations import Aggregate, mean_level
from metering.measuring.meaning import Meaning
from metering.texts.numbers import EXACT

Interval = tuple[dt.datetime | None, dt.datetime | None]  # half-open, in UTC; None is open-ended
Row = tuple[int, tuple[Any, ...], Aggregate]  # window, group, aggregate
Found = tuple[int, tuple[Any, ...], Aggregate, Decimal | None]  # and the value


@dataclass(frozen=True, slots=True)
class Windows:
    """What is read for some intervals: these by their numbers; for a level also the time before and between,
    with the chains in which all these follow one another."""

    numbered: Mapping[int, Interval]
    chains: Sequence[Sequence[int]] | None = None

    @classmethod
    def of(cls, meaning: Meaning, intervals: Sequence[Interval]) -> "Windows":
        if meaning.carries_level:
            return cls(*_chains(intervals))
        return cls(dict(enumerate(intervals)))

    def most_rows(self, limit: int | None) -> int | None:
        """How many rows have to be read for `limit` results; None for all."""
        if self.chains is None or limit is None:
            return limit
        # A level carried in and a change in the first window are two rows and one result.
        return 2 * limit if self._is_in_order else None

    def found(self, meaning: Meaning, rows: Sequence[Row], limit: int | None = None) -> list[Found]:
        """The results that rows in order of window and group come to."""
        if self.chains is None:
            return [(*row, meaning.aggregation.value(row[2])) for row in rows]
        return self._levels(meaning, rows, limit)

    @property
    def _is_in_order(self) -> bool:
        return (
            self.chains is not None
            and len(self.chains) == 1
            and all(a < b for a, b in itertools.pairwise(self.chains[0][1:]))
        )

    def _levels(self, meaning: Meaning, rows: Sequence[Row], limit: int | None) -> list[Found]:
        """Windows and groups in which there is a level, each with its mean. Where a window is open-ended
        there is none."""
        inside = {(window, group): aggregate for window, group, aggregate in rows}
        groups = sorted({group for _, group, _ in rows}, key=_sortable)
        found: list[Found] = []
        for chain in self.chains or ():
            levels = dict.fromkeys(groups, Decimal(0))
            for window in chain:
                start, end = self.numbered[window]
                for group in groups:
                    changes = inside.get((window, group), Aggregate())
                    before = levels[group]
                    with localcontext(EXACT):
                        levels[group] = before + (changes.value_sum or 0)
                    if window < 0 or not (before or changes.record_count):
                        continue
                    mean = value_between(meaning, changes, before=before, start=start, end=end)
                    found.append((window, group, changes, mean))
                    if self._is_in_order and len(found) == limit:
                        return found
        found.sort(key=lambda row: (row[0], _sortable(row[1])))
        return found[:limit]


def value_between(
    meaning: Meaning,
    aggregate: Aggregate,
    *,
    before: Decimal | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
) -> Decimal | None:
    """The value of an aggregate over [start, end), into which the level `before` is carried.

    A level has no mean over an endless time.
    """
    if not meaning.carries_level:
        return meaning.aggregation.value(aggregate)
    if start is None or end is None:
        return None
    return mean_level(aggregate, before=before or Decimal(0), start=start, end=end)


def _chains(intervals: Sequence[Interval]) -> tuple[dict[int, Interval], list[list[int]]]:
    """Intervals by number, and the numbers in chains of intervals that tile all time up to their last one's
    end: the non-empty ones that were given, and with negative numbers what lies before and between them.
    One chain, unless intervals overlap."""
    numbered: dict[int, Interval] = {}
    chains: list[list[int]] = []
    ends: list[dt.datetime | None] = []
    for number in sorted(range(len(intervals)), key=lambda number: _start_of(intervals[number])):
        start, end = intervals[number]
        if start is not None and end is not None and start >= end:
            continue
        place = next((n for n, last in enumerate(ends) if last and start and last <= start), len(chains))
        if place == len(chains):
            chains.append([])
            ends.append(None)
        if start is not None and ends[place] != start:
            between = -1 - len(numbered)
            numbered[between] = (ends[place], start)
            chains[place].append(between)
        numbered[number] = (start, end)
        chains[place].append(number)
        ends[place] = end
    return numbered, chains


def _start_of(interval: Interval) -> tuple[bool, dt.datetime]:
    start = interval[0]
    return start is not None, start or dt.datetime.min.replace(tzinfo=dt.UTC)


def _sortable(group: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value if value is not None else 0) for value in group)
