"""What the rollups of one metric should hold by the ledger, against what they hold. SQL, read only.

Shares no code with recording and ticks: which events count, what is read from them, what a step between two
readings is, how streams and distinct values are named and how buckets add up is all written here a second
time, by window functions over whole streams where the tick goes from neighbour to neighbour. The one thing
borrowed is the label filter, `filter_from`: its words are the definition's own.

One statement, hence one snapshot, says both sides. A contribution is in the rollups or pending, so both count
as held. What nobody can judge yet are hours of a stream that wait to be read again (marks): there the stored
hour is believed, and everything made of it is still held to it.

Reads the ledger once, in the order of the index usage_event_by_project or whole; sorts go to disk.
"""

from metering.measuring.label_filter import Params
from metering.models import MetricDefinition

from .verification_readings import MEASURES, NOTHING, LedgerSide

_KEY = "project_id, billing_scope_id, granularity, bucket_start, stream, value_key"
_HOUR_KEY = "project_id, billing_scope_id, stream, hour_start"


def compared_sql(metric: MetricDefinition, params: Params) -> str:
    """`WITH …, compared AS (…)`: each bucket that either side knows, with `differs` and both sides' measures.

    Columns: the key, h_* what is held, e_* what the ledger gives, is_stored, and of the stream subject_type,
    subject_id, labels as the ledger has them, s_subject_type, s_subject_id, s_labels as they are stored.
    """
    return _Comparison(metric, params).sql()


class _Comparison(LedgerSide):
    def sql(self) -> str:
        stale = [self._stale()] if self._has_marks else []
        expressions = [
            self._readings(),
            self._amounts(),
            self._ledger_hours(),
            *stale,
            self._hours(),
            *self._levels(),
            self._waiting(),
            self._compared(),
        ]
        return "WITH " + ",\n".join(expressions)

    # -- what can't be judged yet --------------------------------------------------------------------------

    def _stale(self) -> str:
        """Marked hours; of steps also the next hour of the stream, which begins where a marked one ends."""
        marks = f"""
            SELECT DISTINCT {_HOUR_KEY}
              FROM metering_pendingcontribution
             WHERE metric_id = {self._metric_id}
               AND is_mark
        """  # noqa: S608
        if not self._is_stepped:
            return f"stale AS MATERIALIZED ({marks})"
        return f"""
        stale AS MATERIALIZED (
            WITH marks AS ({marks})
            SELECT {_HOUR_KEY}
              FROM (
                    SELECT {_HOUR_KEY}, is_marked,
                           lag(is_marked) OVER (
                               PARTITION BY project_id, billing_scope_id, stream ORDER BY hour_start
                           ) AS follows_a_mark
                      FROM (
                            SELECT {_HOUR_KEY}, bool_or(is_marked) AS is_marked
                              FROM (
                                    SELECT {_HOUR_KEY}, TRUE AS is_marked FROM marks
                                    UNION ALL
                                    SELECT {_HOUR_KEY}, FALSE
                                      FROM ledger_hours
                                     WHERE (project_id, billing_scope_id, stream) IN (
                                               SELECT project_id, billing_scope_id, stream FROM marks
                                           )
                                    UNION ALL
                                    SELECT project_id, billing_scope_id, stream, bucket_start, FALSE
                                      FROM metering_usagemeterrollup
                                     WHERE metric_id = {self._metric_id}
                                       AND granularity = 'hour'
                                       AND record_count > 0
                                       AND (project_id, billing_scope_id, stream) IN (
                                               SELECT project_id, billing_scope_id, stream FROM marks
                                           )
                                   ) known
                             GROUP BY {_HOUR_KEY}
                           ) each_once
                   ) in_order
             WHERE is_marked
                OR follows_a_mark
        )"""  # noqa: S608

    def _hours(self) -> str:
        """The hours of streams as they should be: by the ledger, but stale ones as they are held."""
        columns = f"{_HOUR_KEY}, value_key, subject_type, subject_id, labels, {', '.join(MEASURES)}"
        if not self._has_marks:
            return f"hours AS (SELECT {columns} FROM ledger_hours)"  # noqa: S608
        measures = ", ".join(MEASURES)
        return f"""
        hours AS (
            SELECT {columns}
              FROM ledger_hours l
             WHERE NOT EXISTS (
                       SELECT
                         FROM stale s
                        WHERE s.project_id = l.project_id
                          AND s.billing_scope_id = l.billing_scope_id
                          AND s.stream = l.stream
                          AND s.hour_start = l.hour_start
                   )
            UNION ALL
            SELECT {columns}
              FROM stale
              JOIN (
                    SELECT project_id, billing_scope_id, stream, bucket_start AS hour_start, value_key,
                           subject_type, subject_id, "group" AS labels, {measures}
                      FROM metering_usagemeterrollup
                     WHERE metric_id = {self._metric_id}
                       AND granularity = 'hour'
                       AND stream <> '{NOTHING}'
                    UNION ALL
                    SELECT {_HOUR_KEY}, value_key, subject_type, subject_id, "group", {measures}
                      FROM metering_pendingcontribution
                     WHERE metric_id = {self._metric_id}
                       AND NOT is_mark
                   ) held
             USING ({_HOUR_KEY})
        )"""  # noqa: S608

    # -- hours, days, months; streams and totals ------------------------------------------------------------

    def _levels(self) -> list[str]:
        return [
            self._level("stream_hours", "hours", "hour", "hour_start"),
            self._level("stream_days", "stream_hours", "day"),
            self._level("stream_months", "stream_days", "month"),
            self._level("total_hours", "stream_hours", "hour", of_all=True),
            self._level("total_days", "total_hours", "day", of_all=True),
            self._level("total_months", "total_days", "month", of_all=True),
            "expected AS ("  # noqa: S608
            + " UNION ALL ".join(
                f"SELECT * FROM {span}_{unit}s"  # noqa: S608
                for span in ("stream", "total")
                for unit in ("hour", "day", "month")
            )
            + ")",
        ]

    def _level(
        self, name: str, source: str, unit: str, start: str = "bucket_start", *, of_all: bool = False
    ) -> str:
        stream = f"'{NOTHING}'::uuid" if of_all else "stream"
        who = (
            "'' AS subject_type, '' AS subject_id, '{}'::jsonb AS labels"
            if of_all
            else "min(subject_type) AS subject_type, min(subject_id) AS subject_id,"
            " min(labels::text)::jsonb AS labels"
        )
        # The hours of streams alone keep a last reading where usage is made of steps.
        keeps_last = self._metric.aggregation == "LATEST" or name == "stream_hours"
        return f"""
        {name} AS (
            SELECT project_id, billing_scope_id, '{unit}' AS granularity,
                   date_trunc('{unit}', {start}, 'UTC') AS bucket_start, {stream} AS stream, value_key, {who},
                   {_merged_sql(keeps_last=keeps_last)}
              FROM {source}
             GROUP BY 1, 2, 4, {"6" if of_all else "stream, 6"}
        )"""  # noqa: S608

    # -- what is held ---------------------------------------------------------------------------------------

    def _waiting(self) -> str:
        """Pending contributions, in every bucket that they will reach."""
        return f"""
        waiting AS (
            SELECT project_id, billing_scope_id, granularity,
                   date_trunc(granularity, hour_start, 'UTC') AS bucket_start,
                   CASE WHEN of_all THEN '{NOTHING}'::uuid ELSE stream END AS stream, value_key,
                   {_merged_sql(keeps_last=True)}
              FROM metering_pendingcontribution
             CROSS JOIN unnest(ARRAY['hour', 'day', 'month']) AS granularity
             CROSS JOIN unnest(ARRAY[TRUE, FALSE]) AS of_all
             WHERE metric_id = {self._metric_id}
               AND NOT is_mark
             GROUP BY 1, 2, 3, 4, 5, 6
        )"""  # noqa: S608

    def _compared(self) -> str:
        newer = "(w.last_at, w.last_event_id) > (r.last_at, r.last_event_id)"
        held = {
            "record_count": "COALESCE(r.record_count, 0) + COALESCE(w.record_count, 0)",
            "value_sum": "COALESCE(r.value_sum, 0) + COALESCE(w.value_sum, 0)",
            "value_moment": "COALESCE(r.value_moment, 0) + COALESCE(w.value_moment, 0)",
            "value_min": "LEAST(r.value_min, w.value_min)",
            "value_max": "GREATEST(r.value_max, w.value_max)",
        }
        for name in ("last_value", "last_at", "last_event_id"):
            held[name] = (
                f"CASE WHEN r.last_at IS NULL THEN w.{name} WHEN w.last_at IS NULL THEN r.{name}"
                f" WHEN {newer} THEN w.{name} ELSE r.{name} END"
            )
        zero = {"record_count", "value_sum", "value_moment"}
        expected = {name: f"COALESCE(x.{name}, 0)" if name in zero else f"x.{name}" for name in MEASURES}
        sides = ", ".join(f"{held[name]} AS h_{name}, {expected[name]} AS e_{name}" for name in MEASURES)
        differs = " OR ".join(f"h_{name} IS DISTINCT FROM e_{name}" for name in MEASURES)
        return f"""
        compared AS (
            SELECT *, {differs} OR is_misnamed AS differs
              FROM (
                    SELECT {_KEY}, {sides}, r.id IS NOT NULL AS is_stored,
                           x.subject_type, x.subject_id, x.labels, r.subject_type AS s_subject_type,
                           r.subject_id AS s_subject_id, r."group" AS s_labels,
                           r.id IS NOT NULL AND x.record_count > 0
                           AND (x.subject_type, x.subject_id, x.labels)
                               IS DISTINCT FROM (r.subject_type, r.subject_id, r."group") AS is_misnamed
                      FROM expected x
                      FULL JOIN (
                            SELECT * FROM metering_usagemeterrollup WHERE metric_id = {self._metric_id}
                           ) r
                     USING ({_KEY})
                      FULL JOIN waiting w
                     USING ({_KEY})
                   ) sides
        )"""  # noqa: S608


def _merged_sql(*, keeps_last: bool) -> str:
    """Aggregates of aggregates, by the columns' names."""
    order = "ORDER BY last_at DESC NULLS LAST, last_event_id DESC NULLS LAST"
    measures = {
        "record_count": "sum(record_count)",
        "value_sum": "sum(value_sum)",
        "value_moment": "sum(value_moment)",
        "value_min": "min(value_min)",
        "value_max": "max(value_max)",
        "last_value": f"(array_agg(last_value {order}))[1]" if keeps_last else "NULL::numeric",
        "last_at": "max(last_at)" if keeps_last else "NULL::timestamptz",
        "last_event_id": f"(array_agg(last_event_id {order}))[1]" if keeps_last else "NULL::bigint",
    }
    return ", ".join(f"{sql} AS {name}" for name, sql in measures.items())
