"""How the kernel is doing: what waits to be merged, when the last tick was, how large the ledger is.

Every question here is cheap at any size; none counts the ledger.
"""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Model

from .guards import trigger_states
from .models import Fence, UsageEvent
from .rolling_up.rollups import HEARTBEAT
from .rolling_up.tick_observers import tick_observers

EXACT_UP_TO = 100_000  # more rows than this are estimated: counting them takes longer than a page should
TICK_IS_LATE_AFTER = dt.timedelta(seconds=60)  # twelve missed ticks of the schedule as it is seeded
MOST_COUNTED = 1000

# What hangs, one row each: how many, and since when. Failed rows are counted up to a bound.
# Reads: pending_that_failed, mail_by_status, webhook_delivery_by_status, the catalogue of triggers.
# Locks nothing.
_HANGING = """
    SELECT 'set_aside', count(*), min(created_at)
      FROM metering_pendingcontribution
     WHERE failure <> ''
    UNION ALL
    SELECT 'owed', count(*), min(created_at)
      FROM metering_owedobservation
     WHERE observer = ANY(%(observers)s)
    UNION ALL
    SELECT 'deliveries', count(*), min(failed.created_at)
      FROM (
            SELECT created_at
              FROM metering_webhookdelivery
             WHERE endpoint_id = ANY(ARRAY(SELECT id FROM metering_webhookendpoint))
               AND status = 'failed'
             LIMIT %(most)s
           ) failed
    UNION ALL
    SELECT 'mails', count(*), min(failed.created_at)
      FROM (
            SELECT created_at
              FROM metering_outgoingmail
             WHERE status = 'failed'
             ORDER BY id
             LIMIT %(most)s
           ) failed
    UNION ALL
    SELECT 'guards', count(*), NULL
      FROM unnest(%(tables)s::text[], %(triggers)s::text[], %(states)s::text[])
           AS guard (relation, name, states)
     WHERE to_regclass(guard.relation) IS NOT NULL
       AND NOT EXISTS (
               SELECT FROM pg_trigger t
                WHERE t.tgrelid = to_regclass(guard.relation)
                  AND t.tgname = guard.name
                  AND strpos(guard.states, t.tgenabled::text) > 0
           )
    UNION ALL
    SELECT 'pending', count(*), min(oldest.created_at)
      FROM (SELECT created_at FROM metering_pendingcontribution ORDER BY id LIMIT 1) oldest
    UNION ALL
    SELECT 'ticked', count(*), max(finished_at)
      FROM metering_heartbeat
     WHERE job = %(tick)s
"""


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a table has; an estimate by the planner's statistics where there are many."""

    count: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """The state of the ledger and its projections at `asked_at`, by the database's clock."""

    asked_at: dt.datetime
    pending: RowCount
    oldest_pending_at: dt.datetime | None
    ticked_at: dt.datetime | None
    tick_facts: dict[str, Any]
    fence: Fence | None
    ledger_end: int
    events: RowCount
    ledger_bytes: int
    set_aside_count: int  # pending rows that can't be merged; see their `failure`
    owed_count: int  # observations of ticks that failed so far; see their `failure`

    @property
    def tick_is_late(self) -> bool:
        """Whether beat or its worker seems to be down. Never ticked is late only where something waits."""
        if self.ticked_at is None:
            return self.pending.count > 0
        return self.asked_at - self.ticked_at > TICK_IS_LATE_AFTER


# What waits, and what can't go on.
_WAITING = f"""
    SELECT clock_timestamp(),
           (SELECT count(*) FROM (SELECT FROM metering_pendingcontribution LIMIT {EXACT_UP_TO + 1}) AS rows),
           -- Ids are drawn in the order of insertion, so the first by primary key is the oldest.
           (SELECT created_at FROM metering_pendingcontribution ORDER BY id LIMIT 1),
           (SELECT count(*) FROM metering_pendingcontribution WHERE failure <> ''),
           (SELECT count(*) FROM metering_owedobservation WHERE observer = ANY(%(observers)s)),
           pg_total_relation_size('metering_usageevent'),
           (SELECT reltuples::bigint FROM pg_class WHERE oid = 'metering_usageevent'::regclass),
           (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM metering_usageevent_id_seq),
           (SELECT finished_at FROM metering_heartbeat WHERE job = %(tick)s),
           (SELECT facts::text FROM metering_heartbeat WHERE job = %(tick)s),
           (SELECT id FROM metering_fence ORDER BY position DESC, id DESC LIMIT 1),
           (SELECT position FROM metering_fence ORDER BY position DESC, id DESC LIMIT 1),
           (SELECT fenced_at FROM metering_fence ORDER BY position DESC, id DESC LIMIT 1)
"""  # noqa: S608 (our own words)


def ledger_health() -> LedgerHealth:
    """One statement; two where the ledger is small enough to be counted."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"observers": list(tick_observers()), "tick": HEARTBEAT})
        asked_at, pending_count, oldest_pending_at, set_aside_count, owed_count, size, *rest = (
            cursor.fetchone()
        )
    estimate, end, ticked_at, facts, *fence = rest
    return LedgerHealth(
        asked_at=asked_at,
        # Counted: statistics of a table that fills and empties within seconds are always wrong.
        pending=RowCount(min(pending_count, EXACT_UP_TO), is_exact=pending_count <= EXACT_UP_TO),
        oldest_pending_at=oldest_pending_at,
        ticked_at=ticked_at,
        tick_facts=json.loads(facts) if facts else {},
        fence=None if fence[0] is None else Fence(id=fence[0], position=fence[1], fenced_at=fence[2]),
        ledger_end=int(end),
        events=_estimated(estimate) or _counted(UsageEvent),
        ledger_bytes=size,
        set_aside_count=set_aside_count,
        owed_count=owed_count,
    )


@dataclass(frozen=True, slots=True)
class Hanging:
    """So many rows that don't go on by themselves; `since` the oldest of them was made. More than
    `MOST_COUNTED` is counted as one more than that, and says no age."""

    count: int = 0
    since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class HangingWork:
    """What somebody has to look at. `ticked_at` is when the last tick ended; None: never."""

    set_aside: Hanging
    owed: Hanging
    deliveries: Hanging
    mails: Hanging
    guards: Hanging  # triggers of append-only tables that are missing or off
    tick_is_late: bool
    ticked_at: dt.datetime | None


def hanging_work(*, now: dt.datetime) -> HangingWork:
    """One statement. Whether guards do what they should, a verification says; here, whether they are on."""
    guards = trigger_states()
    with connection.cursor() as cursor:
        cursor.execute(
            _HANGING,
            {
                "observers": list(tick_observers()),
                "most": MOST_COUNTED + 1,
                "tables": [table for table, _name, _states in guards],
                "triggers": [name for _table, name, _states in guards],
                "states": [states for _table, _name, states in guards],
                "tick": HEARTBEAT,
            },
        )
        found = {
            name: Hanging(count, since if count <= MOST_COUNTED else None)
            for name, count, since in cursor.fetchall()
        }
    pending, ticked_at = found.pop("pending"), found.pop("ticked").since
    is_late = pending.count > 0 if ticked_at is None else now - ticked_at > TICK_IS_LATE_AFTER
    return HangingWork(**found, tick_is_late=is_late, ticked_at=ticked_at)


def row_count_of(model: type[Model]) -> RowCount:
    """The number of rows: counted up to 100,000; above by the planner's statistics."""
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        (estimate,) = cursor.fetchone()
    return _estimated(estimate) or _counted(model)


def _estimated(row_count: int) -> RowCount | None:
    """None where counting takes no longer than a page should."""
    return RowCount(row_count, is_exact=False) if row_count > EXACT_UP_TO else None


def _counted(model: type[Model]) -> RowCount:
    """Exact up to 100,000 rows, else "more than that"."""
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM {table} LIMIT %s) AS first_rows",  # noqa: S608 (our own table)
            [EXACT_UP_TO + 1],
        )
        (count,) = cursor.fetchone()
    return RowCount(min(count, EXACT_UP_TO), is_exact=count <= EXACT_UP_TO)
