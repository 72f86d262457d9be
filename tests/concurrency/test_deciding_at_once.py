"""Processes that refuse the same at once write one row between them."""

from dataclasses import replace

import pytest

from metering.models import DomainEvent
from quotas import decisions
from quotas.decisions import write_decisions
from quotas.errors import QuotaExceeded
from quotas.models import QuotaBreach, QuotaDecision
from quotas.notebook import NOTEBOOK
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_quota

from .rivals import race

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, TIMES = 6, 20


def told():
    """What was announced of quotas."""
    return DomainEvent.objects.filter(kind__startswith="quota.")


@pytest.fixture
def notes():
    """Two equal decisions as different processes note them, of two quotas."""
    acme = a_project("acme")
    for name in ("tokens", "seats"):
        a_quota(acme, a_metric(name), limit="0")
        with pytest.raises(QuotaExceeded):
            recorded(an_event("acme", event_name=name))
    noted = list(NOTEBOOK._waiting.values())
    NOTEBOOK.forget()
    assert len(noted) == 2
    return noted


def test_equal_denials_of_many_processes_are_counted_each(notes):
    def write(order):
        for _ in range(TIMES):
            write_decisions(order)

    race(*(lambda order=notes[:: 1 if number % 2 else -1]: write(order) for number in range(WRITERS)))

    assert [decision.count for decision in QuotaDecision.objects.all()] == [WRITERS * TIMES] * 2
    assert QuotaBreach.objects.count() == 2
    assert told().count() == 2


def test_without_the_unique_breach_each_would_announce(notes, monkeypatch):
    """The negative control: a breach that isn't unique is announced again and again."""
    monkeypatch.setattr(
        decisions, "_BREACH", decisions._BREACH.replace("n.period_start,", "clock_timestamp(),", 1)
    )

    race(*(lambda: write_decisions(notes) for _ in range(WRITERS)))

    assert told().count() > 2


def test_decisions_that_differ_stay_apart(notes):
    others = [replace(note, reference=note.reference[::-1]) for note in notes]

    race(lambda: write_decisions(notes), lambda: write_decisions(others))

    assert QuotaDecision.objects.count() == 4
