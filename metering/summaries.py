"""Rollup rows as they would be if everything pending were merged this instant, page by page."""

import datetime as dt
import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connection

from .aggregations import Aggregate
from .buckets import bucket_end
from .cursors import cursor_text, place_at, row_id
from .label_filter import Params
from .meaning import Meaning
from .numbers import plain
from .streams import TOTAL
from .timestamps import instant_from, iso
from .usage import Scope

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


def summaries_page(
    meaning: Meaning, wanted: SummaryFilter, *, cursor: SummaryCursor | None, limit: int
) -> SummaryPage:
    """One page of rows, newest bucket first. Index: rollup_by_metric_and_time."""
    params = Params()
    granularity = _GRANULARITY[wanted.period_type]
    backwards = cursor is not None and cursor.backwards
    direction = "DESC" if not backwards else "ASC"
    order = ", ".join(
        f"{name} {direction}" for name in ("bucket_start", "project_id", "billing_scope_id", "stream")
    )
    columns = ("record_count", *meaning.aggregation.needed)
    merged = meaning.aggregation.merge_sql("x")
    conditions = []
    for alias, bucket in (
        ("r", "r.bucket_start"),
        ("p", f"date_trunc('{granularity}', p.hour_start, 'UTC')"),
    ):
        clauses = [f"{alias}.metric_id = {params.add(meaning.metric_id)}", wanted.scope.sql(alias, params)]
        if wanted.subject_type is not None:
            clauses.append(f"{alias}.subject_type = {params.add(wanted.subject_type)}")
        if wanted.subject_id is not None:
            clauses.append(f"{alias}.subject_id = {params.add(wanted.subject_id)}")
        if wanted.period_start is not None:
            clauses.append(f"{bucket} = {params.add(wanted.period_start)}")
        if cursor is not None:
            # The bucket alone, so that an index can be used; the whole order is compared below.
            sign = ">=" if backwards else "<="
            clauses.append(f"{bucket} {sign} {params.add(cursor.bucket_start)}")
        conditions.append(" AND ".join(clauses))
    after = ""
    if cursor is not None:
        sign = ">" if backwards else "<"
        after = (
            f"WHERE (x.bucket_start, x.project_id, x.billing_scope_id, x.stream) {sign}"
            f" ({params.add(cursor.bucket_start)}, {params.add(cursor.project_id)},"
            f" {params.add(cursor.billing_scope_id)}, {params.add(cursor.stream)})"
        )
    names = ", ".join(columns)
    statement = f"""
        SELECT y.*, project.key, payer.key
          FROM (
                SELECT x.bucket_start, x.project_id, x.billing_scope_id, x.stream,
                       min(x.subject_type), min(x.subject_id), min(x."group"::text),
                       {", ".join(f"{merged[name]} AS {name}" for name in columns)}
                  FROM (
                        SELECT r.bucket_start, r.project_id, r.billing_scope_id, r.stream,
                               r.subject_type, r.subject_id, r."group", {names}
                          FROM metering_usagemeterrollup r
                         WHERE r.granularity = '{granularity}'
                           AND r.stream <> '{TOTAL}'
                           AND {conditions[0]}
                        UNION ALL
                        SELECT date_trunc('{granularity}', p.hour_start, 'UTC'), p.project_id,
                               p.billing_scope_id, p.stream, p.subject_type, p.subject_id, p."group", {names}
                          FROM metering_pendingcontribution p
                         WHERE {conditions[1]}
                       ) x
                 {after}
                 GROUP BY x.bucket_start, x.project_id, x.billing_scope_id, x.stream
                 ORDER BY {order}
                 LIMIT {params.add(limit + 1)}
               ) y
          JOIN metering_project project ON project.id = y.project_id
          JOIN metering_project payer ON payer.id = y.billing_scope_id
         ORDER BY {order}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as db:
        db.execute(statement, params)
        rows = db.fetchall()
    has_more = len(rows) > limit
    rows = rows[:limit]
    if backwards:
        rows.reverse()
    if not rows:
        return SummaryPage([], None, None)
    following = SummaryCursor(*rows[-1][:4]) if has_more or backwards else None
    preceding = None
    if (cursor is not None and not backwards) or (backwards and has_more):
        preceding = replace(SummaryCursor(*rows[0][:4]), backwards=True)
    return SummaryPage(
        [_shown(row, meaning, wanted.period_type, columns) for row in rows], following, preceding
    )


def _shown(
    row: tuple[Any, ...], meaning: Meaning, period_type: str, columns: tuple[str, ...]
) -> dict[str, Any]:
    bucket_start, _, _, stream, subject_type, subject_id, labels = row[:7]
    project, billing_scope = row[-2:]
    values = dict(zip(columns, row[7:-2], strict=True))
    aggregate = Aggregate(
        record_count=int(values["record_count"]),
        value_sum=values.get("value_sum"),
        value_min=values.get("value_min"),
        value_max=values.get("value_max"),
        last_value=values.get("last_value"),
    )
    value = meaning.aggregation.value(aggregate)
    start = bucket_start.astimezone(dt.UTC)
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
        "period_end": iso(bucket_end(start, _GRANULARITY[period_type])),
        "total_quantity": None if value is None else plain(value),
        "record_count": aggregate.record_count,
    }
