"""Changing drafts by hand: lines, discounts, notes, discarding; invoices and credit notes that no run makes.

Each verb holds the account, then the draft, and works the totals out anew; nothing is read from the ledger.
Where one is told the digest of the draft that was looked at, `seen`, it raises `DraftChangedSince` for any
other: so sending the same twice, or two at once, adds nothing unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db import transaction
from django.db.models import Max, Sum

from billing.errors import DocumentIsDraft, TooMuch, VoidNotEdited, money
from billing.models import (
    MAX_DISCOUNTS,
    MAX_MANUAL_LINES,
    BillingAccount,
    Invoice,
    InvoiceDiscount,
    InvoiceLine,
)
from billing.money import rounded
from billing.selling.accounts import held_account
from billing.settling.credits import credit_available, ensure_amount
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.texts.numbers import EXACT, plain

from .approvals import ensure_as_seen
from .draft_lines import taxes_of
from .drafting import held_draft, remove_draft, store_totals
from .retotalling import retotal

NAME_LENGTH = 200
TEXT_LENGTH = 2000
TOO_LARGE = Decimal(10) ** 24


@dataclass(frozen=True, slots=True)
class ManualLine:
    """A line as somebody wants it: an amount, or a quantity at a unit amount. `credits`: the line of an
    issued invoice that it takes back a part of, whose taxes it has."""

    name: str
    amount: Decimal | None = None
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    reason: str = ""
    credits: InvoiceLine | None = None


def begin_invoice(
    account: BillingAccount, *, lines: Sequence[ManualLine] = (), notes: str = "", edited_by: str
) -> Invoice:
    """A draft that no billing run touches, for lines by hand. Raises `Invalid` that names the field, by its
    path where it is a line's."""
    with transaction.atomic():
        held = held_account(account.pk)
        draft = Invoice.objects.create(
            account=held,
            currency=held.currency,
            origin=Invoice.Origin.MANUAL,
            notes=_notes(notes),
            edited_by=edited_by,
            computed_at=database_now(),
        )
        if lines:
            _add_all(draft, held, lines, added_by=edited_by)
            _retotalled(draft, held, edited_by=edited_by)
    return draft


def begin_credit_note(
    invoice: Invoice, *, lines: Sequence[ManualLine], reason: str, edited_by: str
) -> Invoice:
    """A draft of a credit note that takes back part of an issued invoice. Amounts of `lines` are positive.

    Raises `DocumentIsDraft`, `Invalid` without a reason or lines, `TooMuch` where with the credit notes there
    are it would come to more than the invoice.
    """
    if not reason.strip():
        raise Invalid("Say why; the customer reads it.", field="reason", code="missing_field")
    if not lines:
        raise Invalid("A credit note has at least one line.", field="lines", code="missing_field")
    with transaction.atomic():
        account = held_account(invoice.account_id)
        stored = Invoice.objects.get(pk=invoice.pk)
        if stored.is_draft:
            raise DocumentIsDraft
        if stored.is_credit_note:
            raise Invalid("A credit note can't be credited.", field="invoice")
        note = Invoice.objects.create(
            account=account,
            currency=stored.currency,
            kind=Invoice.Kind.CREDIT_NOTE,
            origin=Invoice.Origin.MANUAL,
            credits=stored,
            reason=reason.strip()[:TEXT_LENGTH],
            edited_by=edited_by,
            computed_at=database_now(),
        )
        _add_all(note, account, lines, added_by=edited_by, is_credit=True)
        _retotalled(note, account, edited_by=edited_by)
        _ensure_within(note, stored)
    return note


def add_line(invoice: Invoice, line: ManualLine, *, added_by: str, seen: bytes | None = None) -> InvoiceLine:
    """Add a line by hand to a draft; a negative amount takes something off. Raises `DocumentIsIssued`,
    `Invalid` that names the field."""
    with transaction.atomic():
        account, stored = _held(invoice, seen)
        if stored.credits is not None:
            added = _add(stored, account, line, added_by=added_by, is_credit=True)
            _retotalled(stored, account, edited_by=added_by)
            _ensure_within(stored, stored.credits)
            return added
        added = _add(stored, account, line, added_by=added_by)
        _retotalled(stored, account, edited_by=added_by)
    return added


def remove_line(invoice: Invoice, line_id: int, *, removed_by: str) -> None:
    """Take a line that was added by hand off a draft. Raises `NotFound`, `DocumentIsIssued`."""
    with transaction.atomic():
        account, stored = _held(invoice)
        removed, _ = stored.lines.filter(pk=line_id, kind=InvoiceLine.Kind.MANUAL).delete()
        if not removed:
            raise NotFound("The draft has no such line that was added by hand.")
        _retotalled(stored, account, edited_by=removed_by)


def add_discount(
    invoice: Invoice,
    *,
    name: str,
    reason: str,
    percent: Decimal | None = None,
    fixed_amount: Decimal | None = None,
    added_by: str,
    seen: bytes | None = None,
) -> InvoiceDiscount:
    """Add a discount, after those there are: a percentage of what is left then, or a fixed amount.

    Raises `DocumentIsIssued`, `Invalid` that names the field.
    """
    name = _worded(name, "name", NAME_LENGTH)
    reason = _worded(reason, "reason", TEXT_LENGTH)
    if (percent is None) == (fixed_amount is None):
        raise Invalid("Give either a percentage or an amount.", field="percent")
    if percent is not None and (not 0 < percent <= 100 or percent != round(percent, 6)):
        raise Invalid("Must be above 0, at most 100, with at most 6 decimals.", field="percent")
    with transaction.atomic():
        account, stored = _held(invoice, seen)
        if stored.credits_id is not None:
            raise Invalid("A credit note takes no discount.", field="invoice")
        if fixed_amount is not None:
            ensure_amount(fixed_amount, currency=stored.currency, field="fixed_amount")
        if stored.discounts.count() >= MAX_DISCOUNTS:
            raise Invalid("At most {most} discounts.", most=MAX_DISCOUNTS, field="discounts")
        last = stored.discounts.aggregate(last=Max("position"))["last"] or 0
        discount = stored.discounts.create(
            position=last + 1,
            name=name,
            percent=percent,
            fixed_amount=fixed_amount,
            reason=reason,
            added_by=added_by,
        )
        _retotalled(stored, account, edited_by=added_by)
    discount.refresh_from_db()
    return discount


def remove_discount(invoice: Invoice, discount_id: int, *, removed_by: str) -> None:
    """Take a discount off a draft. Raises `NotFound`, `DocumentIsIssued`."""
    with transaction.atomic():
        account, stored = _held(invoice)
        removed, _ = stored.discounts.filter(pk=discount_id).delete()
        if not removed:
            raise NotFound("The draft has no such discount.")
        _retotalled(stored, account, edited_by=removed_by)


def set_notes(invoice: Invoice, notes: str, *, edited_by: str, seen: bytes | None = None) -> None:
    """What the customer reads at the end of a document that is still a draft. Raises `DocumentIsIssued`."""
    notes = _notes(notes)
    with transaction.atomic():
        _account, stored = _held(invoice, seen)
        if stored.notes == notes:
            return
        stored.notes, stored.edited_by = notes, edited_by
        stored.save(update_fields=["notes", "edited_by"])


def discard_draft(invoice: Invoice, *, seen: bytes | None = None) -> None:
    """Remove a draft with everything on it; the next billing run bills what is due. Raises
    `DocumentIsIssued`."""
    with transaction.atomic():
        held_account(invoice.account_id, is_changing=True)
        stored = held_draft(invoice.pk)
        ensure_as_seen(stored, seen)
        remove_draft(stored)


def _notes(notes: str) -> str:
    if len(notes) > TEXT_LENGTH or "\x00" in notes:
        raise Invalid("At most {most} characters, none of them NUL.", most=TEXT_LENGTH, field="notes")
    return notes.strip()


def _held(invoice: Invoice, seen: bytes | None = None) -> tuple[BillingAccount, Invoice]:
    account, stored = held_account(invoice.account_id), held_draft(invoice.pk)
    ensure_as_seen(stored, seen)
    if stored.origin == Invoice.Origin.VOID:
        raise VoidNotEdited
    return account, stored


def _add_all(
    invoice: Invoice,
    account: BillingAccount,
    lines: Sequence[ManualLine],
    *,
    added_by: str,
    is_credit: bool = False,
) -> None:
    """Complaints name the line: `lines[1].amount`."""
    for index, line in enumerate(lines):
        try:
            _add(invoice, account, line, added_by=added_by, is_credit=is_credit)
        except Invalid as error:
            if error.field not in {None, "lines"}:
                error.field = f"lines[{index}].{error.field}"
            raise


def _add(
    invoice: Invoice, account: BillingAccount, line: ManualLine, *, added_by: str, is_credit: bool = False
) -> InvoiceLine:
    name = _worded(line.name, "name", NAME_LENGTH)
    amount = _amount(line, invoice.currency)
    if is_credit and amount <= 0:
        raise Invalid("Must be positive: what the customer gets back.", field="amount")
    if invoice.lines.filter(kind=InvoiceLine.Kind.MANUAL).count() >= MAX_MANUAL_LINES:
        raise Invalid("At most {most} lines by hand.", most=MAX_MANUAL_LINES, field="lines")
    last = invoice.lines.aggregate(last=Max("position"))["last"] or 0
    taxes, credited = taxes_of(account), {}
    if line.credits is not None:
        if line.credits.invoice_id != invoice.credits_id:
            raise NotFound("The invoice has no such line.")
        taxes = [{**tax, "amount": "0"} for tax in line.credits.taxes]
        # What the metric brought in is so much less.
        credited = {"metric_id": line.credits.metric_id, "metric_key": line.credits.metric_key}
    detail = []
    if line.unit_amount is not None:
        detail = [{"kind": "usage", "unit_amount": plain(line.unit_amount)}]
    return invoice.lines.create(
        position=last + 1,
        kind=InvoiceLine.Kind.MANUAL,
        name=name,
        quantity=line.quantity,
        amount=EXACT.minus(amount) if is_credit else amount,
        taxes=taxes,
        **credited,
        detail=detail,
        reason=line.reason.strip()[:TEXT_LENGTH],
        added_by=added_by,
    )


def _amount(line: ManualLine, currency: str) -> Decimal:
    if line.amount is None:
        if line.quantity is None or line.unit_amount is None:
            raise Invalid(
                "Give an amount, or a quantity and a unit amount.", field="amount", code="missing_field"
            )
        amount = rounded(Fraction(line.quantity) * Fraction(line.unit_amount), currency)
        if abs(amount) >= TOO_LARGE:
            raise Invalid("Too large: what it comes to.", field="quantity")
        return amount
    if line.unit_amount is not None:
        raise Invalid("Give an amount or a unit amount, not both.", field="unit_amount")
    if abs(line.amount) >= TOO_LARGE:
        raise Invalid("Too large.", field="amount")
    if line.amount != rounded(line.amount, currency):
        raise Invalid("Has more decimals than {currency}.", currency=currency, field="amount")
    if not line.amount:
        raise Invalid("Must not be zero.", field="amount")
    return line.amount


def _retotalled(invoice: Invoice, account: BillingAccount, *, edited_by: str) -> None:
    lines = list(invoice.lines.order_by("position"))
    discounts = list(invoice.discounts.order_by("position"))
    for place, line in enumerate(lines, start=1):
        line.position = place
    retotal(invoice, lines, discounts, credit=credit_available(account, at=database_now()))
    invoice.edited_by = edited_by
    store_totals(invoice, lines, discounts)


def _ensure_within(note: Invoice, invoice: Invoice) -> None:
    """All credit notes of an invoice, drafts included, come to no more than it."""
    notes = Invoice.objects.filter(credits=invoice).aggregate(total=Sum("total"))["total"] or Decimal(0)
    if EXACT.add(invoice.total, notes) < 0:
        left = EXACT.add(invoice.total, EXACT.subtract(notes, note.total))
        raise TooMuch(
            "At most {amount}, tax included, is left to credit of {number}.",
            amount=money(max(left, Decimal(0)), invoice.currency),
            number=invoice.number,
            field="lines",
        )


def _worded(text: str, field: str, length: int) -> str:
    text = text.strip()
    if not text:
        raise Invalid("This member is needed.", field=field, code="missing_field")
    if len(text) > length or "\x00" in text:
        raise Invalid("At most {most} characters, none of them NUL.", most=length, field=field)
    return text
