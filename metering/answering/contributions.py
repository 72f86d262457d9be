"""Where usage is read from: rollups, what is pending, the ledger. As SQL relations of one shape.

Every answer is one statement, hence one snapshot, over the union of these parts. Each part has the columns
`w` (the window), one per dimension (`d0`, `d1`, …), `value_key` where distinct values are kept, and the
aggregate's. Three kinds of metrics differ in what they take from where:

- Sums add up: stored buckets, plus what is pending, plus the ledger for parts of an hour.
- Extremes and latest readings merge likewise, except in buckets that a void has marked: those are read from
  the ledger, until a tick has repaired them.
- Steps between readings change when a neighbour does: each pending row is a mark. `corrections` is what the
  ledger says of the marked hours, and of the hour after each in its stream, less what is stored for them; so
  that buckets of any size plus corrections are exact, and a tick only has to add them.

What is to be read is `cover`, and the same in as few spans as can be is `layers`, for relations that are
small or read whole anyway; see `spans.py`.
"""

from collections.abc import Mapping, Sequence

from metering.measuring.aggregations import seconds_sql
from metering.measuring.buckets import EDGE, HOUR, Segment
from metering.measuring.event_sql import below_owner_sql, counted_sql, event_stream_sql, group_json_sql
from metering.measuring.label_filter import Params, text_sql
from metering.measuring.meaning import Meaning
from metering.measuring.slices import (
    BUCKET,
    PRIMARY_LABELS,
    PROJECT_COLUMNS,
    STREAM,
    SUBJECT_COLUMNS,
    Slice,
    filtered_sql,
)
from metering.measuring.spans import spans_of, spans_sql, window_sql
from metering.measuring.streams import TOTAL

from .step_corrections import corrections_ctes

FEW_SPANS = 8  # above, spans are looked up one by one


def parts_sql(
    meaning: Meaning,
    slice: Slice,
    params: Params,
    *,
    segments: Sequence[tuple[int, Segment]],
    bucket: str = HOUR,
    as_of: int | None = None,
) -> str:
    """The common table expressions of one question; the last one is `parts`.

    `segments`: which parts of each window are read from what. `bucket` is the granularity of the dimension of
    that name. With `as_of`, or a label that rollups don't keep, all must be edges: everything comes from the
    ledger.
    """
    granularities = {segment.granularity for _, segment in segments}
    has_buckets, has_edges = granularities != {EDGE}, EDGE in granularities
    spans, layers = spans_of(segments), spans_of(segments, bridging=True)
    source = _Source(meaning, slice, params, bucket, as_of, has_many_spans=len(spans) > FEW_SPANS)
    expressions = [
        f"cover AS MATERIALIZED ({spans_sql(spans, params)})",
        f"layers AS MATERIALIZED ({spans_sql(layers, params)})"
        if len(layers) < len(spans)
        else "layers AS (SELECT * FROM cover)",
    ]
    parts: list[str] = []
    from_ledger = as_of is not None or slice.needs_ledger(meaning)
    if meaning.is_stepped and from_ledger:
        parts.append(source.all_steps())
    elif meaning.is_stepped:
        expressions += corrections_ctes(meaning, slice, params, has_edges=has_edges)
        if has_buckets:
            parts += [source.rollups(), source.corrections()]
        if has_edges:
            parts.append(source.edge_steps())
    else:
        marks = has_buckets and not meaning.adds_up
        if marks:
            expressions += source.stale_buckets()
            parts.append(source.stale())
        if has_buckets:
            parts += [source.rollups(), source.pending()]
        if has_edges:
            parts.append(source.ledger())
    every = " UNION ALL ".join(parts)
    if any(span.has_gaps for span in layers):
        every = f"SELECT * FROM ({every}) every WHERE w IS NOT NULL"  # noqa: S608 (the text is ours)
    # Not to be merged into what groups it: sorting would carry the spans with every row.
    expressions.append(f"parts AS ({every} OFFSET 0)")
    return ", ".join(expressions)


class _Source:
    """Each place that usage is read from, for one question."""

    def __init__(
        self,
        meaning: Meaning,
        slice: Slice,
        params: Params,
        bucket: str,
        as_of: int | None,
        *,
        has_many_spans: bool,
    ) -> None:
        self._meaning = meaning
        self._slice = slice
        self._params = params
        self._bucket = bucket
        self._as_of = as_of
        self._has_many_spans = has_many_spans
        self._columns = ("record_count", *meaning.aggregation.needed)

    # -- what is stored, and what is pending ---------------------------------------------------------------

    def rollups(self) -> str:
        """Whole buckets. Indexes: rollup_natural_key, rollup_by_metric_and_time, rollup_totals_by_payer."""
        is_wanted = f"""
                r.metric_id = {self._params.add(self._meaning.metric_id)}
            AND r.granularity = c.granularity
            AND r.bucket_start >= c.start_at
            AND r.bucket_start < c.end_at
            AND r.stream {"<>" if self._slice.needs_streams() else "="} '{TOTAL}'
            AND {self._filtered("r")}
        """
        return f"""
            SELECT {window_sql("c", "r.bucket_start")} AS w, {self._stored("r", "r.bucket_start")}
              FROM cover c
              {self._joined("metering_usagemeterrollup", "r", is_wanted)}
             WHERE c.granularity <> '{EDGE}'
               {self._not_stale("r", "r.bucket_start", "r.bucket_start")}
        """  # noqa: S608 (values are bound; the text is ours, here and below)

    def _joined(self, table: str, alias: str, condition: str) -> str:
        """The rows of a large table in each span `c`.

        Many spans are looked up one by one, because the planner, who knows nothing of where they lie, might
        read the table for each of them.
        """
        if not self._has_many_spans:
            return f"JOIN {table} {alias} ON {condition}"
        return f"""
             CROSS JOIN LATERAL (SELECT {alias}.* FROM {table} {alias} WHERE {condition} OFFSET 0) {alias}
        """  # noqa: S608

    def pending(self) -> str:
        """What is not merged yet, for the same buckets. Index: pending_by_metric."""
        return f"""
            SELECT {window_sql("c", "p.hour_start")} AS w,
                   {self._stored("p", self._bucket_of("p.hour_start"))}
              FROM layers c
              JOIN metering_pendingcontribution p
                ON p.hour_start >= c.start_at
               AND p.hour_start < c.end_at
             WHERE c.granularity <> '{EDGE}'
               AND NOT p.is_mark
               AND p.metric_id = {self._params.add(self._meaning.metric_id)}
               AND {self._filtered("p")}
               {self._not_stale("p", "p.hour_start", "date_trunc(c.granularity, p.hour_start, 'UTC')")}
        """  # noqa: S608

    def corrections(self) -> str:
        """What the ledger says of marked hours, less what is stored for them."""
        return f"""
            SELECT {window_sql("c", "k.hour_start")} AS w,
                   {self._stored("k", self._bucket_of("k.hour_start"))}
              FROM layers c
              JOIN corrections k
                ON k.hour_start >= c.start_at
               AND k.hour_start < c.end_at
             WHERE c.granularity <> '{EDGE}'
        """  # noqa: S608

    def _stored(self, alias: str, bucket: str, *, columns: Mapping[str, str] | None = None) -> str:
        dimensions = []
        for name in self._slice.group_by:
            if name in PROJECT_COLUMNS:
                sql = f"{alias}.{name}_id"
            elif name in SUBJECT_COLUMNS or name == STREAM:
                sql = f"{alias}.{name}"
            elif name == BUCKET:
                sql = bucket
            elif name == PRIMARY_LABELS:
                sql = f'{alias}."group"::text'
            else:
                sql = f'{alias}."group" ->> {self._params.add(name.removeprefix("labels."))}'
            dimensions.append(sql)
        key = f"{alias}.value_key" if self._meaning.keeps_values else None
        return self._selected(dimensions, key, columns or {name: f"{alias}.{name}" for name in self._columns})

    def _selected(self, dimensions: Sequence[str], value_key: str | None, columns: Mapping[str, str]) -> str:
        selected = [f"{sql} AS d{index}" for index, sql in enumerate(dimensions)]
        if value_key is not None:
            selected.append(f"{value_key} AS value_key")
        selected += [f"{columns[name]} AS {name}" for name in self._columns]
        return ", ".join(selected)

    def _bucket_of(self, instant: str) -> str:
        return f"date_trunc('{self._bucket}', {instant}, 'UTC')"

    def _filtered(self, alias: str) -> str:
        return filtered_sql(self._slice, alias, self._params)

    # -- buckets that a void has marked --------------------------------------------------------------------

    def stale_buckets(self) -> list[str]:
        """The buckets of the cover in which a void took an extreme or a latest reading away, perhaps."""
        stream = "p.stream" if self._slice.needs_streams() else f"'{TOTAL}'::uuid"
        return [
            f"""
            stale AS MATERIALIZED (
                SELECT DISTINCT {window_sql("c", "p.hour_start")} AS w, c.granularity,
                       date_trunc(c.granularity, p.hour_start, 'UTC') AS start_at, p.project_id,
                       p.billing_scope_id, {stream} AS stream
                  FROM layers c
                  JOIN metering_pendingcontribution p
                    ON p.hour_start >= c.start_at
                   AND p.hour_start < c.end_at
                 WHERE c.granularity <> '{EDGE}'
                   AND p.is_mark
                   AND p.metric_id = {self._params.add(self._meaning.metric_id)}
                   AND {self._filtered("p")}
            )
            """  # noqa: S608
        ]

    def _not_stale(self, alias: str, instant: str, start: str) -> str:
        if self._meaning.adds_up or self._meaning.is_stepped:
            return ""
        stream = f"AND s.stream = {alias}.stream" if self._slice.needs_streams() else ""
        return f"""
               AND NOT EXISTS (
                   SELECT
                     FROM stale s
                    WHERE s.w = {window_sql("c", instant)}
                      AND s.granularity = c.granularity
                      AND s.start_at = {start}
                      AND s.project_id = {alias}.project_id
                      AND s.billing_scope_id = {alias}.billing_scope_id
                      {stream}
               )
        """  # noqa: S608

    def stale(self) -> str:
        """Those buckets, from the ledger. Index: usage_event_by_project."""
        stream = ""
        if self._slice.needs_streams():
            stream = f"AND {event_stream_sql(self._meaning, self._params)} = c.stream"
        return f"""
            SELECT c.w, {self._read()}
              FROM stale c
              JOIN metering_usageevent e
                ON e.project_id = c.project_id
               AND e.billing_scope_id = c.billing_scope_id
               AND e.occurred_at >= c.start_at
               AND e.occurred_at <
                   ((c.start_at AT TIME ZONE 'UTC') + ('1 ' || c.granularity)::interval) AT TIME ZONE 'UTC'
             WHERE {self._counted()}
               {stream}
        """  # noqa: S608

    # -- the ledger ----------------------------------------------------------------------------------------

    def ledger(self) -> str:
        """Edges. Indexes: usage_event_by_project, usage_event_by_payer."""
        is_wanted = f"""
                e.event_name = {self._params.add(self._meaning.event_name)}
            AND e.occurred_at >= c.start_at
            AND e.occurred_at < c.end_at
            AND {self._slice.scope.sql("e", self._params)}
        """
        return f"""
            SELECT {window_sql("c", "e.occurred_at")} AS w, {self._read()}
              FROM cover c
              {self._joined("metering_usageevent", "e", is_wanted)}
             WHERE c.granularity = '{EDGE}'
               AND {self._counted()}
        """  # noqa: S608

    def all_steps(self) -> str:
        """Edges of a metric of steps, each step found in the whole history of its stream."""
        params, meaning = self._params, self._meaning
        assert meaning.steps is not None
        key = ", ".join(
            [
                "e.project_id",
                "e.billing_scope_id",
                "e.subject_type",
                "e.subject_id",
                *meaning.group_sql(params),
            ]
        )
        step = meaning.steps.sql("e.value", "e.occurred_at", "e.value_before", "e.before_at")
        return f"""
            SELECT {window_sql("c", "e.occurred_at")} AS w, {self._read(value=step)}
              FROM layers c
              JOIN (
                    SELECT e.id, e.project_id, e.billing_scope_id, e.subject_type, e.subject_id, e.labels,
                           e.occurred_at, e.value,
                           lag(e.value) OVER stream AS value_before,
                           lag(e.occurred_at) OVER stream AS before_at
                      FROM (
                            SELECT e.*, {meaning.value_sql(params)} AS value
                              FROM metering_usageevent e
                             WHERE e.occurred_at < (SELECT max(end_at) FROM cover)
                               AND {self._counted(with_labels=False)}
                           ) e
                    WINDOW stream AS (PARTITION BY {key} ORDER BY e.occurred_at, e.id)
                   ) e
                ON e.occurred_at >= c.start_at
               AND e.occurred_at < c.end_at
             WHERE c.granularity = '{EDGE}'
               AND {self._labelled()}
        """  # noqa: S608

    def edge_steps(self) -> str:
        """Edges of a metric of steps, from the hours that `corrections_ctes` has read."""
        columns = {
            "record_count": "1::bigint",
            "value_sum": "s.step",
            "value_moment": f"s.step * {seconds_sql('s.at')}",
        }
        return f"""
            SELECT {window_sql("c", "s.at")} AS w,
                   {self._stored("s", self._bucket_of("s.at"), columns=columns)}
              FROM layers c
              JOIN stepped s
                ON s.at >= c.start_at
               AND s.at < c.end_at
             WHERE c.granularity = '{EDGE}'
        """  # noqa: S608

    def _read(self, *, value: str | None = None) -> str:
        """One event's dimensions and its aggregate."""
        params, meaning = self._params, self._meaning
        dimensions = []
        for name in self._slice.group_by:
            if name in PROJECT_COLUMNS:
                sql = f"e.{name}_id"
            elif name in SUBJECT_COLUMNS:
                sql = f"e.{name}"
            elif name == BUCKET:
                sql = self._bucket_of("e.occurred_at")
            elif name == STREAM:
                sql = event_stream_sql(meaning, params)
            elif name == PRIMARY_LABELS:
                sql = f"{group_json_sql(meaning, params)}::text"
            else:
                sql = f"({text_sql('e.labels', name.removeprefix('labels.'), params)})"
            dimensions.append(sql)
        columns = {"record_count": "1::bigint", "last_at": "e.occurred_at", "last_event_id": "e.id"}
        for name in self._columns:
            if name.startswith("value_") or name == "last_value":
                columns[name] = meaning.value_sql(params) if value is None else value
        if "value_moment" in columns:
            columns["value_moment"] = f"({columns['value_moment']}) * {seconds_sql('e.occurred_at')}"
        key = meaning.value_key_sql(params) if meaning.keeps_values else None
        return self._selected(dimensions, key, columns)

    def _counted(self, *, with_labels: bool = True) -> str:
        """Conditions under which event `e` is in the slice and counts."""
        params, slice = self._params, self._slice
        clauses = [
            counted_sql(self._meaning, params, as_of=self._as_of),
            below_owner_sql(self._meaning, params),
            slice.scope.sql("e", params),
        ]
        if slice.subject_type is not None:
            clauses.append(f"e.subject_type = {params.add(slice.subject_type)}")
        if slice.subject_id is not None:
            clauses.append(f"e.subject_id = {params.add(slice.subject_id)}")
        if with_labels:
            clauses.append(self._labelled())
        return " AND ".join(clauses)

    def _labelled(self) -> str:
        clauses = [
            f"({text_sql('e.labels', name, self._params)}) = {self._params.add(wanted)}"
            for name, wanted in self._slice.labels.items()
        ]
        return " AND ".join(clauses) or "TRUE"


def contribution_sql(meaning: Meaning, params: Params, *, sign: int = 1) -> dict[str, str]:
    """Columns of a pending row that aggregates events `e`, or with `sign` -1 takes back what they gave.

    What can't be taken back, or depends on its neighbours, becomes a mark.
    """
    is_mark = meaning.is_stepped or (sign < 0 and not meaning.adds_up)
    if is_mark:
        columns = {"record_count": "0"}
    else:
        every = meaning.aggregation.from_readings_sql(meaning.value_sql(params), "e.occurred_at", "e.id")
        columns = {name: every[name] for name in ("record_count", *meaning.aggregation.needed)}
        if sign < 0:
            columns = {name: f"-({sql})" for name, sql in columns.items()}
    return {
        **columns,
        "drains_whole": "FALSE" if meaning.adds_up else "TRUE",
        "is_mark": "TRUE" if is_mark else "FALSE",
    }
