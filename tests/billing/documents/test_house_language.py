"""What customers get is in the house's language, whoever presses the button."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from billing.documents.document_mail import mail_about
from billing.documents.document_view import document_view
from billing.documents.pdf import pdf_of
from billing.invoicing.voiding import void
from metering.models import MailAttachment, OutgoingMail
from tests.billing.billed import issued
from tests.factories import at

from .documents import a_rich_draft, a_simple_invoice

pytestmark = pytest.mark.django_db


def a_german_clerk() -> Client:
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize("language", ["de", "fr"])
def test_document_is_the_same_in_any_language_of_pages(language: str) -> None:
    draft = a_rich_draft()
    drafted = (document_view(draft), pdf_of(draft))

    with translation.override(language):
        assert (document_view(draft), pdf_of(draft)) == drafted

    invoice = issued(draft.account, "2026-05-03T01:00:00Z")
    view, pdf, mail = document_view(invoice), pdf_of(invoice), mail_about(invoice)
    with translation.override(language):
        assert (document_view(invoice), pdf_of(invoice), mail_about(invoice)) == (view, pdf, mail)
    assert view.terms == "Due within 30 days, by 2 June 2026."


def test_credit_note_is_the_same_in_any_language_of_pages() -> None:
    invoice = a_simple_invoice()
    note = void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong company.", voided_by="ada")
    mail = mail_about(note)

    with translation.override("de"):
        assert mail_about(note) == mail
    assert mail.letter.subject == "Credit note CN-000001 from Meterbook Test AG: 14,758.80 EUR"


def test_german_clerk_sends_an_english_mail_and_reads_german() -> None:
    invoice = a_simple_invoice()
    clerk, page = a_german_clerk(), f"/admin/billing/invoice/{invoice.pk}"

    answer = clerk.post(f"{page}/resend/", follow=True)

    assert [str(message) for message in answer.context["messages"]] == [
        "INV-000001 ist unterwegs an books@acme.example."
    ]
    mail = OutgoingMail.objects.get()
    assert mail.subject == "Invoice INV-000001 from Meterbook Test AG: 14,758.80 EUR due by 1 May 2026"
    assert "Amount due: 14,758.80 EUR" in mail.text
    assert "Answers to this address aren't read." in mail.text
    assert "Here is an invoice of Meterbook Test AG to Acme Chat GmbH, as a PDF." in mail.html
    attached = MailAttachment.objects.get(file_name="INV-000001.pdf")
    assert bytes(attached.content) == clerk.get(f"{page}/pdf/").content == pdf_of(invoice)
