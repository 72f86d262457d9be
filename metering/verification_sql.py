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

from .label_filter import Params, filter_from
from .models import MetricDefinition

NOTHING = "00000000-0000-0000-0000-000000000000"
MEASURES = (
    "record_count",
    "value_sum",
    "value_moment",
    "value_min",
    "value_max",
    "last_value",
    "last_at",
    "last_event_id",
)
_KEY = "project_id, billing_scope_id, granularity, bucket_start, stream, value_key"
_HOUR_KEY = "project_id, billing_scope_id, stream, hour_start"
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?0*[0-9]{1,3})?$"
_PERIODS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


def compared_sql(metric: MetricDefinition, params: Params) -> str:
    """`WITH …, compared AS (…)`: each bucket that either side knows, with `differs` and both sides' measures.

    Columns: the key, h_* what is held, e_* what the ledger gives, is_stored, and of the stream subject_type,
    subject_id, labels as the ledger has them, s_subject_type, s_subject_id, s_labels as they are stored.
    """
    return _Comparison(metric, params).sql()


class _Comparison:
    def __init__(self, metric: MetricDefinition, params: Params) -> None:
        self._metric = metric
        self._params = params
        self._labels = [f"l{index}" for index, _ in enumerate(metric.primary_labels)]
        self._metric_id = params.add(metric.pk)
        self._is_text = metric.data_type == MetricDefinition.DataType.STRING
        self._is_level = metric.aggregation == "TIME_WEIGHTED_AVG"
        is_sum = metric.aggregation == "SUM"
        self._is_total = is_sum and metric.reporting_method == "total"
        self._is_stepped = self._is_total or (not metric.is_incremental and (is_sum or self._is_level))
        self._has_marks = self._is_stepped or metric.aggregation in {"MIN", "MAX", "LATEST"}

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

    # -- the ledger ----------------------------------------------------------------------------------------

    def _at(self, path: str) -> str:
        return "e.labels" + "".join(f" -> {self._params.add(part)}::text" for part in path.split("."))

    def _text(self, path: str) -> str:
        return f"(({self._at(path)}) #>> '{{}}')"

    def _number(self, path: str) -> str:
        """The number in a label, NULL for what is none: a row that somebody changed must not end the run."""
        text = self._text(path)
        return (
            f"CASE jsonb_typeof({self._at(path)}) WHEN 'number' THEN {text}::numeric WHEN 'string' THEN"
            f" CASE WHEN {text} ~ {self._params.add(_NUMBER)} AND length({text}) <= 100"
            f" THEN {text}::numeric END END"
        )

    def _value(self) -> str:
        if self._is_text:
            return "1::numeric"
        if self._metric.value_property:
            return self._number(self._metric.value_property)
        return "COALESCE(e.quantity, 1)"

    def _readings(self) -> str:
        """The usage events that count and that no void cancels, each with its reading."""
        params, metric = self._params, self._metric
        clauses = [
            "e.kind = 'usage'",
            f"e.event_name = {params.add(metric.event_name)}",
            f"e.id > {params.add(metric.counts_from)}",
            "v.id IS NULL",
            filter_from(metric.event_label_filter).sql("e.labels", params),
        ]
        if metric.archived_from is not None:
            clauses.append(f"e.id <= {params.add(metric.archived_from)}")
        if metric.project_id is not None:
            owner = f"(SELECT path FROM metering_project WHERE id = {params.add(metric.project_id)})"  # noqa: S608
            clauses.append(f"starts_with(p.path, {owner})")
        if metric.counts_from == 0:
            clauses += self._readable()
        labels = [
            f"{self._text(path)} AS {name}"
            for name, path in zip(self._labels, metric.primary_labels, strict=True)
        ]
        columns = ", ".join(["e.project_id", "e.billing_scope_id", "e.subject_type", "e.subject_id", *labels])
        told = self._text(metric.value_property) if self._is_text and metric.value_property else "''"
        return f"""
        readings AS (
            SELECT {columns}, e.id, e.occurred_at AS at, {self._value()} AS value, {told} AS told
              FROM metering_usageevent e
              JOIN metering_project p ON p.id = e.project_id
              LEFT JOIN metering_usageevent v ON v.project_id = e.project_id AND v.voids = e.id
             WHERE {" AND ".join(clauses)}
        )"""  # noqa: S608 (values are bound; the text is ours, here and below)

    def _readable(self) -> list[str]:
        """A metric that reaches back leaves out what it would have refused."""
        metric = self._metric
        kind = "COALESCE(jsonb_typeof({}), 'null')"
        clauses = [f"{kind.format(self._at(path))} <> 'null'" for path in metric.expected_labels]
        clauses += [
            f"{kind.format(self._at(path))} NOT IN ('object', 'array')" for path in metric.primary_labels
        ]
        if self._is_text:
            if metric.value_property:
                clauses.append(f"{kind.format(self._at(metric.value_property))} = 'string'")
            return clauses
        number = f"({self._value()})"
        clauses += [f"abs({number}) < 1e26", f"scale(trim_scale({number})) <= 12"]
        if metric.meter_type == MetricDefinition.MeterType.COUNTER:
            clauses.append(f"{number} >= 0")
        if metric.data_type == MetricDefinition.DataType.INT:
            clauses.append(f"{number} = trunc({number})")
        return clauses

    def _amounts(self) -> str:
        """What each reading adds, and whether it is the last of its stream's hour."""
        stream = ", ".join(["project_id", "billing_scope_id", "subject_type", "subject_id", *self._labels])
        window = f"stream AS (PARTITION BY {stream} ORDER BY at, id)"
        before = "lag(value) OVER stream"
        if not self._is_stepped:
            amount = "value"
        elif self._is_level:
            amount = f"value - COALESCE({before}, 0)"
        elif self._is_total:
            # Each reset period begins at zero; without one, the stream does.
            unit = _PERIODS.get(self._metric.reset_period)
            if unit is not None:
                window += (
                    f", period AS (PARTITION BY {stream}, date_trunc('{unit}', at, 'UTC') ORDER BY at, id)"
                )
                before = "lag(value) OVER period"
            amount = f"value - COALESCE({before}, 0)"
        elif self._metric.meter_type == MetricDefinition.MeterType.COUNTER:
            amount = f"value - CASE WHEN {before} > value THEN 0 ELSE COALESCE({before}, value) END"
        else:
            amount = f"value - COALESCE({before}, value)"
        is_last = "FALSE"
        if self._is_stepped or self._metric.aggregation == "LATEST":
            is_last = (
                "lead(at) OVER stream IS NULL"
                " OR date_trunc('hour', lead(at) OVER stream, 'UTC') > date_trunc('hour', at, 'UTC')"
            )
        return f"""
        amounts AS (
            SELECT readings.*, {amount} AS amount, {is_last} AS is_last
              FROM readings
            WINDOW {window}
        )"""  # noqa: S608

    def _ledger_hours(self) -> str:
        """Those readings by stream and hour, streams and distinct values under the names that rollups use."""
        aggregation = self._metric.aggregation
        names = ["subject_type", "subject_id", *self._labels]
        grouping = f"project_id, billing_scope_id, {', '.join(names)}, date_trunc('hour', at, 'UTC')"
        told = "''"
        if aggregation == "UNIQUE_COUNT":
            told = "told" if self._is_text else "trim_scale(value)::text"
            grouping += f", {told}"
        has_sum = self._is_stepped or self._is_level or aggregation in {"SUM", "AVG"}
        has_last = self._is_stepped or aggregation == "LATEST"
        measures = {
            "record_count": "count(*)",
            "value_sum": "sum(amount)" if has_sum else None,
            "value_moment": "sum(amount * extract(epoch FROM at))" if self._is_level else None,
            "value_min": "min(value)" if aggregation == "MIN" else None,
            "value_max": "max(value)" if aggregation == "MAX" else None,
            "last_value": "max(value) FILTER (WHERE is_last)" if has_last else None,
            "last_at": "max(at) FILTER (WHERE is_last)" if has_last else None,
            "last_event_id": "max(id) FILTER (WHERE is_last)" if has_last else None,
        }
        types = {"last_at": "timestamptz", "last_event_id": "bigint"}
        folded = ", ".join(
            f"{sql or 'NULL::' + types.get(name, 'numeric')} AS {name}" for name, sql in measures.items()
        )
        stream = _hash_sql(
            " || ".join(f"COALESCE(char_length({name}) || ':' || {name}, '-')" for name in names)
        )
        value_key = _hash_sql("told") if aggregation == "UNIQUE_COUNT" else f"'{NOTHING}'::uuid"
        pairs = ", ".join(
            f"{self._params.add(path)}::text, {name}"
            for path, name in zip(self._metric.primary_labels, self._labels, strict=True)
        )
        return f"""
        ledger_hours AS (
            SELECT project_id, billing_scope_id, {stream} AS stream, hour_start, {value_key} AS value_key,
                   subject_type, subject_id, jsonb_build_object({pairs}) AS labels, {", ".join(MEASURES)}
              FROM (
                    SELECT project_id, billing_scope_id, {", ".join(names)},
                           date_trunc('hour', at, 'UTC') AS hour_start, {told} AS told, {folded}
                      FROM amounts
                     GROUP BY {grouping}
                   ) named
        )"""  # noqa: S608

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


def _hash_sql(text: str) -> str:
    return f"encode(substr(sha256(convert_to({text}, 'UTF8')), 1, 16), 'hex')::uuid"


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
