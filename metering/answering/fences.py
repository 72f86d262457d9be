"""Finding ledger positions up to which everything is committed and final."""

import time

from django.db import connection

from metering.clock import ledger_end
from metering.errors import Unavailable
from metering.locks import LOCK_CLASS, RECORDING_LOCK
from metering.models import Fence

PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.005

_HOLDERS = """
    SELECT pid, virtualtransaction
      FROM pg_locks
     WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND classid = %s
       AND objid = %s
       AND objsubid = 2
       AND granted
"""


def raise_fence(*, patience_seconds: float = PATIENCE_SECONDS) -> Fence:
    """Find a position and store it; the last one is returned as it is when nothing was recorded since.

    Waits for the recorders that run now without asking for their lock, so that others go on starting.
    Raises `Unavailable` when one of them outlasts `patience_seconds`. Not to be called inside a recorder.
    """
    position = ledger_end()
    awaited = _holders()
    deadline = time.monotonic() + patience_seconds
    while awaited:
        time.sleep(_POLL_SECONDS)
        awaited &= _holders()
        if awaited and time.monotonic() > deadline:
            raise Unavailable("A recorder has been running for too long; no position is final yet.")
    last = Fence.objects.order_by("-position", "-id").first()
    if last is not None and last.position == position:
        return last
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metering_fence (position, fenced_at) VALUES (%s, clock_timestamp()) RETURNING id",
            [position],
        )
        (fence_id,) = cursor.fetchone()
    return Fence.objects.get(pk=fence_id)


def last_position() -> int:
    """The position of the last stored fence; 0 before the first. Everything up to it is in every answer."""
    return Fence.objects.order_by("-position").values_list("position", flat=True).first() or 0


def _holders() -> set[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [LOCK_CLASS, RECORDING_LOCK])
        return {(pid, transaction_id) for pid, transaction_id in cursor.fetchall()}
