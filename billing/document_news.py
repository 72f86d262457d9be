"""What domain events say of invoices and credit notes."""

from typing import Any

from metering.texts.timestamps import iso

from .models import Invoice
from .money import amount_text


def announced(invoice: Invoice) -> dict[str, Any]:
    """What domain events say of a document."""
    return {
        "invoice": invoice.pk,
        "number": invoice.number,
        "kind": invoice.kind,
        "account": invoice.account_id,
        "currency": invoice.currency,
        "total": amount_text(invoice.total, invoice.currency),
        "amount_due": amount_text(invoice.amount_due, invoice.currency),
        "issued_on": None if invoice.issued_on is None else invoice.issued_on.isoformat(),
        "due_on": None if invoice.due_on is None else invoice.due_on.isoformat(),
        "period_start": None if invoice.period_start is None else iso(invoice.period_start),
        "period_end": None if invoice.period_end is None else iso(invoice.period_end),
    }
