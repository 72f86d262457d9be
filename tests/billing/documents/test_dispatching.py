"""From issued documents to mails, and what is said of overdue ones."""

import datetime as dt
from typing import Any

import pytest

from billing.documents import dispatching
from billing.documents.dispatching import (
    Posted,
    announce_overdue,
    look_for_addresses,
    post_due,
    resend,
)
from billing.errors import DocumentIsDraft
from billing.invoicing.voiding import void
from billing.models import Invoice, InvoiceDispatch
from billing.selling.accounts import change_account
from billing.settling.payments import record_payment
from metering.announcing.mail import message_id_of
from metering.errors import Conflict
from metering.models import DomainEvent, MailAttachment, OutgoingMail
from tests.billing.billed import a_seller, billed, draft_of
from tests.billing.documents.documents import a_customer, a_simple_invoice
from tests.billing.factories import a_fee, a_plan, a_subscription
from tests.factories import at

pytestmark = pytest.mark.django_db

NOW = at("2026-04-01T01:00:00Z")


def dispatch_of(invoice: Invoice) -> InvoiceDispatch:
    return InvoiceDispatch.objects.get(invoice=invoice)


def overdue_numbers() -> list[str]:
    events = DomainEvent.objects.filter(kind="invoice.overdue").order_by("id")
    return [event.data["number"] for event in events]


def broken(*args: Any, **options: Any) -> Any:
    raise RuntimeError("no such glyph\x00")


def test_issued_invoice_is_mailed_once_with_pdf_and_csv():
    invoice = a_simple_invoice(invoice_emails=["books@acme.example", "cfo@acme.example"])

    assert post_due(now=NOW) == Posted(posted_count=1)
    assert post_due(now=NOW) == Posted()

    mail = OutgoingMail.objects.get()
    assert mail.key == f"invoice:{invoice.pk}"
    assert mail.message_id == message_id_of(f"invoice:{invoice.pk}")
    assert mail.recipients == ["books@acme.example", "cfo@acme.example"]
    assert mail.subject == "Invoice INV-000001 from Meterbook Test AG: 14,758.80 EUR due by 1 May 2026"
    for text in (mail.text, mail.html):
        assert "INV-000001" in text
        assert "14,758.80 EUR" in text
        assert "1 March – 30 April 2026" in text
        assert "Due within 30 days, by 1 May 2026." in text
        assert "IBAN DE89 3704" in text
    files = list(MailAttachment.objects.values_list("file_name", "content_type"))
    assert files == [("INV-000001.pdf", "application/pdf"), ("INV-000001.csv", "text/csv")]
    assert bytes(MailAttachment.objects.order_by("id")[0].content).startswith(b"%PDF-")
    dispatch = dispatch_of(invoice)
    assert (dispatch.state, dispatch.mail_id, dispatch.attempt_count) == ("posted", mail.pk, 1)


def test_credit_note_is_mailed_with_its_reason():
    note = void(a_simple_invoice(), now=NOW, reason="Wrong company.", voided_by="ada")

    post_due(now=NOW)

    mail = OutgoingMail.objects.get(key=f"invoice:{note.pk}")
    assert mail.subject == "Credit note CN-000001 from Meterbook Test AG: 14,758.80 EUR"
    assert "Reason: Wrong company.\n" in mail.text
    assert "14,758.80 EUR settles invoice INV-000001." in mail.text
    assert "Credits invoice: INV-000001\n" in mail.text


def test_names_are_neither_markup_nor_headers():
    invoice = a_simple_invoice(legal_name="<script>x</script>")
    a_seller(legal_name="Meter\r\nBcc: evil@example.com")
    note = void(invoice, now=NOW, reason="<b>\r\nBcc: x</b>", voided_by="ada")

    post_due(now=NOW)

    mail = OutgoingMail.objects.get(key=f"invoice:{note.pk}")
    assert mail.subject == "Credit note CN-000001 from Meter Bcc: evil@example.com: 14,758.80 EUR"
    assert "<script>" not in mail.html
    assert "&lt;script&gt;x&lt;/script&gt;" in mail.html
    assert "&lt;b&gt; Bcc: x&lt;/b&gt;" in mail.html


def test_document_that_can_not_be_made_waits_and_holds_up_no_other(monkeypatch):
    invoice = a_simple_invoice()
    note = void(invoice, now=NOW, reason="Wrong company.", voided_by="ada")
    real = dispatching.mail_about
    monkeypatch.setattr(
        dispatching, "mail_about", lambda one: broken() if one.pk == invoice.pk else real(one)
    )

    assert post_due(now=NOW) == Posted(posted_count=1, failed_count=1)

    dispatch = dispatch_of(invoice)
    assert (dispatch.state, dispatch.attempt_count) == ("due", 1)
    assert dispatch.last_error == "RuntimeError: no such glyph"
    assert dispatch_of(note).state == "posted"
    assert post_due(now=NOW + dt.timedelta(seconds=19)) == Posted()
    monkeypatch.setattr(dispatching, "mail_about", real)
    assert post_due(now=NOW + dt.timedelta(seconds=20)) == Posted(posted_count=1)
    dispatch = dispatch_of(invoice)
    assert (dispatch.state, dispatch.last_error) == ("posted", "")


def test_document_that_can_never_be_made_is_given_up_and_can_be_tried_by_hand(monkeypatch):
    invoice = a_simple_invoice()
    real = dispatching.mail_about
    monkeypatch.setattr(dispatching, "mail_about", broken)

    for attempt in range(11):
        assert post_due(now=NOW + attempt * dt.timedelta(days=1)).failed_count == 1
    assert post_due(now=NOW + dt.timedelta(days=30)) == Posted()

    assert dispatch_of(invoice).state == "failed"
    monkeypatch.setattr(dispatching, "mail_about", real)
    mail_id = resend(invoice)
    assert OutgoingMail.objects.get(pk=mail_id).key == f"invoice:{invoice.pk}"
    assert dispatch_of(invoice).state == "posted"


def test_failing_transaction_leaves_no_half_promised_mail(monkeypatch):
    invoice = a_simple_invoice()
    real = dispatching.post_mail

    def dying(**options: Any) -> int:
        real(**options)
        raise RuntimeError

    monkeypatch.setattr(dispatching, "post_mail", dying)

    assert post_due(now=NOW) == Posted(failed_count=1)

    assert OutgoingMail.objects.count() == 0
    assert dispatch_of(invoice).state == "due"


def test_resending_is_another_mail():
    invoice = a_simple_invoice()

    first = resend(invoice)
    second = resend(invoice)

    assert post_due(now=NOW) == Posted()
    keys = dict(OutgoingMail.objects.values_list("id", "key"))
    assert keys[first] == f"invoice:{invoice.pk}"
    assert keys[second].startswith(f"invoice:{invoice.pk}:again:")
    assert dispatch_of(invoice).mail_id == second


def test_draft_is_not_sent():
    account = a_customer()
    a_subscription(account, a_plan(a_fee("30")))
    billed("2026-03-01T00:00:00Z")

    with pytest.raises(DocumentIsDraft):
        resend(draft_of(account))

    assert OutgoingMail.objects.count() == 0


def test_document_without_address_stays_until_somebody_asks():
    invoice = a_simple_invoice(invoice_emails=[])

    assert post_due(now=NOW) == Posted()
    with pytest.raises(Conflict):
        resend(invoice)
    assert look_for_addresses() == 0
    change_account(invoice.account, {"invoice_emails": ["books@acme.example"]}, now=NOW)
    assert post_due(now=NOW) == Posted()

    assert look_for_addresses() == 1
    assert post_due(now=NOW) == Posted(posted_count=1)
    assert OutgoingMail.objects.get().recipients == ["books@acme.example"]


def test_addresses_that_went_away_are_noticed():
    invoice = a_simple_invoice()
    change_account(invoice.account, {"invoice_emails": []}, now=NOW)

    assert post_due(now=NOW) == Posted(no_address_count=1)

    assert dispatch_of(invoice).state == "no_address"
    assert OutgoingMail.objects.count() == 0


def test_overdue_is_said_once_on_the_day_after_on_the_accounts_clocks():
    a_simple_invoice(timezone="America/New_York")  # issued on 31 March there, due on 30 April

    assert announce_overdue(now=at("2026-05-01T03:59:59Z")) == 0
    assert announce_overdue(now=at("2026-05-01T04:00:00Z")) == 1
    assert announce_overdue(now=at("2026-05-02T06:00:00Z")) == 0

    assert overdue_numbers() == ["INV-000001"]


def test_paid_and_voided_invoices_are_never_overdue():
    invoice = a_simple_invoice()
    record_payment(
        invoice,
        amount=invoice.amount_due,
        method="bank_transfer",
        received_on=dt.date(2026, 4, 20),
        recorded_by="ada",
        now=at("2026-04-20T00:00:00Z"),
    )

    assert announce_overdue(now=at("2026-06-01T00:00:00Z")) == 0
    assert overdue_numbers() == []
