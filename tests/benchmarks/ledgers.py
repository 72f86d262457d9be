"""Ledgers of any size, made by the database itself."""

import datetime as dt

from django.db import connection

BEGINNING = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

# One project after another, subject after subject, so that a bucket's events lie together (`in_bursts`), or
# all streams taking turns within the hour.
FILL = """
    INSERT INTO metering_usageevent
           (project_id, billing_scope_id, source, event_id, event_name, subject_type, subject_id, quantity,
            labels, occurred_at, kind, digest)
    SELECT projects.ids[1 + stream %% cardinality(projects.ids)],
           projects.ids[1 + stream %% cardinality(projects.ids)],
           'bench', %(prefix)s || n::text, 'tokens', 'user', 'user-' || stream, n %% 1000, '{}',
           %(beginning)s::timestamptz + hour * interval '1 hour' + (n %% 3600) * interval '1 second',
           'usage', '\\x00'
      FROM (
            SELECT n, n / %(per_hour)s AS hour,
                   CASE
                       WHEN %(in_bursts)s THEN n %% %(per_hour)s / %(per_bucket)s
                       ELSE n %% (%(per_hour)s / %(per_bucket)s)
                   END AS stream
              FROM generate_series(%(first)s::int, %(last)s::int - 1) AS n
           ) numbered,
           (SELECT array_agg(id ORDER BY id) AS ids FROM metering_project WHERE kind = 'project') projects
     ORDER BY n
"""


def furnish_ten_projects() -> None:
    """A metric that sums the quantities of `tokens`, and ten projects under a tenant."""
    from metering.attributing.scope_tree import create_project
    from metering.defining.definitions import define_metric

    tenant = create_project(key="tenant", name="Tenant", kind="tenant")
    for number in range(10):
        create_project(key=f"project-{number}", name=f"Project {number}", kind="project", parent=tenant)
    define_metric(key="tokens", aggregation="SUM")


def fill_ledger(
    first: int, last: int, *, streams: int, per_bucket: int, in_bursts: bool, prefix: str = ""
) -> None:
    """Events `first` to `last`: hour after hour, `per_bucket` of each stream in each."""
    with connection.cursor() as cursor:
        cursor.execute(
            FILL,
            {
                "first": first,
                "last": last,
                "per_hour": streams * per_bucket,
                "per_bucket": per_bucket,
                "in_bursts": in_bursts,
                "prefix": prefix,
                "beginning": BEGINNING,
            },
        )
        cursor.execute("VACUUM (ANALYZE) metering_usageevent")


def fill_pending(batch: int) -> int:
    """What recorders of batches would have left for the tick; how many rows that are."""
    from metering.answering.contributions import contribution_sql
    from metering.catalogue import current
    from metering.measuring.event_sql import event_stream_sql
    from metering.measuring.label_filter import Params

    [meaning] = current().meanings.values()
    params = Params()
    columns = contribution_sql(meaning, params)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO metering_pendingcontribution
                   (metric_id, project_id, billing_scope_id, hour_start, stream, subject_type, subject_id,
                    "group", {", ".join(columns)})
            SELECT {params.add(meaning.metric_id)}, e.project_id, e.billing_scope_id,
                   date_trunc('hour', e.occurred_at, 'UTC'), {event_stream_sql(meaning, params)},
                   e.subject_type, e.subject_id, '{{}}', {", ".join(columns.values())}
              FROM metering_usageevent e
             GROUP BY e.id / {params.add(batch)}, 2, 3, 4, 5, 6, 7
             ORDER BY e.id / {params.add(batch)}
            """,
            params,
        )
        return int(cursor.rowcount)
