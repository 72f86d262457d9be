"""Billing runs that somebody asked for: they wait in the database until a worker takes them."""

import datetime as dt

import pytest
from django_celery_beat.models import PeriodicTask

from billing.errors import BillingRunWaits
from billing.invoicing.runs import LOST_AFTER, end_lost_runs, request_run, run_requested
from billing.models import BillingRun, Invoice
from metering.clock import database_now, ledger_end
from metering.errors import Invalid
from tests.billing.billed import used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

APRIL = at("2026-04-01T00:00:00Z")


def test_requested_run_waits_and_is_carried_out_once() -> None:
    acme = a_project("acme")
    account = an_account(acme)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(a_metric())))
    used(acme, "100")

    waiting = request_run(as_of=APRIL, now=APRIL, requested_by="ada")
    drafts_before = Invoice.objects.count()
    counts = [run_requested(now=APRIL, position=ledger_end()) for _again in range(2)]

    assert (waiting.state, waiting.position, waiting.trigger) == ("queued", None, "admin")
    assert drafts_before == 0
    assert counts == [1, 0]
    run = BillingRun.objects.get()
    assert (run.state, run.account_count, run.done_count, run.drafted_count) == ("finished", 1, 1, 1)
    assert (run.as_of, run.requested_by, run.position) == (APRIL, "ada", ledger_end())
    assert Invoice.objects.get().total == 70  # 30 for March, 30 for April in advance, 10 of usage


def test_second_request_is_refused_while_one_waits() -> None:
    request_run(as_of=APRIL, now=APRIL, requested_by="ada")

    with pytest.raises(BillingRunWaits):
        request_run(as_of=APRIL, now=APRIL, requested_by="bob")

    assert [run.requested_by for run in BillingRun.objects.all()] == ["ada"]


def test_request_for_the_future_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        request_run(as_of=APRIL, now=APRIL - dt.timedelta(seconds=1), requested_by="ada")

    assert refusal.value.field == "as_of"
    assert not BillingRun.objects.exists()


def test_waiting_run_is_never_lost_and_a_running_one_is() -> None:
    waiting = request_run(as_of=APRIL, now=APRIL, requested_by="ada")
    killed = BillingRun.objects.create(as_of=APRIL, position=0)

    ended = end_lost_runs(now=database_now() + LOST_AFTER + dt.timedelta(seconds=1))

    assert ended == 1
    waiting.refresh_from_db()
    killed.refresh_from_db()
    assert (waiting.state, killed.state) == ("queued", "interrupted")


def test_schedule_looks_for_requested_runs() -> None:
    job = PeriodicTask.objects.get(task="billing.run_requested")

    assert (job.interval.every, job.interval.period) == (15, "seconds")
