"""Large CSV exports as a stream: one COPY statement, so one snapshot and flat memory. Definitions are read
in the same snapshot.

When the reader goes away, closing the generator cancels the statement.
"""

import datetime as dt
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import psycopg
from django.db import connection

from metering.catalogue import Catalogue
from metering.measuring.aggregations import seconds_sql
from metering.measuring.buckets import bucket_ceiling
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Scope, Slice
from metering.models import QUANTITY_SCALE
from metering.texts.csv_blocks import Block
from metering.texts.csv_cells import neutral_sql

from .answers import one_snapshot
from .event_listing import EventFilter
from .summaries import rows_sql

EVENT_COLUMNS = (
    "id",
    "project",
    "billing_scope",
    "surface",
    "source",
    "event_id",
    "event_name",
    "subject_type",
    "subject_id",
    "quantity",
    "labels",
    "occurred_at",
    "recorded_at",
    "kind",
    "voids",
    "voided_by",
)
ROLLUP_COLUMNS = (
    "metric",
    "project",
    "billing_scope",
    "granularity",
    "bucket_start",
    "subject_type",
    "subject_id",
    "labels",
    "value",
    "record_count",
)


def events_csv(wanted: EventFilter) -> Iterator[bytes]:
    """Rows of the ledger as CSV with a header, by id. Columns: `EVENT_COLUMNS`."""
    with closing(events_blocks(wanted)) as blocks:
        for block in blocks:
            yield block.data


def events_blocks(wanted: EventFilter) -> Generator[Block, None, None]:
    """The same, telling how many rows are in each block."""
    with one_snapshot() as catalogue:
        yield from copied_blocks(*_events_sql(wanted, catalogue))


def expected_events(wanted: EventFilter) -> int:
    """About how many rows `events_csv` yields, by the planner's estimate: it costs the same at any size."""
    with one_snapshot() as catalogue:
        return _estimated(*_events_sql(wanted, catalogue))


def _events_sql(wanted: EventFilter, catalogue: Catalogue) -> tuple[str, Params]:
    params = Params()
    conditions = ["TRUE"]
    if wanted.payer_id is not None:
        conditions.append(f"e.billing_scope_id = {params.add(wanted.payer_id)}")
    elif wanted.project_ids is not None:
        conditions.append(f"e.project_id = ANY ({params.add(list(wanted.project_ids))}::bigint[])")
    names = [wanted.event_name] if wanted.event_name is not None else catalogue.event_names()
    conditions.append(f"e.event_name = ANY ({params.add(names)}::text[])")
    texts = {
        name: neutral_sql(f"e.{name}")
        for name in ("source", "event_id", "event_name", "subject_type", "subject_id")
    }
    statement = f"""
        SELECT e.id, p.key AS project, s.key AS billing_scope, f.key AS surface,
               {texts["source"]} AS source, {texts["event_id"]} AS event_id,
               {texts["event_name"]} AS event_name, {texts["subject_type"]} AS subject_type,
               {texts["subject_id"]} AS subject_id,
               trim_scale(e.quantity) AS quantity, e.labels::text AS labels,
               {instant_sql("e.occurred_at")} AS occurred_at, {instant_sql("e.recorded_at")} AS recorded_at,
               e.kind, e.voids, {wanted.voided_by_sql(params)} AS voided_by
          FROM metering_usageevent e
          JOIN metering_project p ON p.id = e.project_id
          JOIN metering_project s ON s.id = e.billing_scope_id
          LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id
         WHERE {" AND ".join(conditions)} {wanted.sql(params)}
         ORDER BY e.id
    """  # noqa: S608 (values are bound; the text is ours)
    return statement, params


def rollups_csv(
    meaning: Meaning,
    *,
    scope: Scope,
    granularity: str,
    start: dt.datetime | None,
    end: dt.datetime | None,
    as_of: int | None = None,
) -> Iterator[bytes]:
    """Rollups of one metric as CSV, what is pending added, one row per stream and bucket.

    Columns: `ROLLUP_COLUMNS`. Buckets that begin in [start, end). With `as_of`, the rows as they would have
    been at that position.
    """
    found = rollups_blocks(meaning, scope=scope, granularity=granularity, start=start, end=end, as_of=as_of)
    with closing(found) as blocks:
        for block in blocks:
            yield block.data


def rollups_blocks(
    meaning: Meaning,
    *,
    scope: Scope,
    granularity: str,
    start: dt.datetime | None,
    end: dt.datetime | None,
    as_of: int | None = None,
) -> Generator[Block, None, None]:
    """The same, telling how many rows are in each block."""
    with one_snapshot() as catalogue:
        now = catalogue.meanings[meaning.metric_id]
        yield from copied_blocks(*_rollups_sql(now, scope, granularity, start, end, as_of))


def _rollups_sql(
    meaning: Meaning,
    scope: Scope,
    granularity: str,
    start: dt.datetime | None,
    end: dt.datetime | None,
    as_of: int | None,
) -> tuple[str, Params]:
    params = Params()
    rows = rows_sql(
        meaning,
        Slice(scope=scope),
        params,
        granularity=granularity,
        start=None if start is None else bucket_ceiling(start.astimezone(dt.UTC), granularity),
        end=None if end is None else bucket_ceiling(end.astimezone(dt.UTC), granularity),
        as_of=as_of,
    )
    statement = f"""
        {rows}
        SELECT {params.add(meaning.key)}::text AS metric, p.key AS project, s.key AS billing_scope,
               '{granularity}' AS granularity, {instant_sql("y.bucket_start")} AS bucket_start,
               {neutral_sql("y.subject_type")} AS subject_type, {neutral_sql("y.subject_id")} AS subject_id,
               y.labels, trim_scale({_value_sql(meaning, granularity)}) AS value, y.record_count
          FROM rows y
          JOIN metering_project p ON p.id = y.project_id
          JOIN metering_project s ON s.id = y.billing_scope_id
         ORDER BY y.bucket_start, p.key, s.key, y.stream
    """  # noqa: S608 (values are bound; the text is ours)
    return statement, params


def _value_sql(meaning: Meaning, granularity: str) -> str:
    """The value of a row `y` of `rows_sql`: as `value_between` computes it."""
    start = seconds_sql("y.bucket_start")
    end = seconds_sql(f"(y.bucket_start AT TIME ZONE 'UTC' + interval '1 {granularity}') AT TIME ZONE 'UTC'")
    integral = (
        f"({end} * (COALESCE(y.level_before, 0) + COALESCE(y.value_sum, 0))"
        f" - {start} * COALESCE(y.level_before, 0) - COALESCE(y.value_moment, 0))"
    )
    return {
        "COUNT": "y.record_count::numeric",
        "SUM": "COALESCE(y.value_sum, 0)",
        "AVG": _quotient_sql("y.value_sum", "y.record_count"),
        "MIN": "y.value_min",
        "MAX": "y.value_max",
        "LATEST": "y.last_value",
        "UNIQUE_COUNT": "y.distinct_count::numeric",
        "TIME_WEIGHTED_AVG": _quotient_sql(integral, f"({end} - {start})"),
    }[meaning.aggregation.name]


def _quotient_sql(dividend: str, divisor: str) -> str:
    """In whole units of the last decimal, half away from zero: a division itself would choose a scale."""
    return (
        f"sign({dividend}) * div(abs({dividend}) * 2e{QUANTITY_SCALE} + {divisor}, NULLIF(2 * {divisor}, 0))"
        f" * 1e-{QUANTITY_SCALE}"
    )


def instant_sql(expression: str) -> str:
    """An instant as a cell: RFC 3339 in UTC, to the microsecond."""
    return f"to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def copied(statement: str, params: Params) -> Iterator[bytes]:
    """The rows of a SELECT as CSV with a header, in chunks; closing the generator cancels the statement."""
    with closing(copied_blocks(statement, params)) as blocks:
        for block in blocks:
            yield block.data


def copied_blocks(statement: str, params: Params) -> Generator[Block, None, None]:
    """COPY takes no parameters of the protocol, so they are bound by the client's own quoting.

    The server sends one message a row, and the header as one of its own.
    """
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    with (
        psycopg.ClientCursor(raw) as cursor,
        cursor.copy(
            f"COPY ({statement}) TO STDOUT WITH (FORMAT csv, HEADER)",
            params,
        ) as copy,
    ):
        pending: list[bytes] = []
        size, row_count = 0, -1
        for data in copy:
            pending.append(bytes(data))
            size += len(data)
            row_count += 1
            if size >= 65_536:
                yield Block(b"".join(pending), row_count)
                pending, size, row_count = [], 0, 0
        if pending:
            yield Block(b"".join(pending), row_count)


def _estimated(statement: str, params: Params) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", params)
        (plan,) = cursor.fetchone()
    plans = json.loads(plan) if isinstance(plan, str) else plan
    return int(plans[0]["Plan"]["Plan Rows"])
