"""Lines by hand, as requests spell them. Complaints name the member by its path."""

from collections.abc import Mapping
from typing import Any

from billing.invoicing.draft_edits import ManualLine
from billing.models import MAX_MANUAL_LINES, Invoice, InvoiceLine
from metering.api.parsing import members_of, text_of
from metering.errors import Invalid, NotFound

from .member_values import needed, number_of, reason_of, whole_number_of

MEMBERS = ("name", "amount", "quantity", "unit_amount", "reason")
CREDIT_MEMBERS = ("name", "amount", "line", "reason")


def line_from(value: Any) -> ManualLine:
    """A line for a draft."""
    return line_of(members_of(value, known=MEMBERS))


def line_of(members: Mapping[str, Any]) -> ManualLine:
    return ManualLine(
        name=text_of(members, "name") or "",
        amount=number_of(members, "amount"),
        quantity=number_of(members, "quantity"),
        unit_amount=number_of(members, "unit_amount"),
        reason=reason_of(members),
    )


def lines_from(value: Any) -> list[ManualLine]:
    return [_at(index, lambda entry=entry: line_from(entry)) for index, entry in enumerate(_entries(value))]


def credit_lines_from(value: Any, invoice: Invoice) -> list[ManualLine]:
    """Lines that take back part of an invoice. Raises `NotFound` for a line that it hasn't."""
    return [
        _at(index, lambda entry=entry: _credit_line_from(entry, invoice))
        for index, entry in enumerate(_entries(value))
    ]


def _credit_line_from(value: Any, invoice: Invoice) -> ManualLine:
    members = members_of(value, known=CREDIT_MEMBERS)
    needed(members, "amount")
    line_id = whole_number_of(members, "line")
    return ManualLine(
        name=text_of(members, "name") or "",
        amount=number_of(members, "amount"),
        reason=reason_of(members),
        credits=None if line_id is None else _line_of(invoice, line_id),
    )


def _line_of(invoice: Invoice, line_id: int) -> InvoiceLine:
    found = next((line for line in invoice.lines.all() if line.pk == line_id), None)
    if found is None:
        raise NotFound(f"The invoice has no line {line_id}.")
    return found


def _entries(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid("Must be an array of lines.", field="lines")
    if len(value) > MAX_MANUAL_LINES:
        raise Invalid(f"At most {MAX_MANUAL_LINES} lines.", field="lines")
    return value


def _at(index: int, read: Any) -> ManualLine:
    try:
        line: ManualLine = read()
    except Invalid as error:
        error.field = f"lines[{index}].{error.field}" if error.field else f"lines[{index}]"
        raise
    return line
