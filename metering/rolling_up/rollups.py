"""Merging pending contributions into rollups: the tick.

Removing pending rows and merging them is one statement, so a reader sees a contribution in exactly one of
the two places, and a worker killed anywhere leaves everything as it was. Any number of workers may run: rows
that another one holds are skipped (these merges add up in any order; what doesn't is `draining.py`'s), and
rollup rows are locked in the order of their natural key, so that two workers never wait for each other in a
circle.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from metering.locks import hold_rollups
from metering.measuring.streams import TOTAL
from metering.models import Heartbeat, MetricDefinition, PendingContribution

from .draining import drained_whole
from .history import enqueue_history
from .tick_observers import Touched, observe, observe_owed, tick_observers

logger = logging.getLogger(__name__)

CHUNK = 20_000  # pending rows per transaction: well under a second, so that a kill costs little
HEARTBEAT = "roll_up"


def _merged(of: str, granularity: str, start: str = "bucket_start", *, is_total: bool = False) -> str:
    """Rows of `of` added up in larger buckets, or over all streams."""
    # Hours are hours already.
    bucket_start = start if granularity == "hour" else f"date_trunc('{granularity}', {start}, 'UTC')"
    # What names a stream is the same in all its rows, so any row's will do; comparing texts costs more.
    stream, names = (
        "stream",
        [f"(array_agg({name}))[1]" for name in ("subject_type", "subject_id", '"group"')],
    )
    if is_total:
        stream, names = f"'{TOTAL}'::uuid", ["''", "''", "'{}'::jsonb"]
    return f"""
    SELECT project_id, metric_id, '{granularity}' AS granularity, {stream} AS stream,
           {bucket_start} AS bucket_start, billing_scope_id, value_key, {names[0]} AS subject_type,
           {names[1]} AS subject_id, {names[2]} AS "group", sum(record_count) AS record_count,
           sum(value_sum) AS value_sum, sum(value_moment) AS value_moment
      FROM {of}
     GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608 (names are ours)


# Which pending rows: those of a bucket are taken together, so that each rollup row is written about
# once; and from where the last chunk ended, or entries of what it removed would be read again and again.
# Index: pending_by_metric.
_NEXT = """
      AND (metric_id, project_id, hour_start) >= (%(metric_id)s, %(project_id)s, %(hour_start)s::timestamptz)
    ORDER BY metric_id, project_id, hour_start
"""
_NAMED = "AND id = ANY (%(ids)s::bigint[])"
_KEY_OF_CHUNK = "metric_id, project_id, hour_start"
_FROM_THE_FIRST = (0, 0, "-infinity")

# The table fills and empties within seconds, so statistics of it are always wrong; going by them, all that
# waits would be sorted for each chunk.
_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
_AS_USUAL = (
    "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT;"
    " SET LOCAL enable_sort TO DEFAULT"
)


def _merge_sql(which: str, told: str) -> str:
    """Reads and removes pending rows that add up (FOR UPDATE SKIP LOCKED), writes rollups.

    Each goes to hour, day and month of its stream and of its total; the larger are added up from the smaller,
    which are fewer than what is pending. Rows are removed by place: they are locked, so they stay where they
    are, and one that was replaced before it was locked isn't found, and left to the next chunk.
    """
    return f"""
WITH taken AS (
    DELETE FROM metering_pendingcontribution
     WHERE ctid = ANY (ARRAY(
               -- An array, so that the locking question is asked once whatever the statistics say.
               SELECT ctid
                 FROM metering_pendingcontribution
                WHERE failure = ''
                  AND NOT drains_whole
                  {which}
                LIMIT %(chunk)s
                  FOR UPDATE SKIP LOCKED
           ))
    RETURNING project_id, metric_id, billing_scope_id, hour_start, stream, value_key,
              subject_type, subject_id, "group", record_count, value_sum, value_moment
),
hours AS MATERIALIZED ({_merged("taken", "hour", "hour_start")}),
days AS MATERIALIZED ({_merged("hours", "day")}),
months AS ({_merged("days", "month")}),
total_hours AS MATERIALIZED ({_merged("hours", "hour", is_total=True)}),
total_days AS MATERIALIZED ({_merged("total_hours", "day")}),
total_months AS ({_merged("total_days", "month")}),
merged AS (
    INSERT INTO metering_usagemeterrollup AS r
           (project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key,
            subject_type, subject_id, "group", record_count, value_sum, value_moment)
    SELECT *
      FROM (
            SELECT * FROM hours
            UNION ALL
            SELECT * FROM days
            UNION ALL
            SELECT * FROM months
            UNION ALL
            SELECT * FROM total_hours
            UNION ALL
            SELECT * FROM total_days
            UNION ALL
            SELECT * FROM total_months
           ) every
     ORDER BY project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key
    ON CONFLICT (project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key)
    DO UPDATE
       SET record_count = r.record_count + EXCLUDED.record_count,
           value_sum = CASE
               WHEN EXCLUDED.value_sum IS NULL THEN r.value_sum
               ELSE COALESCE(r.value_sum, 0) + EXCLUDED.value_sum
           END,
           value_moment = CASE
               WHEN EXCLUDED.value_moment IS NULL THEN r.value_moment
               ELSE COALESCE(r.value_moment, 0) + EXCLUDED.value_moment
           END
    RETURNING 1
)
{told}
"""  # noqa: S608 (what is formatted in is ours)


_COUNT = f"""
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM merged), reached.*
  FROM (VALUES (TRUE)) AS always
  LEFT JOIN (SELECT {_KEY_OF_CHUNK} FROM taken ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1) reached
    ON TRUE
"""  # noqa: S608
# The same beside what was touched: totals know all of it.
_COUNT_AND_TELL = f"""
SELECT counted.*, touched.*
  FROM ({_COUNT}) counted
  LEFT JOIN (
        SELECT metric_id, project_id, billing_scope_id, min(bucket_start), max(bucket_start)
          FROM total_hours
         GROUP BY metric_id, project_id, billing_scope_id, date_trunc('day', bucket_start, 'UTC')
       ) touched
    ON TRUE
"""  # noqa: S608

# Removes rows whose events were all voided. A sum of nothing is as good as no row, so this may come any time
# later; rows that another worker is at are left to the next tick. Index: rollup_emptied.
_SWEEP = """
DELETE FROM metering_usagemeterrollup
 WHERE id = ANY (ARRAY(
           SELECT id
             FROM metering_usagemeterrollup
            WHERE record_count = 0
              AND COALESCE(value_sum, 0) = 0
              AND COALESCE(value_moment, 0) = 0
            ORDER BY project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key
              FOR UPDATE SKIP LOCKED
       ))
"""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one run of `roll_up` did."""

    merged_count: int  # pending rows
    bucket_count: int  # rollup rows written, counted once per chunk
    seconds: float


def roll_up(*, chunk: int = CHUNK, on_progress: Callable[[int], None] | None = None) -> Tick:
    """Merge all pending contributions that no other worker holds. Safe to run anywhere, any number at once.

    Commits chunk by chunk; `on_progress` is told the number of pending rows merged so far.
    """
    began = time.monotonic()
    merged_count = bucket_count = 0
    observe_owed()

    def merge() -> None:
        nonlocal merged_count, bucket_count
        for taken, buckets in chain(_merged_chunks(chunk), drained_whole(chunk)):
            merged_count += taken
            bucket_count += buckets
            if taken and on_progress is not None:
                on_progress(merged_count)

    merge()
    # Long history is counted after what waits, which it would hold up.
    due = list(MetricDefinition.objects.filter(is_history_due=True).select_related("project"))
    for metric in due:
        enqueue_history(metric)
    if due:
        merge()
    with transaction.atomic(), connection.cursor() as cursor:
        hold_rollups()
        cursor.execute(_SWEEP)
    tick = Tick(merged_count, bucket_count, time.monotonic() - began)
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": timezone.now(),
            "facts": {"merged": merged_count, "buckets": bucket_count, "seconds": round(tick.seconds, 3)},
        },
    )
    return tick


def _merged_chunks(chunk: int) -> Iterator[tuple[int, int]]:
    """Pending rows merged and rollups written, chunk by chunk until the end of what waited is reached."""
    reached: Any = _FROM_THE_FIRST
    while True:
        try:
            merged = _merge(chunk, reached=reached)
        except DatabaseError as error:
            if isinstance(error, OperationalError | InterfaceError):
                raise
            ids = _ids_from(reached, chunk)
            yield _merge_piecewise(ids)
            is_last = len(ids) < chunk
        else:
            yield merged.taken_count, merged.written_count
            is_last = merged.taken_count < chunk
            reached = merged.reached
        if is_last:
            return


def _ids_from(reached: Any, chunk: int) -> list[int]:
    """The rows that a chunk would take, were they not the reason that it can't be merged."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM metering_pendingcontribution"  # noqa: S608 (a constant of ours)
            f" WHERE failure = '' AND NOT drains_whole {_NEXT} LIMIT %(chunk)s",
            {"chunk": chunk, **_place(reached)},
        )
        return [row_id for (row_id,) in cursor.fetchall()]


def _place(reached: Any) -> dict[str, Any]:
    return dict(zip(("metric_id", "project_id", "hour_start"), reached, strict=True))


def _merge_piecewise(ids: list[int]) -> tuple[int, int]:
    """Merge rows of which at least one can't be, by halves; that one is set aside with its reason."""
    if len(ids) > 1:
        middle = len(ids) // 2
        totals = [0, 0]
        for half in (ids[:middle], ids[middle:]):
            try:
                merged = _merge(len(half), ids=half)
                done = merged.taken_count, merged.written_count
            except DatabaseError as error:
                if isinstance(error, OperationalError | InterfaceError):
                    raise
                done = _merge_piecewise(half)
            totals[0] += done[0]
            totals[1] += done[1]
        return totals[0], totals[1]
    if not ids:
        return 0, 0
    try:
        merged = _merge(1, ids=ids)
    except DatabaseError as error:
        if isinstance(error, OperationalError | InterfaceError):
            raise
        logger.exception("Pending contribution %s can't be merged; it is set aside", ids[0])
        reason = str(error)[:1000] or type(error).__name__
        PendingContribution.objects.filter(pk=ids[0]).update(failure=reason)
        return 0, 0
    return merged.taken_count, merged.written_count


@dataclass(frozen=True, slots=True)
class _Merged:
    taken_count: int
    written_count: int
    reached: Any  # metric, project and hour of the last row taken


def _merge(chunk: int, *, reached: Any = _FROM_THE_FIRST, ids: list[int] | None = None) -> _Merged:
    """One chunk, or the rows named, in a transaction."""
    is_observed = bool(tick_observers())
    statement = _merge_sql(_NEXT if ids is None else _NAMED, _COUNT_AND_TELL if is_observed else _COUNT)
    with transaction.atomic(), connection.cursor() as cursor:
        hold_rollups()
        cursor.execute(_BY_INDEX)
        cursor.execute(statement, {"chunk": chunk, "ids": ids, **_place(reached)})
        rows = cursor.fetchall()
        cursor.execute(_AS_USUAL)
        taken, written, *reached = rows[0][:5]
        if is_observed and taken:
            observe([Touched(*row[5:]) for row in rows])
    return _Merged(taken, written, reached)
