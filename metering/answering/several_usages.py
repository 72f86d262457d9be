"""Several questions about usage in one statement: what a page of many metrics or prices asks.

Each branch of the statement is what `usage_in` would ask on its own. So the answers are of one snapshot, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from metering.measuring.event_sql import remember_owners
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import PROJECT_COLUMNS, Slice

from .grouping import aggregate_of, result_columns
from .levels import Found, Interval, Row, Windows
from .usage import Usage, aggregates_sql, named, project_keys

MOST_TOGETHER = 32  # branches of a statement: planning more takes longer than a round trip
_KINDS = {
    "record_count": "numeric",
    "value_sum": "numeric",
    "value_min": "numeric",
    "value_max": "numeric",
    "last_value": "numeric",
    "value_moment": "numeric",
    "distinct_count": "bigint",
    "last_at": "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Question:
    """Usage of one metric in intervals."""

    meaning: Meaning
    intervals: Sequence[Interval]
    slice: Slice = Slice()


def usages_in(questions: Sequence[Question], *, as_of: int | None = None) -> list[list[Usage]]:
    """What `usage_in` says to each of the questions, in their order, by a statement for every 32 of them, and
    one for the keys of projects where they are groups."""
    windows = [Windows.of(one.meaning, one.intervals) for one in questions]
    rows: list[list[Row]] = [[] for _ in questions]
    for first in range(0, len(questions), MOST_TOGETHER):
        numbers = range(first, min(first + MOST_TOGETHER, len(questions)))
        for number, row in _asked(
            {number: (questions[number], windows[number]) for number in numbers}, as_of
        ):
            rows[number].append(row)
    answers: list[tuple[Slice, list[Found]]] = [
        (one.slice, windows[number].found(one.meaning, rows[number])) for number, one in enumerate(questions)
    ]
    keys = project_keys(answers)
    return [named(slice, found, keys) for slice, found in answers]


def _asked(questions: Mapping[int, tuple[Question, Windows]], as_of: int | None) -> list[tuple[int, Row]]:
    params = Params()
    remember_owners((one.meaning for one, _windows in questions.values()), params)
    branches = []
    for number, (one, windows) in questions.items():
        statement = aggregates_sql(one.meaning, windows, one.slice, params, as_of=as_of)
        if statement:
            branches.append(_branch(number, one, statement))
    if not branches:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(branches)} ORDER BY question, place", params)
        rows = cursor.fetchall()
    return [(row[0], _row(questions[row[0]][0], row)) for row in rows]


def _branch(number: int, one: Question, statement: str) -> str:
    """A question's rows in the shape that all have: groups as texts, and their place in the answer."""
    had = result_columns(one.meaning)
    columns = ", ".join(
        f"{name if name in had else 'NULL'}::{kind} AS {name}" for name, kind in _KINDS.items()
    )
    names = [f"d{index}" for index in range(len(one.slice.group_by))]
    texts = ", ".join(f"{name}::text" for name in names)
    order = ", ".join(["w", *names])
    return f"""
        SELECT {number} AS question, row_number() OVER (ORDER BY {order}) AS place, w,
               ARRAY[{texts}]::text[] AS texts, {columns}
          FROM ({statement}) asked_{number}
    """  # noqa: S608 (names are ours)


def _row(one: Question, row: Sequence[Any]) -> Row:
    _question, _place, window, texts, *columns = row
    group = tuple(
        int(text) if name in PROJECT_COLUMNS else text
        for name, text in zip(one.slice.group_by, texts, strict=True)
    )
    values = {name: value for name, value in zip(_KINDS, columns, strict=True) if value is not None}
    return window, group, aggregate_of(values)
