"""The lines of a document as CSV, for people who check them in a spreadsheet. Columns keep name and place."""

import csv
import datetime as dt
import io
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billing.models import Invoice, InvoiceLine
from billing.money import amount_text
from metering.texts.csv_cells import neutral
from metering.texts.numbers import EXACT, plain
from metering.texts.timestamps import iso

# New columns are added at the end.
COLUMNS = (
    "document",  # number; empty on drafts
    "position",
    "kind",  # usage, true_up, fee, fee_credit, manual
    "correction",  # true, false
    "reverses",  # number and position of the line that is taken back: INV-000001/3
    "plan",
    "name",
    "metric",
    "project",
    "project_name",
    "labels",  # region=eu; tier=gold, sorted; a label that the usage lacks has no value
    "first_day",  # on the account's clocks
    "last_day",  # inclusive
    "period_start",  # the instants, half-open, UTC
    "period_end",
    "quantity",
    "unit",
    "days",
    "days_of_full_period",
    "currency",
    "amount",  # net, before discounts
    "discount",
    "net",  # after discounts, before tax
    "tax",
    "gross",
    "events",  # how many events the quantity is made of
)


def lines_csv(invoice: Invoice) -> bytes:
    """All lines in their order, in UTF-8 with the mark by which spreadsheets tell it.

    Numbers are plain decimals; no text is taken for a formula.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    lines = invoice.lines.select_related("reverses__invoice").order_by("position")
    for line in lines.iterator(chunk_size=500):
        writer.writerow(_row(invoice, line))
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _row(invoice: Invoice, line: InvoiceLine) -> Sequence[Any]:
    currency = invoice.currency
    net = EXACT.add(line.amount, line.discount_amount)
    last = None if line.service_end_on is None else line.service_end_on - dt.timedelta(days=1)
    return (
        neutral(invoice.number),
        line.position,
        line.kind,
        "true" if line.is_adjustment else "false",
        neutral(_reversed(line)),
        neutral(line.plan_name),
        neutral(line.name),
        neutral(line.metric_key),
        neutral(line.project_key),
        neutral(line.project_name),
        neutral(_labels(line.group)),
        "" if line.service_start_on is None else line.service_start_on.isoformat(),
        "" if last is None else last.isoformat(),
        "" if line.period_start is None else iso(line.period_start),
        "" if line.period_end is None else iso(line.period_end),
        _plain(line.quantity),
        neutral(line.unit),
        "" if line.day_count is None else line.day_count,
        "" if line.full_day_count is None else line.full_day_count,
        currency,
        amount_text(line.amount, currency),
        amount_text(line.discount_amount, currency),
        amount_text(net, currency),
        amount_text(line.tax_amount, currency),
        amount_text(EXACT.add(net, line.tax_amount), currency),
        "" if line.event_count is None else line.event_count,
    )


def _reversed(line: InvoiceLine) -> str:
    if line.reverses is None:
        return ""
    return f"{line.reverses.invoice.number or ''}/{line.reverses.position}"


def _labels(group: dict[str, Any]) -> str:
    return "; ".join(f"{name}={'' if text is None else text}" for name, text in sorted(group.items()))


def _plain(value: Decimal | None) -> str:
    return "" if value is None else plain(value)
