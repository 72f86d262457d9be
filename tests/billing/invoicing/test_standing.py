import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line, begin_credit_note, begin_invoice
from billing.invoicing.issuing import issue
from billing.invoicing.standing import Status, status_of, with_status, with_status_now
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment, take_back_payment
from tests.billing.billed import a_day, a_seller
from tests.billing.factories import an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

NOW = at("2026-04-01T12:00:00Z")
DUE = a_day("2026-05-01")  # 30 days of terms


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    return an_account(a_project("acme"), payment_terms_days=30)


def an_invoice(account: BillingAccount, amount: str = "100") -> Invoice:
    """Issued on 1 April, due on 1 May."""
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal(amount)), added_by="ada")
    return issue(draft, now=NOW, issued_by="ada")


def paid(invoice: Invoice, amount: str) -> Any:
    return record_payment(
        invoice, amount=Decimal(amount), received_on=a_day("2026-04-01"), now=NOW, recorded_by="ada"
    ).payment


def standing(invoice: Invoice, on: dt.date = DUE) -> Status:
    """By the question, and by the one set that it is found in: they must agree."""
    found = [
        status for status in Status if with_status(Invoice.objects.all(), status, on=on).filter(pk=invoice.pk)
    ]
    word = status_of(Invoice.objects.with_open_amount().get(pk=invoice.pk), on=on)
    assert found == [word]
    return word


def test_invoice_is_overdue_the_day_after_it_was_due(account):
    draft = begin_invoice(account, edited_by="ada")
    invoice = an_invoice(account)

    assert invoice.due_on == DUE
    assert standing(draft) == "draft"
    assert standing(invoice, on=DUE) == "issued"
    assert standing(invoice, on=a_day("2026-05-02")) == "overdue"


@pytest.mark.parametrize(
    ("zone", "instant", "expected"),
    [
        ("Asia/Tokyo", "2026-05-01T15:30:00Z", "overdue"),  # there it is 2 May already
        ("UTC", "2026-05-01T15:30:00Z", "issued"),
        ("America/New_York", "2026-05-02T03:30:00Z", "issued"),  # there it is still 1 May
        ("UTC", "2026-05-02T03:30:00Z", "overdue"),
    ],
)
def test_sets_stand_on_each_customers_own_day(zone, instant, expected):
    a_seller()
    invoice = an_invoice(an_account(a_project("acme"), payment_terms_days=30, timezone=zone))
    assert invoice.due_on == DUE

    found = [
        status
        for status in Status
        if with_status_now(Invoice.objects.all(), status, at=at(instant)).filter(pk=invoice.pk)
    ]

    assert found == [expected]


def test_payments_make_it_partly_paid_and_paid(account):
    invoice = an_invoice(account)

    paid(invoice, "40")
    assert standing(invoice) == "partly_paid"
    assert standing(invoice, on=a_day("2026-05-02")) == "overdue"

    rest = paid(invoice, "60")
    assert standing(invoice, on=a_day("2026-05-02")) == "paid"

    take_back_payment(rest, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-03"))
    assert standing(invoice) == "partly_paid"


def test_what_credit_paid_is_paid(account):
    grant_credit(account, amount=Decimal("100"), kind="paid", now=NOW)

    assert standing(an_invoice(account)) == "paid"


def test_voided_invoice_is_void_and_its_credit_note_issued(account):
    invoice = an_invoice(account)

    note = void(invoice, now=NOW, reason="Wrong customer.", voided_by="ada")

    assert standing(invoice, on=a_day("2026-05-02")) == "void"
    assert standing(note, on=a_day("2026-05-02")) == "issued"


def test_credit_note_over_all_of_it_settles_and_does_not_void(account):
    invoice = an_invoice(account)
    note = begin_credit_note(
        invoice, lines=[ManualLine("Goodwill", Decimal("100"))], reason="Outage.", edited_by="ada"
    )
    assert standing(note) == "draft"

    issue(note, now=NOW, issued_by="ada")

    assert standing(invoice) == "paid"
    assert standing(note) == "issued"
