"""How readings become one number: each aggregation with its Python face and its SQL face. Pure.

An aggregate is the columns `record_count, value_sum, value_moment, value_min, value_max, last_value, last_at,
last_event_id`; a column that an aggregation doesn't need stays null. Aggregates merge in any order and any
grouping to the same result: sums are exact decimals, the latest reading is the one with the greatest
(occurred_at, id). Where values are told apart, there is one aggregate per distinct value.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal, localcontext

from metering.texts.numbers import EXACT, average

COLUMNS = (
    "record_count",
    "value_sum",
    "value_moment",
    "value_min",
    "value_max",
    "last_value",
    "last_at",
    "last_event_id",
)

_NULL = {
    "value_sum": "NULL::numeric",
    "value_moment": "NULL::numeric",
    "value_min": "NULL::numeric",
    "value_max": "NULL::numeric",
    "last_value": "NULL::numeric",
    "last_at": "NULL::timestamptz",
    "last_event_id": "NULL::bigint",
}
_LATEST = "(array_agg({0} ORDER BY {1} DESC NULLS LAST, {2} DESC NULLS LAST))[1]"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def seconds_of(instant: dt.datetime) -> Decimal:
    """Seconds since 1970, exact to the microsecond."""
    return Decimal((instant - _EPOCH) // _MICROSECOND).scaleb(-6)


def seconds_sql(instant: str) -> str:
    """The same; `extract` gives a numeric with six decimals."""
    return f"extract(epoch FROM {instant})"


class Accumulator:
    """The aggregate of readings that arrive one by one."""

    __slots__ = COLUMNS

    def __init__(self) -> None:
        self.record_count = 0
        self.value_sum: Decimal | None = None
        self.value_moment: Decimal | None = None
        self.value_min: Decimal | None = None
        self.value_max: Decimal | None = None
        self.last_value: Decimal | None = None
        self.last_at: dt.datetime | None = None
        self.last_event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A merged aggregate, as questions read it. `distinct_count` is the number of values told apart."""

    record_count: int = 0
    value_sum: Decimal | None = None
    value_min: Decimal | None = None
    value_max: Decimal | None = None
    last_value: Decimal | None = None
    value_moment: Decimal | None = None
    distinct_count: int = 0
    last_at: dt.datetime | None = None


class Aggregation:
    """Counts readings; subclasses keep more.

    An aggregate that `adds_up` is a sum: what a void takes back is subtracted. One that doesn't must be read
    from the ledger again.
    """

    name = "COUNT"
    needed: tuple[str, ...] = ()
    adds_up = True
    keeps_values = False  # one aggregate per distinct value

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        """Add one reading."""
        into.record_count += 1

    def value(self, aggregate: Aggregate) -> Decimal | None:
        """The answer; None where there is none to give."""
        return Decimal(aggregate.record_count)

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        """What the answer would become with `count` more readings that fold to `value`."""
        return Decimal(used.record_count + count)

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        """Column expressions that aggregate rows of the ledger."""
        return {**_NULL, "record_count": "count(*)"}

    def merge_sql(self, alias: str) -> dict[str, str]:
        """Column expressions that merge rows of aggregates."""
        return {**_NULL, "record_count": f"sum({alias}.record_count)"}


class Sum(Aggregation):
    name = "SUM"
    needed = ("value_sum",)

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        into.record_count += 1
        into.value_sum = value if into.value_sum is None else into.value_sum + value

    def value(self, aggregate: Aggregate) -> Decimal | None:
        return aggregate.value_sum or Decimal(0)

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return (used.value_sum or Decimal(0)) + value

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        return {**_NULL, "record_count": "count(*)", "value_sum": f"sum({value})"}

    def merge_sql(self, alias: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": f"sum({alias}.record_count)",
            "value_sum": f"sum({alias}.value_sum)",
        }


class Average(Sum):
    """Sum over count, never an average of averages."""

    name = "AVG"

    def value(self, aggregate: Aggregate) -> Decimal | None:
        if not aggregate.record_count or aggregate.value_sum is None:
            return None
        return average(aggregate.value_sum, aggregate.record_count)

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return average((used.value_sum or Decimal(0)) + value, used.record_count + count)


class Minimum(Aggregation):
    name = "MIN"
    adds_up = False
    needed = ("value_min",)

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        into.record_count += 1
        if into.value_min is None or value < into.value_min:
            into.value_min = value

    def value(self, aggregate: Aggregate) -> Decimal | None:
        return aggregate.value_min

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return value if used.value_min is None else min(used.value_min, value)

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        return {**_NULL, "record_count": "count(*)", "value_min": f"min({value})"}

    def merge_sql(self, alias: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": f"sum({alias}.record_count)",
            "value_min": f"min({alias}.value_min)",
        }


class Maximum(Aggregation):
    name = "MAX"
    adds_up = False
    needed = ("value_max",)

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        into.record_count += 1
        if into.value_max is None or value > into.value_max:
            into.value_max = value

    def value(self, aggregate: Aggregate) -> Decimal | None:
        return aggregate.value_max

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return value if used.value_max is None else max(used.value_max, value)

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        return {**_NULL, "record_count": "count(*)", "value_max": f"max({value})"}

    def merge_sql(self, alias: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": f"sum({alias}.record_count)",
            "value_max": f"max({alias}.value_max)",
        }


class Latest(Aggregation):
    """The reading with the greatest `occurred_at`; ties go to the later recorded."""

    name = "LATEST"
    adds_up = False
    needed = ("last_value", "last_at", "last_event_id")

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        into.record_count += 1
        if (
            into.last_at is None
            or into.last_event_id is None
            or (at, event_id) > (into.last_at, into.last_event_id)
        ):
            into.last_value, into.last_at, into.last_event_id = value, at, event_id

    def value(self, aggregate: Aggregate) -> Decimal | None:
        return aggregate.last_value

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return value

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": "count(*)",
            "last_value": _LATEST.format(value, at, event_id),
            "last_at": f"max({at})",
            "last_event_id": _LATEST.format(event_id, at, event_id),
        }

    def merge_sql(self, alias: str) -> dict[str, str]:
        at, event_id = f"{alias}.last_at", f"{alias}.last_event_id"
        return {
            **_NULL,
            "record_count": f"sum({alias}.record_count)",
            "last_value": _LATEST.format(f"{alias}.last_value", at, event_id),
            "last_at": f"max({at})",
            "last_event_id": _LATEST.format(event_id, at, event_id),
        }


class UniqueCount(Aggregation):
    """How many distinct values occur, by their text. Each is kept with how often: a void can take it back."""

    name = "UNIQUE_COUNT"
    keeps_values = True

    def value(self, aggregate: Aggregate) -> Decimal | None:
        return Decimal(aggregate.distinct_count)

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        """None: whether a reading adds anything depends on the values seen."""
        return None


class TimeWeightedAverage(Aggregation):
    """The mean of a level over time, each level weighed by the seconds it lasted.

    What is aggregated are the changes of the level: their sum, and their sum weighed by when they happened.
    The level at an instant is the sum of all changes up to it, so that over [start, end), with `before` the
    sum of the changes before it, the integral is `(end - start) * before + end * value_sum - value_moment`.
    """

    name = "TIME_WEIGHTED_AVG"
    needed = ("value_sum", "value_moment")

    def fold(self, into: Accumulator, value: Decimal, *, at: dt.datetime, event_id: int) -> None:
        into.record_count += 1
        moment = value * seconds_of(at)
        into.value_sum = value if into.value_sum is None else into.value_sum + value
        into.value_moment = moment if into.value_moment is None else into.value_moment + moment

    def value(self, aggregate: Aggregate) -> Decimal | None:
        """None: an average over time needs the time; see `mean_level`."""
        return None

    def with_request(self, used: Aggregate, value: Decimal, *, count: int = 1) -> Decimal | None:
        return None

    def from_readings_sql(self, value: str, at: str, event_id: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": "count(*)",
            "value_sum": f"sum({value})",
            "value_moment": f"sum({value} * {seconds_sql(at)})",
        }

    def merge_sql(self, alias: str) -> dict[str, str]:
        return {
            **_NULL,
            "record_count": f"sum({alias}.record_count)",
            "value_sum": f"sum({alias}.value_sum)",
            "value_moment": f"sum({alias}.value_moment)",
        }


def mean_level(changes: Aggregate, *, before: Decimal, start: dt.datetime, end: dt.datetime) -> Decimal:
    """The time-weighted average over [start, end): `before` is the level carried in, `changes` those inside.

    At 12 decimals, half away from zero. A level that begins inside counts as 0 before.
    """
    with localcontext(EXACT):
        inside = changes.value_sum or Decimal(0)
        moment = changes.value_moment or Decimal(0)
        integral = seconds_of(end) * (before + inside) - seconds_of(start) * before - moment
        return average(integral.scaleb(6), (end - start) // _MICROSECOND)


AGGREGATIONS: dict[str, Aggregation] = {
    aggregation.name: aggregation
    for aggregation in (
        Aggregation(),
        Sum(),
        Average(),
        Minimum(),
        Maximum(),
        Latest(),
        UniqueCount(),
        TimeWeightedAverage(),
    )
}
