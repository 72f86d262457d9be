"""How a metric's value over one period grows while requests are admitted one after the other. Pure."""

import datetime as dt
import uuid
from bisect import bisect_left, insort
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, cast

from metering.measuring.aggregations import Accumulator, Aggregate, Aggregation
from metering.measuring.steps import Steps

from .periods import Period

_ZERO = Decimal(0)
_ADDITIVE = frozenset({"COUNT", "SUM"})
# Where instants tie, what the ledger holds comes before what is asked for. Of its readings of one instant the
# first is what follows an earlier reading, and the last is what a later one follows.
FIRST_RECORDED, LAST_RECORDED = -2, -1


@dataclass(frozen=True, slots=True)
class Asked:
    """One reading of a request. `order` is its place in the request, `stream` where its steps belong."""

    reading: Decimal
    at: dt.datetime
    order: int = 0
    value_key: uuid.UUID | None = None
    stream: Hashable = None


# A reading of a stream: when, its place among those of that instant, what it states.
Known = tuple[dt.datetime, int, Decimal]


class Tally(Protocol):
    """The value of one metric over one period, as the ledger holds it and with what was admitted since."""

    recorded: Decimal
    value: Decimal

    def value_with(self, asked: Asked) -> Decimal:
        """What the value would become."""

    def requested(self, asked: Asked) -> Decimal:
        """What is asked for in all, this reading included: by how much the value would grow, or to what."""

    def admit(self, asked: Asked) -> None:
        """Let a reading count for those that come after it."""


class FoldedTally:
    """Of a metric whose readings stand alone: COUNT, SUM, MAX, LATEST."""

    __slots__ = ("_aggregation", "_now", "recorded", "value")

    def __init__(self, aggregation: Aggregation, recorded: Aggregate) -> None:
        self._aggregation = aggregation
        self._now = _resumed(recorded)
        self.recorded = self.value = aggregation.value(recorded) or _ZERO

    def value_with(self, asked: Asked) -> Decimal:
        now = self._now
        if self._aggregation.name == "LATEST" and now.last_at is not None and asked.at < now.last_at:
            return self.value  # a late reading isn't the latest
        return self._aggregation.with_request(_read(now), asked.reading) or _ZERO

    def requested(self, asked: Asked) -> Decimal:
        if self._aggregation.name in _ADDITIVE:
            return self.value_with(asked) - self.recorded
        return asked.reading

    @property
    def aggregate(self) -> Aggregate:
        """What it comes to, readings admitted included."""
        now = self._now
        return Aggregate(
            now.record_count, now.value_sum, now.value_min, now.value_max, now.last_value, last_at=now.last_at
        )

    def admit(self, asked: Asked) -> None:
        self._aggregation.fold(self._now, asked.reading, at=asked.at, event_id=asked.order)
        self.value = self._aggregation.value(_read(self._now)) or _ZERO


class DistinctTally:
    """Of a metric that counts distinct values: one seen already adds nothing."""

    __slots__ = ("_seen", "recorded", "value")

    def __init__(self, recorded: int, seen: Collection[uuid.UUID]) -> None:
        self._seen = set(seen)
        self.recorded = self.value = Decimal(recorded)

    def value_with(self, asked: Asked) -> Decimal:
        return self.value if asked.value_key in self._seen else self.value + 1

    def requested(self, asked: Asked) -> Decimal:
        return self.value_with(asked) - self.recorded

    def admit(self, asked: Asked) -> None:
        self.value = self.value_with(asked)
        if asked.value_key is not None:
            self._seen.add(asked.value_key)


class SteppedTally:
    """Of a metric of steps between readings: a reading adds its own step and changes the one after it.

    Only steps within the period count, each in the period of its later reading.
    """

    __slots__ = ("_period", "_steps", "_streams", "recorded", "value")

    def __init__(
        self,
        steps: Steps,
        period: Period,
        recorded: Decimal,
        *,
        known: Mapping[Hashable, Collection[Known]],
    ) -> None:
        """`known`: by stream, the recorded readings around each one that will be asked about."""
        self._steps = steps
        self._period = period
        self.recorded = self.value = recorded
        self._streams = {stream: sorted(readings) for stream, readings in known.items()}

    def value_with(self, asked: Asked) -> Decimal:
        readings = self._streams.get(asked.stream, [])
        place = bisect_left(readings, (asked.at, asked.order, asked.reading))
        before = readings[place - 1] if place else None
        value = self.value + self._step(asked.reading, asked.at, before)
        if place < len(readings):
            at, _, following = readings[place]
            if self._period.holds(at):
                value -= self._step(following, at, before)
                value += self._step(following, at, (asked.at, asked.order, asked.reading))
        return value

    def requested(self, asked: Asked) -> Decimal:
        return self.value_with(asked) - self.recorded

    def admit(self, asked: Asked) -> None:
        self.value = self.value_with(asked)
        insort(self._streams.setdefault(asked.stream, []), (asked.at, asked.order, asked.reading))

    def _step(self, value: Decimal, at: dt.datetime, before: Known | None) -> Decimal:
        if before is None:
            return self._steps.step(value, at, None, None)
        return self._steps.step(value, at, before[2], before[0])


def _resumed(recorded: Aggregate) -> Accumulator:
    """An accumulator that goes on from `recorded`; what is folded in at its latest instant is later."""
    total = Accumulator()
    total.record_count = recorded.record_count
    total.value_sum = recorded.value_sum
    total.value_min, total.value_max = recorded.value_min, recorded.value_max
    total.last_value, total.last_at = recorded.last_value, recorded.last_at
    total.last_event_id = LAST_RECORDED
    return total


def _read(total: Accumulator) -> Aggregate:
    """What is being folded, for those who only read it: making a copy would cost more than the judgement."""
    return cast(Aggregate, total)
