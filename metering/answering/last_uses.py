"""When metrics were last used by somebody: which to show first, and where a chart ends."""

import datetime as dt
from collections.abc import Iterable

from django.db import connection

from metering.measuring.label_filter import Params
from metering.measuring.slices import Scope
from metering.measuring.streams import TOTAL


def last_uses_of(metric_ids: Iterable[int], *, scope: Scope) -> dict[int, dt.datetime]:
    """By metric, the start of the latest UTC day, or of the hour that is still pending, with usage in scope.

    Metrics without usage are absent. One statement; reads rollups and pending contributions. Indexes:
    rollup_natural_key, rollup_totals_by_payer, rollup_by_metric_and_time, pending_by_metric.
    """
    params = Params()
    statement = f"""
        SELECT m.id, greatest(stored.last, pending.last)
          FROM unnest({params.add(list(metric_ids))}::bigint[]) AS m (id)
         CROSS JOIN LATERAL (
               SELECT max(r.bucket_start) AS last
                 FROM metering_usagemeterrollup r
                WHERE r.metric_id = m.id
                  AND r.granularity = 'day'
                  AND r.stream = '{TOTAL}'
                  AND r.record_count <> 0
                  AND {scope.sql("r", params)}
               ) stored
         CROSS JOIN LATERAL (
               SELECT max(p.hour_start) AS last
                 FROM metering_pendingcontribution p
                WHERE p.metric_id = m.id
                  AND {scope.sql("p", params)}
               ) pending
         WHERE greatest(stored.last, pending.last) IS NOT NULL
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return {metric_id: last.astimezone(dt.UTC) for metric_id, last in cursor.fetchall()}
