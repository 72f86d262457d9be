"""What every test stands on: the flush that the ledger refuses, and caches that a rollback makes stale."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import TransactionTestCase
from django.utils import translation
from hypothesis import HealthCheck, settings

from config.message_catalogues import compiled, languages
from metering import catalogue
from metering.guards import truncate_guards
from quotas.bus import Listener
from quotas.notebook import NOTEBOOK, Notebook

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


def _flush_with_the_truncate_guards_lifted(self: TransactionTestCase) -> None:
    """Lift one trigger of each guarded table, by name, around the flush of a test that committed.

    The flush seeds rows again.
    A test that disabled or dropped a guard must have put it back: `ENABLE ALWAYS` fails on a missing trigger.
    """
    with connection.cursor() as cursor:
        # A thread that a test left behind would block the flush for ever; fail instead.
        cursor.execute("SET lock_timeout = '20s'")
        lifted = truncate_guards()
        for table, trigger in lifted:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    try:
        _flush(self)
    finally:
        with connection.cursor() as cursor:
            for table, trigger in lifted:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
            cursor.execute("RESET lock_timeout")


@pytest.fixture(scope="session", autouse=True)
def _flush_passes_the_guard() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", _flush_with_the_truncate_guards_lifted)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _translations_are_compiled() -> None:
    for language in languages():
        compiled(language)


@pytest.fixture(autouse=True)
def _no_thread_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that outlives its test would speak of a bus that is gone; tests of the bus let it listen."""
    monkeypatch.setattr(Listener, "start", lambda self: None)


@pytest.fixture(autouse=True)
def _decisions_wait_to_be_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread would write them on a connection of its own, past the transaction that a test runs in."""
    monkeypatch.setattr(Notebook, "_start", lambda self: None)


@pytest.fixture(autouse=True)
def _no_language_stays() -> Iterator[None]:
    """A page leaves the language that it spoke to the thread."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """A rollback or a flush brings an old catalogue version back, which this process may hold otherwise."""
    catalogue.forget()
    NOTEBOOK.forget()
    yield
    catalogue.forget()
    NOTEBOOK.forget()
