"""What every test stands on: the flush that the ledger refuses, and caches that a rollback makes stale."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from metering import catalogue
from metering.guards import LEDGER

TRUNCATE_GUARDS = {
    LEDGER: "usage_event_refuses_truncate",
    "metering_correction": "correction_refuses_truncate",
}

# Property tests roll back each example themselves, so one fixture serves all examples of a test.
settings.register_profile(
    "meterbook",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("meterbook")

_flush = TransactionTestCase._fixture_teardown


def _flush_with_the_truncate_guard_lifted(self: TransactionTestCase) -> None:
    """Lift one trigger, by name, around the flush of a test that committed; the flush seeds rows again.

    A test that disabled or dropped a guard must have put it back: `ENABLE ALWAYS` fails on a missing trigger.
    """
    with connection.cursor() as cursor:
        # A thread that a test left behind would block the flush for ever; fail instead.
        cursor.execute("SET lock_timeout = '20s'")
        for table, guard in TRUNCATE_GUARDS.items():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
    try:
        _flush(self)
    finally:
        with connection.cursor() as cursor:
            for table, guard in TRUNCATE_GUARDS.items():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")
            cursor.execute("RESET lock_timeout")


@pytest.fixture(scope="session", autouse=True)
def _flush_passes_the_guard() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", _flush_with_the_truncate_guard_lifted)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """A rollback or a flush brings an old catalogue version back, which this process may hold otherwise."""
    catalogue.forget()
    yield
    catalogue.forget()
