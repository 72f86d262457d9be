"""The register of credit notes: the register of documents, without the invoices."""

from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from billing.models import Invoice
from metering.exporting.export_kinds import Asked, ExportKind

from .asked_documents import ACCOUNT, CURRENCY, FROM, RIGHT, UNTIL, asked_documents, ensure_accounts
from .invoice_register import COLUMNS, register_blocks


def _of_credit_notes(asked: Asked) -> Asked:
    return replace(asked, filters={**asked.filters, "kind": Invoice.Kind.CREDIT_NOTE})


CREDIT_NOTES = ExportKind(
    name="credit_notes",
    title=_("Credit notes"),
    description=_("One row for each credit note that was issued, with the invoice that it takes back."),
    right=RIGHT,
    columns=COLUMNS,
    filters=[FROM, UNTIL, ACCOUNT, CURRENCY],
    blocks=lambda asked: register_blocks(_of_credit_notes(asked)),
    ensure=ensure_accounts,
    expected_count=lambda asked: asked_documents(_of_credit_notes(asked)).count(),
)
