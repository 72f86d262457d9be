"""Where the kernel's advisory locks are spelled, and in which order they are taken.

Order within a transaction: the recording lock first, then the lock of the tree's shape, then whatever an
admission policy needs, then rows in the order of their unique keys. Rollup rows are only ever locked in the
order of their natural key.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

from .errors import DefinitionsBusy

# A two-part advisory lock (class, object) in a class of our own, so that pg_locks shows who holds it. The SQL
# function metering_open_page (migration 0003) spells the same numbers.
LOCK_CLASS = 77_001
RECORDING_LOCK = 1
TREE_LOCK = 2

LOCK_TIMEOUT = "2s"
LOCK_ATTEMPTS = 5


def hold_tree() -> None:
    """Until the transaction ends, nobody else adds a project or moves one: paths are written under it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, TREE_LOCK])


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
