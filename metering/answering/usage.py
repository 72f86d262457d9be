"""How much was used: exact at any moment, whether or not a tick has run, and as of any position.

One SQL statement, hence one snapshot; `contributions.py` says from where it reads what.
"""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection

from metering.measuring.aggregations import Aggregate, mean_level
from metering.measuring.buckets import EDGE, Segment, cover
from metering.measuring.event_sql import below_owner_sql, counted_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import PROJECT_COLUMNS, SUBJECT_COLUMNS, Scope, Slice
from metering.measuring.streams import TOTAL
from metering.models import Project
from metering.texts.numbers import EXACT

from .contributions import parts_sql
from .grouping import aggregate_of, grouped_sql, result_columns

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


Interval = tuple[dt.datetime | None, dt.datetime | None]
_Row = tuple[int, tuple[Any, ...], Aggregate]  # window, group, aggregate


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
    if meaning.carries_level:
        return _named(meaning, slice, _levels_in(meaning, intervals, slice, limit, as_of))
    numbered = list(enumerate(intervals))
    rows = _aggregates_in(meaning, numbered, slice, limit, as_of)
    return _named(meaning, slice, [(*row, meaning.aggregation.value(row[2])) for row in rows])


def value_between(
    meaning: Meaning,
    aggregate: Aggregate,
    *,
    before: Decimal | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
) -> Decimal | None:
    """The value of an aggregate over [start, end), into which the level `before` is carried.

    A level has no mean over an endless time.
    """
    if not meaning.carries_level:
        return meaning.aggregation.value(aggregate)
    if start is None or end is None:
        return None
    return mean_level(aggregate, before=before or Decimal(0), start=start, end=end)


def _aggregates_in(
    meaning: Meaning,
    numbered: Sequence[tuple[int, Interval]],
    slice: Slice,
    limit: int | None,
    as_of: int | None,
) -> list[_Row]:
    """The aggregate per numbered interval and group, in order."""
    params = Params()
    statement = aggregates_sql(meaning, numbered, slice, params, limit=limit, as_of=as_of)
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
    numbered: Sequence[tuple[int, Interval]],
    slice: Slice,
    params: Params,
    *,
    limit: int | None = None,
    as_of: int | None = None,
) -> str:
    """The statement that yields window, group and the columns of the aggregate; "" where nothing is asked."""
    segments = _segments(numbered, from_ledger=as_of is not None or slice.needs_ledger(meaning))
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


def _levels_in(
    meaning: Meaning, intervals: Sequence[Interval], slice: Slice, limit: int | None, as_of: int | None
) -> list[tuple[int, tuple[Any, ...], Aggregate, Decimal | None]]:
    """Windows and groups in which there is a level, each with its mean. Where a window is open-ended there is
    none.

    The level carried into a window is the sum of all changes before: of the windows before it in its chain,
    and of what lies between them, which is read as windows of negative numbers.
    """
    numbered, chains = _chains(intervals)
    is_in_order = len(chains) == 1 and all(a < b for a, b in itertools.pairwise(chains[0][1:]))
    # A level carried in and a change in the first window are two rows and one result.
    row_limit = 2 * limit if limit is not None and is_in_order else None
    rows = _aggregates_in(meaning, list(numbered.items()), slice, row_limit, as_of)
    inside = {(window, group): aggregate for window, group, aggregate in rows}
    groups = sorted({group for _, group, _ in rows}, key=_sortable)
    found: list[tuple[int, tuple[Any, ...], Aggregate, Decimal | None]] = []
    for chain in chains:
        levels = dict.fromkeys(groups, Decimal(0))
        for window in chain:
            start, end = numbered[window]
            for group in groups:
                changes = inside.get((window, group), Aggregate())
                before = levels[group]
                with localcontext(EXACT):
                    levels[group] = before + (changes.value_sum or 0)
                if window < 0 or not (before or changes.record_count):
                    continue
                mean = value_between(meaning, changes, before=before, start=start, end=end)
                found.append((window, group, changes, mean))
                if is_in_order and len(found) == limit:
                    return found
    found.sort(key=lambda row: (row[0], _sortable(row[1])))
    return found[:limit]


def _chains(intervals: Sequence[Interval]) -> tuple[dict[int, Interval], list[list[int]]]:
    """Intervals by number, and the numbers in chains of intervals that tile all time up to their last one's
    end: the non-empty ones that were given, and with negative numbers what lies before and between them.
    One chain, unless intervals overlap."""
    numbered: dict[int, Interval] = {}
    chains: list[list[int]] = []
    ends: list[dt.datetime | None] = []
    for number in sorted(range(len(intervals)), key=lambda number: _start_of(intervals[number])):
        start, end = intervals[number]
        if start is not None and end is not None and start >= end:
            continue
        place = next((n for n, last in enumerate(ends) if last and start and last <= start), len(chains))
        if place == len(chains):
            chains.append([])
            ends.append(None)
        if start is not None and ends[place] != start:
            between = -1 - len(numbered)
            numbered[between] = (ends[place], start)
            chains[place].append(between)
        numbered[number] = (start, end)
        chains[place].append(number)
        ends[place] = end
    return numbered, chains


def _start_of(interval: Interval) -> tuple[bool, dt.datetime]:
    start = interval[0]
    return start is not None, start or dt.datetime.min.replace(tzinfo=dt.UTC)


def _sortable(group: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value if value is not None else 0) for value in group)


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


def _segments(numbered: Sequence[tuple[int, Interval]], *, from_ledger: bool) -> list[tuple[int, Segment]]:
    """What is read of each window."""
    if not from_ledger:
        return [(window, segment) for window, (start, end) in numbered for segment in cover(start, end)]
    return [
        (window, Segment(EDGE, start, end))
        for window, (start, end) in numbered
        if start is None or end is None or start < end
    ]


def _named(
    meaning: Meaning,
    slice: Slice,
    rows: Sequence[tuple[int, tuple[Any, ...], Aggregate, Decimal | None]],
) -> list[Usage]:
    """Results with project ids replaced by keys."""
    projects = [index for index, name in enumerate(slice.group_by) if name in PROJECT_COLUMNS]
    project_ids = {group[index] for _, group, _, _ in rows for index in projects}
    keys = dict(Project.objects.filter(pk__in=project_ids).values_list("id", "key")) if project_ids else {}
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
