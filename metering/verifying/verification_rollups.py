"""Whether rollups and what is pending are what the ledger says, metric by metric, bucket by bucket."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from metering.measuring.label_filter import Params
from metering.models import MetricDefinition
from metering.texts.numbers import plain

from .verification_findings import Breach, Outcome, counted
from .verification_readings import MEASURES, NOTHING
from .verification_sql import compared_sql

_WORDS = {
    "record_count": "readings",
    "value_sum": "sum",
    "value_moment": "moment",
    "value_min": "minimum",
    "value_max": "maximum",
    "last_value": "latest value",
    "last_at": "latest at",
    "last_event_id": "latest event",
}
_NAMES = ("subject_type", "subject_id", "labels")

_COUNTS = """
    {with_compared}
    SELECT count(*), count(*) FILTER (WHERE differs),
           COALESCE(sum(e_record_count) FILTER (WHERE granularity = 'month' AND stream = '{nothing}'), 0)
      FROM compared
"""
_STALE = """
    SELECT count(*)
      FROM (
            SELECT DISTINCT project_id, billing_scope_id, stream, hour_start
              FROM metering_pendingcontribution
             WHERE metric_id = %s
               AND is_mark
           ) marks
"""
_DIFFERENCES = """
    {with_compared}
    SELECT granularity, {start}, p.key, s.key, stream = '{nothing}', value_key::text, is_stored,
           compared.subject_type, compared.subject_id, labels::text, s_subject_type, s_subject_id,
           s_labels::text, is_misnamed, {sides}
      FROM compared
      LEFT JOIN metering_project p ON p.id = project_id
      LEFT JOIN metering_project s ON s.id = billing_scope_id
     WHERE differs
     ORDER BY array_position(ARRAY['hour', 'day', 'month'], granularity::text), compared.bucket_start,
              project_id, billing_scope_id, stream, value_key
     LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One bucket that isn't what the ledger says."""

    granularity: str
    bucket_start: str
    project: str | None
    billing_scope: str | None
    is_total: bool
    value_key: str
    is_stored: bool
    subject_type: str | None
    subject_id: str | None
    labels: str | None
    stored_subject_type: str | None
    stored_subject_id: str | None
    stored_labels: str | None
    is_misnamed: bool
    held: dict[str, Any]
    expected: dict[str, Any]

    @property
    def code(self) -> str:
        if self._differing and not self.expected["record_count"] and self.is_stored:
            return "rollup_without_events"
        if self._differing and not self.is_stored and self.expected["record_count"]:
            return "rollup_missing"
        return "rollup_differs" if self._differing else "rollup_misnamed"

    @property
    def _differing(self) -> list[str]:
        return [name for name in MEASURES if self.held[name] != self.expected[name]]

    def __str__(self) -> str:
        """The place, what is held there, and what the ledger gives."""
        if not self._differing:
            return (
                f"{self._place}: the row is stored under "
                f"{_named(self.stored_subject_type, self.stored_subject_id, self.stored_labels)}"
            )
        held, expected = self._side(self.held), self._side(self.expected)
        if self.code == "rollup_missing" and not self.held["record_count"]:
            return f"{self._place}: nothing is held, the ledger gives {expected}"
        if self.code == "rollup_without_events":
            return f"{self._place}: held are {held}, the ledger has nothing there"
        return f"{self._place}: held are {held}, the ledger gives {expected}"

    @property
    def _place(self) -> str:
        start = self.bucket_start
        if " " in start:  # else it is infinite
            start = {"hour": f"{start} UTC", "day": start[:10]}.get(self.granularity, start[:7])
        parts = [f"{self.granularity.title()} {start}"]
        parts.append(f"project {self.project or 'unknown'}")
        if self.billing_scope != self.project:
            parts.append(f"billed to {self.billing_scope or 'unknown'}")
        if self.is_total:
            parts.append("total")
        elif self.labels is None:
            parts.append(_named(self.stored_subject_type, self.stored_subject_id, self.stored_labels))
        else:
            parts.append(_named(self.subject_type, self.subject_id, self.labels))
        if self.value_key != NOTHING:
            parts.append(f"distinct value {self.value_key[:8]}…")
        return ", ".join(parts)

    def _side(self, measures: dict[str, Any]) -> str:
        shown = ["record_count", *(name for name in self._differing if name != "record_count")]
        return ", ".join(f"{_WORDS[name]} {_shown(measures[name])}" for name in shown)


def _named(subject_type: str | None, subject_id: str | None, labels: str | None) -> str:
    subject = " ".join(part for part in (subject_type, subject_id) if part)
    parts = [f"subject {subject}" if subject else "no subject"]
    group = json.loads(labels or "{}")
    parts += [f"{name}={text}" for name, text in group.items() if text is not None] if group else []
    return ", ".join(parts)[:300]


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        whole, point, fraction = plain(value).partition(".") if value.is_finite() else (str(value), "", "")
        sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
        return f"{sign}{int(digits):,}{point}{fraction}" if digits.isdigit() else whole
    return "none" if value is None else str(value)


@contextmanager
def one_snapshot() -> Iterator[None]:
    """A transaction in which all statements see the same, beside writers and ticks, and none writes.

    Inside a caller's transaction each statement sees what is committed when it begins.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Estimates of such statements are guesses, and a nested loop over a wrong one takes for ever.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute("SET LOCAL jit = off")
        yield
        if not is_outermost:
            cursor.execute("SET LOCAL enable_nestloop = DEFAULT")
            cursor.execute("SET LOCAL jit = DEFAULT")


def rollup_outcome(metric_id: int, *, limit: int) -> Outcome:
    """What differs for one metric; archived ones are held to what they counted. Flat memory at any size."""
    with one_snapshot(), connection.cursor() as cursor:
        metric = MetricDefinition.objects.get(pk=metric_id)
        params = Params()
        with_compared = compared_sql(metric, params)
        cursor.execute(_COUNTS.format(with_compared=with_compared, nothing=NOTHING), params)
        bucket_count, difference_count, reading_count = cursor.fetchone()
        cursor.execute(_STALE, [metric_id])
        (stale_count,) = cursor.fetchone()
        differences = []
        if difference_count:
            sides = ", ".join(f"{_readable(f'{side}_{name}')}" for name in MEASURES for side in "he")
            statement = _DIFFERENCES.format(
                with_compared=with_compared,
                nothing=NOTHING,
                start=_instant_sql("compared.bucket_start", "YYYY-MM-DD HH24:MI"),
                sides=sides,
                limit=int(limit),
            )
            cursor.execute(statement, params)
            differences = [_difference(row) for row in cursor.fetchall()]
    notes = []
    if stale_count:
        notes.append(
            f"{counted(stale_count, 'hour')} of streams waited to be read from the ledger again; what is"
            " stored for such hours, and for the next ones of their streams, was taken as it is."
        )
    return Outcome(
        checked=f"{counted(bucket_count, 'bucket')} from {counted(int(reading_count), 'reading')}",
        breaches=[Breach(one.code, str(one)) for one in differences],
        breach_count=difference_count,
        notes=notes,
    )


def _readable(column: str) -> str:
    return _instant_sql(column, "YYYY-MM-DD HH24:MI:SS.US UTC") if column.endswith("_at") else column


def _instant_sql(column: str, form: str) -> str:
    """As text: what somebody wrote there may be beyond Python's calendar."""
    return (
        f"CASE WHEN isfinite({column}) THEN to_char({column} AT TIME ZONE 'UTC', '{form}')"
        f" ELSE {column}::text END"
    )


def _difference(row: Sequence[Any]) -> Difference:
    facts, sides = row[:14], row[14:]
    held, expected = (dict(zip(MEASURES, sides[place::2], strict=True)) for place in (0, 1))
    return Difference(*(*facts, held, expected))
