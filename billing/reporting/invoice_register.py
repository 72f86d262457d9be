"""The register of documents: one row for each that was issued, with what became of it."""

import datetime as dt
from collections.abc import Generator, Iterator
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.invoicing.standing import credited_amount, status_of
from metering.answering.answers import one_snapshot
from metering.clock import database_now
from metering.exporting.export_kinds import Asked, Column, ExportKind
from metering.texts.csv_blocks import Block, Value, csv_blocks
from metering.texts.numbers import EXACT

from .asked_documents import (
    ACCOUNT,
    CURRENCY,
    FROM,
    KIND,
    RIGHT,
    UNTIL,
    asked_documents,
    ensure_accounts,
    money,
)

COLUMNS = (
    Column("number", _("The document's number.")),
    Column("kind", _("invoice or credit_note.")),
    Column("issued_on", _("Day of issue on the customer's clocks.")),
    Column("due_on", _("Day by which it is to be paid.")),
    Column("credits", _("Number of the invoice that a credit note takes back, if it names one.")),
    Column("account", _("Number of the billing account.")),
    Column("project", _("Key of the paying project, as on the document.")),
    Column("customer", _("Legal name, as on the document.")),
    Column("country", _("Of the customer, as on the document.")),
    Column("tax_id", _("Of the customer, as on the document.")),
    Column("currency", _("Of all amounts of the row.")),
    Column("subtotal", _("Net amounts of all lines. Amounts of credit notes are negative.")),
    Column("discount", _("Discounts on the document: negative, or zero.")),
    Column("tax", _("All taxes.")),
    Column("taxes", _("Each rate with its base and amount: VAT 19% of 100.00 = 19.00; ...")),
    Column("total", _("subtotal + discount + tax.")),
    Column("credit_drawn", _("What prepaid credit paid when it was issued.")),
    Column("amount_due", _("total - credit_drawn.")),
    Column("paid", _("Payments received for it, less what was taken back.")),
    Column("credited", _("What credit notes settled of it.")),
    Column("open", _("amount_due - paid - credited, of invoices that aren't void; else 0.")),
    Column("status", _("issued, overdue, partly_paid, paid (nothing is owed) or void.")),
    Column("period_start", _("First instant billed, UTC; empty for documents made by hand.")),
    Column("period_end", _("The instant before which it bills, UTC.")),
)


def register_blocks(asked: Asked) -> Generator[Block, None, None]:
    """The register as CSV, in the order of issue."""
    with one_snapshot():
        today = database_now().date()
        yield from csv_blocks([column.name for column in COLUMNS], _rows(asked, today))


def _rows(asked: Asked, today: dt.date) -> Iterator[tuple[Value, ...]]:
    documents = asked_documents(asked).select_related("credits").with_open_amount()  # type: ignore[attr-defined]
    for document in documents.annotate(credited_amount=credited_amount()).iterator(chunk_size=500):
        yield _row(document, today)


def _row(document: Any, today: dt.date) -> tuple[Value, ...]:
    currency, customer = document.currency, document.customer
    is_owed = not document.is_credit_note and not document.is_void
    return (
        document.number,
        document.kind,
        document.issued_on,
        document.due_on,
        document.credits.number if document.credits is not None else None,
        document.account_id,
        customer.get("project_key"),
        customer.get("legal_name"),
        customer.get("country"),
        customer.get("tax_id"),
        currency,
        money(document.subtotal, currency),
        money(document.discount_total, currency),
        money(document.tax_total, currency),
        "; ".join(
            f"{tax['name']} {tax['percent']}% of {tax['base']} = {tax['amount']}" for tax in document.taxes
        ),
        money(document.total, currency),
        money(document.credit_drawn, currency),
        money(document.amount_due, currency),
        money(EXACT.subtract(document.paid_amount, document.credited_amount), currency),
        money(document.credited_amount, currency),
        money(document.open_amount if is_owed else Decimal(0), currency),
        status_of(document, on=today).value,
        document.period_start,
        document.period_end,
    )


INVOICE_REGISTER = ExportKind(
    name="invoice_register",
    title=_("Invoice register"),
    description=_("One row for each invoice and credit note that was issued, with what is open on it."),
    right=RIGHT,
    columns=COLUMNS,
    filters=[FROM, UNTIL, ACCOUNT, CURRENCY, KIND],
    blocks=register_blocks,
    ensure=ensure_accounts,
    expected_count=lambda asked: asked_documents(asked).count(),
)
