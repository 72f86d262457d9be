"""What is taken back is taken back once, and whole: payments with what they left over, invoices, own work."""

from decimal import Decimal

import pytest

from billing.errors import OwnWorkNotApproved, TooMuch
from billing.invoicing.approvals import approve
from billing.invoicing.draft_edits import (
    ManualLine,
    add_discount,
    add_line,
    begin_credit_note,
    begin_invoice,
)
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice
from billing.settling.credits import credit_available, withdraw_credit
from billing.settling.payments import Recorded, record_payment, take_back_payment
from metering.errors import Conflict
from tests.billing.billed import a_day, a_seller
from tests.billing.factories import an_account
from tests.billing.proof import assert_verified
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

NOW = at("2026-04-03T00:00:00Z")


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    return an_account(a_project("acme"))


def an_invoice(account: BillingAccount, amount: str = "100") -> Invoice:
    draft = begin_invoice(account, lines=[ManualLine("Work", amount=Decimal(amount))], edited_by="ada")
    return issue(draft, now=NOW, issued_by="ada")


def overpaid(invoice: Invoice, amount: str = "150") -> Recorded:
    return record_payment(
        invoice, amount=Decimal(amount), received_on=a_day("2026-04-03"), now=NOW, excess_to_credit=True
    )


def bounced(recorded: Recorded) -> None:
    take_back_payment(recorded.payment, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-05"))


def test_payment_that_bounces_takes_back_the_credit_that_it_left(account):
    invoice = an_invoice(account)
    recorded = overpaid(invoice)
    assert credit_available(account, at=NOW) == 50

    bounced(recorded)

    assert credit_available(account, at=NOW) == 0
    assert Invoice.objects.with_open_amount().get(pk=invoice.pk).open_amount == 100
    assert_verified()


def test_payment_whose_rest_another_invoice_drew_stays_until_that_is_void(account):
    recorded = overpaid(an_invoice(account))
    second = an_invoice(account, "20")
    assert second.credit_drawn == 20

    with pytest.raises(Conflict, match=str(second.number)):
        bounced(recorded)
    assert credit_available(account, at=NOW) == 30

    void(second, now=NOW, reason="Wrong.", voided_by="ada")
    bounced(recorded)
    assert credit_available(account, at=NOW) == 0
    assert_verified()


def test_payment_whose_rest_was_withdrawn_can_be_taken_back(account):
    recorded = overpaid(an_invoice(account))
    withdraw_credit(account.credit_grants.get(), reason="Paid out.", entered_by="ada")

    bounced(recorded)

    assert credit_available(account, at=NOW) == 0
    assert_verified()


def test_credit_note_that_was_drafted_before_its_invoice_was_voided_credits_nothing(account):
    invoice = an_invoice(account)
    note = begin_credit_note(
        invoice, lines=[ManualLine("Sorry", amount=Decimal(100))], reason="Broken.", edited_by="ada"
    )
    void(invoice, now=NOW, reason="Wrong.", voided_by="ada")

    with pytest.raises(TooMuch, match=r"At most 0\.00 EUR"):
        issue(note, now=NOW, issued_by="bob")

    assert credit_available(account, at=NOW) == 0
    assert_verified()


def test_nobody_approves_their_own_line_because_somebody_else_edited_later(account):
    draft = begin_invoice(account, lines=[ManualLine("Mine", amount=Decimal(10000))], edited_by="ada")
    add_line(draft, ManualLine("Postage", amount=Decimal(1)), added_by="bob")
    add_discount(draft, name="Pilot", reason="Agreed.", percent=Decimal(1), added_by="cleo")
    add_line(draft, ManualLine("Stamps", amount=Decimal(1)), added_by="bob")

    for name in ("ada", "bob", "cleo"):
        with pytest.raises(OwnWorkNotApproved):
            approve(draft, approved_by=name)

    assert approve(draft, approved_by="dora").approved_by == "dora"
