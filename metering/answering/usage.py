"""How much was used: exact at any moment, whether or not a tick has run, and as of any position.

One SQL statement, hence one snapshot; `contributions.py` says from where it reads what.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection

from metering.measuring.aggregations import Aggregate, mean_level
from metering.measuring.buckets import EDGE, cover
from metering.measuring.event_sql import below_owner_sql, counted_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import PROJECT_COLUMNS, SUBJECT_COLUMNS, Scope, Slice
from metering.measuring.streams import TOTAL
from metering.models import Project
from metering.texts.numbers import EXACT

from .contributions import aggregate_of, grouped_sql, parts_sql, result_columns

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

BEFORE = -1  # the number of the window that holds all time before the first


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
        return _named(meaning, slice, list(_levels_in(meaning, intervals, slice, limit, as_of)))
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
    segments = _segments(numbered, from_ledger=as_of is not None or slice.needs_ledger(meaning))
    if not segments:
        return []
    cover_arrays = ", ".join(
        f"{params.add(list(values))}::{kind}[]"
        for values, kind in zip(
            zip(*segments, strict=True), ("int", "text", "timestamptz", "timestamptz"), strict=True
        )
    )
    granularities = {granularity for _, granularity, _, _ in segments}
    parts = parts_sql(
        meaning,
        slice,
        params,
        has_buckets=granularities != {EDGE},
        has_edges=EDGE in granularities,
        as_of=as_of,
    )
    keys = ["w", *(f"d{index}" for index in range(len(slice.group_by)))]
    having = "sum(record_count) <> 0"
    if numbered[0][0] == BEFORE:
        having = f"CASE WHEN w = {BEFORE} THEN sum(value_sum) ELSE sum(record_count) END <> 0"
    statement = f"""
        WITH cover AS (
            SELECT * FROM unnest({cover_arrays}) AS c (w, granularity, start_at, end_at)
        ),
        {parts}
        {grouped_sql(meaning, keys, having=having)}
         ORDER BY {", ".join(keys)}
         LIMIT {params.add(limit)}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    width = len(keys)
    names = result_columns(meaning)
    return [(row[0], row[1:width], aggregate_of(dict(zip(names, row[width:], strict=True)))) for row in rows]


def _levels_in(
    meaning: Meaning, intervals: Sequence[Interval], slice: Slice, limit: int | None, as_of: int | None
) -> Iterator[tuple[int, tuple[Any, ...], Aggregate, Decimal | None]]:
    """Windows and groups in which there is a level, each with its mean; runs of adjoining windows share the
    level carried in. Where a window is open-ended there is no mean."""
    count = 0
    for run in _runs(intervals):
        numbered = list(enumerate(intervals[run.start : run.stop], run.start))
        first_start = intervals[run.start][0]
        if first_start is not None:
            numbered.insert(0, (BEFORE, (None, first_start)))
        # A level carried in and a change in the first window are two rows and one result.
        rows = _aggregates_in(meaning, numbered, slice, None if limit is None else 2 * limit, as_of)
        inside = {(window, group): aggregate for window, group, aggregate in rows}
        groups = sorted({group for _, group, _ in rows}, key=_sortable)
        levels = {group: inside.get((BEFORE, group), Aggregate()).value_sum or Decimal(0) for group in groups}
        for window in run:
            start, end = intervals[window]
            for group in groups:
                changes = inside.get((window, group), Aggregate())
                before = levels[group]
                if not before and not changes.record_count:
                    continue
                mean = value_between(meaning, changes, before=before, start=start, end=end)
                with localcontext(EXACT):
                    levels[group] = before + (changes.value_sum or 0)
                yield window, group, changes, mean
                count += 1
                if count == limit:
                    return


def _runs(intervals: Sequence[Interval]) -> list[range]:
    """The numbers of non-empty windows, by runs in which each begins where the one before it ends."""
    runs: list[range] = []
    for number, (start, end) in enumerate(intervals):
        if start is not None and end is not None and start >= end:
            continue
        previous = runs[-1] if runs else None
        follows = start is not None and number > 0 and intervals[number - 1][1] == start
        if previous is not None and previous.stop == number and follows:
            runs[-1] = range(previous.start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


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


def _segments(
    numbered: Sequence[tuple[int, Interval]], *, from_ledger: bool
) -> list[tuple[int, str, str, str]]:
    """(window, granularity, start, end) of all windows; open ends are PostgreSQL's infinities."""
    segments = []
    for window, (start, end) in numbered:
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
