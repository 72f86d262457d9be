"""Merging pending contributions into rollups. The only writer of rollups.

Removing pending rows and merging them is one statement, so a reader sees a contribution in exactly one of
the two places, and a worker killed anywhere leaves everything as it was. Any number of workers may run: rows
that another one holds are skipped (all merges here add up in any order), and rollup rows are locked in the
order of their natural key, so that two workers never wait for each other in a circle.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from .aggregations import AGGREGATIONS
from .catalogue import move_version
from .label_filter import Params
from .meaning import Meaning
from .models import Heartbeat, MetricDefinition, PendingContribution, Project
from .streams import TOTAL, stream_sql

logger = logging.getLogger(__name__)

CHUNK = 20_000  # pending rows per transaction: well under a second, so that a kill costs little
HEARTBEAT = "roll_up"

# Reads and removes pending rows (FOR UPDATE SKIP LOCKED by primary key), writes rollups. Each pending row
# goes to hour, day and month of its stream and of its total. Totals of LATEST are the latest over streams.
_MERGE = f"""
WITH taken AS (
    DELETE FROM metering_pendingcontribution
     WHERE id = ANY (ARRAY(
               -- An array, so that the locking question is asked once whatever the statistics say.
               SELECT id
                 FROM metering_pendingcontribution
                WHERE failure = ''
                  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
                ORDER BY id
                LIMIT %(chunk)s
                  FOR UPDATE SKIP LOCKED
           ))
    RETURNING *
),
spread AS (
    SELECT t.project_id, t.metric_id, t.billing_scope_id, g.granularity,
           date_trunc(g.granularity, t.hour_start, 'UTC') AS bucket_start,
           CASE WHEN s.is_total THEN '{TOTAL}'::uuid ELSE t.stream END AS stream,
           CASE WHEN s.is_total THEN '' ELSE t.subject_type END AS subject_type,
           CASE WHEN s.is_total THEN '' ELSE t.subject_id END AS subject_id,
           CASE WHEN s.is_total THEN '{{}}'::jsonb ELSE t."group" END AS "group",
           t.record_count, t.value_sum, t.value_min, t.value_max, t.last_value, t.last_at, t.last_event_id
      FROM taken t
     CROSS JOIN (VALUES ('hour'), ('day'), ('month')) AS g (granularity)
     CROSS JOIN (VALUES (FALSE), (TRUE)) AS s (is_total)
),
merged AS (
    INSERT INTO metering_usagemeterrollup AS r
           (project_id, metric_id, granularity, stream, bucket_start, billing_scope_id,
            subject_type, subject_id, "group",
            record_count, value_sum, value_min, value_max, last_value, last_at, last_event_id)
    SELECT project_id, metric_id, granularity, stream, bucket_start, billing_scope_id,
           min(subject_type), min(subject_id), min("group"::text)::jsonb,
           sum(record_count), sum(value_sum), min(value_min), max(value_max),
           (array_agg(last_value ORDER BY last_at DESC, last_event_id DESC)
               FILTER (WHERE last_at IS NOT NULL))[1],
           max(last_at),
           (array_agg(last_event_id ORDER BY last_at DESC, last_event_id DESC)
               FILTER (WHERE last_at IS NOT NULL))[1]
      FROM spread
     GROUP BY project_id, metric_id, granularity, stream, bucket_start, billing_scope_id
     ORDER BY project_id, metric_id, granularity, stream, bucket_start, billing_scope_id
    ON CONFLICT (project_id, metric_id, granularity, stream, bucket_start, billing_scope_id) DO UPDATE
       SET record_count = r.record_count + EXCLUDED.record_count,
           value_sum = CASE
               WHEN EXCLUDED.value_sum IS NULL THEN r.value_sum
               ELSE COALESCE(r.value_sum, 0) + EXCLUDED.value_sum
           END,
           value_min = LEAST(r.value_min, EXCLUDED.value_min),
           value_max = GREATEST(r.value_max, EXCLUDED.value_max),
           last_value = CASE WHEN r.last_at IS NULL
                               OR (EXCLUDED.last_at, EXCLUDED.last_event_id) > (r.last_at, r.last_event_id)
                             THEN EXCLUDED.last_value ELSE r.last_value END,
           last_at = GREATEST(r.last_at, EXCLUDED.last_at),
           last_event_id = CASE WHEN r.last_at IS NULL
                                  OR (EXCLUDED.last_at, EXCLUDED.last_event_id) > (r.last_at, r.last_event_id)
                                THEN EXCLUDED.last_event_id ELSE r.last_event_id END
    RETURNING 1
)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM merged)
"""  # noqa: S608 (the one value formatted in is a constant of ours)


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
    for metric in MetricDefinition.objects.filter(is_history_due=True).select_related("project"):
        enqueue_history(metric)
    merged_count = bucket_count = 0
    while True:
        taken, buckets, is_last = _merge_chunk(chunk)
        merged_count += taken
        bucket_count += buckets
        if taken and on_progress is not None:
            on_progress(merged_count)
        if is_last:
            break
    tick = Tick(merged_count, bucket_count, time.monotonic() - began)
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": timezone.now(),
            "facts": {"merged": merged_count, "buckets": bucket_count, "seconds": round(tick.seconds, 3)},
        },
    )
    return tick


def _merge_chunk(chunk: int) -> tuple[int, int, bool]:
    """Rows merged, rollups written, and whether nothing more was in sight."""
    try:
        taken, buckets = _merge(chunk, ids=None)
    except DatabaseError as error:
        if isinstance(error, OperationalError | InterfaceError):
            raise
        head = PendingContribution.objects.filter(failure="").order_by("id").values_list("id", flat=True)
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
        cursor.execute(_MERGE, {"chunk": chunk, "ids": ids})
        taken, buckets = cursor.fetchone()
    return taken, buckets


def enqueue_history(metric: MetricDefinition) -> None:
    """Let a metric that counts from a position on count everything before it too, by pending contributions.

    The events before that position are final, so only the definition's row is locked; contributions and the
    new `counts_from` commit together. Nothing happens where another process was first.
    """
    owner_path = metric.project.path if metric.project else ""
    params = Params()
    end = params.add(metric.counts_from)
    where = Meaning(
        MetricDefinition(**{**_fields_of(metric), "counts_from": 0}), owner_path=owner_path
    ).where_sql(params)
    meaning = Meaning(metric, owner_path=owner_path)
    groups = meaning.group_sql(params)
    columns = AGGREGATIONS[metric.aggregation].from_readings_sql(
        meaning.value_sql(params), "e.occurred_at", "e.id"
    )
    pairs = ", ".join(
        f"{params.add(name)}::text, {sql}" for name, sql in zip(meaning.primary_labels, groups, strict=True)
    )
    group_json = f"jsonb_build_object({pairs})"
    names = list(columns)
    statement = f"""
        INSERT INTO metering_pendingcontribution
               (metric_id, project_id, billing_scope_id, hour_start, stream,
                subject_type, subject_id, "group", {", ".join(names)})
        SELECT {params.add(metric.pk)}, e.project_id, e.billing_scope_id,
               date_trunc('hour', e.occurred_at, 'UTC'),
               {stream_sql("e.subject_type", "e.subject_id", groups)},
               e.subject_type, e.subject_id, {group_json},
               {", ".join(columns[name] for name in names)}
          FROM metering_usageevent e
         WHERE {where}
           AND e.id <= {end}
           AND e.project_id = ANY ({params.add(_ids_below(owner_path))})
         GROUP BY 2, 3, 4, 5, 6, 7, 8
    """  # noqa: S608 (values are bound; the text is ours)
    with transaction.atomic(), connection.cursor() as cursor:
        due = MetricDefinition.objects.select_for_update().filter(pk=metric.pk, is_history_due=True)
        if due.values_list("pk").first() is None:
            return
        cursor.execute(statement, params)
        due.update(counts_from=0, is_history_due=False)
        move_version()


def _ids_below(path: str) -> list[int]:
    return list(Project.objects.filter(path__startswith=path).values_list("id", flat=True))


def _fields_of(metric: MetricDefinition) -> dict[str, object]:
    return {field.attname: getattr(metric, field.attname) for field in metric._meta.concrete_fields}
