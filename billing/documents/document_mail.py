"""The mail that brings a document to the customer: its words, and the document as PDF and CSV."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.models import Invoice
from metering.announcing.letters import Letter, letter
from metering.announcing.mail import Attachment, one_line
from metering.house_language import in_house_language

from .document_view import DocumentView, document_view, file_name_of
from .document_words import MINUS
from .lines_csv import lines_csv
from .pdf import pdf_from

NAME_LENGTH = 60  # of the seller in a subject line


@dataclass(frozen=True, slots=True)
class DocumentMail:
    """A mail about one document, ready for `post_mail`."""

    letter: Letter
    attachments: tuple[Attachment, ...]


@in_house_language()
def mail_about(invoice: Invoice) -> DocumentMail:
    """The mail about an issued document, from its own copies, in the house's language."""
    view = document_view(invoice)
    template = "credit_note_issued" if view.is_credit_note else "invoice_issued"
    return DocumentMail(
        letter=letter(template, subject=_subject(view), context={"view": view, "facts": _facts(view)}),
        attachments=(
            Attachment(file_name_of(invoice, "pdf"), "application/pdf", pdf_from(view)),
            Attachment(file_name_of(invoice, "csv"), "text/csv", lines_csv(invoice)),
        ),
    )


def _subject(view: DocumentView) -> str:
    told = {"name": view.name, "seller": one_line(view.seller.name)[:NAME_LENGTH]}
    if view.is_credit_note:
        return _("%(name)s from %(seller)s: %(amount)s") % {**told, "amount": _credited(view)}
    if view.is_settled:
        return _("%(name)s from %(seller)s: nothing left to pay") % told
    told |= {"amount": f"{view.amount_due} {view.currency}", "day": view.due_on}
    return _("%(name)s from %(seller)s: %(amount)s due by %(day)s") % told


def _facts(view: DocumentView) -> list[tuple[str, str]]:
    if view.is_credit_note:
        facts = [
            (_("Credit note"), view.number),
            (_("Credits invoice"), view.credited_number),
            (_("Credited"), _credited(view)),
            (_("Reason"), view.reason),
        ]
    else:
        facts = [
            (_("Invoice"), view.number),
            (_("Amount due"), f"{view.amount_due} {view.currency}"),
            (_("Due"), "" if view.is_settled else view.due_on),
        ]
    facts += [
        (_("Billing period"), view.period),
        (_("Date of issue"), view.issued_on),
        (_("Account"), view.account),
    ]
    return [(name, one_line(text)) for name, text in facts if text]


def _credited(view: DocumentView) -> str:
    return f"{view.total.removeprefix(MINUS)} {view.currency}"
