"""What a metric takes from an event: whether it matches, which value it reads, which group it falls into.

The one place where a definition's fields get their meaning. Python face: recording, where a misfit must be
refused with its reason. SQL face: everything set-based over recorded events.
`tests/metering/measuring/test_meaning.py` holds the two against each other.

"""

import copy
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from metering.models import MetricDefinition
from metering.texts.numbers import (
    INTEGER_DIGITS,
    MAX_NUMBER_LENGTH,
    SCALE,
    NotANumber,
    decimal_from,
    decimal_from_integer,
    plain,
)

from .aggregations import AGGREGATIONS, Aggregate, Aggregation, TimeWeightedAverage
from .label_filter import AllOf, NoneOf, Params, filter_from, is_absent, path_sql, text_sql, value_at
from .steps import Steps
from .streams import NO_VALUE, value_key_of, value_key_sql

ONE = Decimal(1)
# As numbers.decimal_from reads texts, with exponents that PostgreSQL can take.
_NUMBER_PATTERN = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?0*[0-9]{1,3})?$"


def unvoided_sql(params: Params, *, as_of: int | None = None) -> str:
    """Condition under which no void (up to a position) cancels event `e`. Index: usage_event_voided_once."""
    bound = "" if as_of is None else f" AND v.id <= {params.add(as_of)}"
    return (
        "NOT EXISTS (SELECT FROM metering_usageevent v"
        f" WHERE v.project_id = e.project_id AND v.voids = e.id AND v.voids IS NOT NULL{bound})"
    )


class Unreadable(Exception):
    """The event matches the metric, and the metric can't read it. Carries a reason code of the contract."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail = code, field, detail


class Meaning:
    """A metric definition, compiled. Immutable; lives in the catalogue."""

    __slots__ = (
        "aggregation",
        "archived_from",
        "counts_from",
        "event_name",
        "expected_labels",
        "filter",
        "has_filter",
        "is_counter",
        "is_history_due",
        "is_integer",
        "is_stepped",
        "is_text",
        "keeps_values",
        "key",
        "metric_id",
        "owner_id",
        "owner_path",
        "primary_labels",
        "steps",
        "unit",
        "value_property",
    )

    def __init__(self, metric: MetricDefinition, *, owner_path: str) -> None:
        self.metric_id: int = metric.pk
        self.key: str = metric.key
        self.unit: str = metric.unit
        self.owner_id: int | None = metric.project_id
        self.owner_path = owner_path  # "" for a global metric: a prefix of every path
        self.event_name: str = metric.event_name
        self.aggregation: Aggregation = AGGREGATIONS[metric.aggregation]
        self.is_counter = metric.meter_type == MetricDefinition.MeterType.COUNTER
        self.is_integer = metric.data_type == MetricDefinition.DataType.INT
        self.is_text = metric.data_type == MetricDefinition.DataType.STRING
        self.value_property: str = metric.value_property
        self.expected_labels: tuple[str, ...] = tuple(metric.expected_labels)
        self.primary_labels: tuple[str, ...] = tuple(metric.primary_labels)
        self.filter: AllOf = filter_from(metric.event_label_filter)
        self.has_filter = len(self.filter) > 0
        self.counts_from: int = metric.counts_from
        self.archived_from: int | None = metric.archived_from
        self.is_history_due: bool = metric.is_history_due
        self.steps: Steps | None = steps_of(metric)
        self.is_stepped = self.steps is not None
        self.keeps_values = self.aggregation.keeps_values

    @property
    def adds_up(self) -> bool:
        """Whether what events contribute is a sum, in any order, from which a void can subtract."""
        return self.aggregation.adds_up and not self.is_stepped

    @property
    def carries_level(self) -> bool:
        """Whether a window's value depends on what came before it: a level lasts until it changes."""
        return isinstance(self.aggregation, TimeWeightedAverage)

    def narrowed(self, match: Mapping[str, Any], *, excluding: Sequence[Mapping[str, Any]] = ()) -> "Meaning":
        """The same of those events alone whose labels match, and match none of `excluding`.

        Events are filtered first and aggregated then, so steps are between the readings that are left. What
        it says of rollups holds for labels that they keep; read it at a position, from the ledger. Raises
        `InvalidFilter`.
        """
        narrowed = copy.copy(self)
        narrowed.filter = AllOf(
            [
                self.filter,
                filter_from(match),
                *([NoneOf([*map(filter_from, excluding)])] if excluding else ()),
            ]
        )
        narrowed.has_filter = len(narrowed.filter) > 0
        return narrowed

    def matches(self, labels: Mapping[str, Any]) -> bool:
        return not self.has_filter or self.filter.matches(labels)

    def reading(self, quantity: Decimal | None, labels: Mapping[str, Any]) -> Decimal:
        """The number that the metric takes from a matching event. Raises `Unreadable`."""
        if self.expected_labels:
            self._ensure_expected(labels)
        if self.is_text:
            return self._text_reading(labels)
        if self.value_property:
            number = self._number_at(labels, self.value_property)
            field = f"labels.{self.value_property}"
        else:
            number = ONE if quantity is None else quantity
            field = "quantity"
        if self.is_counter and number < 0:
            raise Unreadable("invalid_value", field, f"metric '{self.key}' is a counter and can't go down")
        if self.is_integer and number != number.to_integral_value():
            raise Unreadable("invalid_value", field, f"metric '{self.key}' takes whole numbers")
        return number

    def _ensure_expected(self, labels: Mapping[str, Any]) -> None:
        for name in self.expected_labels:
            value = value_at(labels, name)
            if is_absent(value) or value is None:
                raise Unreadable(
                    "missing_label", f"labels.{name}", f"metric '{self.key}' expects label '{name}'"
                )

    def _text_reading(self, labels: Mapping[str, Any]) -> Decimal:
        """A text is only ever counted; it must be one where a label is named."""
        if self.value_property and not isinstance(value_at(labels, self.value_property), str):
            raise Unreadable(
                "invalid_value",
                f"labels.{self.value_property}",
                f"metric '{self.key}' takes a text from label '{self.value_property}'",
            )
        return ONE

    def _number_at(self, labels: Mapping[str, Any], path: str) -> Decimal:
        value = value_at(labels, path)
        field = f"labels.{path}"
        kind = type(value)
        try:
            if kind is int:
                return decimal_from_integer(value)
            if kind is Decimal or kind is str:
                return decimal_from(str(value))
        except NotANumber as error:
            raise Unreadable("invalid_value", field, f"{error} (read by metric '{self.key}')") from None
        if is_absent(value) or value is None:
            raise Unreadable(
                "missing_label", field, f"metric '{self.key}' reads its value from label '{path}'"
            )
        raise Unreadable("invalid_value", field, f"metric '{self.key}' can't read a number from this label")

    def group(self, labels: Mapping[str, Any]) -> tuple[str | None, ...]:
        """The texts of the primary labels, in order; None where a label is absent. Raises `Unreadable`."""
        if not self.primary_labels:
            return ()
        return tuple([self._label_text(labels, name) for name in self.primary_labels])

    def _label_text(self, labels: Mapping[str, Any], name: str) -> str | None:
        value = value_at(labels, name)
        if type(value) is str:
            return value
        if is_absent(value) or value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | Decimal):
            return plain(Decimal(value))
        raise Unreadable(
            "invalid_label",
            f"labels.{name}",
            f"metric '{self.key}' groups by label '{name}': it must be one value",
        )

    def value_key(self, labels: Mapping[str, Any], number: Decimal) -> uuid.UUID:
        """The name of the distinct value that an event counts for, by its text."""
        if not self.keeps_values:
            return NO_VALUE
        return value_key_of(str(value_at(labels, self.value_property)) if self.is_text else plain(number))

    def empty_answer(self) -> tuple[Aggregate, Decimal | None]:
        """What the metric says of a time without events."""
        nothing = Aggregate()
        return nothing, self.aggregation.value(nothing)

    # -- SQL face, over rows `e` of the ledger -----------------------------------------------------------

    def where_sql(self, params: Params) -> str:
        """Condition under which a usage event of a project under the owner counts, unless it is voided."""
        clauses = [
            f"e.event_name = {params.add(self.event_name)}",
            "e.kind = 'usage'",
            f"e.id > {params.add(self.counts_from)}",
        ]
        if self.archived_from is not None:
            clauses.append(f"e.id <= {params.add(self.archived_from)}")
        if self.has_filter:
            clauses.append(self.filter.sql("e.labels", params))
        if self.counts_from == 0:
            clauses.append(self._readable_sql(params))
        return " AND ".join(clauses)

    def _readable_sql(self, params: Params) -> str:
        """Condition under which `reading` and `group` don't complain.

        Asked of metrics that reach back: events from before a metric was defined were not held against it,
        and what it can't read it doesn't count.
        """
        clauses = [
            f"COALESCE(jsonb_typeof({path_sql('e.labels', name, params)}), 'null') <> 'null'"
            for name in self.expected_labels
        ]
        clauses += [
            f"COALESCE(jsonb_typeof({path_sql('e.labels', name, params)}), 'null') NOT IN ('object', 'array')"
            for name in self.primary_labels
        ]
        if self.value_property:
            value = path_sql("e.labels", self.value_property, params)
            text = text_sql("e.labels", self.value_property, params)
            if self.is_text:
                clauses.append(f"COALESCE(jsonb_typeof({value}), 'null') = 'string'")
            else:
                clauses.append(
                    f"CASE COALESCE(jsonb_typeof({value}), 'null')"
                    f" WHEN 'number' THEN {self._fits_sql(f'({text})::numeric')}"
                    f" WHEN 'string' THEN CASE WHEN {text} ~ {params.add(_NUMBER_PATTERN)}"
                    f" AND length({text}) <= {MAX_NUMBER_LENGTH}"
                    f" THEN {self._fits_sql(f'({text})::numeric')} ELSE FALSE END"
                    " ELSE FALSE END"
                )
        elif not self.is_text:
            clauses.append(self._fits_sql("COALESCE(e.quantity, 1)"))
        return " AND ".join(clauses) or "TRUE"

    def _fits_sql(self, number: str) -> str:
        clauses = [f"abs({number}) < 1e{INTEGER_DIGITS}", f"scale(trim_scale({number})) <= {SCALE}"]
        if self.is_counter:
            clauses.append(f"{number} >= 0")
        if self.is_integer:
            clauses.append(f"{number} = trunc({number})")
        return "(" + " AND ".join(clauses) + ")"

    def value_sql(self, params: Params) -> str:
        """The reading. Recorded events were read by the Python face before, so casts can't fail."""
        if self.is_text:
            return "1::numeric"
        if self.value_property:
            return f"({text_sql('e.labels', self.value_property, params)})::numeric"
        return "COALESCE(e.quantity, 1)"

    def value_key_sql(self, params: Params) -> str:
        """The name of the distinct value."""
        if not self.keeps_values:
            return f"'{NO_VALUE}'::uuid"
        if self.is_text:
            return value_key_sql(f"({text_sql('e.labels', self.value_property, params)})")
        return value_key_sql(f"trim_scale({self.value_sql(params)})::text")

    def group_sql(self, params: Params) -> list[str]:
        """Text expressions of the primary labels, in order."""
        return [f"({text_sql('e.labels', name, params)})" for name in self.primary_labels]


def steps_of(metric: MetricDefinition) -> Steps | None:
    """How usage follows from readings that don't stand alone; None where each is an amount or taken as it is.

    Only sums and levels are made of steps: the other aggregations look at the readings as stated.
    """
    if metric.aggregation == MetricDefinition.Aggregation.TIME_WEIGHTED_AVG:
        return None if metric.is_incremental else Steps(first_counts=True)
    if metric.aggregation != MetricDefinition.Aggregation.SUM:
        return None
    if metric.reporting_method == MetricDefinition.ReportingMethod.TOTAL:
        return Steps(first_counts=True, reset_period=metric.reset_period)
    if metric.is_incremental:
        return None
    return Steps(restarts=metric.meter_type == MetricDefinition.MeterType.COUNTER)
