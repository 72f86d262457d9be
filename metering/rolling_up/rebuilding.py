"""Working a metric's rollups out again from the ledger, and swapping them in while everything goes on.

The ledger is read beside the live rows, up to a fence and without a lock, into tables of this session that
vanish with it. Then ticks wait, recorders don't: one statement, hence one snapshot, takes what is pending and
reads again the hours that were touched since the fence; the rows that these hours come to are compared with
the live ones, and what differs is written. All of it is one transaction: killed anywhere, it never happened.
"""

import datetime as dt
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from metering.answering.fences import raise_fence
from metering.catalogue import current
from metering.errors import Conflict, RebuildUnderWay, Unavailable
from metering.locks import hold_rollups, try_to_hold_rebuild
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.streams import TOTAL
from metering.models import MetricDefinition, RollupRebuild

from .ledger_hours import KEY, STREAM_COLUMNS, VALUES, hours_sql, rollups_sql
from .rollups import roll_up
from .tick_observers import observe, tick_observers, touched_days

logger = logging.getLogger(__name__)

WORK_MEMORY = "64MB"  # for grouping; what exceeds it goes to disk
ATTEMPTS = 5  # at a moment in which no definition changes

# Tables of this session and transaction.
_HOURS, _TAKEN, _DIFFERENCES = "rebuilt_hours", "rebuilt_taken", "rebuilt_differences"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a rebuild found. Rows that were merely behind what was pending are not counted as wrong."""

    metric: str
    position: int
    row_count: int  # rows of rollups that there should be
    missing_count: int
    extra_count: int
    different_count: int
    pending_count: int  # pending contributions that the rebuilt rows contain
    seconds: float

    @property
    def wrong_count(self) -> int:
        return self.missing_count + self.extra_count + self.different_count

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


class _Moved(Exception):
    """A definition changed between reading it and reading the ledger by it."""


def rebuild_rollups(
    metric: MetricDefinition,
    *,
    project_ids: Sequence[int] | None = None,
    position: int | None = None,
    is_dry_run: bool = False,
    requested_by: str = "",
    request: RollupRebuild | None = None,
) -> Findings:
    """Make a metric's rollups what the ledger says they are: all of them, or those of some projects.

    Rows that are right stay untouched, with their ids; the answer to every question stays what it should be
    throughout. Recorders never wait, ticks wait for the swap. What was found is kept as a `RollupRebuild`
    (`request` where there is one), in the same transaction. A dry run writes nothing.

    `position` is a fence; without one a new one is raised. A tick comes first, so that what differs
    afterwards was wrong and not just behind. Raises `RebuildUnderWay` while another rebuilds this metric,
    `Conflict` where a dry run finds history that is still to be counted, and `Unavailable`.
    """
    began = time.monotonic()
    if not is_dry_run:
        roll_up()  # counts history that is due, too
    elif MetricDefinition.objects.filter(pk=metric.pk, is_history_due=True).exists():
        raise Conflict("'{key}' is still to count what came before it; run roll_up first.", key=metric.key)
    if position is None:
        position = raise_fence().position
    with transaction.atomic(), connection.cursor() as cursor:
        if not try_to_hold_rebuild(metric.pk):
            raise RebuildUnderWay(metric.key)
        cursor.execute("SELECT set_config('work_mem', %s, true)", [WORK_MEMORY])
        _read_ledger(metric.pk, project_ids, position)
        hold_rollups(alone=True)
        meaning, pending_count = _catch_up(metric.pk, project_ids, position)
        row_count = _compare(meaning, project_ids)
        missing_count, extra_count, different_count = _count_wrong(meaning)
        findings = Findings(
            metric.key, position, row_count, missing_count, extra_count, different_count, pending_count,
            time.monotonic() - began,
        )  # fmt: skip
        if is_dry_run:
            transaction.set_rollback(True)
            return findings
        _write_differences(metric.pk)
        if tick_observers():
            observe(touched_days(metric.pk, _hours_that_moved()))
        _drop_tables()
        _remember(findings, metric, project_ids, requested_by, request)
    if findings.wrong_count:
        logger.warning("Rollups of metric %s were not what the ledger says: %s", metric.key, findings)
    return findings


def _read_ledger(metric_id: int, project_ids: Sequence[int] | None, position: int) -> None:
    """Work out the hours of streams as of a position. Takes no lock; may be planned in parallel."""
    _drop_tables()
    params = Params()
    hours = hours_sql(
        current().meanings[metric_id], params, where=_among("e", project_ids, params), as_of=position
    )
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE {_HOURS} ON COMMIT DROP AS {hours}", params)
        cursor.execute(
            f"CREATE TEMPORARY TABLE {_TAKEN} ON COMMIT DROP AS"  # noqa: S608 (names of ours)
            " SELECT project_id, billing_scope_id, stream, hour_start FROM metering_pendingcontribution"
            " WITH NO DATA"
        )
        cursor.execute(f"ANALYZE {_HOURS}")


def _catch_up(metric_id: int, project_ids: Sequence[int] | None, position: int) -> tuple[Meaning, int]:
    """Bring the hours up to one snapshot, and remove what is pending as of it; how many rows that were.

    Also returns the definition by which they were read: it may change at any moment, but not unseen, since
    the snapshot tells the version that it is of.
    """
    for _ in range(ATTEMPTS):
        catalogue = current()
        try:
            with transaction.atomic():
                meaning = catalogue.meanings[metric_id]
                pending_count, version = _catch_up_by(meaning, project_ids, position)
                if version != catalogue.version:
                    raise _Moved
        except _Moved:
            continue
        return meaning, pending_count
    raise Unavailable("Definitions keep changing; try again in a few seconds.")


def _catch_up_by(meaning: Meaning, project_ids: Sequence[int] | None, position: int) -> tuple[int, int]:
    """Pending rows removed, and the version of the definitions as of the snapshot.

    A void has the time and project of its event, so it leads to the hour that it changes.
    Indexes: the ledger's primary key, usage_event_by_project.
    """
    params = Params()
    event_name = params.add(meaning.event_name)
    again = hours_sql(
        meaning,
        params,
        source=f"""touched t
          JOIN metering_usageevent e
            ON e.project_id = t.project_id
           AND e.event_name = {event_name}
           AND e.occurred_at >= t.hour_start
           AND e.occurred_at < t.hour_start + interval '1 hour'""",
    )
    statement = f"""
    WITH taken AS (
        DELETE FROM metering_pendingcontribution p
         WHERE p.metric_id = {params.add(meaning.metric_id)}
           AND {_among("p", project_ids, params)}
        RETURNING p.project_id, p.billing_scope_id, p.stream, p.hour_start
    ),
    noted AS (
        INSERT INTO {_TAKEN}
        SELECT DISTINCT * FROM taken
    ),
    touched AS MATERIALIZED (
        SELECT DISTINCT e.project_id, date_bin('1 hour', e.occurred_at, 'epoch') AS hour_start
          FROM metering_usageevent e
         WHERE e.id > {params.add(position)}
           AND e.event_name = {event_name}
           AND {_among("e", project_ids, params)}
    ),
    removed AS (
        DELETE FROM {_HOURS} h
         USING touched t
         WHERE h.project_id = t.project_id
           AND h.hour_start = t.hour_start
    ),
    again AS (
        INSERT INTO {_HOURS}
        {again}
    )
    SELECT (SELECT count(*) FROM taken), (SELECT version FROM metering_catalogueversion)
    """  # noqa: S608 (values are bound; the text is ours, here and below)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        pending_count, version = cursor.fetchone()
    return pending_count, version


def _compare(meaning: Meaning, project_ids: Sequence[int] | None) -> int:
    """Find the rows in which the live rollups differ from the rebuilt ones; how many there should be."""
    params = Params()
    columns = (*STREAM_COLUMNS, "record_count", *VALUES)
    key = ", ".join(f"COALESCE(n.{name}, r.{name}) AS {name}" for name in KEY)
    rebuilt = rollups_sql(meaning, _HOURS)
    statement = f"""
    CREATE TEMPORARY TABLE {_DIFFERENCES} ON COMMIT DROP AS
    SELECT r.id AS row_id, {key}, {", ".join(f"n.{name}" for name in columns)},
           CASE
               WHEN r.id IS NULL THEN 'missing'
               WHEN n.project_id IS NOT NULL THEN 'different'
               -- An emptied row that the next sweep removes is as good as none.
               WHEN r.record_count = 0 AND COALESCE(r.value_sum, 0) = 0 AND COALESCE(r.value_moment, 0) = 0
               THEN 'emptied'
               ELSE 'extra'
           END AS verdict
      FROM (
            SELECT *
              FROM metering_usagemeterrollup r
             WHERE r.metric_id = {params.add(meaning.metric_id)}
               AND {_among("r", project_ids, params)}
           ) r
      FULL JOIN ({rebuilt}) n
        ON {" AND ".join(f"n.{name} = r.{name}" for name in KEY)}
     WHERE r.id IS NULL
        OR n.project_id IS NULL
        OR ({", ".join(f"r.{name}" for name in columns)})
           IS DISTINCT FROM ({", ".join(f"n.{name}" for name in columns)})
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        cursor.execute(f"ANALYZE {_DIFFERENCES}")
        live = Params()
        cursor.execute(
            "SELECT (SELECT count(*) FROM metering_usagemeterrollup r"  # noqa: S608
            f"        WHERE r.metric_id = {live.add(meaning.metric_id)} AND {_among('r', project_ids, live)})"
            f" + count(*) FILTER (WHERE verdict = 'missing')"
            f" - count(*) FILTER (WHERE verdict IN ('extra', 'emptied')) FROM {_DIFFERENCES}",
            live,
        )
        (row_count,) = cursor.fetchone()
    return int(row_count)


def _count_wrong(meaning: Meaning) -> tuple[int, int, int]:
    """Rows missing, extra and different, but for buckets that were behind: something was pending for them.

    A reading moves the step after it, too: of steps, all later buckets of the stream may be behind.
    """
    is_stepped = meaning.is_stepped
    start = "date_trunc(g.granularity, t.hour_start, 'UTC')"
    statement = f"""
    WITH behind AS (
        SELECT t.project_id, t.billing_scope_id, g.granularity,
               CASE WHEN s.is_total THEN '{TOTAL}'::uuid ELSE t.stream END AS stream,
               {f"min({start})" if is_stepped else start} AS start_at
          FROM {_TAKEN} t
         CROSS JOIN (VALUES ('hour'), ('day'), ('month')) AS g (granularity)
         CROSS JOIN (VALUES (FALSE), (TRUE)) AS s (is_total)
         GROUP BY 1, 2, 3, 4{"" if is_stepped else ", 5"}
    )
    SELECT count(*) FILTER (WHERE d.verdict = 'missing'),
           count(*) FILTER (WHERE d.verdict = 'extra'),
           count(*) FILTER (WHERE d.verdict = 'different')
      FROM {_DIFFERENCES} d
      LEFT JOIN behind b
        ON b.project_id = d.project_id
       AND b.billing_scope_id = d.billing_scope_id
       AND b.granularity = d.granularity
       AND b.stream = d.stream
       AND b.start_at {"<=" if is_stepped else "="} d.bucket_start
     WHERE b.project_id IS NULL
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement)
        missing_count, extra_count, different_count = cursor.fetchone()
    return missing_count, extra_count, different_count


def _write_differences(metric_id: int) -> None:
    """Make the live rows what was worked out. Nobody else writes rollups now; index: the primary key."""
    columns = (*STREAM_COLUMNS, "record_count", *VALUES)
    key = ", ".join(KEY)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM metering_usagemeterrollup r"  # noqa: S608
            f" USING {_DIFFERENCES} d WHERE r.id = d.row_id AND d.verdict IN ('extra', 'emptied')"
        )
        cursor.execute(
            f"UPDATE metering_usagemeterrollup r SET {', '.join(f'{name} = d.{name}' for name in columns)}"  # noqa: S608
            f" FROM {_DIFFERENCES} d WHERE r.id = d.row_id AND d.verdict = 'different'"
        )
        cursor.execute(
            f"INSERT INTO metering_usagemeterrollup (metric_id, {key}, {', '.join(columns)})"  # noqa: S608
            f" SELECT %s, {key}, {', '.join(columns)} FROM {_DIFFERENCES} WHERE verdict = 'missing'"
            f" ORDER BY {key}",
            [metric_id],
        )


def _hours_that_moved() -> list[tuple[int, int, dt.datetime]]:
    """Projects, payers and hours of what was pending, which no tick will see, and of what was wrong."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT project_id, billing_scope_id, hour_start FROM {_TAKEN}"  # noqa: S608
            f" UNION SELECT project_id, billing_scope_id, bucket_start FROM {_DIFFERENCES}"
            "  WHERE granularity = 'hour'"
        )
        return cursor.fetchall()


def _remember(
    findings: Findings,
    metric: MetricDefinition,
    project_ids: Sequence[int] | None,
    requested_by: str,
    request: RollupRebuild | None,
) -> None:
    facts: dict[str, Any] = {
        name: getattr(findings, name)
        for name in (
            "position",
            "row_count",
            "missing_count",
            "extra_count",
            "different_count",
            "pending_count",
        )
    }
    facts |= {"finished_at": Now(), "seconds": findings.seconds}
    if request is not None:
        RollupRebuild.objects.filter(pk=request.pk).update(**facts)
        return
    RollupRebuild.objects.create(
        metric=metric,
        requested_by=requested_by,
        project_count=None if project_ids is None else len(project_ids),
        **facts,
    )


def _among(alias: str, project_ids: Sequence[int] | None, params: Params) -> str:
    if project_ids is None:
        return "TRUE"
    return f"{alias}.project_id = ANY ({params.add(list(project_ids))}::bigint[])"


def _drop_tables() -> None:
    """A transaction around ours may have rebuilt another metric before."""
    with connection.cursor() as cursor:
        for table in (_HOURS, _TAKEN, _DIFFERENCES):
            cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
