"""Where quota locks are spelled: recorders of the same exact quota decide one after the other.

Taken after the recording lock and before keys are looked up and usage is read, in ascending order, each by a
statement of its own (migration 0002): a sum in the statement that takes the lock has an older snapshot.
Released by the end of the transaction, or of the savepoint within which they were taken.
"""

from collections.abc import Iterable

from django.db import connection

# Class 77_002, spelled in the SQL function, beside the kernel's own (metering/locks.py).
HOLD_LOCK_CLASS = 77_003
PATIENCE = "5s"  # for each lock; a recorder's transaction takes a fraction of a second
_KEYS = 2**31  # the locks of quotas whose ids differ by this much are one, which only costs waiting


def hold_quotas(quota_ids: Iterable[int]) -> None:
    """Until the transaction ends, nobody else decides by these quotas."""
    keys = sorted({quota_id % _KEYS for quota_id in quota_ids})
    if keys:
        with connection.cursor() as cursor:
            cursor.execute("SELECT quotas_hold(%s, %s)", [keys, PATIENCE])


def hold_ending(hold_id: int) -> None:
    """Until the transaction ends, nobody else ends this hold. Taken before the locks of its quotas."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [HOLD_LOCK_CLASS, hold_id % _KEYS])
