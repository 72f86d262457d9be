"""Large CSV exports as a stream: one COPY statement, so one snapshot and flat memory.

When the reader goes away, closing the generator cancels the statement.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
from django.db import connection

from .catalogue import Catalogue
from .csv_cells import neutral_sql
from .event_listing import EventFilter
from .label_filter import Params
from .meaning import Meaning
from .models import QUANTITY_SCALE
from .streams import TOTAL
from .usage import Scope

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
_TIME = "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def events_csv(wanted: EventFilter, *, catalogue: Catalogue) -> Iterator[bytes]:
    """Rows of the ledger as CSV with a header, by id. Columns: `EVENT_COLUMNS`."""
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
               {_TIME.format("e.occurred_at")} AS occurred_at, {_TIME.format("e.recorded_at")} AS recorded_at,
               e.kind, e.voids, {wanted.voided_by_sql(params)} AS voided_by
          FROM metering_usageevent e
          JOIN metering_project p ON p.id = e.project_id
          JOIN metering_project s ON s.id = e.billing_scope_id
          LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id
         WHERE {" AND ".join(conditions)} {wanted.sql(params)}
         ORDER BY e.id
    """  # noqa: S608 (values are bound; the text is ours)
    return _copied(statement, params)


def rollups_csv(
    meaning: Meaning,
    *,
    scope: Scope,
    granularity: str,
    start: dt.datetime | None,
    end: dt.datetime | None,
) -> Iterator[bytes]:
    """Rollups of one metric as CSV, what is pending added, one row per stream and bucket.

    Columns: `ROLLUP_COLUMNS`. Buckets that begin in [start, end).
    """
    params = Params()
    merged = meaning.aggregation.merge_sql("x")
    columns = ("record_count", *meaning.aggregation.needed)
    bounds = {"r": "r.bucket_start", "p": f"date_trunc('{granularity}', p.hour_start, 'UTC')"}
    conditions = {}
    for alias, bucket in bounds.items():
        clauses = [f"{alias}.metric_id = {params.add(meaning.metric_id)}", scope.sql(alias, params)]
        if start is not None:
            clauses.append(f"{bucket} >= {params.add(start)}")
        if end is not None:
            clauses.append(f"{bucket} < {params.add(end)}")
        conditions[alias] = " AND ".join(clauses)
    names = ", ".join(columns)
    value = {
        "COUNT": "y.record_count::numeric",
        "SUM": "y.value_sum",
        # In whole units of the last decimal, half away from zero: the division itself would choose a scale.
        "AVG": f"sign(y.value_sum) * div(abs(y.value_sum) * 2e{QUANTITY_SCALE} + y.record_count,"
        f" NULLIF(2 * y.record_count, 0)) * 1e-{QUANTITY_SCALE}",
        "MIN": "y.value_min",
        "MAX": "y.value_max",
        "LATEST": "y.last_value",
    }[meaning.aggregation.name]
    statement = f"""
        SELECT {params.add(meaning.key)}::text AS metric, p.key AS project, s.key AS billing_scope,
               '{granularity}' AS granularity, {_TIME.format("y.bucket_start")} AS bucket_start,
               {neutral_sql("y.subject_type")} AS subject_type, {neutral_sql("y.subject_id")} AS subject_id,
               y.labels, trim_scale({value}) AS value, y.record_count
          FROM (
                SELECT x.bucket_start, x.project_id, x.billing_scope_id, x.stream,
                       min(x.subject_type) AS subject_type, min(x.subject_id) AS subject_id,
                       min(x."group"::text) AS labels,
                       {", ".join(f"{merged[name]} AS {name}" for name in columns)}
                  FROM (
                        SELECT r.bucket_start, r.project_id, r.billing_scope_id, r.stream,
                               r.subject_type, r.subject_id, r."group", {names}
                          FROM metering_usagemeterrollup r
                         WHERE r.granularity = '{granularity}'
                           AND r.stream <> '{TOTAL}'
                           AND {conditions["r"]}
                        UNION ALL
                        SELECT {bounds["p"]}, p.project_id, p.billing_scope_id, p.stream,
                               p.subject_type, p.subject_id, p."group", {names}
                          FROM metering_pendingcontribution p
                         WHERE {conditions["p"]}
                       ) x
                 GROUP BY x.bucket_start, x.project_id, x.billing_scope_id, x.stream
               ) y
          JOIN metering_project p ON p.id = y.project_id
          JOIN metering_project s ON s.id = y.billing_scope_id
         ORDER BY y.bucket_start, p.key, s.key, y.stream
    """  # noqa: S608 (values are bound; the text is ours)
    return _copied(statement, params)


def _copied(statement: str, params: Params) -> Iterator[bytes]:
    """COPY takes no parameters of the protocol, so they are bound by the client's own quoting."""
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
        size = 0
        for data in copy:
            pending.append(bytes(data))
            size += len(data)
            if size >= 65_536:
                yield b"".join(pending)
                pending, size = [], 0
        if pending:
            yield b"".join(pending)
