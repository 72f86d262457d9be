"""Rollups that don't add up by themselves: extremes, latest readings, steps between readings.

A metric's buckets in a project are drained whole, by one worker at a time: their lock is a statement of its
own, and the next one, with a snapshot newer than whatever the last holder committed, removes all pending rows
of the hours that it takes and works out those hours from what is stored, what is pending and the ledger, all
as of that snapshot. Were rows skipped because another worker held them, and the bucket read again, the slower
worker would overwrite it with what it saw earlier.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from metering.answering.step_corrections import corrections_ctes
from metering.catalogue import current
from metering.locks import hold_rollups, try_to_hold_buckets
from metering.measuring.event_sql import counted_sql, event_stream_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Scope, Slice
from metering.measuring.streams import TOTAL
from metering.models import PendingContribution

from .tick_observers import observe, tick_observers, touched_days

logger = logging.getLogger(__name__)

PROJECTS_AT_ONCE = 100  # advisory locks that a transaction holds: the server's lock table is shared

_COLUMNS = ("value_sum", "value_moment", "value_min", "value_max", "last_value", "last_at", "last_event_id")
_KEY = "project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key"
_INSERT = f"""
    INSERT INTO metering_usagemeterrollup AS r
           (project_id, metric_id, granularity, stream, bucket_start, billing_scope_id, value_key,
            subject_type, subject_id, "group", record_count, {", ".join(_COLUMNS)})
"""
_OVERWRITE = f"""
    ON CONFLICT ({_KEY}) DO UPDATE
       SET record_count = EXCLUDED.record_count,
           {", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS)}
"""  # noqa: S608

# From which rows the larger buckets are made: (granularity, of totals) to (granularity, of totals).
_LEVELS = (
    ("hour", False, "day", False),
    ("day", False, "month", False),
    ("hour", False, "hour", True),
    ("hour", True, "day", True),
    ("day", True, "month", True),
)

_Touched = tuple[int, int, Any, Any]  # project, billing scope, stream, an instant


@dataclass(frozen=True, slots=True)
class Drained:
    """Pending rows taken and hours of streams written, and from which larger buckets must be made anew."""

    taken_count: int
    written_count: int
    stream_days: list[_Touched]
    total_hours: list[_Touched]


def drained_whole(chunk: int) -> Iterator[tuple[int, int]]:
    """Drain what waits and isn't being drained; pending rows taken and rollups written, step by step."""
    waiting = PendingContribution.objects.filter(drains_whole=True, failure="")
    for metric_id in list(waiting.order_by().values_list("metric_id", flat=True).distinct()):
        projects = waiting.filter(metric_id=metric_id).order_by("project_id")
        project_ids = list(projects.values_list("project_id", flat=True).distinct())
        for start in range(0, len(project_ids), PROJECTS_AT_ONCE):
            yield from _drained(metric_id, project_ids[start : start + PROJECTS_AT_ONCE], chunk)


def _drained(metric_id: int, project_ids: Sequence[int], chunk: int) -> Iterator[tuple[int, int]]:
    """The same for some projects; one that can't be drained is set aside, so that it holds up no other."""
    try:
        is_last = False
        while not is_last:
            taken, buckets, is_last = _drain(metric_id, project_ids, chunk)
            yield taken, buckets
    except DatabaseError as error:
        if isinstance(error, OperationalError | InterfaceError):
            raise
        if len(project_ids) > 1:
            middle = len(project_ids) // 2
            yield from _drained(metric_id, project_ids[:middle], chunk)
            yield from _drained(metric_id, project_ids[middle:], chunk)
            return
        logger.exception(
            "Pending contributions of metric %s in project %s can't be merged; they are set aside",
            metric_id,
            project_ids[0],
        )
        PendingContribution.objects.filter(
            metric_id=metric_id, project_id=project_ids[0], drains_whole=True, failure=""
        ).update(failure=str(error)[:1000] or type(error).__name__)


class _DefinitionMoved(Exception):
    """The catalogue moved while a drain ran: what it read may mean something else by now."""


def _drain(metric_id: int, project_ids: Sequence[int], chunk: int) -> tuple[int, int, bool]:
    """One transaction: pending rows taken, rollups written, whether that was all.

    By the definition as it is in the snapshot that is read: archived or reaching back by then, the metric
    counts other events.
    """
    while True:
        try:
            with transaction.atomic():
                hold_rollups()
                held = try_to_hold_buckets(metric_id, project_ids)
                if not held:
                    return 0, 0, True
                catalogue = current()
                drained = _drain_held(catalogue.meanings[metric_id], held, chunk)
                if current().version != catalogue.version:
                    raise _DefinitionMoved
                return drained
        except _DefinitionMoved:
            continue


def _drain_held(meaning: Meaning, held: Sequence[int], chunk: int) -> tuple[int, int, bool]:
    last_hour = _last_hour(meaning, held, chunk)
    if meaning.is_stepped:
        return *_drain_steps(meaning, held, last_hour), last_hour is None
    drained = _drain_hours(meaning, held, last_hour)
    buckets = drained.written_count
    for level in _LEVELS:
        touched = drained.total_hours if level[3] else drained.stream_days
        buckets += _raise_level(meaning, touched, *level)
    if tick_observers():
        hours = [(project_id, scope_id, hour) for project_id, scope_id, _, hour in drained.total_hours]
        observe(touched_days(meaning.metric_id, hours))
    return drained.taken_count, buckets, last_hour is None


def _last_hour(meaning: Meaning, project_ids: Sequence[int], chunk: int) -> Any:
    """The hour up to which about `chunk` rows wait; None when all may be taken. Hours are never split."""
    waiting = PendingContribution.objects.filter(
        metric_id=meaning.metric_id, project_id__in=project_ids, drains_whole=True, failure=""
    )
    last = list(waiting.order_by("hour_start").values_list("hour_start", flat=True)[chunk - 1 : chunk])
    return last[0] if last else None


def _drain_hours(meaning: Meaning, project_ids: Sequence[int], last_hour: Any) -> Drained:
    """Take pending rows and write the hours of their streams: merged, or from the ledger where marked."""
    params = Params()
    metric_id, ids = params.add(meaning.metric_id), params.add(list(project_ids))
    needed = meaning.aggregation.needed
    names = ("record_count", *needed)
    key = "project_id, billing_scope_id, stream"
    hour_of = f"PARTITION BY {key}, hour_start"
    merged = meaning.aggregation.merge_sql("parts")
    readings = meaning.aggregation.from_readings_sql("x.value", "x.occurred_at", "x.id")
    statement = f"""
    WITH taken AS (
        DELETE FROM metering_pendingcontribution
         WHERE metric_id = {metric_id}
           AND project_id = ANY ({ids}::bigint[])
           AND drains_whole
           AND failure = ''
           AND hour_start <= COALESCE({params.add(last_hour)}::timestamptz, 'infinity')
        RETURNING *
    ),
    judged AS MATERIALIZED (
        SELECT t.*, bool_or(is_mark) OVER ({hour_of}) AS is_marked
          FROM taken t
    ),
    parts AS (
        -- What is pending; of marked hours just that they are.
        SELECT {key}, hour_start, subject_type, subject_id, "group"::text AS "group",
               CASE WHEN is_marked THEN 0 ELSE record_count END AS record_count,
               {", ".join(f"CASE WHEN NOT is_marked THEN {name} END AS {name}" for name in needed)}
          FROM judged
        UNION ALL
        -- What is stored, where it still holds.
        SELECT k.project_id, k.billing_scope_id, k.stream, k.hour_start, NULL, NULL, NULL,
               {", ".join(f"stored.{name}" for name in names)}
          FROM (SELECT DISTINCT {key}, hour_start FROM judged WHERE NOT is_marked) k
         CROSS JOIN LATERAL (
               SELECT r.*
                 FROM metering_usagemeterrollup r
                WHERE r.project_id = k.project_id
                  AND r.metric_id = {metric_id}
                  AND r.granularity = 'hour'
                  AND r.stream = k.stream
                  AND r.bucket_start = k.hour_start
                  AND r.billing_scope_id = k.billing_scope_id
                LIMIT 1
               ) stored
        UNION ALL
        -- What the ledger holds of marked hours.
        SELECT {key}, hour_start, NULL, NULL, NULL, {", ".join(readings[name] for name in names)}
          FROM (
                SELECT gathered.*, bool_or(is_asked) OVER ({hour_of}) AS is_wanted
                  FROM (
                        SELECT DISTINCT {key}, hour_start, TRUE AS is_asked, NULL::timestamptz AS occurred_at,
                               NULL::bigint AS id, NULL::numeric AS value
                          FROM judged
                         WHERE is_marked
                        UNION ALL
                        SELECT asked.project_id, x.billing_scope_id, x.stream, asked.hour_start, FALSE,
                               x.occurred_at, x.id, x.value
                          FROM (SELECT DISTINCT project_id, hour_start FROM judged WHERE is_marked) asked
                         CROSS JOIN LATERAL (
                               SELECT e.billing_scope_id, {event_stream_sql(meaning, params)} AS stream,
                                      e.occurred_at, e.id, {meaning.value_sql(params)} AS value
                                 FROM metering_usageevent e
                                WHERE e.project_id = asked.project_id
                                  AND e.occurred_at >= asked.hour_start
                                  AND e.occurred_at < asked.hour_start + interval '1 hour'
                                  AND {counted_sql(meaning, params)}
                               OFFSET 0
                               ) x
                       ) gathered
               ) x
         WHERE is_wanted
           AND NOT is_asked
         GROUP BY {key}, hour_start
    ),
    written AS (
        {_INSERT}
        SELECT project_id, {metric_id}, 'hour', stream, hour_start, billing_scope_id,
               '{TOTAL}'::uuid, min(subject_type), min(subject_id), min("group")::jsonb,
               {merged["record_count"]}, {", ".join(merged[name] for name in _COLUMNS)}
          FROM parts
         GROUP BY {key}, hour_start
         ORDER BY project_id, stream, hour_start, billing_scope_id
        {_OVERWRITE}
        RETURNING project_id, billing_scope_id, stream, bucket_start
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM written), touched.*
      FROM (
            SELECT DISTINCT FALSE AS is_total, project_id, billing_scope_id, stream,
                   date_trunc('day', bucket_start, 'UTC') AS start_at
              FROM written
            UNION ALL
            SELECT DISTINCT TRUE, project_id, billing_scope_id, '{TOTAL}'::uuid, bucket_start
              FROM written
           ) touched
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    if not rows:
        return Drained(0, 0, [], [])
    return Drained(
        rows[0][0],
        rows[0][1],
        stream_days=[row[3:] for row in rows if not row[2]],
        total_hours=[row[3:] for row in rows if row[2]],
    )


def _raise_level(
    meaning: Meaning, touched: Sequence[_Touched], fine: str, of_totals: bool, coarse: str, to_totals: bool
) -> int:
    """Write the larger buckets that hold what was touched anew, from the smaller ones, under their lock."""
    if not touched:
        return 0
    merged = meaning.aggregation.merge_sql("r")
    project_ids, scope_ids, streams, starts = zip(*touched, strict=True)
    within = "r.bucket_start = t.start_at"
    if fine != coarse:
        end = f"((t.start_at AT TIME ZONE 'UTC') + interval '1 {coarse}') AT TIME ZONE 'UTC'"
        within = f"r.bucket_start >= t.start_at AND r.bucket_start < {end}"
    statement = f"""
    {_INSERT}
    SELECT t.project_id, %(metric)s, '{coarse}', t.stream, t.start_at, t.billing_scope_id, '{TOTAL}'::uuid,
           {"''" if to_totals else "min(r.subject_type)"}, {"''" if to_totals else "min(r.subject_id)"},
           {"'{}'::jsonb" if to_totals else 'min(r."group"::text)::jsonb'},
           {merged["record_count"]}, {", ".join(merged[name] for name in _COLUMNS)}
      FROM (
            SELECT DISTINCT h.project_id, h.billing_scope_id,
                   h.stream,
                   date_trunc('{coarse}', h.start_at, 'UTC') AS start_at
              FROM unnest(%(projects)s::bigint[], %(scopes)s::bigint[], %(streams)s::uuid[],
                          %(starts)s::timestamptz[]) AS h (project_id, billing_scope_id, stream, start_at)
           ) t
      JOIN metering_usagemeterrollup r
        ON r.project_id = t.project_id
       AND r.metric_id = %(metric)s
       AND r.granularity = '{fine}'
       AND r.stream {"<>" if to_totals and not of_totals else "="} t.stream
       AND {within}
       AND r.billing_scope_id = t.billing_scope_id
     GROUP BY t.project_id, t.billing_scope_id, t.stream, t.start_at
     ORDER BY t.project_id, t.stream, t.start_at, t.billing_scope_id
    {_OVERWRITE}
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "metric": meaning.metric_id,
                "projects": list(project_ids),
                "scopes": list(scope_ids),
                "streams": list(streams),
                "starts": list(starts),
            },
        )
        return int(cursor.rowcount)


def _drain_steps(meaning: Meaning, project_ids: Sequence[int], last_hour: Any) -> tuple[int, int]:
    """Take marks and add to every bucket what the ledger says of the marked hours, less what was stored.

    The hours of streams keep their last reading, too: it is where the next hour's first step begins. So the
    earliest marks are taken first, and an hour never begins at a reading that is still to be worked out.
    """
    params = Params()
    metric_id, ids = params.add(meaning.metric_id), params.add(list(project_ids))
    corrections = corrections_ctes(
        meaning, Slice(scope=Scope(project_ids)), params, has_edges=False, last_hour=last_hour
    )
    touched, is_observed = "SELECT NULL", bool(tick_observers())
    if is_observed:
        touched = "SELECT DISTINCT project_id, billing_scope_id, hour_start FROM corrections"
    has_moment = "value_moment" in meaning.aggregation.needed
    statement = f"""
    WITH taken AS (
        DELETE FROM metering_pendingcontribution
         WHERE metric_id = {metric_id}
           AND project_id = ANY ({ids}::bigint[])
           AND drains_whole
           AND failure = ''
           AND hour_start <= COALESCE({params.add(last_hour)}::timestamptz, 'infinity')
        RETURNING 1
    ),
    {", ".join(corrections)},
    spread AS (
        SELECT k.project_id, k.billing_scope_id, g.granularity,
               date_trunc(g.granularity, k.hour_start, 'UTC') AS bucket_start,
               CASE WHEN s.is_total THEN '{TOTAL}'::uuid ELSE k.stream END AS stream,
               CASE WHEN s.is_total THEN '' ELSE k.subject_type END AS subject_type,
               CASE WHEN s.is_total THEN '' ELSE k.subject_id END AS subject_id,
               CASE WHEN s.is_total THEN '{{}}'::jsonb ELSE k."group" END AS "group",
               k.record_count, k.value_sum,
               {"k.value_moment" if has_moment else "NULL::numeric"} AS value_moment,
               CASE WHEN g.granularity = 'hour' AND NOT s.is_total THEN k.last_value END AS last_value,
               CASE WHEN g.granularity = 'hour' AND NOT s.is_total THEN k.last_at END AS last_at,
               CASE WHEN g.granularity = 'hour' AND NOT s.is_total THEN k.last_event_id END AS last_event_id
          FROM corrections k
         CROSS JOIN (VALUES ('hour'), ('day'), ('month')) AS g (granularity)
         CROSS JOIN (VALUES (FALSE), (TRUE)) AS s (is_total)
    ),
    written AS (
        {_INSERT}
        SELECT project_id, {metric_id}, granularity, stream, bucket_start, billing_scope_id,
               '{TOTAL}'::uuid, min(subject_type), min(subject_id), min("group"::text)::jsonb,
               sum(record_count), sum(value_sum), sum(value_moment), NULL::numeric, NULL::numeric,
               min(last_value), min(last_at), min(last_event_id)
          FROM spread
         GROUP BY project_id, granularity, stream, bucket_start, billing_scope_id
         ORDER BY project_id, granularity, stream, bucket_start, billing_scope_id
        ON CONFLICT ({_KEY}) DO UPDATE
           SET record_count = r.record_count + EXCLUDED.record_count,
               value_sum = r.value_sum + EXCLUDED.value_sum,
               value_moment = r.value_moment + EXCLUDED.value_moment,
               last_value = EXCLUDED.last_value,
               last_at = EXCLUDED.last_at,
               last_event_id = EXCLUDED.last_event_id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM written), touched.*
      FROM (VALUES (TRUE)) AS always
      LEFT JOIN ({touched}) touched
        ON TRUE
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    taken, written = rows[0][:2]
    if is_observed and written:
        observe(touched_days(meaning.metric_id, [row[2:] for row in rows]))
    return taken, written
