"""How readings become one number: each aggregation with its Python face and its SQL face. Pure.

An aggregate is the columns `record_count, value_sum, value_min, value_max, last_value, last_at,
last_event_id`; a column that an aggregation doesn't need stays null. Aggregates merge in any order and any
grouping to the same result: sums are exact decimals, the latest reading is the one with the greatest
(occurred_at, id).
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from .numbers import average

COLUMNS = ("record_count", "value_sum", "value_min", "value_max", "last_value", "last_at", "last_event_id")

_NULL = {
    "value_sum": "NULL::numeric",
    "value_min": "NULL::numeric",
    "value_max": "NULL::numeric",
    "last_value": "NULL::numeric",
    "last_at": "NULL::timestamptz",
    "last_event_id": "NULL::bigint",
}
_LATEST = "(array_agg({0} ORDER BY {1} DESC NULLS LAST, {2} DESC NULLS LAST))[1]"


class Accumulator:
    """The aggregate of readings that arrive one by one."""

    __slots__ = COLUMNS

    def __init__(self) -> None:
        self.record_count = 0
        self.value_sum: Decimal | None = None
        self.value_min: Decimal | None = None
        self.value_max: Decimal | None = None
        self.last_value: Decimal | None = None
        self.last_at: dt.datetime | None = None
        self.last_event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A merged aggregate, as questions read it."""

    record_count: int = 0
    value_sum: Decimal | None = None
    value_min: Decimal | None = None
    value_max: Decimal | None = None
    last_value: Decimal | None = None


class Aggregation:
    """Counts readings; subclasses keep more."""

    name = "COUNT"
    needed: tuple[str, ...] = ()

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


AGGREGATIONS: dict[str, Aggregation] = {
    aggregation.name: aggregation
    for aggregation in (Aggregation(), Sum(), Average(), Minimum(), Maximum(), Latest())
}
