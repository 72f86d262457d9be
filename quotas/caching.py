"""What this process remembers of usage: as read a moment ago, and what it has recorded itself since.

Filled outside of callers' transactions only, so that it never holds what may be rolled back. A fill that
began before something was forgotten is not stored: what it read may be older than what was announced.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from metering.measuring.aggregations import Aggregate

from .recorded import Place
from .tallies import Asked, FoldedTally

MAX_PLACES = 100_000  # some hundred bytes each; more are forgotten at once


@dataclass(slots=True)
class _Entry:
    aggregate: Aggregate
    read_at: float
    held: Decimal  # by holds that were open when it was read: they, and what came of them, are in here once


class Fill:
    """Usage that is being read. Keeps what is recorded meanwhile: the reading may not have seen it."""

    __slots__ = ("began_at", "generation", "since")

    def __init__(self, *, began_at: float, generation: int) -> None:
        self.began_at = began_at
        self.generation = generation  # the token: another one by now, and the fill is void
        self.since: list[tuple[Place, Sequence[Asked]]] = []


class UsageCache:
    """Aggregates of places that are foldable. Used by all threads of a process."""

    def __init__(self, *, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`ttl`: seconds for which a reading is believed."""
        self._ttl = ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._generation = 0
        self._entries: dict[tuple[int, int], dict[Place, _Entry]] = defaultdict(dict)
        self._count = 0
        self._fills: set[Fill] = set()

    def aggregate_of(self, place: Place, *, max_age: float | None = None) -> tuple[Aggregate, float] | None:
        """The aggregate and its age in seconds; None where it isn't known, or was read longer ago."""
        entry = self._entries.get(_topic(place), {}).get(place)
        if entry is None:
            return None
        age = self._clock() - entry.read_at
        return None if age >= (self._ttl if max_age is None else max_age) else (entry.aggregate, age)

    def held_of(self, place: Place) -> Decimal:
        """What open holds reserved when the aggregate was read."""
        entry = self._entries.get(_topic(place), {}).get(place)
        return Decimal(0) if entry is None else entry.held

    @contextmanager
    def filling(self) -> Iterator[Fill]:
        """Around reading what is to be stored."""
        with self._lock:
            fill = Fill(began_at=self._clock(), generation=self._generation)
            self._fills.add(fill)
        try:
            yield fill
        finally:
            with self._lock:
                self._fills.discard(fill)

    def store(
        self,
        fill: Fill,
        aggregates: Mapping[Place, Aggregate],
        *,
        held: Mapping[Place, Decimal] = MappingProxyType({}),
    ) -> None:
        """Remember what was read, and what was recorded while it was; nothing if the fill is void by now."""
        with self._lock:
            if fill.generation != self._generation:
                return
            if self._count + len(aggregates) > MAX_PLACES:
                self._drop_all()
            for place, aggregate in aggregates.items():
                entries = self._entries[_topic(place)]
                self._count += place not in entries
                entries[place] = _Entry(aggregate, fill.began_at, held.get(place, Decimal(0)))
            for place, asked in fill.since:
                if place in aggregates:
                    self._add(place, asked)

    def add(self, recorded: Iterable[tuple[Place, Sequence[Asked]]]) -> None:
        """Count what this process has recorded."""
        with self._lock:
            for place, asked in recorded:
                self._add(place, asked)
                for fill in self._fills:
                    fill.since.append((place, asked))

    def forget(self, topics: Collection[tuple[int, int]] | None = None) -> None:
        """Drop what is known of (metric, project), or everything; fills under way are void."""
        with self._lock:
            self._generation += 1
            if topics is None:
                self._drop_all()
                return
            for topic in topics:
                self._count -= len(self._entries.pop(topic, ()))

    def _drop_all(self) -> None:
        self._entries.clear()
        self._count = 0

    def _add(self, place: Place, asked: Sequence[Asked]) -> None:
        entry = self._entries.get(_topic(place), {}).get(place)
        if entry is None:
            return
        tally = FoldedTally(place.meaning.aggregation, entry.aggregate)
        for one in asked:
            tally.admit(one)
        entry.aggregate = tally.aggregate


def _topic(place: Place) -> tuple[int, int]:
    return place.meaning.metric_id, place.project_id
