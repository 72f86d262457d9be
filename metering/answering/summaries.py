"""Rollup rows as they would be if everything pending were merged this instant, page by page.

Or as they would have been at a position: then from the ledger alone.
"""

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connection

from metering.measuring.buckets import EDGE, Segment, bucket_end, bucket_floor
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import BUCKET, PRIMARY_LABELS, STREAM, Scope, Slice
from metering.texts.cursors import cursor_text, place_at, row_id
from metering.texts.numbers import plain
from metering.texts.timestamps import instant_from, iso

from .contributions import parts_sql
from .grouping import aggregate_of, grouped_sql, level_before_sql, result_columns
from .levels import value_between

PERIODS = ("hourly", "daily", "monthly")
_GRANULARITY = {"hourly": "hour", "daily": "day", "monthly": "month"}


@dataclass(frozen=True, slots=True)
class SummaryFilter:
    """Which rows of one metric."""

    period_type: str
    scope: Scope
    subject_type: str | None = None
    subject_id: str | None = None
    period_start: dt.datetime | None = None
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class SummaryCursor:
    """A place between two rows of the order (bucket, project, payer, stream), and a direction."""

    bucket_start: dt.datetime
    project_id: int
    billing_scope_id: int
    stream: UUID
    backwards: bool = False

    @property
    def text(self) -> str:
        return cursor_text(
            [
                iso(self.bucket_start),
                self.project_id,
                self.billing_scope_id,
                str(self.stream),
                int(self.backwards),
            ]
        )

    @classmethod
    def from_text(cls, text: str) -> "SummaryCursor":
        """Raises `Invalid` for what was not made by `text`."""

        def read(facts: list[Any]) -> "SummaryCursor":
            at, project_id, payer_id, stream, backwards = facts
            return cls(instant_from(at), row_id(project_id), row_id(payer_id), UUID(stream), bool(backwards))

        return place_at(text, read)


@dataclass(frozen=True, slots=True)
class SummaryPage:
    rows: list[dict[str, Any]]
    following: SummaryCursor | None
    preceding: SummaryCursor | None


ROW_KEYS = (BUCKET, "project", "billing_scope", STREAM, "subject_type", "subject_id", PRIMARY_LABELS)


def rows_sql(
    meaning: Meaning,
    slice: Slice,
    params: Params,
    *,
    granularity: str,
    start: dt.datetime | None,
    end: dt.datetime | None,
    as_of: int | None,
) -> str:
    """`WITH …, rows AS (…)`: one row per stream and bucket that begins in [start, end).

    Columns: bucket_start, project_id, billing_scope_id, stream, subject_type, subject_id, labels (JSON text),
    level_before (of a time-weighted average), then `result_columns`. Both ends on bucket boundaries.
    """
    slice = replace(slice, group_by=ROW_KEYS)
    read_from = granularity if as_of is None else EDGE
    # A level is carried in from any time before.
    reach = None if meaning.carries_level else start
    parts = parts_sql(
        meaning,
        slice,
        params,
        segments=[(0, Segment(read_from, reach, end))],
        bucket=granularity,
        as_of=as_of,
    )
    names = (
        "bucket_start",
        "project_id",
        "billing_scope_id",
        "stream",
        "subject_type",
        "subject_id",
        "labels",
    )
    keys = [f"d{index}" for index in range(len(names))]
    renamed = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
    before = level_before_sql(keys[1:4], keys[0]) if meaning.carries_level else "NULL::numeric"
    inside = "" if reach == start else f"WHERE bucket_start >= {params.add(start)}"
    return f"""
        WITH {parts},
        every AS (
            SELECT {renamed}, {before} AS level_before, {", ".join(result_columns(meaning))}
              FROM ({grouped_sql(meaning, keys)}) grouped
        ),
        rows AS (
            SELECT * FROM every {inside}
        )
    """  # noqa: S608 (values are bound; the text is ours)


def summaries_page(
    meaning: Meaning, wanted: SummaryFilter, *, cursor: SummaryCursor | None, limit: int
) -> SummaryPage:
    """One page of rows, newest bucket first. Index: rollup_by_metric_and_time."""
    params = Params()
    granularity = _GRANULARITY[wanted.period_type]
    backwards = cursor is not None and cursor.backwards
    direction = "DESC" if not backwards else "ASC"
    order = ", ".join(
        f"x.{name} {direction}" for name in ("bucket_start", "project_id", "billing_scope_id", "stream")
    )
    start = end = None
    if wanted.period_start is not None:
        start = wanted.period_start.astimezone(dt.UTC)
        if bucket_floor(start, granularity) != start:
            return SummaryPage([], None, None)  # no bucket begins there
        end = bucket_end(start, granularity)
    after = ""
    if cursor is not None:
        # The bounds let an index be used; the whole order is compared below.
        bucket = bucket_floor(cursor.bucket_start.astimezone(dt.UTC), granularity)
        if backwards:
            start = bucket if start is None else max(start, bucket)
        else:
            end = (
                bucket_end(bucket, granularity) if end is None else min(end, bucket_end(bucket, granularity))
            )
        sign = ">" if backwards else "<"
        after = (
            f"WHERE (x.bucket_start, x.project_id, x.billing_scope_id, x.stream) {sign}"
            f" ({params.add(cursor.bucket_start)}, {params.add(cursor.project_id)},"
            f" {params.add(cursor.billing_scope_id)}, {params.add(cursor.stream)})"
        )
    slice = Slice(scope=wanted.scope, subject_type=wanted.subject_type, subject_id=wanted.subject_id)
    rows = rows_sql(meaning, slice, params, granularity=granularity, start=start, end=end, as_of=wanted.as_of)
    statement = f"""
        {rows}
        SELECT x.*, project.key, payer.key
          FROM (
                SELECT x.*
                  FROM rows x
                 {after}
                 ORDER BY {order}
                 LIMIT {params.add(limit + 1)}
               ) x
          JOIN metering_project project ON project.id = x.project_id
          JOIN metering_project payer ON payer.id = x.billing_scope_id
         ORDER BY {order}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as db:
        db.execute(statement, params)
        rows_found = db.fetchall()
    has_more = len(rows_found) > limit
    rows_found = rows_found[:limit]
    if backwards:
        rows_found.reverse()
    if not rows_found:
        return SummaryPage([], None, None)
    following = SummaryCursor(*rows_found[-1][:4]) if has_more or backwards else None
    preceding = None
    if (cursor is not None and not backwards) or (backwards and has_more):
        preceding = replace(SummaryCursor(*rows_found[0][:4]), backwards=True)
    return SummaryPage([_shown(row, meaning, wanted.period_type) for row in rows_found], following, preceding)


def _shown(row: tuple[Any, ...], meaning: Meaning, period_type: str) -> dict[str, Any]:
    bucket_start, _, _, stream, subject_type, subject_id, labels, level_before = row[:8]
    project, billing_scope = row[-2:]
    aggregate = aggregate_of(dict(zip(result_columns(meaning), row[8:-2], strict=True)))
    start = bucket_start.astimezone(dt.UTC)
    end = bucket_end(start, _GRANULARITY[period_type])
    value = value_between(meaning, aggregate, before=level_before, start=start, end=end)
    return {
        "id": f"{meaning.key}:{project}:{billing_scope}:{period_type}:{iso(start)}:{stream}",
        "metric": meaning.key,
        "project": project,
        "billing_scope": billing_scope,
        "subject_type": subject_type or None,
        "subject_id": subject_id or None,
        "labels": json.loads(labels),
        "period_type": period_type,
        "period_start": iso(start),
        "period_end": iso(end),
        "total_quantity": None if value is None else plain(value),
        "record_count": aggregate.record_count,
    }
