"""The lines of issued documents, one row each."""

import json
from collections.abc import Generator, Iterator

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from billing.models import InvoiceLine
from metering.answering.answers import one_snapshot
from metering.exporting.export_kinds import Asked, Column, ExportKind
from metering.texts.csv_blocks import Block, Value, csv_blocks

from .asked_documents import (
    ACCOUNT,
    CURRENCY,
    FROM,
    KIND,
    RIGHT,
    UNTIL,
    asked_documents,
    ensure_accounts,
    last_day,
    money,
    quantity,
)

COLUMNS = (
    Column("number", _("Number of the document.")),
    Column("document_kind", _("invoice or credit_note.")),
    Column("issued_on", _("Day of issue on the customer's clocks.")),
    Column("account", _("Number of the billing account.")),
    Column("customer", _("Legal name, as on the document.")),
    Column("line", _("Place of the line on the document, from 1.")),
    Column("kind", _("usage, true_up, fee, fee_credit or manual.")),
    Column("is_correction", _("yes where the line corrects a period that was invoiced before; else no.")),
    Column("reverses", _("Number and line that this line takes back, such as INV-000001/2.")),
    Column("name", _("What the customer reads.")),
    Column("plan", _("Name of the plan.")),
    Column("metric", _("Key of the metric.")),
    Column("project", _("Key of the project, where lines are by project.")),
    Column("labels", _("Labels as a JSON object, where lines are by label.")),
    Column("first_day", _("First day billed, on the customer's clocks.")),
    Column("last_day", _("Last day billed.")),
    Column("quantity", _("How much; negative where it is taken back.")),
    Column("unit", _("Of the quantity.")),
    Column("currency", _("Of all amounts of the row.")),
    Column("amount", _("Net, before the document's discounts and tax.")),
    Column("discount", _("The line's part of the document's discounts: negative, or zero.")),
    Column("tax", _("All taxes of the line.")),
    Column("taxes", _("Each rate with its amount: VAT 19% = 19.00; ...")),
    Column("total", _("amount + discount + tax.")),
    Column("event_count", _("How many events it is made of.")),
    Column("event_digest", _("SHA-256 over their ids, by which verify finds them again.")),
)


def _lines(asked: Asked) -> QuerySet[InvoiceLine]:
    lines = InvoiceLine.objects.filter(invoice__in=asked_documents(asked).order_by())
    return lines.order_by("invoice__issued_on", "invoice_id", "position")


def _blocks(asked: Asked) -> Generator[Block, None, None]:
    with one_snapshot():
        yield from csv_blocks([column.name for column in COLUMNS], _rows(asked))


def _rows(asked: Asked) -> Iterator[tuple[Value, ...]]:
    # What says how a price was rated is long, and of no use in a table.
    lines = _lines(asked).select_related("invoice", "reverses__invoice").defer("price", "detail", "evidence")
    for line in lines.iterator(chunk_size=500):
        yield _row(line)


def _row(line: InvoiceLine) -> tuple[Value, ...]:
    document, currency, reversed_line = line.invoice, line.invoice.currency, line.reverses
    return (
        document.number,
        document.kind,
        document.issued_on,
        document.account_id,
        document.customer.get("legal_name"),
        line.position,
        line.kind,
        "yes" if line.is_adjustment else "no",
        f"{reversed_line.invoice.number}/{reversed_line.position}" if reversed_line is not None else None,
        line.name,
        line.plan_name,
        line.metric_key,
        line.project_key,
        json.dumps(line.group, ensure_ascii=False, sort_keys=True) if line.group else None,
        line.service_start_on,
        last_day(line.service_end_on),
        quantity(line.quantity),
        line.unit,
        currency,
        money(line.amount, currency),
        money(line.discount_amount, currency),
        money(line.tax_amount, currency),
        "; ".join(f"{tax['name']} {tax['percent']}% = {tax['amount']}" for tax in line.taxes),
        money(line.net_amount + line.tax_amount, currency),
        line.event_count,
        bytes(line.event_digest).hex() if line.event_digest is not None else None,
    )


INVOICE_LINES = ExportKind(
    name="invoice_lines",
    title=_("Invoice lines"),
    description=_("One row for each line of the invoices and credit notes that were issued."),
    right=RIGHT,
    columns=COLUMNS,
    filters=[FROM, UNTIL, ACCOUNT, CURRENCY, KIND],
    blocks=_blocks,
    ensure=ensure_accounts,
    expected_count=lambda asked: _lines(asked).count(),
)
