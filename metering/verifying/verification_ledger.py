"""Whether the ledger makes sense by itself: voids, payers, positions, and what waits to be merged."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from .verification_findings import Breach, Outcome, counted
from .verification_rollups import one_snapshot

LONGEST_WAIT = dt.timedelta(minutes=15)  # the tick runs every few seconds
CLOCK_TOLERANCE = dt.timedelta(minutes=1)  # by which the database's clock may have been set back

_VOIDS = """
    SELECT count(*) OVER (), v.id, v.voids, {what}
      FROM metering_usageevent v
      LEFT JOIN metering_usageevent e ON e.id = v.voids
      LEFT JOIN metering_correction c ON c.void = v.id AND c.event = v.voids AND c.project_id = v.project_id
     WHERE v.voids IS NOT NULL
       AND {what} IS NOT NULL
     ORDER BY v.id
     LIMIT %(limit)s
"""
# The first thing that is wrong with a void.
_WRONG_VOID = """
    CASE WHEN e.id IS NULL THEN 'void_of_nothing'
         WHEN e.kind <> 'usage' THEN 'void_of_a_void'
         WHEN e.id > v.id THEN 'void_before_its_event'
         WHEN e.project_id <> v.project_id OR e.billing_scope_id <> v.billing_scope_id
              OR e.occurred_at <> v.occurred_at OR e.event_name <> v.event_name
              OR e.subject_type <> v.subject_type OR e.subject_id <> v.subject_id
              OR e.labels <> v.labels OR e.surface_id IS DISTINCT FROM v.surface_id THEN 'void_differs'
         WHEN v.source <> 'meterbook:void' OR v.event_id <> v.voids::text THEN 'void_misnamed'
         WHEN c.id IS NULL THEN 'void_without_reason'
    END
"""
_VOID_WORDS = {
    "void_of_nothing": "Void {0} cancels event {1}, which isn't in the ledger.",
    "void_of_a_void": "Void {0} cancels {1}, which is a void itself.",
    "void_before_its_event": "Void {0} is older than event {1}, which it cancels.",
    "void_differs": (
        "Void {0} and event {1}, which it cancels, don't agree on project, payer, time, name, subject,"
        " surface or labels."
    ),
    "void_misnamed": "Void {0} of event {1} doesn't carry the source and id that voids have.",
    "void_without_reason": "Nothing on record says who made void {0} of event {1}, and why.",
}
_UNKEPT_CORRECTIONS = """
    SELECT count(*) OVER (), c.void, c.event
      FROM metering_correction c
      LEFT JOIN metering_usageevent v ON v.id = c.void AND v.voids = c.event
     WHERE v.id IS NULL
     ORDER BY c.id
     LIMIT %(limit)s
"""

_PAYERS = """
    SELECT count(*) OVER (), e.id, p.key, s.key
      FROM metering_usageevent e
      LEFT JOIN metering_project p ON p.id = e.project_id
      LEFT JOIN metering_project s ON s.id = e.billing_scope_id
     WHERE p.id IS NULL
        OR s.id IS NULL
        OR split_part(p.path, '/', 2) <> split_part(s.path, '/', 2)
     ORDER BY e.id
     LIMIT %(limit)s
"""

# Whatever lies at or below a fence was recorded before it: who adds a row there later gives it a later stamp.
_LATE_ROWS = """
    SELECT count(*) OVER (), place, left(recorded_at::text, 19), left(fenced_at::text, 19)
      FROM (
            SELECT place, is_event, recorded_at,
                   min(fenced_at) OVER (ORDER BY place DESC) AS fenced_at
              FROM (
                    SELECT id AS place, TRUE AS is_event, recorded_at, NULL::timestamptz AS fenced_at
                      FROM metering_usageevent
                    UNION ALL
                    SELECT position, FALSE, NULL, fenced_at
                      FROM metering_fence
                   ) places
           ) ordered
     WHERE is_event
       AND recorded_at > fenced_at + %(tolerance)s
     ORDER BY place
     LIMIT %(limit)s
"""
# The sequence is read behind the rows, and only grows.
_BEYOND = """
    SELECT what, position, ends.last
      FROM (
            SELECT 'The last event' AS what, max(id) AS position FROM metering_usageevent
            UNION ALL
            SELECT 'The last fence', max(position) FROM metering_fence
            UNION ALL
            SELECT 'The last seal', max(position) FROM metering_ledgerseal
            UNION ALL
            SELECT format('Metric %%s, which counts from a position', key), max(counts_from)
              FROM metering_metricdefinition
             GROUP BY id
            UNION ALL
            SELECT format('Metric %%s, archived at a position', key), max(archived_from)
              FROM metering_metricdefinition
             GROUP BY id
           ) reached,
           (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last
              FROM metering_usageevent_id_seq) ends
     WHERE position > ends.last
     LIMIT %(limit)s
"""
_COUNT_FENCES = "SELECT count(*), max(position) FROM metering_fence"

_PENDING = """
    SELECT count(*) OVER (), w.id, m.key, p.key, left(w.hour_start::text, 16), w.failure,
           trunc(extract(epoch FROM clock_timestamp() - w.created_at) / 60),
           CASE WHEN m.id IS NULL OR p.id IS NULL THEN 'pending_of_nothing'
                WHEN w.failure <> '' THEN 'pending_set_aside'
                ELSE 'pending_too_long'
           END
      FROM metering_pendingcontribution w
      LEFT JOIN metering_metricdefinition m ON m.id = w.metric_id
      LEFT JOIN metering_project p ON p.id = w.project_id
     WHERE m.id IS NULL
        OR p.id IS NULL
        OR w.failure <> ''
        OR w.created_at < clock_timestamp() - %(wait)s
     ORDER BY w.id
     LIMIT %(limit)s
"""
_HISTORY_DUE = """
    SELECT key
      FROM metering_metricdefinition
     WHERE is_history_due
       AND created_at < clock_timestamp() - %(wait)s
     ORDER BY id
     LIMIT %(limit)s
"""


def void_outcome(*, limit: int) -> Outcome:
    """Each void cancels one earlier usage event, says the same of it, and has a reason on record."""
    with one_snapshot():
        (void_count,) = _rows("SELECT count(*) FROM metering_usageevent WHERE voids IS NOT NULL")[0]
        wrong = _rows(_VOIDS.format(what=_WRONG_VOID), limit=limit)
        unkept = _rows(_UNKEPT_CORRECTIONS, limit=limit)
    breaches = [Breach(code, _VOID_WORDS[code].format(void, event)) for _, void, event, code in wrong]
    breaches += [
        Breach(
            "correction_without_void", f"A correction of event {event} is on record, its void {void} isn't."
        )
        for _, void, event in unkept
    ]
    return Outcome(
        checked=counted(void_count, "cancelled event"),
        breaches=breaches[:limit],
        breach_count=_total(wrong) + _total(unkept),
    )


def payer_outcome(*, limit: int) -> Outcome:
    """Each event is billed to a project of its own tree."""
    with one_snapshot():
        (event_count,) = _rows("SELECT count(*) FROM metering_usageevent")[0]
        wrong = _rows(_PAYERS, limit=limit)
    breaches = [
        Breach(
            "payer_of_another_tree" if project and payer else "project_missing",
            f"Event {event} of project {project or 'unknown'} is billed to {payer or 'an unknown project'}"
            + (", which is of another tree." if project and payer else "."),
        )
        for _, event, project, payer in wrong
    ]
    return Outcome(checked=counted(event_count, "event"), breaches=breaches, breach_count=_total(wrong))


def position_outcome(*, limit: int) -> Outcome:
    """Ids and positions lie within the ledger, and nothing was added below a fence after it was made."""
    with one_snapshot():
        late = _rows(_LATE_ROWS, limit=limit, tolerance=CLOCK_TOLERANCE)
        beyond = _rows(_BEYOND, limit=limit)
        fence_count, last = _rows(_COUNT_FENCES)[0]
    breaches = [
        Breach(
            "position_beyond_the_ledger",
            f"{what}: {position:,} lies behind the end of the ledger, {end:,}. Ids would be given twice.",
        )
        for what, position, end in beyond
    ]
    breaches += [
        Breach(
            "recorded_below_a_fence",
            f"Event {event} was recorded at {recorded_at} UTC, but all up to it was final at {fenced_at} UTC"
            " already.",
        )
        for _, event, recorded_at, fenced_at in late
    ]
    checked = counted(fence_count, "fence") + (f", the last at {last:,}" if last is not None else "")
    return Outcome(checked=checked, breaches=breaches[:limit], breach_count=_total(late) + len(beyond))


def pending_outcome(*, limit: int) -> Outcome:
    """Everything that was recorded reached the rollups in time, and nothing was set aside."""
    with one_snapshot():
        (pending_count,) = _rows("SELECT count(*) FROM metering_pendingcontribution")[0]
        stuck = _rows(_PENDING, limit=limit, wait=LONGEST_WAIT)
        due = _rows(_HISTORY_DUE, limit=limit, wait=LONGEST_WAIT)
    breaches = [Breach(row[-1], _stuck(*row[1:])) for row in stuck]
    breaches += [
        Breach("history_not_counted", f"Metric {key} is still to count what was recorded before it.")
        for (key,) in due
    ]
    return Outcome(
        checked=f"{counted(pending_count, 'contribution')} waiting",
        breaches=breaches[:limit],
        breach_count=_total(stuck) + len(due),
    )


def _stuck(
    row_id: int,
    metric: str | None,
    project: str | None,
    hour_start: str,
    failure: str,
    minutes: Decimal,
    code: str,
) -> str:
    place = (
        f"Contribution {row_id} to metric {metric or 'unknown'}, project {project or 'unknown'}, hour"
        f" {hour_start} UTC"
    )
    if code == "pending_set_aside":
        return f"{place}, can't be merged and was set aside: {failure[:300]}"
    if code == "pending_of_nothing":
        return f"{place}, belongs to nothing that exists."
    return f"{place}, has waited for {minutes:,} minutes; is the tick running?"


def _total(rows: Sequence[Sequence[Any]]) -> int:
    """How many there are, whatever the limit: the first column says so in each."""
    return int(rows[0][0]) if rows else 0


def _rows(statement: str, **params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall()
