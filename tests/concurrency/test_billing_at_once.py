"""Billing runs at once, runs that are killed, documents issued at once: each period once, no number lost."""

import signal
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from billing.errors import DocumentIsIssued, DraftChangedSince, LimitNotLoosened
from billing.invoicing.approvals import approve, approved_as_they_are, content_digest
from billing.invoicing.draft_edits import ManualLine, add_line
from billing.invoicing.drafting import draft
from billing.invoicing.issuing import issue
from billing.invoicing.late_usage import watch_late_usage
from billing.invoicing.runs import run_billing
from billing.models import BilledPeriod, BillingAccount, BillingRun, Invoice, InvoiceLine, NumberSeries
from billing.selling.accounts import change_account, ensure_not_loosened
from metering.clock import ledger_end
from metering.errors import Conflict
from tests.billing.billed import a_seller, billed, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.concurrency.rivals import Held, Rival, race, start_process
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db(transaction=True)

APRIL = "2026-04-01T00:00:00Z"
RUN = """
import datetime as dt
from billing.invoicing.runs import run_billing
april = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
print("started", flush=True)
run_billing(as_of=april, now=april + dt.timedelta(days=3))
"""


def customers(count: int, **fields: Any) -> list[BillingAccount]:
    """Accounts on one plan, each with 10 tokens in March."""
    a_seller()
    tokens = a_metric("tokens")
    plan = a_plan(a_fee("30", charged="arrears"), a_usage_price(tokens))
    accounts = []
    for number in range(count):
        project = a_project(f"customer-{number}")
        accounts.append(an_account(project, **fields))
        a_subscription(accounts[-1], plan)
        used(project, "10")
    return accounts


def issued_now(draft: Invoice) -> Invoice:
    return issue(draft, now=at(APRIL), issued_by="ada", is_early=True)


def assert_each_period_once(accounts: list[BillingAccount]) -> None:
    lines = InvoiceLine.objects.filter(is_adjustment=False).values_list("billed_period_id", "kind")
    assert set(Counter(lines).values()) == {1}
    assert Counter(line.amount for line in InvoiceLine.objects.all()) == {30: len(accounts), 1: len(accounts)}
    assert BilledPeriod.objects.count() == 2 * len(accounts)


def assert_numbers_without_gaps(count: int) -> None:
    assert sorted(Invoice.objects.values_list("sequence", flat=True)) == list(range(1, count + 1))
    assert NumberSeries.objects.get(kind="invoice").last_number == count


def test_two_runs_at_once_bill_each_period_once() -> None:
    accounts = customers(8, issues_automatically=True)

    def run() -> BillingRun:
        return run_billing(as_of=at(APRIL), now=at("2026-04-05T00:00:00Z"))

    first, second = race(run, run)

    assert_each_period_once(accounts)
    assert_numbers_without_gaps(8)
    assert first.issued_count + second.issued_count == 8
    assert (first.parked_count, second.parked_count) == (0, 0)


def test_run_that_is_killed_half_way_is_taken_up_by_the_next() -> None:
    accounts = customers(30, issues_automatically=True)
    process = start_process(RUN)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    while Invoice.objects.issued().count() < 5:
        time.sleep(0.02)

    process.send_signal(signal.SIGKILL)
    process.wait()
    half_way = Invoice.objects.issued().count()
    run_billing(as_of=at(APRIL), now=at("2026-04-05T00:00:00Z"))

    assert 5 <= half_way < 30
    assert_each_period_once(accounts)
    assert_numbers_without_gaps(30)
    assert list(BillingRun.objects.order_by("id").values_list("state", flat=True)) == ["running", "finished"]


def test_drafts_issued_at_once_by_eight_have_one_number_each() -> None:
    accounts = customers(8)
    billed(APRIL)
    drafts = list(Invoice.objects.drafts())

    race(*(lambda draft=draft: issued_now(draft) for draft in drafts))

    assert_numbers_without_gaps(8)
    assert_each_period_once(accounts)


def test_one_draft_issued_by_two_is_issued_once() -> None:
    customers(1)
    billed(APRIL)
    draft = Invoice.objects.get()

    def attempt() -> Any:
        try:
            return issued_now(draft).number
        except Conflict as error:
            return type(error)

    results = race(attempt, attempt)

    assert Counter(results) == {"INV-000001": 1, DocumentIsIssued: 1}
    assert_numbers_without_gaps(1)


def approved_now(draft: Invoice, *, seen: bytes) -> Any:
    return approve(draft, approved_by="eve", seen=seen)


def issued_as_seen(draft: Invoice, *, seen: bytes) -> Any:
    return issue(draft, now=at(APRIL), issued_by="eve", is_early=True, seen=seen)


@pytest.mark.parametrize("verb", [approved_now, issued_as_seen])
def test_draft_is_not_agreed_to_with_a_line_that_is_added_while_it_is_looked_at(verb: Any) -> None:
    customers(1)
    billed(APRIL)
    draft = Invoice.objects.get()
    seen = content_digest(draft)

    with Held(lambda: add_line(draft, ManualLine("Set-up", Decimal(900)), added_by="bob")) as held:
        agreeing = Rival(lambda: verb(draft, seen=seen))
        assert agreeing.is_still_waiting_after(0.3)
        held.commit()

    assert isinstance(agreeing.error, DraftChangedSince)
    assert not approved_as_they_are([draft.pk])
    assert not Invoice.objects.issued().exists()


def test_approval_that_does_not_say_what_was_seen_is_of_what_came_in_between() -> None:
    """The control: the lock alone lets the other line be approved unseen."""
    customers(1)
    billed(APRIL)
    draft = Invoice.objects.get()

    with Held(lambda: add_line(draft, ManualLine("Set-up", Decimal(900)), added_by="bob")) as held:
        approving = Rival(lambda: approve(draft, approved_by="eve"))
        held.commit()

    assert approving.error is None
    assert approved_as_they_are([draft.pk]) == {draft.pk}


@pytest.mark.parametrize("is_seen", [True, False])
def test_line_that_is_sent_twice_at_once_is_added_once(is_seen: bool) -> None:
    """The control: whoever doesn't say what was seen adds two."""
    customers(1)
    billed(APRIL)
    draft = Invoice.objects.get()
    seen = content_digest(draft) if is_seen else None

    def attempt() -> str:
        try:
            add_line(draft, ManualLine("Set-up", Decimal(900)), added_by="bob", seen=seen)
        except DraftChangedSince:
            return "refused"
        return "added"

    answers = race(attempt, attempt)

    assert Counter(answers) == ({"added": 1, "refused": 1} if is_seen else {"added": 2})
    assert draft.lines.filter(kind="manual").count() == answers.count("added")


def test_limit_that_is_tightened_meanwhile_is_not_loosened() -> None:
    [account] = customers(1, approval_above=Decimal(300))

    with Held(lambda: change_account(account, {"approval_above": Decimal(100)}, now=at(APRIL))) as held:
        loosening = Rival(lambda: change_account(account, {"approval_above": Decimal(200)}, now=at(APRIL)))
        assert loosening.is_still_waiting_after(0.3)
        held.commit()

    assert isinstance(loosening.error, LimitNotLoosened)
    assert BillingAccount.objects.get().approval_above == 100


def test_limit_that_is_judged_before_it_is_held_is_loosened() -> None:
    """The control: at the time of looking it was a tightening."""
    [account] = customers(1, approval_above=Decimal(300))

    with Held(lambda: change_account(account, {"approval_above": Decimal(100)}, now=at(APRIL))) as held:
        stale = BillingAccount.objects.get()
        ensure_not_loosened(stale, {"approval_above": Decimal(200)})
        held.commit()
    change_account(stale, {"approval_above": Decimal(200)}, now=at(APRIL), may_loosen=True)

    assert BillingAccount.objects.get().approval_above == 200


def test_number_of_an_issue_that_fails_at_the_end_is_not_lost() -> None:
    customers(2)
    billed(APRIL)
    one, other = Invoice.objects.order_by("id")

    with transaction.atomic():
        assert issued_now(one).number == "INV-000001"
        transaction.set_rollback(True)
    issued_now(other)

    assert [invoice.number for invoice in Invoice.objects.order_by("id")] == [None, "INV-000001"]


def test_without_the_constraint_a_period_can_be_claimed_twice() -> None:
    """The control: what holds rivals apart is the constraint, not their order."""
    [account] = customers(1)
    billed(APRIL)
    claimed = BilledPeriod.objects.order_by("id").first()
    assert claimed is not None
    twice = BilledPeriod(
        account=account,
        subscription=claimed.subscription,
        price=claimed.price,
        period_start=claimed.period_start,
        period_end=claimed.period_end,
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_billedperiod DROP CONSTRAINT period_billed_once")
    try:
        twice.save()
        assert BilledPeriod.objects.filter(price=claimed.price).count() == 2
        twice.delete()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE billing_billedperiod ADD CONSTRAINT period_billed_once"
                " UNIQUE (subscription_id, price_id, period_start)"
            )


def test_usage_that_arrives_while_a_draft_is_computed_is_found_later() -> None:
    """A draft that was computed at an older position is held open while the watch wants to move on."""
    [account] = customers(1)
    position = run_billing(as_of=at("2026-03-02T00:00:00Z"), now=at(APRIL)).position
    project = account.project

    with Held(lambda: draft(account, as_of=at(APRIL), position=position)) as held:
        used(project, "5")
        watching = Rival(lambda: watch_late_usage(ledger_end()))
        assert watching.is_still_waiting_after(0.3)
        held.commit()

    assert watching.result == 1
    assert BilledPeriod.objects.filter(learned_at_position__isnull=False).count() == 1
