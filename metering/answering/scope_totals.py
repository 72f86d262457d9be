"""What many projects used or pay for, each over intervals of its own, by one statement: what quotas ask.

`usage.py` answers for one project at a time. This is for metrics whose contributions add up in any order,
where a recorder that is about to write asks for hundreds of projects at once.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import connection

from metering.measuring.aggregations import Aggregate
from metering.measuring.buckets import EDGE, cover
from metering.measuring.event_sql import below_owner_sql, counted_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.streams import TOTAL


@dataclass(frozen=True, slots=True)
class ScopeInterval:
    """One project over a half-open UTC interval; None is open-ended."""

    project_id: int
    start: dt.datetime | None
    end: dt.datetime | None


@dataclass(frozen=True, slots=True)
class ScopeTotal:
    """`seen` are those of the values asked about that occur."""

    aggregate: Aggregate
    seen: frozenset[uuid.UUID] = frozenset()


def adds_up_by_scope(meaning: Meaning) -> bool:
    """Whether `scope_totals` can answer for the metric."""
    return meaning.adds_up and not meaning.carries_level


def scope_totals(
    meaning: Meaning,
    asked: Sequence[ScopeInterval],
    *,
    value_keys: Collection[uuid.UUID] = (),
) -> list[ScopeTotal]:
    """What each project used itself or pays for, each event once, in the order asked; exact as `usage_in`.

    With `value_keys`, of a metric that tells values apart: which of them occur.
    """
    params = Params()
    statement = _statement(meaning, asked, params, value_keys=value_keys)
    totals = [ScopeTotal(Aggregate())] * len(asked)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        for number, record_count, value_sum, distinct_count, seen in cursor.fetchall():
            aggregate = Aggregate(
                record_count=int(record_count or 0), value_sum=value_sum, distinct_count=distinct_count
            )
            totals[number] = ScopeTotal(aggregate, frozenset(seen or ()))
    return totals


def _statement(
    meaning: Meaning, asked: Sequence[ScopeInterval], params: Params, *, value_keys: Collection[uuid.UUID]
) -> str:
    """Segments by index, each in both roles of its project; what is pending is gathered once.

    Indexes: rollup_natural_key, rollup_totals_by_payer, pending_by_metric, usage_event_by_project and
    usage_event_by_payer.
    """
    segments = [
        (number, one.project_id, segment.granularity, segment.start, segment.end)
        for number, one in enumerate(asked)
        for segment in cover(one.start, one.end)
    ]
    has_edges = any(segment[2] == EDGE for segment in segments)
    metric_id = params.add(meaning.metric_id)
    project_ids = params.add(sorted({one.project_id for one in asked}))
    key = "value_key, " if meaning.keeps_values else ""
    by_value = "GROUP BY value_key" if meaning.keeps_values else ""
    stored = f"""
                SELECT {key}sum(record_count), sum(value_sum)
                  FROM metering_usagemeterrollup r
                 WHERE r.metric_id = {metric_id}
                   AND r.granularity = s.granularity
                   AND r.stream = '{TOTAL}'
                   AND r.bucket_start >= s.start_at
                   AND r.bucket_start < s.end_at
    """  # noqa: S608 (values are bound; the text is ours, here and below)
    waiting = f"""
            SELECT s.n, {key}p.record_count, p.value_sum
              FROM segments s
              JOIN waiting p
                ON p.hour_start >= s.start_at
               AND p.hour_start < s.end_at
               AND s.granularity <> '{EDGE}'
    """  # noqa: S608
    return f"""
        WITH segments AS MATERIALIZED (
            SELECT *
              FROM unnest(
                   {params.add([segment[0] for segment in segments])}::int[],
                   {params.add([segment[1] for segment in segments])}::bigint[],
                   {params.add([segment[2] for segment in segments])}::text[],
                   {params.add([_bound(segment[3], "-infinity") for segment in segments])}::timestamptz[],
                   {params.add([_bound(segment[4], "infinity") for segment in segments])}::timestamptz[]
                   ) AS s (n, project_id, granularity, start_at, end_at)
        ),
        waiting AS MATERIALIZED (
            SELECT {key}project_id, billing_scope_id, hour_start, sum(record_count) AS record_count,
                   sum(value_sum) AS value_sum
              FROM metering_pendingcontribution
             WHERE metric_id = {metric_id}
               AND NOT is_mark
               AND (project_id = ANY ({project_ids}::bigint[])
                    OR billing_scope_id = ANY ({project_ids}::bigint[]))
             GROUP BY {key}project_id, billing_scope_id, hour_start
        ),
        parts (n, {key}record_count, value_sum) AS (
            SELECT s.n, own.*
              FROM segments s
             CROSS JOIN LATERAL (
                {stored}
                   AND r.project_id = s.project_id
                 {by_value}
                   ) own
            UNION ALL
            SELECT s.n, paid.*
              FROM segments s
             CROSS JOIN LATERAL (
                {stored}
                   AND r.billing_scope_id = s.project_id
                   AND r.project_id <> s.project_id
                 {by_value}
                   ) paid
            UNION ALL
            {waiting}
             WHERE p.project_id = s.project_id
            UNION ALL
            {waiting}
             WHERE p.billing_scope_id = s.project_id
               AND p.project_id <> s.project_id
            {_edges(meaning, params, key=key) if has_edges else ""}
        )
        {_grouped(meaning, params, value_keys=value_keys)}
    """  # noqa: S608


def _edges(meaning: Meaning, params: Params, *, key: str) -> str:
    """Parts of an hour, from the ledger."""
    value = meaning.value_sql(params) if "value_sum" in meaning.aggregation.needed else "NULL::numeric"
    value_key = f"{meaning.value_key_sql(params)}, " if key else ""
    return f"""
            UNION ALL
            SELECT s.n, e.*
              FROM segments s
             CROSS JOIN LATERAL (
                   SELECT {value_key}1::bigint, {value}
                     FROM metering_usageevent e
                    WHERE s.granularity = '{EDGE}'
                      AND e.occurred_at >= s.start_at
                      AND e.occurred_at < s.end_at
                      AND (e.project_id = s.project_id OR e.billing_scope_id = s.project_id)
                      AND {counted_sql(meaning, params)}
                      AND {below_owner_sql(meaning, params)}
                   ) e
    """  # noqa: S608


def _grouped(meaning: Meaning, params: Params, *, value_keys: Collection[uuid.UUID]) -> str:
    if not meaning.keeps_values:
        return "SELECT n, sum(record_count), sum(value_sum), 0, NULL FROM parts GROUP BY n"
    return f"""
        SELECT n, sum(times), NULL, count(*),
               array_agg(value_key) FILTER (WHERE value_key = ANY ({params.add(list(value_keys))}::uuid[]))
          FROM (
                SELECT n, value_key, sum(record_count) AS times
                  FROM parts
                 GROUP BY n, value_key
                HAVING sum(record_count) <> 0
               ) kept
         GROUP BY n
    """  # noqa: S608


def _bound(instant: dt.datetime | None, infinity: str) -> str:
    return infinity if instant is None else instant.isoformat()
