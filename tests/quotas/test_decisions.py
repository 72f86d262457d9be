"""Why was this refused? The account that is kept of denials, warnings and what couldn't be decided."""

import datetime as dt
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from metering.attributing.scope_tree import attribute
from metering.errors import EventsConflict, EventsRejected
from metering.models import DomainEvent, Fence, Project
from metering.principal import Principal
from quotas import notebook
from quotas.decisions import remove_old_decisions, write_decisions
from quotas.errors import QuotaExceeded, QuotaUnavailable
from quotas.models import QuotaBreach, QuotaDecision
from quotas.notebook import NOTEBOOK, Notebook
from tests.factories import a_metric, a_project, an_event, at, outcomes, recorded

from .factories import PRODUCER, a_quota

pytestmark = pytest.mark.django_db

KEY = Principal(
    name="Backend", permissions=frozenset({"ingest", "backfill"}), key_id="abc234", project_path=None
)


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


def use(quantity: str | int = 1, **overrides) -> dict:
    return an_event("acme", quantity=quantity, **overrides)


def written() -> list[QuotaDecision]:
    NOTEBOOK.flush()
    return list(QuotaDecision.objects.order_by("id"))


def announced() -> list[DomainEvent]:
    return list(DomainEvent.objects.filter(kind__startswith="quota.").order_by("id"))


def refused(*events, **options) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(*events, **options)
    return refusal.value


def test_denial_is_written_with_its_numbers(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    recorded(use(99))
    Fence.objects.create(position=4711, fenced_at=at("2024-01-01T00:00:00Z"))

    refusal = refused(use(2, id="req-1", subject_type="customer", subject_id="kim"), principal=KEY)

    [decision] = written()
    assert decision.reference == refusal.decision
    assert (decision.outcome, decision.count, decision.basis) == ("denied", 1, "rollups")
    assert (decision.quota_id, decision.project_key, decision.user_project_key) == (quota.pk, "acme", "acme")
    assert (decision.metric_key, decision.mode, decision.period) == ("tokens", "hard", "month")
    assert (decision.limit, decision.used, decision.held) == (Decimal(100), "99", "0")
    assert (decision.requested, decision.remaining, decision.position) == ("2", "1", 4711)
    assert (decision.subject_type, decision.subject_id, decision.events) == ("customer", "kim", ["req-1"])
    assert (decision.period_start, decision.period_end) == (
        at("2024-05-01T00:00:00Z"),
        at("2024-06-01T00:00:00Z"),
    )
    assert decision.actor == "Backend (mbk_abc234…)"
    assert decision.detail == str(refusal)


def test_nothing_is_written_while_the_answer_is_made(acme):
    a_quota(acme, a_metric(), limit="0")

    refused(use())

    assert not QuotaDecision.objects.exists()
    assert len(written()) == 1


def test_equal_denials_within_a_minute_share_a_row(acme):
    a_quota(acme, a_metric(), limit="0")

    references = {refused(use(id=f"req-{number}")).decision for number in range(12)}
    NOTEBOOK.flush()
    references |= {refused(use(id=f"req-{number}")).decision for number in range(12, 15)}

    decisions = written()
    assert sum(decision.count for decision in decisions) == 15
    # A minute may end between two of them; then there are two rows, and two references.
    assert {decision.reference for decision in decisions} == references
    assert len(decisions) <= 2
    assert all(len(decision.events) <= 10 for decision in decisions)


def test_what_differs_has_a_row_of_its_own(acme):
    chat = a_project("chat", parent=acme)
    attribute(chat, payer=acme)
    a_quota(acme, a_metric(), limit="0")

    references = [
        refused(use()).decision,
        refused(use(), principal=KEY).decision,
        refused(an_event("chat")).decision,
        refused(use(occurred_at="2024-06-15T12:00:00Z")).decision,
    ]

    assert len(set(references)) == 4
    assert sorted((d.project_key, d.user_project_key) for d in written()) == [
        ("acme", "acme"),
        ("acme", "acme"),
        ("acme", "acme"),
        ("acme", "chat"),
    ]


def test_refused_batch_is_one_denial_and_skipped_events_are_each(acme):
    a_quota(acme, a_metric(), limit="1")

    refused(use(1), use(1), use(1))
    assert sum(decision.count for decision in written()) == 1

    results = recorded(use(1), use(1, id="b"), use(1, id="c"), on_error="skip")
    assert outcomes(results) == ["created", "rejected", "rejected"]
    assert sum(decision.count for decision in written()) == 3
    assert results[0].decision is None
    assert {result.decision for result in results[1:]} <= {decision.reference for decision in written()}


@pytest.mark.django_db(transaction=True)
def test_soft_breach_is_written_when_it_was_recorded(acme):
    a_quota(acme, a_metric(), limit="10", mode="soft")

    within, beyond = recorded(use(10), use(1, id="over"))

    [decision] = written()
    assert (decision.outcome, decision.events, decision.detail) == ("soft_breach", ["over"], "")
    assert (within.decision, beyond.decision) == (None, decision.reference)


@pytest.mark.django_db(transaction=True)
def test_warning_about_what_was_rolled_back_is_not_written(acme):
    a_quota(acme, a_metric(), limit="10", mode="soft")
    recorded(use(1, id="taken"))

    with pytest.raises(EventsConflict):
        recorded(use(50), use(2, id="taken"))
    with transaction.atomic():
        recorded(use(50))
        transaction.set_rollback(True)
    assert written() == []

    with transaction.atomic():
        recorded(use(50))
    assert len(written()) == 1


def test_closed_period_is_written(acme):
    a_quota(acme, a_metric(), limit="10")

    with pytest.raises(EventsRejected):
        recorded(use(), principal=PRODUCER)

    [decision] = written()
    assert (decision.outcome, decision.used, decision.basis) == ("closed_period", None, "")
    assert "takes no more usage" in decision.detail


def test_what_cannot_be_decided_is_written_without_a_quota(acme, monkeypatch):
    a_quota(acme, a_metric(), limit="10")

    def fail(*args, **options):
        raise QuotaUnavailable

    monkeypatch.setattr("quotas.admission._standings", fail)
    with pytest.raises(QuotaUnavailable) as refusal:
        recorded(use())

    [decision] = written()
    assert (decision.outcome, decision.quota_id, decision.project_key) == ("unavailable", None, "acme")
    assert decision.reference == refusal.value.decision


def test_account_that_fails_does_not_change_the_answer(acme, monkeypatch):
    a_quota(acme, a_metric(), limit="0")

    def fail(*args, **options):
        raise DatabaseError("no")

    monkeypatch.setattr("quotas.admission.note_decisions", fail)

    assert refused(use()).facts["limit"] == "0"


def test_unwritable_account_waits_and_nothing_is_counted_twice(acme, monkeypatch):
    a_quota(acme, a_metric(), limit="0")
    refused(use())

    def fail(*args, **options):
        raise DatabaseError("no")

    with monkeypatch.context() as patch:
        patch.setattr(notebook, "write_decisions", fail)
        with pytest.raises(DatabaseError):
            NOTEBOOK.flush()
    refused(use())

    assert sum(decision.count for decision in written()) == 2
    assert sum(decision.count for decision in written()) == 2


def test_one_that_cannot_be_stored_does_not_hold_up_the_others(acme):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    refused(use(), principal=Principal(name="nul \x00", permissions=KEY.permissions))

    assert [decision.actor for decision in written()] == ["in-process"]


def test_what_a_decision_says_is_never_changed(acme):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    [decision] = written()

    for changes in ({"used": "5"}, {"actor": "somebody"}, {"count": 0}, {"limit": 7}):
        with pytest.raises(IntegrityError, match="not changed"), transaction.atomic():
            QuotaDecision.objects.filter(pk=decision.pk).update(**changes)
    QuotaDecision.objects.filter(pk=decision.pk).update(count=2)


# Announcing


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("mode", "kind"), [("hard", "quota.exceeded"), ("soft", "quota.soft_breached")])
def test_breach_is_announced_once_in_each_period(acme, mode, kind):
    quota = a_quota(acme, a_metric(), limit="1", mode=mode)

    for occurred_at in ("2024-05-15T12:00:00Z", "2024-05-16T12:00:00Z", "2024-06-15T12:00:00Z"):
        recorded(use(2, occurred_at=occurred_at), on_error="skip")
        written()
        recorded(use(2, occurred_at=occurred_at), on_error="skip")
        written()

    events = announced()
    assert [(event.kind, event.data["period_start"]) for event in events] == [
        (kind, "2024-05-01T00:00:00Z"),
        (kind, "2024-06-01T00:00:00Z"),
    ]
    assert (events[0].data["quota"], events[0].data["limit"], events[0].data["requested"]) == (
        quota.pk,
        "1",
        "2",
    )
    assert QuotaBreach.objects.count() == 2


def test_quota_that_never_starts_anew_is_announced_once(acme):
    a_quota(acme, a_metric(), limit="0", period="never")

    for occurred_at in ("2023-05-15T12:00:00Z", "2024-05-15T12:00:00Z"):
        refused(use(occurred_at=occurred_at))
        written()

    [event] = announced()
    assert event.data["period_start"] is None


def test_closed_period_is_not_announced(acme):
    a_quota(acme, a_metric(), limit="10")

    with pytest.raises(EventsRejected):
        recorded(use(), principal=PRODUCER)
    written()

    assert announced() == []


# The notebook


def test_storm_of_denials_is_written_in_few_statements(acme):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    [note] = NOTEBOOK._waiting.values()
    NOTEBOOK.forget()
    for _ in range(10_000):
        NOTEBOOK.note([note])

    with pytest.MonkeyPatch.context() as patch:
        calls = []
        patch.setattr(notebook, "write_decisions", lambda taken: calls.append(write_decisions(taken)))
        [decision] = written()

    assert (decision.count, len(calls)) == (10_000, 1)


def test_notebook_that_is_full_loses_what_is_new_and_says_so(acme, monkeypatch, caplog):
    monkeypatch.setattr(notebook, "MAX_WAITING", 1)
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    refused(use(), principal=KEY)

    NOTEBOOK._tell_of_losses()

    assert "1 decisions of quotas were not written down" in caplog.text
    assert len(written()) == 1


@pytest.mark.django_db(transaction=True)
def test_thread_writes_what_is_noted_and_ends_when_idle(acme, monkeypatch):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    notes = list(NOTEBOOK._waiting.values())
    monkeypatch.undo()
    monkeypatch.setattr(notebook, "PACE_SECONDS", 0.01)
    monkeypatch.setattr(notebook, "IDLE_SECONDS", 0.05)
    book = Notebook()

    book.note(notes)
    book.note(notes)
    for thread in threading.enumerate():
        if thread.name == "quota-decisions":
            thread.join(20)

    assert QuotaDecision.objects.get().count == 2
    assert book._writer is None


# Keeping


def test_old_decisions_are_removed_in_chunks(acme, monkeypatch):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    [note] = NOTEBOOK._waiting.values()
    old = dt.datetime.now(dt.UTC) - dt.timedelta(days=91)
    write_decisions(
        [
            *(replace(note, reference=f"old-{number}", first_at=old, last_at=old) for number in range(5)),
            note,
        ]
    )
    monkeypatch.setattr("quotas.decisions.REMOVED_AT_ONCE", 2)

    assert remove_old_decisions() == 5

    assert [decision.reference for decision in written()] == [note.reference]


def test_breach_of_a_period_that_runs_stays_known(acme):
    a_quota(acme, a_metric(), limit="0", period="never")
    refused(use())
    written()
    long_ago = "2020-01-01T00:00:00Z"
    QuotaBreach.objects.update(breached_at=long_ago)

    remove_old_decisions(days=90)
    assert QuotaBreach.objects.count() == 1

    QuotaBreach.objects.update(period_end=long_ago)
    remove_old_decisions(days=90)
    assert QuotaBreach.objects.count() == 0


def test_command_removes_and_refuses_nonsense(capsys):
    call_command("remove_old_decisions", "--days", "30")
    assert capsys.readouterr().out == "0 decisions removed.\n"

    with pytest.raises(CommandError):
        call_command("remove_old_decisions", "--days", "0")


def test_removed_project_leaves_its_decisions_readable(acme):
    a_quota(acme, a_metric(), limit="0")
    refused(use())
    written()

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM quotas_projectquota")
        cursor.execute("DELETE FROM metering_project")

    assert QuotaDecision.objects.get().project_key == "acme"
