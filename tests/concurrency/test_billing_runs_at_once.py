"""Several workers look for billing runs that were asked for; several people ask for one."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from billing.errors import BillingRunWaits
from billing.invoicing.late_usage import watch_late_usage
from billing.invoicing.runs import request_run, run_requested
from billing.models import BillingRun, Invoice, LateUsageWatch
from metering.clock import ledger_end
from tests.billing.factories import a_fee, a_plan, a_subscription, an_account
from tests.concurrency.rivals import race
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db(transaction=True)

APRIL = at("2026-04-01T00:00:00Z")


def attempt(job: Callable[[], Any]) -> Any:
    try:
        return job()
    except BillingRunWaits as error:
        return type(error)


def test_of_six_workers_one_carries_the_run_out():
    for key in ("acme", "beta", "gamma"):
        a_subscription(an_account(a_project(key)), a_plan(a_fee("30")))
    request_run(as_of=APRIL, now=APRIL, requested_by="ada")
    position = ledger_end()

    counts = race(*(lambda: run_requested(now=APRIL, position=position) for _worker in range(6)))

    assert sorted(counts) == [0, 0, 0, 0, 0, 1]
    run = BillingRun.objects.get()
    assert (run.state, run.done_count, run.drafted_count, run.parked_count) == ("finished", 3, 3, 0)
    assert Invoice.objects.count() == 3


def test_of_six_who_ask_for_a_run_one_does():
    def ask() -> Any:
        return attempt(
            lambda: request_run(as_of=APRIL, now=APRIL + dt.timedelta(hours=1), requested_by="ada")
        )

    results = race(*(ask for _person in range(6)))

    assert results.count(BillingRunWaits) == 5
    assert BillingRun.objects.count() == 1


def test_late_usage_is_looked_for_by_six_at_once():
    account = an_account(a_project("acme"))
    a_subscription(account, a_plan(a_fee("30")))

    marked = race(*(lambda number=number: watch_late_usage(number) for number in range(1, 7)))

    assert marked == [0] * 6
    assert LateUsageWatch.objects.get().position == 6
