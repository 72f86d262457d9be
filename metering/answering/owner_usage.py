"""How much many projects used, each with what it pays for, over intervals of its own: in few statements.

Who watches thousands of projects and subjects asks here once per metric, and is told only of those that
reached an amount.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection

from metering.measuring.buckets import cover
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import SUBJECT_COLUMNS, Scope, Slice
from metering.measuring.streams import TOTAL
from metering.texts.numbers import AVERAGE_QUANTUM, EXACT

from .contributions import parts_sql
from .grouping import aggregate_of, grouped_sql, result_columns
from .usage import usage_in

Subject = tuple[str, str]  # type, id


@dataclass(frozen=True, slots=True)
class Asked:
    """Usage of a project and of whom it pays for, each use once, in [start, end); None is open-ended.

    Of subjects of one type where `subject_type` says so, of one subject where `subject_id` does; otherwise of
    all together, or with `by_subject` of each on its own. Values below `at_least` aren't told.
    """

    owner_id: int
    start: dt.datetime | None
    end: dt.datetime | None
    subject_type: str | None = None
    subject_id: str | None = None
    by_subject: bool = False
    at_least: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to one question, for one subject where they were asked for."""

    asked: Asked
    subject: Subject | None
    value: Decimal


def usage_of_owners(
    meaning: Meaning, asked: Sequence[Asked], *, subjects: Collection[Subject] | None = None
) -> list[Told]:
    """The values asked for, in no particular order; what has no events or no value is absent.

    With `subjects`, what is asked by subject is told of those alone. Totals are one statement, subjects of
    any number of projects and intervals another, named ones a third; a time-weighted average, whose levels
    reach back before the interval, takes a statement for each question.
    """
    if meaning.carries_level:
        return [told for one in asked for told in _means(meaning, one)]
    totals, all_subjects, named = [], [], []
    for one in asked:
        if one.subject_id is not None:
            named.append(one)
        elif one.by_subject or one.subject_type is not None:
            all_subjects.append(one)
        else:
            totals.append(one)
    found = [*_told(meaning, totals, group_by=())]
    # Two questions where subjects are restricted: the total of a type needs them all.
    by_subject = [one for one in all_subjects if one.by_subject]
    by_type = [one for one in all_subjects if not one.by_subject]
    found += _told(meaning, by_subject, group_by=SUBJECT_COLUMNS, subjects=subjects)
    found += _told(meaning, by_type, group_by=SUBJECT_COLUMNS)
    ids = {one.subject_id for one in named if one.subject_id is not None}
    found += _told(meaning, named, group_by=SUBJECT_COLUMNS, subject_ids=ids)
    return found


@dataclass(frozen=True, slots=True)
class _Owners(Scope):
    """Usage whose project or payer is among `project_ids`, of some subjects."""

    subjects: Collection[Subject] | None = None
    subject_ids: Collection[str] | None = None

    def sql(self, alias: str, params: Params) -> str:
        ids = params.add(list(self.project_ids or ()))
        clauses = [
            f"({alias}.project_id = ANY ({ids}::bigint[])"
            f" OR {alias}.billing_scope_id = ANY ({ids}::bigint[]))"
        ]
        if self.subjects is not None:
            types, names = zip(*self.subjects, strict=True)
            arrays = f"{params.add(list(types))}::text[], {params.add(list(names))}::text[]"
            pairs = f"({alias}.subject_type, {alias}.subject_id)"
            clauses.append(f"{pairs} IN (SELECT * FROM unnest({arrays}))")  # noqa: S608 (values are bound)
        if self.subject_ids is not None:
            clauses.append(f"{alias}.subject_id = ANY ({params.add(list(self.subject_ids))}::text[])")
        return " AND ".join(clauses)


def _told(
    meaning: Meaning,
    asked: Sequence[Asked],
    *,
    group_by: Sequence[str],
    subjects: Collection[Subject] | None = None,
    subject_ids: Collection[str] | None = None,
) -> Iterator[Told]:
    """One statement. Reads as `usage_in` does; each row counts for the questions of its project, and of its
    payer where that is another."""
    if not asked or (subjects is not None and not subjects):
        return
    windows = {interval: number for number, interval in enumerate({(one.start, one.end) for one in asked})}
    segments = [
        (number, segment) for (start, end), number in windows.items() for segment in cover(start, end)
    ]
    if not segments:
        return
    params = Params()
    scope = _Owners(
        project_ids=sorted({one.owner_id for one in asked}), subjects=subjects, subject_ids=subject_ids
    )
    parts = parts_sql(
        meaning,
        Slice(scope=scope, group_by=("project", "billing_scope", *group_by)),
        params,
        segments=segments,
    )
    questions = _arrays(
        params,
        [
            (
                number,
                windows[one.start, one.end],
                one.owner_id,
                one.subject_type,
                one.subject_id,
                one.by_subject,
                one.at_least,
            )
            for number, one in enumerate(asked)
        ],
        ("int", "int", "bigint", "text", "text", "boolean", "numeric"),
    )
    subject = ("''", "''")
    matching = ""
    if group_by:
        subject = (
            "CASE WHEN a.by_subject THEN r.d2 ELSE '' END",
            "CASE WHEN a.by_subject THEN r.d3 ELSE '' END",
        )
        matching = "AND (a.subject_type IS NULL OR a.subject_type = r.d2)"
    if subject_ids is not None:
        matching += " AND a.subject_id = r.d3"
    counted = f"""
            SELECT a.number, {subject[0]} AS subject_type, {subject[1]} AS subject_id, r.*
              FROM asked a
              JOIN read r
                ON r.w = a.w
    """  # noqa: S608 (names are ours)
    statement = f"""
        WITH read AS MATERIALIZED (
            WITH {parts}
            SELECT * FROM parts
        ),
        asked AS MATERIALIZED (
            SELECT *
              FROM unnest({questions})
                   AS a (number, w, owner_id, subject_type, subject_id, by_subject, at_least)
        ),
        -- Two joins that hash, where "the one or the other" would try every pair.
        parts AS (
            {counted}
               AND r.d0 = a.owner_id
               {matching}
            UNION ALL
            {counted}
               AND r.d1 = a.owner_id
               AND r.d0 <> a.owner_id
               {matching}
        )
        SELECT g.*
          FROM ({grouped_sql(meaning, ("number", "subject_type", "subject_id"))}) g
          JOIN asked a USING (number)
         WHERE a.at_least IS NULL
            OR {_value_sql(meaning)} >= a.at_least
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    names = result_columns(meaning)
    with localcontext(EXACT):
        for number, subject_type, subject_id, *columns in rows:
            one = asked[number]
            value = meaning.aggregation.value(aggregate_of(dict(zip(names, columns, strict=True))))
            if value is not None and (one.at_least is None or value >= one.at_least):
                yield Told(one, (subject_type, subject_id) if one.by_subject else None, value)


def _value_sql(meaning: Meaning) -> str:
    """The value of a row of `grouped_sql`, or for averages, which are rounded, no less: a first sieve."""
    name = meaning.aggregation.name
    if name == "SUM":
        return "COALESCE(g.value_sum, 0)"
    if name == "AVG":
        return f"g.value_sum / g.record_count + {AVERAGE_QUANTUM:f}"
    if name == "UNIQUE_COUNT":
        return "g.distinct_count"
    return f"g.{meaning.aggregation.needed[0]}" if meaning.aggregation.needed else "g.record_count"


def _means(meaning: Meaning, one: Asked) -> Iterator[Told]:
    slice = Slice(
        scope=Scope(project_ids=[one.owner_id], payer_id=one.owner_id, either=True),
        subject_type=one.subject_type,
        subject_id=one.subject_id,
        group_by=SUBJECT_COLUMNS if one.by_subject else (),
    )
    for usage in usage_in(meaning, [(one.start, one.end)], slice=slice):
        if usage.value is None or (one.at_least is not None and usage.value < one.at_least):
            continue
        subject = None
        if one.by_subject:
            subject = (usage.group["subject_type"] or "", usage.group["subject_id"] or "")
        yield Told(one, subject, usage.value)


def _arrays(params: Params, rows: Sequence[tuple[Any, ...]], kinds: Sequence[str]) -> str:
    """The columns of `rows` as arrays for `unnest`."""
    columns = zip(*rows, strict=True)
    return ", ".join(
        f"{params.add(list(column))}::{kind}[]" for column, kind in zip(columns, kinds, strict=True)
    )


def subjects_active_in(
    metric_id: int, hours: Sequence[tuple[int, int, dt.datetime, dt.datetime]]
) -> set[Subject]:
    """The subjects with stored usage of a metric in hours of projects and payers.

    Hours are (project, payer, first, last), the last one included. After a merge: no fewer than those whose
    usage it changed.

    Index: rollup_by_metric_and_time.
    """
    params = Params()
    columns = _arrays(params, hours, ("bigint", "bigint", "timestamptz", "timestamptz"))
    statement = f"""
        SELECT DISTINCT r.subject_type, r.subject_id
          FROM unnest({columns}) AS t (project_id, billing_scope_id, first_hour, last_hour)
          JOIN metering_usagemeterrollup r
            ON r.project_id = t.project_id
           AND r.metric_id = {params.add(metric_id)}
           AND r.granularity = 'hour'
           AND r.stream <> '{TOTAL}'
           AND r.bucket_start >= t.first_hour
           AND r.bucket_start <= t.last_hour
           AND r.billing_scope_id = t.billing_scope_id
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return {(subject_type, subject_id) for subject_type, subject_id in cursor}
