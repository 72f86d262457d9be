"""What time it is, as the database tells."""

import pytest
from django.db import connection

from metering.clock import ledger_end
from tests.factories import a_metric, a_project, an_event, at, recorded

pytestmark = pytest.mark.django_db


def test_the_end_of_the_ledger_is_the_last_id_drawn() -> None:
    a_project("acme")
    a_metric()
    before = ledger_end()

    [event] = recorded(an_event(occurred_at=at("2026-03-01T12:00:00Z")))

    assert event.id > before
    assert ledger_end() == event.id
    assert event.outcome == "created"


def test_the_end_of_a_ledger_that_was_never_written_is_0() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER SEQUENCE metering_usageevent_id_seq RESTART WITH 1")

    assert ledger_end() == 0
