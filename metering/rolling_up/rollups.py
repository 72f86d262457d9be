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

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from metering.locks import hold_rollups
from metering.measuring.streams import TOTAL
from metering.models import Heartbeat, MetricDefinition, PendingContribution

from .draining import drained_whole
from .history import enqueue_history

logger = logging.getLogger(__name__)

CHUNK = 20_000  # pending rows per transaction: well under a second, so that a kill costs little
HEARTBEAT = "roll_up"


def _merged(of: str, granularity: str, start: str = "bucket_start", *, is_total: bool = False) -> str:
    """Rows of `of` added up in larger buckets, or over all streams."""
    bucket_start = f"date_trunc('{granularity}', {start}, 'UTC')"
    stream, names = "stream", ("min(subject_type)", "min(subject_id)", 'min("group"::text)::jsonb')
    if is_total:
        stream, names = f"'{TOTAL}'::uuid", ("''", "''", "'{}'::jsonb")
    return f"""
    SELECT project_id, metric_id, '{granularity}' AS granularity, {stream} AS stream,
           {bucket_start} AS bucket_start, billing_scope_id, value_key, {names[0]} AS subject_type,
           {names[1]} AS subject_id, {names[2]} AS "group", sum(record_count) AS record_count,
           sum(value_sum) AS value_sum, sum(value_moment) AS value_moment
      FROM {of}
     GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608 (names are ours)


# Reads and removes pending rows that add up (FOR UPDATE SKIP LOCKED by primary key), writes rollups. Each
# goes to hour, day and month of its stream and of its total; the larger are added up from the smaller, which
# are fewer than what is pending.
_MERGE = f"""
WITH taken AS (
    DELETE FROM metering_pendingcontribution
     WHERE id = ANY (ARRAY(
               -- An array, so that the locking question is asked once whatever the statistics say.
               SELECT id
                 FROM metering_pendingcontribution
                WHERE failure = ''
                  AND NOT drains_whole
                  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
                ORDER BY id
                LIMIT %(chunk)s
                  FOR UPDATE SKIP LOCKED
           ))
    RETURNING *
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
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM merged)
"""  # noqa: S608 (the one value formatted in is a constant of ours)

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
    """Pending rows merged and rollups written, chunk by chunk until nothing more is in sight."""
    is_last = False
    while not is_last:
        taken, buckets, is_last = _merge_chunk(chunk)
        yield taken, buckets


def _merge_chunk(chunk: int) -> tuple[int, int, bool]:
    """Rows merged, rollups written, and whether nothing more was in sight."""
    try:
        taken, buckets = _merge(chunk, ids=None)
    except DatabaseError as error:
        if isinstance(error, OperationalError | InterfaceError):
            raise
        waiting = PendingContribution.objects.filter(failure="", drains_whole=False)
        head = waiting.order_by("id").values_list("id", flat=True)
        ids = list(head[:chunk])
        return *_merge_piecewise(ids), len(ids) < chunk
    return taken, buckets, taken < chunk


def _merge_piecewise(ids: list[int]) -> tuple[int, int]:
    """Merge rows of which at least one can't be, by halves; that one is set aside with its reason."""
    if len(ids) > 1:
        middle = len(ids) // 2
        totals = [0, 0]
        for half in (ids[:middle], ids[middle:]):
            try:
                done = _merge(len(half), ids=half)
            except DatabaseError as error:
                if isinstance(error, OperationalError | InterfaceError):
                    raise
                done = _merge_piecewise(half)
            totals[0] += done[0]
            totals[1] += done[1]
        return totals[0], totals[1]
    try:
        return _merge(1, ids=ids)
    except DatabaseError as error:
        if isinstance(error, OperationalError | InterfaceError):
            raise
        logger.exception("Pending contribution %s can't be merged; it is set aside", ids[0])
        reason = str(error)[:1000] or type(error).__name__
        PendingContribution.objects.filter(pk=ids[0]).update(failure=reason)
        return 0, 0


def _merge(chunk: int, *, ids: list[int] | None) -> tuple[int, int]:
    with transaction.atomic(), connection.cursor() as cursor:
        hold_rollups()
        cursor.execute(_MERGE, {"chunk": chunk, "ids": ids})
        taken, buckets = cursor.fetchone()
    return taken, buckets
