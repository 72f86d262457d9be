"""A document as files, and sending it once more."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing.documents.dispatching import resend
from billing.documents.document_view import file_name_of
from billing.documents.lines_csv import lines_csv
from billing.documents.pdf import pdf_of
from billing.models import Invoice

from .document_pages import DocumentPages


class DocumentFiles(DocumentPages):
    """What the customer got, or will get; a draft is marked as one."""

    @action(description=_("PDF"), url_path="pdf", icon="picture_as_pdf", permissions=["view"])
    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        return _file(pdf_of(invoice), invoice, "pdf", "application/pdf")

    @action(description=_("Lines as CSV"), url_path="csv", icon="download", permissions=["view"])
    def csv(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        return _file(lines_csv(invoice), invoice, "csv", "text/csv; charset=utf-8")

    @action(description=_("Send again"), url_path="resend", icon="forward_to_inbox", permissions=["issue"])
    def resend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_issued(request, invoice)
        if refusal is not None:
            return refusal
        addresses = ", ".join(invoice.account.invoice_emails)

        def answer(_mail_id: int) -> HttpResponse:
            text = gettext("%(number)s is on its way to %(addresses)s.")
            message = text % {"number": invoice.number, "addresses": addresses}
            return self.changed(request, invoice, gettext_noop("sent"), message)

        return self.ask(
            request,
            invoice,
            title=_("Send the document again"),
            button=_("Send it"),
            sentences=[_("It goes out as a mail of its own, with the PDF and its lines as CSV attached.")],
            facts=[(_("To"), addresses)],
            obstacle="" if addresses else _("The account has no addresses for invoices."),
            verb=lambda: resend(invoice),
            answer=answer,
            is_harmless=True,
        )


def _file(content: bytes, invoice: Invoice, extension: str, content_type: str) -> HttpResponse:
    name = file_name_of(invoice, extension)
    return HttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
