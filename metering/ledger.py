"""Recording usage: the one verb that writes the ledger.

One transaction: the shared recording lock as its first statement; the version row and fresh ids; admission,
where limits apply; the rows, sorted by their unique key, by COPY; their contributions to the rollups. A new
key is the common case, so the rows are written first and keys are looked up only when one turns out to exist
(or when a limit must know which events are new): a unique violation rolls back and goes the careful way.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from functools import cache
from itertools import count
from typing import Any, Literal

import msgspec
import psycopg
from django.db import IntegrityError, connection, transaction

from .admission import admission_policy
from .aggregations import Accumulator
from .catalogue import Catalogue, catalogue_at
from .errors import EventError, EventsConflict, EventsRejected, Invalid, MeterbookError, Unavailable
from .intake import MAX_EVENTS, Item, events_from
from .locks import LOCK_CLASS, RECORDING_LOCK
from .numbers import EXACT
from .prepared import raw_connection
from .principal import EVERYBODY_INSIDE, Principal
from .recording import Candidate, Resolver
from .streams import stream_of

# Each retry follows a rival's commit of one of our keys, so it sees more than the one before.
MAX_ATTEMPTS = 50
RECORDED_ONCE = "usage_event_recorded_once"

# Two statements in one round trip, without parameters so that they may travel together; each has a snapshot
# of its own, so the version is read after the lock is held.
_BEGIN = """
    SELECT pg_advisory_xact_lock_shared({lock_class}, {lock});
    SELECT version, clock_timestamp(),
           ARRAY(SELECT nextval('metering_usageevent_id_seq') FROM generate_series(1, {count:d}))
      FROM metering_catalogueversion
"""
_FIND_KEYS = """
    SELECT event_id, id, digest
      FROM metering_usageevent
     WHERE project_id = %s
       AND source = %s
       AND event_id = ANY (%s)
"""
_EVENT_COLUMNS = (
    "id, project_id, billing_scope_id, surface_id, source, event_id, event_name, subject_type, subject_id,"
    " quantity, labels, occurred_at, kind, digest"
)
_PENDING_COLUMNS = (
    "metric_id, project_id, billing_scope_id, hour_start, stream, subject_type, subject_id,"
    ' "group", record_count, value_sum, value_min, value_max, last_value, last_at, last_event_id'
)
FEW_ROWS = 12  # above this, two COPYs are cheaper than binding each column
Row = tuple[str | None, ...]
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_encode_json = msgspec.json.Encoder().encode


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one event; `code` says why it was not recorded, `facts` what a limit knows of it.

    `id` is the ledger's, None where there is no row; `event_id` the producer's or the one given to it.
    """

    id: int | None
    event_id: str | None
    outcome: Literal["created", "exists", "conflict", "rejected"]
    code: str | None = None
    field: str | None = None
    detail: str | None = None
    warnings: Sequence[Mapping[str, object]] = ()
    facts: Mapping[str, object] | None = None


def record_events(
    events: Iterable[Mapping[str, Any]],
    *,
    principal: Principal = EVERYBODY_INSIDE,
    source: str = "api",
    on_error: Literal["reject", "skip"] = "reject",
    enforce: bool = True,
) -> list[Outcome]:
    """Record usage from within Python: mappings with the members that the API takes.

    Returns one outcome per event in the order given; they are committed with the surrounding transaction, or
    at once without one. All or nothing, unless `on_error="skip"`. Raises `Invalid` (also for over 10,000
    events), `EventsRejected`, `EventsConflict` and whatever the admission policy refuses with; then nothing
    was recorded.
    """
    try:
        items = events_from(events)
    except ValueError as error:
        raise Invalid(str(error) or f"At most {MAX_EVENTS} events at a time.") from None
    return record_items(items, principal=principal, source=source, on_error=on_error, enforce=enforce)


def record_items(
    items: Sequence[Item],
    *,
    principal: Principal,
    source: str = "api",
    on_error: Literal["reject", "skip"] = "reject",
    enforce: bool = True,
    may_contain_nul: bool = True,
) -> list[Outcome]:
    """`record_events` for parsed items."""
    looks_first = False
    with localcontext(EXACT):
        for _ in range(MAX_ATTEMPTS):
            batch = _Batch(
                items, principal=principal, source=source, skips=on_error == "skip", enforce=enforce
            )
            try:
                with transaction.atomic():
                    batch.record(looks_first=looks_first, may_contain_nul=may_contain_nul)
            except IntegrityError as error:
                if _violated(error) != RECORDED_ONCE:
                    raise
                looks_first = True
            else:
                return batch.outcomes()
    raise Unavailable("Other writers keep recording the same events; send the batch again.")


def _violated(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


class _Batch:
    """One attempt at recording one request."""

    def __init__(
        self, items: Sequence[Item], *, principal: Principal, source: str, skips: bool, enforce: bool
    ) -> None:
        self._items = items
        self._principal = principal
        self._source = source
        self._skips = skips
        self._enforce = enforce
        self._outcomes: list[Outcome | None] = [None] * len(items)
        self._conflicts: list[EventError] = []

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]

    def record(self, *, looks_first: bool, may_contain_nul: bool) -> None:
        raw, catalogue, now, ids = self._begin()
        resolver = Resolver(
            catalogue,
            principal=self._principal,
            now=now,
            default_source=self._source,
            may_contain_nul=may_contain_nul,
        )
        candidates = self._candidates(resolver)
        firsts = {candidate.key: candidate for candidate in reversed(candidates)}
        new = [candidate for candidate in candidates if firsts[candidate.key] is candidate]
        is_limited = self._enforce and admission_policy().concerns(new, catalogue=catalogue)
        existing: dict[tuple[int, str, str], tuple[int, bytes]] = {}
        if looks_first or is_limited:
            existing = _existing(raw, new)
            new = [candidate for candidate in new if candidate.key not in existing]
        if is_limited and new:
            new = self._admitted(new, catalogue=catalogue, now=now)
        row_ids = {candidate.key: ids[candidate.index] for candidate in new}
        self._settle(candidates, firsts, existing, row_ids)
        if self._conflicts and not self._skips:
            raise EventsConflict(self._conflicts)
        if new:
            _write(raw, _event_rows(new, row_ids), _pending_rows(new, row_ids))

    def _begin(self) -> tuple[psycopg.Connection[Any], Catalogue, dt.datetime, list[int]]:
        """Take the shared lock, then read the version under it and draw an id for each event."""
        raw = raw_connection()
        with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
            cursor.execute(_BEGIN.format(lock_class=LOCK_CLASS, lock=RECORDING_LOCK, count=len(self._items)))
            cursor.nextset()
            row = cursor.fetchone()
        if row is None:
            raise Unavailable("The catalogue's version row is missing; run migrate.")
        version, now, ids = row
        return raw, catalogue_at(version), now.astimezone(dt.UTC), ids

    def _candidates(self, resolver: Resolver) -> list[Candidate]:
        """The events that can be recorded as worded. Raises `EventsRejected` unless misfits are skipped."""
        candidates: list[Candidate] = []
        errors: list[EventError] = []
        for index, item in enumerate(self._items):
            if isinstance(item, EventError):
                errors.append(item)
                continue
            candidate = resolver.candidate(index, item)
            if isinstance(candidate, EventError):
                errors.append(candidate)
            else:
                candidates.append(candidate)
        self._reject(errors)
        return candidates

    def _reject(self, errors: list[EventError]) -> None:
        if errors and not self._skips:
            raise EventsRejected(sorted(errors, key=lambda error: error.index))
        for error in errors:
            item = self._items[error.index]
            self._outcomes[error.index] = Outcome(
                None,
                None if isinstance(item, EventError) else item.id,
                "rejected",
                code=error.code,
                field=error.field,
                detail=error.detail,
            )

    def _admitted(self, new: list[Candidate], *, catalogue: Catalogue, now: dt.datetime) -> list[Candidate]:
        """The new events that the policy admits; raises its refusal unless refusals are skipped."""
        verdicts = admission_policy().judge(
            new,
            catalogue=catalogue,
            now=now,
            may_backfill=self._principal.may("backfill"),
        )
        self._reject(list(verdicts.rejected.values()))
        if verdicts.refused and not self._skips:
            raise verdicts.refused[min(verdicts.refused)]
        for candidate in new:
            refusal: MeterbookError | None = verdicts.refused.get(candidate.index)
            if refusal is not None:
                self._outcomes[candidate.index] = Outcome(
                    None,
                    candidate.event_id,
                    "rejected",
                    code=refusal.code,
                    detail=str(refusal),
                    facts=refusal.facts,
                )
        self._warnings = verdicts.warnings
        return [
            candidate
            for candidate in new
            if candidate.index not in verdicts.refused and candidate.index not in verdicts.rejected
        ]

    _warnings: Mapping[int, list[dict[str, object]]] = {}

    def _settle(
        self,
        candidates: list[Candidate],
        firsts: Mapping[tuple[int, str, str], Candidate],
        existing: Mapping[tuple[int, str, str], tuple[int, bytes]],
        row_ids: Mapping[tuple[int, str, str], int],
    ) -> None:
        """Say what becomes of each event; a repeat in the batch follows the first of its key."""
        for candidate in candidates:
            if self._outcomes[candidate.index] is not None:
                continue
            first = firsts[candidate.key]
            found = existing.get(candidate.key)
            if found is not None:
                row_id, digest = found
            else:
                drawn = row_ids.get(candidate.key)
                if drawn is None:  # the first of this key was refused, and so is its repeat
                    self._outcomes[candidate.index] = self._outcomes[first.index]
                    continue
                row_id, digest = drawn, first.digest
            if candidate.digest != digest:
                detail = "the ledger holds this id with other content"
                self._conflicts.append(EventError(candidate.index, "conflict", "id", detail))
                self._outcomes[candidate.index] = Outcome(
                    row_id, candidate.event_id, "conflict", code="conflict", field="id", detail=detail
                )
            elif found is None and candidate is first:
                self._outcomes[candidate.index] = Outcome(
                    row_id, candidate.event_id, "created", warnings=self._warnings.get(candidate.index, ())
                )
            else:
                self._outcomes[candidate.index] = Outcome(row_id, candidate.event_id, "exists")


def _existing(
    raw: psycopg.Connection[Any], candidates: Iterable[Candidate]
) -> dict[tuple[int, str, str], tuple[int, bytes]]:
    """Row id and digest of those keys that the ledger holds. Index: usage_event_recorded_once."""
    event_ids: dict[tuple[int, str], list[str]] = {}
    for candidate in candidates:
        event_ids.setdefault((candidate.project_id, candidate.source), []).append(candidate.event_id)
    found: dict[tuple[int, str, str], tuple[int, bytes]] = {}
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        for (project_id, source), wanted in event_ids.items():
            cursor.execute(_FIND_KEYS, [project_id, source, wanted], prepare=True)
            for event_id, row_id, digest in cursor:
                found[(project_id, source, event_id)] = (row_id, bytes(digest))
    return found


def _event_rows(new: list[Candidate], row_ids: Mapping[tuple[int, str, str], int]) -> list[Row]:
    """Rows of the ledger, sorted by their unique key: unsorted batches deadlock against each other."""
    return [
        (
            str(row_ids[c.key]),
            str(c.project_id),
            str(c.billing_scope_id),
            None if c.surface_id is None else str(c.surface_id),
            c.source,
            c.event_id,
            c.event_name,
            c.subject_type,
            c.subject_id,
            None if c.quantity is None else format(c.quantity, "f"),
            c.labels.decode(),
            c.occurred_at.isoformat(),
            "usage",
            f"\\x{c.digest.hex()}",
        )
        for c in sorted(new, key=lambda candidate: candidate.key)
    ]


def _pending_rows(new: list[Candidate], row_ids: Mapping[tuple[int, str, str], int]) -> list[Row]:
    """What the new events add to each metric, one row per stream and hour."""
    totals: dict[tuple[Any, ...], Accumulator] = {}
    for c in new:
        row_id = row_ids[c.key]
        for (meaning, value), group in zip(c.readings, c.groups, strict=True):
            key = (
                meaning,
                c.project_id,
                c.billing_scope_id,
                c.subject_type,
                c.subject_id,
                group,
                c.hour_start,
            )
            total = totals.get(key)
            if total is None:
                total = totals[key] = Accumulator()
            meaning.aggregation.fold(total, value, at=c.occurred_at, event_id=row_id)
    return [
        (
            str(meaning.metric_id),
            str(project_id),
            str(scope_id),
            hour_start.isoformat(),
            str(stream_of(subject_type, subject_id, group)),
            subject_type,
            subject_id,
            _encode_json(dict(zip(meaning.primary_labels, group, strict=True))).decode(),
            str(t.record_count),
            _number(t.value_sum),
            _number(t.value_min),
            _number(t.value_max),
            _number(t.last_value),
            None if t.last_at is None else t.last_at.isoformat(),
            None if t.last_event_id is None else str(t.last_event_id),
        )
        for (meaning, project_id, scope_id, subject_type, subject_id, group, hour_start), t in totals.items()
    ]


def _number(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _write(raw: psycopg.Connection[Any], events: Sequence[Row], pending: Sequence[Row]) -> None:
    """Add rows of texts to both tables: a few by one prepared statement, many by COPY."""
    with connection.wrap_database_errors, psycopg.RawCursor(raw) as cursor:
        if pending and len(events) + len(pending) <= FEW_ROWS:
            cursor.execute(
                _insert_sql(len(events), len(pending)),
                [text for row in (*events, *pending) for text in row],
                prepare=True,
            )
            return
        for table, columns, rows in (
            ("metering_usageevent", _EVENT_COLUMNS, events),
            ("metering_pendingcontribution", _PENDING_COLUMNS, pending),
        ):
            if rows:
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    copy.write("".join(map(_copy_line, rows)))


@cache
def _insert_sql(event_count: int, pending_count: int) -> str:
    """With PostgreSQL's own placeholders: translating the driver's costs more than the statement."""
    numbers = count(1)

    def places(columns: str, rows: int) -> str:
        width = columns.count(",") + 1
        return ", ".join(
            "(" + ", ".join(f"${next(numbers)}" for _ in range(width)) + ")" for _ in range(rows)
        )

    return f"""
        WITH recorded AS (
            INSERT INTO metering_usageevent ({_EVENT_COLUMNS})
            VALUES {places(_EVENT_COLUMNS, event_count)}
        )
        INSERT INTO metering_pendingcontribution ({_PENDING_COLUMNS})
        VALUES {places(_PENDING_COLUMNS, pending_count)}
    """  # noqa: S608 (names and places only)


def _copy_line(row: Row) -> str:
    return "\t".join(["\\N" if text is None else _escaped(text) for text in row]) + "\n"


def _escaped(text: str) -> str:
    return text.translate(_COPY_ESCAPES) if "\\" in text or not text.isprintable() else text
