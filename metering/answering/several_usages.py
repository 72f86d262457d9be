"""Several questions about usage in one statement: what a page of many metrics asks.

Each branch of the statement is what `usage_in` would ask on its own. So the answers are of one snapshot, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from metering.measuring.event_sql import remember_owners
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Slice

from .grouping import aggregate_of, result_columns
from .usage import Interval, Usage, aggregates_sql, usage_in

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
    """Usage of one metric in intervals, ungrouped."""

    meaning: Meaning
    intervals: Sequence[Interval]
    slice: Slice = Slice()


def usages_in(questions: Sequence[Question]) -> list[list[Usage]]:
    """What `usage_in` says to each of the questions, in their order, by a statement for every 32 of them.

    A time-weighted average takes a statement of its own.
    """
    answers: list[list[Usage]] = [[] for _ in questions]
    together = []
    for number, one in enumerate(questions):
        if one.meaning.carries_level:
            answers[number] = usage_in(one.meaning, one.intervals, slice=one.slice)
        else:
            together.append(number)
    for first in range(0, len(together), MOST_TOGETHER):
        for number, usage in _asked(questions, together[first : first + MOST_TOGETHER]):
            answers[number].append(usage)
    return answers


def _asked(questions: Sequence[Question], numbers: Sequence[int]) -> list[tuple[int, Usage]]:
    params = Params()
    remember_owners((questions[number].meaning for number in numbers), params)
    branches = []
    for number in numbers:
        one = questions[number]
        statement = aggregates_sql(one.meaning, list(enumerate(one.intervals)), one.slice, params)
        if statement:
            had = result_columns(one.meaning)
            columns = ", ".join(
                f"{name if name in had else 'NULL'}::{kind} AS {name}" for name, kind in _KINDS.items()
            )
            branches.append(
                f"SELECT {number} AS question, w, {columns} FROM ({statement}) asked_{number}"  # noqa: S608
            )
    if not branches:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"{' UNION ALL '.join(branches)} ORDER BY question, w", params)
        rows = cursor.fetchall()
    return [(row[0], _usage(questions[row[0]].meaning, row)) for row in rows]


def _usage(meaning: Meaning, row: Sequence[Any]) -> Usage:
    _number, window, *columns = row
    values = {name: value for name, value in zip(_KINDS, columns, strict=True) if value is not None}
    aggregate = aggregate_of(values)
    return Usage(window, {}, aggregate, meaning.aggregation.value(aggregate))
