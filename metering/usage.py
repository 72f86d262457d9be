"""How much was used: exact at any moment, whether or not a tick has run.

One SQL statement, hence one snapshot: rollups for the whole buckets of each window, what is pending for the
same buckets, and the ledger for ragged edges (and for everything, where rollups don't keep what is asked).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection

from .aggregations import Aggregate
from .buckets import EDGE, cover
from .label_filter import Params, text_sql
from .meaning import Meaning
from .models import Project
from .streams import TOTAL

SUBJECT_COLUMNS = ("subject_type", "subject_id")
PROJECT_COLUMNS = ("project", "billing_scope")
_NUMBERS = ("value_sum", "value_min", "value_max", "last_value")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage. `project_ids`: of those projects (None: of all); `payer_id`: billed to that project.

    With `either`, usage that is the one or the other, each event once: what a quota counts.
    """

    project_ids: Sequence[int] | None = None
    payer_id: int | None = None
    either: bool = False

    def sql(self, alias: str, params: Params) -> str:
        clauses = []
        if self.project_ids is not None:
            clauses.append(f"{alias}.project_id = ANY ({params.add(list(self.project_ids))}::bigint[])")
        if self.payer_id is not None:
            clauses.append(f"{alias}.billing_scope_id = {params.add(self.payer_id)}")
        return "(" + (" OR " if self.either else " AND ").join(clauses) + ")" if clauses else "TRUE"


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a metric's usage, and by what it is grouped.

    `group_by` holds project, billing_scope, subject_type, subject_id and `labels.<name>`; `labels` maps
    label names to the text they must have.
    """

    scope: Scope = Scope()
    subject_type: str | None = None
    subject_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    group_by: Sequence[str] = ()

    def label_names(self) -> set[str]:
        """All labels that the slice mentions."""
        return set(self.labels) | {name[7:] for name in self.group_by if name.startswith("labels.")}

    def needs_streams(self) -> bool:
        """Whether totals per project and payer don't suffice."""
        return bool(
            self.subject_type is not None
            or self.subject_id is not None
            or self.label_names()
            or any(name in SUBJECT_COLUMNS for name in self.group_by)
        )

    def needs_ledger(self, meaning: Meaning) -> bool:
        """Whether rollups don't keep a label that the slice mentions."""
        return not self.label_names() <= set(meaning.primary_labels)


def group_name(name: str) -> str:
    """How an answer calls a group: a label by its bare name, unless a column of ours has that name."""
    bare = name.removeprefix("labels.")
    return name if bare in {*PROJECT_COLUMNS, *SUBJECT_COLUMNS} else bare


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage in one window and group. `value` is None where the aggregation has nothing to say."""

    window: int
    group: dict[str, str | None]
    aggregate: Aggregate
    value: Decimal | None


Interval = tuple[dt.datetime | None, dt.datetime | None]


def usage_in(
    meaning: Meaning, intervals: Sequence[Interval], *, slice: Slice = Slice(), limit: int | None = None
) -> list[Usage]:
    """Usage of one metric in each of several half-open UTC intervals (None is open-ended).

    Results are ordered by window, then group, at most `limit` of them; windows and groups without events are
    absent.
    """
    params = Params()
    from_ledger = slice.needs_ledger(meaning)
    segments = _segments(intervals, from_ledger=from_ledger)
    if not segments:
        return []
    has_edges = any(granularity == EDGE for _, granularity, _, _ in segments)
    has_buckets = any(granularity != EDGE for _, granularity, _, _ in segments)
    columns = ("record_count", *meaning.aggregation.needed)
    parts = []
    if has_buckets:
        parts.append(_rollup_sql(meaning, slice, columns, params))
        parts.append(_pending_sql(meaning, slice, columns, params))
    if has_edges:
        parts.append(_ledger_sql(meaning, slice, columns, params))
    cover_arrays = ", ".join(
        f"{params.add(list(values))}::{kind}[]"
        for values, kind in zip(
            zip(*segments, strict=True), ("int", "text", "timestamptz", "timestamptz"), strict=True
        )
    )
    groups = [f"g{index}" for index in range(len(slice.group_by))]
    grouped = ", ".join(["w", *groups])
    merged = meaning.aggregation.merge_sql("parts")
    statement = f"""
        WITH cover AS (
            SELECT * FROM unnest({cover_arrays}) AS c (w, granularity, start_at, end_at)
        ),
        parts AS (
            {" UNION ALL ".join(parts)}
        )
        SELECT {grouped}, {", ".join(merged[name] for name in columns)}
          FROM parts
         GROUP BY {grouped}
         ORDER BY {grouped}
         LIMIT {params.add(limit)}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    return _usages(meaning, slice, columns, rows)


def usage_total(
    meaning: Meaning, *, start: dt.datetime | None, end: dt.datetime | None, scope: Scope
) -> Aggregate:
    """The aggregate of one metric in one interval; an empty one where nothing was used."""
    found = usage_in(meaning, [(start, end)], slice=Slice(scope=scope))
    return found[0].aggregate if found else Aggregate()


def usage_span(meaning: Meaning, *, slice: Slice) -> tuple[dt.datetime, dt.datetime] | None:
    """The hours [start, end) between which the metric has usage; None without any.

    Label filters aren't looked at, so the span may be wider than the slice; it is never narrower.
    """
    params = Params()
    metric_id = params.add(meaning.metric_id)
    statement = f"""
        SELECT min(first), max(last)
          FROM (
                SELECT min(r.bucket_start) AS first, max(r.bucket_start) AS last
                  FROM metering_usagemeterrollup r
                 WHERE r.metric_id = {metric_id}
                   AND r.granularity = 'hour'
                   AND r.stream = '{TOTAL}'
                   AND {slice.scope.sql("r", params)}
                UNION ALL
                SELECT min(p.hour_start), max(p.hour_start)
                  FROM metering_pendingcontribution p
                 WHERE p.metric_id = {metric_id}
                   AND {slice.scope.sql("p", params)}
               ) spans
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        first, last = cursor.fetchone()
    if first is None:
        return None
    return first.astimezone(dt.UTC), last.astimezone(dt.UTC) + dt.timedelta(hours=1)


def _segments(intervals: Sequence[Interval], *, from_ledger: bool) -> list[tuple[int, str, str, str]]:
    """(window, granularity, start, end) of all windows; open ends are PostgreSQL's infinities."""
    segments = []
    for window, (start, end) in enumerate(intervals):
        if from_ledger:
            if start is None or end is None or start < end:
                segments.append((window, EDGE, _bound(start, "-infinity"), _bound(end, "infinity")))
            continue
        for segment in cover(start, end):
            segments.append(
                (
                    window,
                    segment.granularity,
                    _bound(segment.start, "-infinity"),
                    _bound(segment.end, "infinity"),
                )
            )
    return segments


def _bound(instant: dt.datetime | None, infinity: str) -> str:
    return infinity if instant is None else instant.isoformat()


def _rollup_sql(meaning: Meaning, slice: Slice, columns: Sequence[str], params: Params) -> str:
    stream = f"r.stream {'<>' if slice.needs_streams() else '='} '{TOTAL}'"
    return f"""
            SELECT c.w, {_groups_sql("r", meaning, slice, params)} {_columns_sql("r", columns)}
              FROM cover c
              JOIN metering_usagemeterrollup r
                ON r.granularity = c.granularity
               AND r.bucket_start >= c.start_at
               AND r.bucket_start < c.end_at
             WHERE r.metric_id = {params.add(meaning.metric_id)}
               AND {stream}
               AND {slice.scope.sql("r", params)}
               {_stream_filter_sql("r", slice, params)}
    """  # noqa: S608


def _pending_sql(meaning: Meaning, slice: Slice, columns: Sequence[str], params: Params) -> str:
    return f"""
            SELECT c.w, {_groups_sql("p", meaning, slice, params)} {_columns_sql("p", columns)}
              FROM cover c
              JOIN metering_pendingcontribution p
                ON p.hour_start >= c.start_at
               AND p.hour_start < c.end_at
             WHERE c.granularity <> '{EDGE}'
               AND p.metric_id = {params.add(meaning.metric_id)}
               AND {slice.scope.sql("p", params)}
               {_stream_filter_sql("p", slice, params)}
    """  # noqa: S608


def _ledger_sql(meaning: Meaning, slice: Slice, columns: Sequence[str], params: Params) -> str:
    values = {
        "record_count": "1::bigint",
        "last_at": "e.occurred_at",
        "last_event_id": "e.id",
    }
    for name in _NUMBERS:
        if name in columns:
            values[name] = meaning.value_sql(params)
    conditions = [meaning.where_sql(params), slice.scope.sql("e", params)]
    if meaning.owner_path:
        below = Project.objects.filter(path__startswith=meaning.owner_path).values_list("id", flat=True)
        conditions.append(f"e.project_id = ANY ({params.add(list(below))}::bigint[])")
    if slice.subject_type is not None:
        conditions.append(f"e.subject_type = {params.add(slice.subject_type)}")
    if slice.subject_id is not None:
        conditions.append(f"e.subject_id = {params.add(slice.subject_id)}")
    for name, wanted in slice.labels.items():
        conditions.append(f"({text_sql('e.labels', name, params)}) = {params.add(wanted)}")
    groups = []
    for name in slice.group_by:
        if name in PROJECT_COLUMNS:
            groups.append(f"e.{name}_id::text")
        elif name in SUBJECT_COLUMNS:
            groups.append(f"e.{name}")
        else:
            groups.append(f"({text_sql('e.labels', name.removeprefix('labels.'), params)})")
    selected = [f"{sql} AS g{index}" for index, sql in enumerate(groups)]
    selected += [f"{values[name]} AS {name}" for name in columns]
    return f"""
            SELECT c.w, {", ".join(selected)}
              FROM cover c
              JOIN metering_usageevent e
                ON e.occurred_at >= c.start_at
               AND e.occurred_at < c.end_at
             WHERE c.granularity = '{EDGE}'
               AND {" AND ".join(conditions)}
    """  # noqa: S608


def _groups_sql(alias: str, meaning: Meaning, slice: Slice, params: Params) -> str:
    groups = []
    for index, name in enumerate(slice.group_by):
        if name in PROJECT_COLUMNS:
            sql = f"{alias}.{name}_id::text"
        elif name in SUBJECT_COLUMNS:
            sql = f"{alias}.{name}"
        else:
            sql = f'{alias}."group" ->> {params.add(name.removeprefix("labels."))}'
        groups.append(f"{sql} AS g{index}, ")
    return "".join(groups)


def _columns_sql(alias: str, columns: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in columns)


def _stream_filter_sql(alias: str, slice: Slice, params: Params) -> str:
    clauses = []
    if slice.subject_type is not None:
        clauses.append(f"AND {alias}.subject_type = {params.add(slice.subject_type)}")
    if slice.subject_id is not None:
        clauses.append(f"AND {alias}.subject_id = {params.add(slice.subject_id)}")
    for name, wanted in slice.labels.items():
        clauses.append(f'AND {alias}."group" ->> {params.add(name)} = {params.add(wanted)}')
    return " ".join(clauses)


def _usages(
    meaning: Meaning, slice: Slice, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> list[Usage]:
    """Rows with project ids replaced by keys."""
    width = len(slice.group_by)
    project_ids = {
        int(row[1 + index])
        for row in rows
        for index, name in enumerate(slice.group_by)
        if name in PROJECT_COLUMNS
    }
    keys = dict(Project.objects.filter(pk__in=project_ids).values_list("id", "key")) if project_ids else {}
    usages = []
    for row in rows:
        group: dict[str, str | None] = {}
        for name, text in zip(slice.group_by, row[1 : 1 + width], strict=True):
            if name in PROJECT_COLUMNS:
                group[name] = keys[int(text)]
            else:
                group[group_name(name)] = text
        values = dict(zip(columns, row[1 + width :], strict=True))
        aggregate = Aggregate(
            record_count=int(values["record_count"]),
            value_sum=values.get("value_sum"),
            value_min=values.get("value_min"),
            value_max=values.get("value_max"),
            last_value=values.get("last_value"),
        )
        usages.append(Usage(row[0], group, aggregate, meaning.aggregation.value(aggregate)))
    return usages
