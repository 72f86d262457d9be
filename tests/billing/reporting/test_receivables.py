"""What waits, what is owed and what is kept, in one currency and in two."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice
from billing.reporting.receivables import Amount, corrections_waiting, credit_balances, drafts, owed
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from tests.billing.billed import a_day, a_seller, billed, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

NONE = Amount()


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    return an_account(a_project("acme"), payment_terms_days=30)


def a_manual_draft(account: BillingAccount, amount: str) -> Invoice:
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal(amount)), added_by="ada")
    return draft


def an_invoice(account: BillingAccount, amount: str, *, on: str) -> Invoice:
    """Due 30 days after it was issued."""
    return issue(a_manual_draft(account, amount), now=at(f"{on}T12:00:00Z"), issued_by="ada")


def test_invoices_age_from_the_day_after_they_were_due(account):
    an_invoice(account, "1", on="2026-06-01")  # due on 1 July
    an_invoice(account, "2", on="2026-05-31")  # due on 30 June: 1 day
    an_invoice(account, "4", on="2026-05-02")  # due on 1 June: 30 days
    an_invoice(account, "8", on="2026-05-01")  # due on 31 May: 31 days
    an_invoice(account, "16", on="2026-03-03")  # due on 2 April: 90 days
    an_invoice(account, "32", on="2026-03-02")  # due on 1 April: 91 days
    other = an_account(a_project("beta"), currency="USD", payment_terms_days=0)
    an_invoice(other, "64", on="2026-07-01")

    euros, dollars = owed(on=a_day("2026-07-01"))

    assert (euros.currency, dollars.currency) == ("EUR", "USD")
    assert euros.ages == (
        Amount(1, Decimal(1)),
        Amount(2, Decimal(6)),
        Amount(1, Decimal(8)),
        Amount(1, Decimal(16)),
        Amount(1, Decimal(32)),
    )
    assert (euros.open, euros.overdue) == (Amount(6, Decimal(63)), Amount(5, Decimal(62)))
    assert (dollars.open, dollars.overdue) == (Amount(1, Decimal(64)), NONE)
    assert [
        (each.currency, each.open.amount) for each in owed(on=a_day("2026-07-01"), account_id=other.pk)
    ] == [("USD", Decimal(64))]


def test_what_is_paid_or_void_is_not_owed(account):
    partly = an_invoice(account, "100", on="2026-06-01")
    whole = an_invoice(account, "50", on="2026-06-01")
    gone = an_invoice(account, "70", on="2026-06-01")
    for invoice, amount in ((partly, "40"), (whole, "50")):
        record_payment(
            invoice,
            amount=Decimal(amount),
            received_on=a_day("2026-06-02"),
            now=at("2026-06-02T00:00:00Z"),
            recorded_by="ada",
        )
    void(gone, now=at("2026-06-02T00:00:00Z"), reason="Wrong customer.", voided_by="ada")

    [euros] = owed(on=a_day("2026-06-02"))
    alone = owed(on=a_day("2026-06-02"), account_id=account.pk)

    assert euros.open == Amount(1, Decimal(60))
    assert alone == [euros]


def test_drafts_credit_and_corrections_are_summed_by_currency(account):
    a_manual_draft(account, "12.50")
    a_manual_draft(account, "7.50")
    a_manual_draft(an_account(a_project("beta"), currency="USD"), "3")
    march = at("2026-03-01T00:00:00Z")
    for amount, until in (("100", None), ("20", at("2026-04-01T00:00:00Z"))):
        grant_credit(account, amount=Decimal(amount), kind="paid", expires_at=until, now=march)

    assert drafts() == {"EUR": Amount(2, Decimal(20)), "USD": Amount(1, Decimal(3))}
    assert credit_balances(at=at("2026-03-15T00:00:00Z")) == {"EUR": Amount(1, Decimal(120))}
    assert credit_balances(at=at("2026-04-01T00:00:00Z")) == {"EUR": Amount(1, Decimal(100))}
    assert corrections_waiting() == {}


def test_correction_that_needs_approval_waits():
    a_seller()
    acme = a_project("acme")
    account = an_account(acme, approve_corrections_above=Decimal(0))
    a_subscription(account, a_plan(a_usage_price(a_metric())))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-03T00:00:00Z")

    used(acme, "50")
    billed("2026-05-01T00:00:00Z")

    assert corrections_waiting() == {"EUR": Amount(1, Decimal(5))}


def test_nothing_is_owed_without_invoices(db):
    assert owed(on=a_day("2026-07-01")) == []
    assert (drafts(), corrections_waiting()) == ({}, {})
    assert credit_balances(at=at("2026-07-01T00:00:00Z")) == {}
