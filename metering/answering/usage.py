"""How much was used: exact at any moment, whether or not a tick has run, and as of any position.

One SQL statement, hence one snapshot; `contributions.py` says from where it reads what.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from metering.measuring.aggregations import Aggregate
from metering.measuring.buckets import EDGE, Segment, cover
from metering.measuring.event_sql import below_owner_sql, counted_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import PROJECT_COLUMNS, SUBJECT_COLUMNS, Scope, Slice
from metering.measuring.streams import TOTAL
from metering.models import Project

from .answers import catalogue_of_answer
from .contributions import parts_sql
from .grouping import aggregate_of, grouped_sql, result_columns
from .levels import Found, Interval, Row, Windows, value_between

__all__ = [
    "PROJECT_COLUMNS",
    "SUBJECT_COLUMNS",
    "Interval",
    "Scope",
    "Slice",
    "Usage",
    "group_name",
    "usage_in",
    "usage_span",
    "usage_total",
    "value_between",
]


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


def usage_in(
    meaning: Meaning,
    intervals: Sequence[Interval],
    *,
    slice: Slice = Slice(),
    limit: int | None = None,
    as_of: int | None = None,
) -> list[Usage]:
    """Usage of one metric in each of several half-open UTC intervals (None is open-ended).

    Results are ordered by window, then group, at most `limit` of them; windows and groups without events are
    absent, except that a time-weighted average has an answer wherever a level lasts. With `as_of`, a ledger
    position, the answer is that of the ledger as it stood there, whatever was recorded later.
    """
    windows = Windows.of(meaning, intervals)
    rows = _aggregates_in(meaning, windows, slice, windows.most_rows(limit), as_of)
    found = windows.found(meaning, rows, limit)
    return named(slice, found, project_keys([(slice, found)]))


def _aggregates_in(
    meaning: Meaning, windows: Windows, slice: Slice, limit: int | None, as_of: int | None
) -> list[Row]:
    """The aggregate per numbered interval and group, in order."""
    params = Params()
    statement = aggregates_sql(meaning, windows, slice, params, limit=limit, as_of=as_of)
    if not statement:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    width = 1 + len(slice.group_by)
    names = result_columns(meaning)
    return [(row[0], row[1:width], aggregate_of(dict(zip(names, row[width:], strict=True)))) for row in rows]


def aggregates_sql(
    meaning: Meaning,
    windows: Windows,
    slice: Slice,
    params: Params,
    *,
    limit: int | None = None,
    as_of: int | None = None,
) -> str:
    """The statement that yields window, group and the columns of the aggregate; "" where nothing is asked."""
    segments = _segments(windows, from_ledger=as_of is not None or slice.needs_ledger(meaning))
    if not segments:
        return ""
    parts = parts_sql(meaning, slice, params, segments=segments, as_of=as_of)
    keys = ["w", *(f"d{index}" for index in range(len(slice.group_by)))]
    having = "sum(record_count) <> 0"
    if meaning.carries_level:
        having = "CASE WHEN w < 0 THEN sum(value_sum) ELSE sum(record_count) END <> 0"
    return f"""
        WITH {parts}
        {grouped_sql(meaning, keys, having=having)}
         ORDER BY {", ".join(keys)}
         LIMIT {params.add(limit)}
    """


def usage_total(
    meaning: Meaning, *, start: dt.datetime | None, end: dt.datetime | None, scope: Scope
) -> Aggregate:
    """The aggregate of one metric in one interval; an empty one where nothing was used."""
    found = usage_in(meaning, [(start, end)], slice=Slice(scope=scope))
    return found[0].aggregate if found else Aggregate()


def usage_span(
    meaning: Meaning, *, slice: Slice, as_of: int | None = None
) -> tuple[dt.datetime, dt.datetime] | None:
    """The hours [start, end) between which the metric has usage; None without any.

    Label filters aren't looked at, so the span may be wider than the slice; it is never narrower. With
    `as_of`, that of the ledger at the position.
    """
    params = Params()
    if as_of is not None:
        return _hours_of(
            f"""
            SELECT date_trunc('hour', min(e.occurred_at), 'UTC'),
                   date_trunc('hour', max(e.occurred_at), 'UTC')
              FROM metering_usageevent e
             WHERE {counted_sql(meaning, params, as_of=as_of)}
               AND {below_owner_sql(meaning, params)}
               AND {slice.scope.sql("e", params)}
            """,  # noqa: S608 (values are bound; the text is ours)
            params,
        )
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
    return _hours_of(statement, params)


def _hours_of(statement: str, params: Params) -> tuple[dt.datetime, dt.datetime] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        first, last = cursor.fetchone()
    if first is None:
        return None
    return first.astimezone(dt.UTC), last.astimezone(dt.UTC) + dt.timedelta(hours=1)


def usage_spans(meanings: Sequence[Meaning]) -> dict[int, tuple[dt.datetime, dt.datetime]]:
    """The spans of `usage_span` of all projects, by metric; without those that have no usage. One statement.

    Indexes: rollup_by_metric_and_time, read at both of its ends, and that of pending rows by metric.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT m.id, least(first.bucket_start, pending.first), greatest(last.bucket_start, pending.last)
              FROM unnest(%s::bigint[]) AS m (id)
              LEFT JOIN LATERAL (
                   SELECT r.bucket_start FROM metering_usagemeterrollup r
                    WHERE r.metric_id = m.id AND r.granularity = 'hour' AND r.stream = '{TOTAL}'
                    ORDER BY r.bucket_start LIMIT 1
                   ) first ON true
              LEFT JOIN LATERAL (
                   SELECT r.bucket_start FROM metering_usagemeterrollup r
                    WHERE r.metric_id = m.id AND r.granularity = 'hour' AND r.stream = '{TOTAL}'
                    ORDER BY r.bucket_start DESC LIMIT 1
                   ) last ON true
              LEFT JOIN LATERAL (
                   SELECT min(p.hour_start) AS first, max(p.hour_start) AS last
                     FROM metering_pendingcontribution p
                    WHERE p.metric_id = m.id
                   ) pending ON true
             WHERE last.bucket_start IS NOT NULL OR pending.first IS NOT NULL
            """,  # noqa: S608 (the text is ours)
            [[meaning.metric_id for meaning in meanings]],
        )
        return {
            metric_id: (first.astimezone(dt.UTC), last.astimezone(dt.UTC) + dt.timedelta(hours=1))
            for metric_id, first, last in cursor.fetchall()
        }


def _segments(windows: Windows, *, from_ledger: bool) -> list[tuple[int, Segment]]:
    """What is read of each window."""
    if not from_ledger:
        return [
            (window, segment)
            for window, (start, end) in windows.numbered.items()
            for segment in cover(start, end)
        ]
    return [
        (window, Segment(EDGE, start, end))
        for window, (start, end) in windows.numbered.items()
        if start is None or end is None or start < end
    ]


def project_keys(answers: Sequence[tuple[Slice, Sequence[Found]]]) -> dict[int, str]:
    """The keys of the projects that groups are named by, of several answers in one statement at most."""
    ids = {
        group[index]
        for slice, found in answers
        for index, name in enumerate(slice.group_by)
        if name in PROJECT_COLUMNS
        for _, group, _, _ in found
    }
    catalogue = catalogue_of_answer()
    if catalogue is not None:
        return catalogue.keys_of(ids)
    return dict(Project.objects.filter(pk__in=ids).values_list("id", "key")) if ids else {}


def named(slice: Slice, rows: Sequence[Found], keys: Mapping[int, str]) -> list[Usage]:
    """Results with project ids replaced by keys."""
    usages = []
    for window, values, aggregate, value in rows:
        group = {
            name if name in PROJECT_COLUMNS else group_name(name): keys[found]
            if name in PROJECT_COLUMNS
            else found
            for name, found in zip(slice.group_by, values, strict=True)
        }
        usages.append(Usage(window, group, aggregate, value))
    return usages
