"""Where the kernel's advisory locks are spelled, and in which order they are taken.

Order within a transaction: the recording lock first, then the lock of the tree's shape, then whatever an
admission policy needs, then rows in the order of their unique keys. Ticks take the rollup lock (shared; the
swap of a rebuild takes it alone), then those of the buckets that they drain whole, which they only try.
Rollup rows are only ever locked in the order of their natural key.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from .errors import DefinitionsBusy

# A two-part advisory lock (class, object) in a class of our own, so that pg_locks shows who holds it. The SQL
# function metering_open_page (migration 0003) spells the same numbers.
LOCK_CLASS = 77_001
RECORDING_LOCK = 1
TREE_LOCK = 2
ROLLUP_LOCK = 3
SEAL_LOCK = 4
WEBHOOK_LOCK = 5
MAIL_LOCK = 6
BILLING_LOCK = 7
EXPORT_LOCKS = (8, 9)  # so many workers at once make exports

LOCK_TIMEOUT = "2s"
LOCK_ATTEMPTS = 5


def hold_recording() -> None:
    """Until the transaction ends, no definition changes: for verbs that write rows of their own and then
    record. Taken first, because a change of definitions waits for those rows while it holds this lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [LOCK_CLASS, RECORDING_LOCK])


def hold_tree() -> None:
    """Until the transaction ends, nobody else adds a project or moves one: paths are written under it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, TREE_LOCK])


def hold_rollups(*, alone: bool = False) -> None:
    """Until the transaction ends: merge beside other ticks, or alone among them.

    A statement of its own, so that the next one sees what those who held it before have committed.
    """
    lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lock}(%s, %s)", [LOCK_CLASS, ROLLUP_LOCK])


def try_to_hold_buckets(metric_id: int, project_ids: Sequence[int]) -> list[int]:
    """The projects whose buckets of a metric are ours until the transaction ends; others are being drained.

    Never waits. A statement of its own: what is read next was committed after the lock was free.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT project_id, pg_try_advisory_xact_lock("
            "           hashtextextended(format('meterbook buckets %%s %%s', %s::bigint, project_id), 0))"
            "  FROM unnest(%s::bigint[]) AS p (project_id)",
            [metric_id, list(project_ids)],
        )
        return [project_id for project_id, is_held in cursor.fetchall() if is_held]


def try_to_hold_rebuild(metric_id: int) -> bool:
    """Whether this metric's rebuild is ours until the transaction ends. Never waits; taken first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock("
            "           hashtextextended(format('meterbook rebuild %%s', %s::bigint), 0))",
            [metric_id],
        )
        (is_held,) = cursor.fetchone()
    return bool(is_held)


def hold_seals() -> None:
    """Until the transaction ends, nobody else adds a seal: each is chained to the one before. Taken alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, SEAL_LOCK])


@contextmanager
def alone_at(lock: int) -> Iterator[bool]:
    """Whether no other process is at it, and then none will be until the block ends. Never waits.

    Held by the session, over any number of transactions; it ends with the process, too.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, lock])
        (is_held,) = cursor.fetchone()
    try:
        yield bool(is_held)
    finally:
        if is_held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, lock])


@contextmanager
def no_recorder_running() -> Iterator[None]:
    """A transaction in which no recorder is under way and none begins: for changing what events mean.

    Waits at most two seconds a try, so that ingest never queues longer behind the request, and tries five
    times. Raises `DefinitionsBusy`. Must be the outermost transaction.
    """
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        with transaction.atomic():
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
                    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, RECORDING_LOCK])
                    cursor.execute("SELECT set_config('lock_timeout', '0', true)")
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
            else:
                yield
                return
        if attempt < LOCK_ATTEMPTS:
            time.sleep(0.1 * attempt)
    raise DefinitionsBusy
