"""Hours of a metric of steps that can't be taken as stored, worked out from the ledger: as SQL."""

import datetime as dt

from metering.measuring.aggregations import seconds_sql
from metering.measuring.buckets import EDGE
from metering.measuring.event_sql import counted_sql, event_stream_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Slice, filtered_sql
from metering.measuring.streams import TOTAL

_STREAM_KEY = ("project_id", "billing_scope_id", "stream")


def corrections_ctes(
    meaning: Meaning, slice: Slice, params: Params, *, has_edges: bool, last_hour: dt.datetime | None = None
) -> list[str]:
    """`stepped`: the readings of the hours that can't be taken as stored, each with its step.
    `corrections`: per marked hour (up to `last_hour`), what they come to less what is stored.

    Reads pending marks, stored hours (by rollup_natural_key) and of the ledger only the hours concerned. The
    reading before such an hour is the last one of the stored hour before it, unless that one is read anyway.
    Nothing is joined to a relation of unknown size: rows are gathered and told apart by window functions, so
    that no plan is quadratic when marks have piled up.
    """
    assert meaning.steps is not None
    metric_id = params.add(meaning.metric_id)
    marked = "TRUE"
    if last_hour is not None:
        marked = f"p.hour_start <= {params.add(last_hour)}"
    edges = ""
    if has_edges:
        edges = f"""
                UNION ALL
                SELECT r.project_id, r.billing_scope_id, r.stream, r.bucket_start, r.subject_type,
                       r.subject_id, r."group", FALSE
                  FROM (
                        SELECT DISTINCT generate_series(
                                   date_trunc('hour', start_at, 'UTC'), end_at - interval '1 microsecond',
                                   interval '1 hour'
                               ) AS hour_start
                          FROM cover
                         WHERE granularity = '{EDGE}'
                       ) cut
                  JOIN metering_usagemeterrollup r
                    ON r.metric_id = {metric_id}
                   AND r.granularity = 'hour'
                   AND r.bucket_start = cut.hour_start
                   AND r.stream <> '{TOTAL}'
                   AND r.record_count > 0
                   AND {filtered_sql(slice, "r", params)}
        """  # noqa: S608
    key = ", ".join(_STREAM_KEY)
    of_metric = " AND ".join(
        [
            *(f"r.{name} = h.{name}" for name in _STREAM_KEY),
            f"r.metric_id = {metric_id}",
            "r.granularity = 'hour'",
        ]
    )
    step = meaning.steps.sql("value", "at", "lag(value) OVER stream_order", "lag(at) OVER stream_order")
    has_moment = "value_moment" in meaning.aggregation.needed
    moment = f"sum(step * {seconds_sql('at')})" if has_moment else "NULL::numeric"
    return [
        f"""
        hours AS MATERIALIZED (
            SELECT {key}, hour_start, min(subject_type) AS subject_type, min(subject_id) AS subject_id,
                   min("group"::text)::jsonb AS "group", bool_or(is_stale) AS is_stale
              FROM (
                SELECT p.project_id, p.billing_scope_id, p.stream, at.hour_start, p.subject_type,
                       p.subject_id, p."group", TRUE AS is_stale
                  FROM (
                        SELECT {key}, hour_start, min(subject_type) AS subject_type,
                               min(subject_id) AS subject_id, min("group"::text)::jsonb AS "group"
                          FROM metering_pendingcontribution p
                         WHERE p.metric_id = {metric_id}
                           AND {filtered_sql(slice, "p", params)}
                           AND {marked}
                         GROUP BY {key}, hour_start
                       ) p
                 CROSS JOIN LATERAL (
                       -- The marked hour, and the one after it, whose first step begins at its last reading.
                       SELECT p.hour_start
                        UNION ALL
                       (SELECT r.bucket_start
                          FROM metering_usagemeterrollup r
                         WHERE {of_metric.replace("h.", "p.")}
                           AND r.bucket_start > p.hour_start
                           AND r.record_count > 0
                         ORDER BY r.bucket_start
                         LIMIT 1)
                       ) at
                {edges}
              ) touched
             GROUP BY {key}, hour_start
        )
        """,  # noqa: S608
        f"""
        gathered AS (
            -- The hours themselves,
            SELECT {key}, hour_start, TRUE AS is_asked, is_stale, subject_type, subject_id, "group",
                   NULL::timestamptz AS at, NULL::bigint AS id, NULL::numeric AS value, FALSE AS is_before
              FROM hours
            UNION ALL
            -- the last reading before each, as stored,
            SELECT h.project_id, h.billing_scope_id, h.stream, before.bucket_start, FALSE, FALSE, NULL, NULL,
                   NULL::jsonb, before.last_at, before.last_event_id, before.last_value, TRUE
              FROM hours h
             CROSS JOIN LATERAL (
                   SELECT r.bucket_start, r.last_at, r.last_event_id, r.last_value
                     FROM metering_usagemeterrollup r
                    WHERE {of_metric}
                      AND r.bucket_start < h.hour_start
                      AND r.record_count > 0
                    ORDER BY r.bucket_start DESC
                    LIMIT 1
                   ) before
            UNION ALL
            -- and what the ledger holds of those hours, in all streams.
            SELECT asked.project_id, x.billing_scope_id, x.stream, asked.hour_start, FALSE, FALSE, NULL, NULL,
                   NULL::jsonb, x.occurred_at, x.id, x.value, FALSE
              FROM (SELECT DISTINCT project_id, hour_start FROM hours) asked
             CROSS JOIN LATERAL (
                   SELECT e.billing_scope_id, {event_stream_sql(meaning, params)} AS stream,
                          e.occurred_at, e.id, {meaning.value_sql(params)} AS value
                     FROM (
                           -- By usage_event_by_project. Conditions on ids, which that index holds as well,
                           -- are kept apart: PostgreSQL 18 takes them for a reason not to use it.
                           SELECT e.*
                             FROM metering_usageevent e
                            WHERE e.project_id = asked.project_id
                              AND e.event_name = {params.add(meaning.event_name)}
                              AND e.occurred_at >= asked.hour_start
                              AND e.occurred_at < asked.hour_start + interval '1 hour'
                           OFFSET 0
                          ) e
                    WHERE {counted_sql(meaning, params)}
                   ) x
        )
        """,  # noqa: S608
        f"""
        stepped AS MATERIALIZED (
            SELECT *
              FROM (
                    SELECT readings.*, {step} AS step
                      FROM (
                            SELECT {key}, hour_start, at, id, value, is_before,
                                   bool_or(is_asked) OVER hour AS is_asked,
                                   bool_or(is_stale) OVER hour AS is_stale,
                                   max(subject_type) OVER hour AS subject_type,
                                   max(subject_id) OVER hour AS subject_id,
                                   (max("group"::text) OVER hour)::jsonb AS "group"
                              FROM gathered
                            WINDOW hour AS (PARTITION BY {key}, hour_start)
                           ) readings
                     WHERE at IS NOT NULL
                       AND is_before <> is_asked
                    WINDOW stream_order AS (PARTITION BY {key} ORDER BY at, id)
                   ) every
             WHERE NOT is_before
        )
        """,  # noqa: S608
        f"""
        corrections AS (
            SELECT {key}, hour_start, min(subject_type) AS subject_type, min(subject_id) AS subject_id,
                   min("group")::jsonb AS "group", sum(record_count) AS record_count,
                   sum(value_sum) AS value_sum, sum(value_moment) AS value_moment,
                   min(last_value) AS last_value, min(last_at) AS last_at,
                   min(last_event_id) AS last_event_id
              FROM (
                    SELECT {key}, hour_start, min(subject_type) AS subject_type,
                           min(subject_id) AS subject_id, min("group"::text) AS "group",
                           count(*) AS record_count, sum(step) AS value_sum, {moment} AS value_moment,
                           (array_agg(value ORDER BY at DESC, id DESC))[1] AS last_value,
                           max(at) AS last_at,
                           (array_agg(id ORDER BY at DESC, id DESC))[1] AS last_event_id
                      FROM stepped
                     WHERE is_stale
                     GROUP BY {key}, hour_start
                    UNION ALL
                    SELECT h.project_id, h.billing_scope_id, h.stream, h.hour_start, h.subject_type,
                           h.subject_id, h."group"::text, -stored.record_count, -stored.value_sum,
                           -stored.value_moment, NULL, NULL, NULL
                      FROM hours h
                     CROSS JOIN LATERAL (
                           SELECT r.record_count, r.value_sum, r.value_moment
                             FROM metering_usagemeterrollup r
                            WHERE {of_metric}
                              AND r.bucket_start = h.hour_start
                            LIMIT 1
                           ) stored
                     WHERE h.is_stale
                   ) signed
             GROUP BY {key}, hour_start
        )
        """,  # noqa: S608
    ]
