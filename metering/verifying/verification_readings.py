"""What the ledger gives for one metric, hour by hour of its streams. SQL, read only.

The second writing of what recording and ticks know. `verification_sql.py` compares it with what is held.
"""

from collections.abc import Sequence

from metering.measuring.label_filter import Params, filter_from
from metering.models import MetricDefinition

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
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?0*[0-9]{1,3})?$"
_PERIODS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


class LedgerSide:
    """The expressions `readings`, `amounts`, `ledger_hours`, of which each reads the one before."""

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

    def _readings(self, *, also: Sequence[str] = (), columns: Sequence[str] = (), voids: str = "TRUE") -> str:
        """The usage events that count and that no void cancels, each with its reading.

        `also` are further conditions on events `e` of projects `p`, `columns` further columns of them, and
        `voids` says which voids `v` there are.
        """
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
        clauses += also
        labels = [
            f"{self._text(path)} AS {name}"
            for name, path in zip(self._labels, metric.primary_labels, strict=True)
        ]
        columns = ", ".join(
            ["e.project_id", "e.billing_scope_id", "e.subject_type", "e.subject_id", *labels, *columns]
        )
        told = self._text(metric.value_property) if self._is_text and metric.value_property else "''"
        return f"""
        readings AS (
            SELECT {columns}, e.id, e.occurred_at AS at, {self._value()} AS value, {told} AS told
              FROM metering_usageevent e
              JOIN metering_project p ON p.id = e.project_id
              LEFT JOIN metering_usageevent v
                ON v.project_id = e.project_id AND v.voids = e.id AND {voids}
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


def _hash_sql(text: str) -> str:
    return f"encode(substr(sha256(convert_to({text}, 'UTF8')), 1, 16), 'hex')::uuid"
