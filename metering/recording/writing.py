"""The page of the ledger that one recorder writes: its transaction, from the lock to the commit.

Few round trips, because each is a wait: BEGIN travels with the lock and the version, and for a few rows
COMMIT travels with the INSERT. Inside a caller's own transaction that is joined instead, by a savepoint.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any

import msgspec
import psycopg
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from metering.errors import Unavailable
from metering.measuring.aggregations import Accumulator
from metering.measuring.streams import stream_of
from metering.prepared import raw_connection

from .resolving import Candidate

Key = tuple[int, str, str]

# One round trip. `metering_open_page` (migration 0003) takes the shared recording lock and only then, with a
# snapshot of its own, reads the version.
_OPEN = "{begin} SELECT version, opened_at, ids FROM metering_open_page({draws:d})"
_FIND_KEYS = """
    SELECT found.event_id, found.id, found.digest
      FROM unnest(%s::text[]) AS wanted (event_id)
     CROSS JOIN LATERAL (
           SELECT e.event_id, e.id, e.digest
             FROM metering_usageevent e
            WHERE e.project_id = %s
              AND e.source = %s
              AND e.event_id = wanted.event_id
            LIMIT 1
           ) found
"""
_EVENT_COLUMNS = (
    "id, project_id, billing_scope_id, surface_id, source, event_id, event_name, subject_type, subject_id,"
    " quantity, labels, occurred_at, kind, digest"
)
_PENDING_COLUMNS = (
    "metric_id, project_id, billing_scope_id, hour_start, stream, subject_type, subject_id,"
    ' "group", record_count, value_sum, value_min, value_max, last_value, last_at, last_event_id,'
    " value_key, value_moment, drains_whole, is_mark"
)
_EVENT_TYPES = (*["bigint"] * 4, *["text"] * 5, "numeric", "jsonb", "timestamptz", "text", "bytea")
_INSERT_ABSENT = f"""
    INSERT INTO metering_usageevent ({_EVENT_COLUMNS})
    SELECT {", ".join(f"c{n}::{kind}" for n, kind in enumerate(_EVENT_TYPES))}
      FROM unnest({", ".join(["%s::text[]"] * len(_EVENT_TYPES))})
           AS r ({", ".join(f"c{n}" for n in range(len(_EVENT_TYPES)))})
    ON CONFLICT (project_id, source, event_id) DO NOTHING
    RETURNING id
"""  # noqa: S608 (names, types and places only)
FEW_ROWS = 12  # above this, two COPYs are cheaper than binding each column
Row = tuple[str | None, ...]
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_encode_json = msgspec.json.Encoder().encode


@contextmanager
def recording(*, draws: int) -> Iterator["Page"]:
    """A transaction under the shared recording lock, with `draws` fresh ids; committed on leaving.

    Any exception rolls all of it back. Raises `Unavailable` where the database was never migrated.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            yield _opened("", draws=draws, may_commit=False)
        return
    raw = raw_connection()
    try:
        page = _opened("BEGIN;", draws=draws, may_commit=True)
        yield page
        if not page.is_committed:
            with connection.wrap_database_errors:
                raw.execute("COMMIT")
    finally:
        # Nothing is left to roll back after a commit, and nothing can be on a connection that broke.
        if not raw.closed and raw.pgconn.transaction_status in {
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        }:
            with connection.wrap_database_errors:
                raw.execute("ROLLBACK")


def _opened(begin: str, *, draws: int, may_commit: bool) -> "Page":
    """Take the shared lock, then read the version under it and draw the ids."""
    raw = raw_connection()
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.execute(_OPEN.format(begin=begin, draws=draws))
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    if row is None or row[0] is None:
        raise Unavailable("The catalogue's version row is missing; run migrate.")
    version, now, ids = row
    return Page(raw, version=version, now=now.astimezone(dt.UTC), ids=ids or [], may_commit=may_commit)


class Page:
    """What a recorder holds while it records."""

    def __init__(
        self,
        raw: psycopg.Connection[Any],
        *,
        version: int,
        now: dt.datetime,
        ids: list[int],
        may_commit: bool,
    ) -> None:
        self._raw = raw
        self._may_commit = may_commit
        self.version = version
        self.now = now
        self.ids = ids
        self.is_committed = False

    def existing(self, candidates: Iterable[Candidate]) -> dict[Key, tuple[int, bytes]]:
        """Row id and digest of those keys that the ledger holds. Index: usage_event_recorded_once."""
        event_ids: dict[tuple[int, str], list[str]] = {}
        for candidate in candidates:
            event_ids.setdefault((candidate.project_id, candidate.source), []).append(candidate.event_id)
        found: dict[Key, tuple[int, bytes]] = {}
        with connection.wrap_database_errors, psycopg.Cursor(self._raw) as cursor:
            for (project_id, source), wanted in event_ids.items():
                cursor.execute(_FIND_KEYS, [wanted, project_id, source], prepare=True)
                for event_id, row_id, digest in cursor:
                    found[(project_id, source, event_id)] = (row_id, bytes(digest))
        return found

    def write_absent(self, new: list[Candidate], row_ids: Mapping[Key, int]) -> set[Key]:
        """Add those events whose keys nobody else recorded, with their contributions; returns their keys.

        Waits for rivals that are at the same keys: their order is ours, so nobody waits in a circle.
        """
        rows = _event_rows(new, row_ids)
        with connection.wrap_database_errors, psycopg.Cursor(self._raw) as cursor:
            cursor.execute(_INSERT_ABSENT, [list(column) for column in zip(*rows, strict=True)])
            ids = {row_id for (row_id,) in cursor}
        written = [candidate for candidate in new if row_ids[candidate.key] in ids]
        with connection.wrap_database_errors:
            self._copy("metering_pendingcontribution", _PENDING_COLUMNS, _pending_rows(written, row_ids))
        return {candidate.key for candidate in written}

    def write(self, new: list[Candidate], row_ids: Mapping[Key, int]) -> None:
        """Add the events and their contributions: the last thing that happens on a page.

        Raises `IntegrityError` where a key was recorded meanwhile.
        """
        events, pending = _event_rows(new, row_ids), _pending_rows(new, row_ids)
        with connection.wrap_database_errors:
            if pending and len(events) + len(pending) <= FEW_ROWS:
                self._insert(events, pending)
            else:
                self._copy("metering_usageevent", _EVENT_COLUMNS, events)
                self._copy("metering_pendingcontribution", _PENDING_COLUMNS, pending)

    def _insert(self, events: Sequence[Row], pending: Sequence[Row]) -> None:
        statement = _insert_sql(len(events), len(pending))
        texts = [text for row in (*events, *pending) for text in row]
        if not self._may_commit:
            with psycopg.RawCursor(self._raw) as cursor:
                cursor.execute(statement, texts, prepare=True)
            return
        with self._raw.pipeline(), psycopg.RawCursor(self._raw) as cursor:
            cursor.execute(statement, texts, prepare=True)
            cursor.execute("COMMIT", prepare=True)
        self.is_committed = True

    def _copy(self, table: str, columns: str, rows: Sequence[Row]) -> None:
        if rows:
            with (
                psycopg.Cursor(self._raw) as cursor,
                cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
            ):
                copy.write("".join(map(_copy_line, rows)))


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
    """What the new events add to each metric, one row per stream, hour and distinct value."""
    totals: dict[tuple[Any, ...], Accumulator] = {}
    for c in new:
        row_id = row_ids[c.key]
        for (meaning, value), group, value_key in zip(c.readings, c.groups, c.value_keys, strict=True):
            key = (
                meaning,
                c.project_id,
                c.billing_scope_id,
                c.subject_type,
                c.subject_id,
                group,
                c.hour_start,
                value_key,
            )
            total = totals.get(key)
            if total is None:
                total = totals[key] = Accumulator()
            if not meaning.is_stepped:  # steps depend on the neighbours: the row is a mark
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
            str(value_key),
            _number(t.value_moment),
            "f" if meaning.adds_up else "t",
            "t" if meaning.is_stepped else "f",
        )
        for key, t in totals.items()
        for meaning, project_id, scope_id, subject_type, subject_id, group, hour_start, value_key in (key,)
    ]


def _number(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


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
