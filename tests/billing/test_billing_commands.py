"""The commands and jobs of billing: what they print, what they leave behind, with which status they end."""

import io
import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from billing import tasks
from billing.invoicing import run_previews, runs
from billing.management.commands import expire_credits, run_billing, send_invoices
from billing.models import (
    BilledPeriod,
    BillingAccount,
    BillingRun,
    Invoice,
    InvoiceDispatch,
    NumberSeries,
    ParkedAccount,
)
from billing.settling.credits import grant_credit
from metering.clock import ledger_end
from metering.models import Fence, OutgoingMail
from tests.billing.billed import a_seller, used
from tests.billing.documents.documents import a_simple_invoice
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

NOW = at("2026-04-03T09:00:00Z")


@pytest.fixture(autouse=True)
def _april(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the edges; positions without waiting for the test's own recorder."""
    for module in (run_billing, send_invoices, expire_credits, tasks):
        monkeypatch.setattr(module, "database_now", lambda: NOW)
    for module in (runs, run_previews):
        monkeypatch.setattr(module, "raise_fence", lambda: Fence(position=ledger_end()))


def an_automatic_account(key: str = "acme", **overrides: Any) -> BillingAccount:
    """30.00 for April and 10.00 of usage in March, to be issued by runs."""
    account = an_account(a_project(key, name=key.title()), issues_automatically=True, **overrides)
    tokens = a_metric(f"{key}-tokens")
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)), at("2026-03-01T00:00:00Z"))
    used(account.project, "100", event_name=tokens.key)
    return account


def said_by(name: str, *arguments: Any) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=out, no_color=True)
    return out.getvalue()


def test_run_drafts_and_issues_and_says_so():
    a_seller()
    an_automatic_account()
    an_account(a_project("idle"))

    said = said_by("run_billing")

    run = BillingRun.objects.get()
    assert said == (
        f"Run {run.pk}, billed up to 2026-04-03T09:00:00Z at ledger position {run.position:,}:"
        " 2 accounts, 0 drafts, 1 issued, 0 parked.\n"
    )
    assert (run.trigger, run.state, run.issued_count) == ("command", "finished", 1)
    assert Invoice.objects.get().total == Decimal(70)


def test_run_repeated_changes_nothing():
    a_seller()
    an_automatic_account()
    said_by("run_billing")

    said = said_by("run_billing", "--as-of", "2026-04-02T00:00:00Z")

    assert said.endswith("1 account, 0 drafts, 0 issued, 0 parked.\n")
    assert [invoice.number for invoice in Invoice.objects.all()] == ["INV-000001"]


def test_parked_accounts_are_named_with_their_reasons_and_end_in_status_1():
    account = an_automatic_account()  # nobody said who issues invoices
    out = io.StringIO()

    with pytest.raises(CommandError, match=r"^1 account could not be billed\.$") as ended:
        call_command("run_billing", stdout=out, no_color=True)

    assert ended.value.returncode == 1
    [first, second] = out.getvalue().splitlines()
    assert first.endswith("1 account, 0 drafts, 0 issued, 1 parked.")
    assert second == (
        f"  parked: Acme Ltd (account {account.pk}): "
        "Say who issues invoices first: legal name and address of the seller."
    )


def test_run_of_chosen_accounts_bills_only_those():
    a_seller()
    first, second = an_automatic_account("acme"), an_automatic_account("zeta")

    said_by("run_billing", "--account", str(second.pk))

    assert list(Invoice.objects.values_list("account_id", flat=True)) == [second.pk]
    said = json.loads(said_by("run_billing", "--account", str(first.pk), str(second.pk), "--json"))
    assert (said["accounts"], said["drafted"], said["issued"], said["parked"]) == (2, 0, 1, [])


def test_run_refuses_what_makes_no_sense():
    for arguments, complaint in (
        (["--as-of", "2026-04-03T09:00:01Z"], "--as-of: Lies in the future"),
        (["--as-of", "2026-04-03T09:00:01Z", "--dry-run"], "--as-of: Lies in the future"),
        (["--as-of", "noon"], "not an RFC 3339 time"),
        (["--account", "999999"], "There is no billing account 999999"),
    ):
        with pytest.raises(CommandError, match=complaint):
            said_by("run_billing", *arguments)

    assert BillingRun.objects.count() == 0


def test_dry_run_says_what_a_run_would_make_and_keeps_nothing():
    a_seller()
    issued, drafted = an_automatic_account("acme"), an_automatic_account("zeta", issue_grace_days=31)

    said = said_by("run_billing", "--dry-run")

    assert said.splitlines() == [
        f"  issued: Acme Ltd (account {issued.pk}): invoice of 70.00 EUR, 3 lines",
        f"  drafted: Zeta Ltd (account {drafted.pk}): invoice of 70.00 EUR, 3 lines",
        "A run up to 2026-04-03T09:00:00Z would make 1 draft, issue 1 and park 0, of 2 accounts."
        " Nothing was kept.",
    ]
    assert Invoice.objects.count() == BilledPeriod.objects.count() == BillingRun.objects.count() == 0
    assert InvoiceDispatch.objects.count() == NumberSeries.objects.filter(last_number__gt=0).count() == 0
    said_by("run_billing")
    assert sorted(Invoice.objects.values_list("number", flat=True), key=str) == ["INV-000001", None]


def test_dry_run_in_json_names_who_would_be_parked():
    account = an_automatic_account()
    out = io.StringIO()

    with pytest.raises(CommandError):
        call_command("run_billing", "--dry-run", "--json", stdout=out)

    assert json.loads(out.getvalue()) == {
        "is_dry_run": True,
        "as_of": "2026-04-03T09:00:00Z",
        "accounts": [
            {
                "account": account.pk,
                "name": "Acme Ltd",
                "kind": "invoice",
                "lines": 3,
                "total": "70.00",
                "currency": "EUR",
                "is_issued": False,
                "parked_for": "Say who issues invoices first: legal name and address of the seller.",
            }
        ],
    }
    assert ParkedAccount.objects.count() == 0


def test_run_that_is_interrupted_ends_in_status_130_and_the_next_one_finishes(monkeypatch):
    a_seller()
    an_automatic_account("acme")
    an_automatic_account("zeta")
    real = runs.bill_account

    def interrupted(account: BillingAccount, **options: Any) -> Any:
        if account.legal_name == "Zeta Ltd":
            raise KeyboardInterrupt
        return real(account, **options)

    monkeypatch.setattr(runs, "bill_account", interrupted)
    with pytest.raises(CommandError) as ended:
        said_by("run_billing")
    assert ended.value.returncode == 130
    monkeypatch.setattr(runs, "bill_account", real)

    said_by("run_billing")

    assert list(Invoice.objects.order_by("id").values_list("account__legal_name", "number")) == [
        ("Acme Ltd", "INV-000001"),
        ("Zeta Ltd", "INV-000002"),
    ]


def test_send_invoices_posts_what_is_due_and_says_what_failed(monkeypatch):
    a_simple_invoice()

    assert said_by("send_invoices") == "1 posted, 0 without address.\n"
    assert said_by("send_invoices") == "Nothing was due.\n"
    assert OutgoingMail.objects.count() == 1

    InvoiceDispatch.objects.update(state="due", attempt_count=0)
    monkeypatch.setattr("billing.documents.dispatching.mail_about", lambda invoice: 1 // 0)
    with pytest.raises(CommandError, match=r"^1 could not be made\.$"):
        said_by("send_invoices")


def test_send_invoices_looks_for_addresses_when_asked():
    invoice = a_simple_invoice(invoice_emails=[])
    BillingAccount.objects.filter(pk=invoice.account_id).update(invoice_emails=["books@acme.example"])

    assert said_by("send_invoices") == "Nothing was due.\n"
    assert said_by("send_invoices", "--look-for-addresses") == (
        "1 have addresses now.\n1 posted, 0 without address.\n"
    )


def test_expire_credits_enters_what_is_left():
    account = an_account(a_project("acme"))
    grant_credit(
        account,
        amount=Decimal(5),
        kind="promotional",
        name="Welcome",
        granted_by="ada",
        now=at("2026-03-01T00:00:00Z"),
        expires_at=at("2026-04-01T00:00:00Z"),
    )

    assert said_by("expire_credits") == "1 grant expired.\n"
    assert said_by("expire_credits") == "0 grants expired.\n"
    assert sum(account.credit_entries.values_list("amount", flat=True)) == 0


def test_jobs_are_seeded_with_their_paces():
    jobs = PeriodicTask.objects.filter(task__startswith="billing.").order_by("name")

    assert [(job.name, job.task, job.interval and job.interval.every) for job in jobs] == [
        ("Announce overdue invoices", "billing.announce_overdue", None),
        ("Run billing", "billing.run_billing", 3600),
        ("Send invoices", "billing.send_invoices", 10),
        ("Start requested billing runs", "billing.run_requested", 15),
    ]
    assert (jobs[0].crontab.hour, jobs[0].crontab.minute) == ("6", "0")


def test_task_runs_billing_and_wakes_the_sender(monkeypatch):
    woken: list[Any] = []
    monkeypatch.setattr(tasks, "_wake", woken.append)
    a_seller()
    an_automatic_account()

    tasks.run_billing()
    tasks.run_billing()

    assert woken == [tasks.send_invoices]
    assert list(BillingRun.objects.values_list("trigger", "issued_count").order_by("id")) == [
        ("schedule", 1),
        ("schedule", 0),
    ]


def test_tasks_of_documents_do_what_is_due():
    a_simple_invoice(payment_terms_days=1)

    tasks.send_invoices()
    tasks.announce_overdue()

    dispatch = InvoiceDispatch.objects.get()
    assert (dispatch.state, dispatch.overdue_announced_at) == ("posted", NOW)
