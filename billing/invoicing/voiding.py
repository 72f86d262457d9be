"""Taking an issued invoice back in full, by a credit note that mirrors it; its periods are billed again."""

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import Max

from billing.document_news import announced
from billing.errors import (
    DocumentIsDraft,
    InvoiceCorrectedSince,
    InvoiceIsPaid,
    VoidWaits,
)
from billing.models import (
    BilledPeriod,
    Invoice,
    InvoiceLine,
    Payment,
    PeriodCorrection,
)
from billing.selling.accounts import held_account
from billing.settling.credits import return_credit
from metering.announcing import kinds
from metering.announcing.outbox import announce
from metering.errors import Invalid

from .approvals import needs_approval
from .charges import mirrored
from .completing import cancel_write_offs, completed
from .draft_lines import FEES, OPEN_STATES
from .drafting import clear_draft_of
from .due import issued_lines_of, live_lines
from .retotalling import retotal
from .totals import total

State = PeriodCorrection.State


def void(invoice: Invoice, *, now: dt.datetime, reason: str, voided_by: str) -> Invoice:
    """Take an issued invoice back in full: returns the credit note, with a number of its own.

    Its periods are to be billed again, credit that it drew is given back. Where it comes to more than the
    account's limit, the credit note is a draft until a second person has approved it and it is issued; so
    long the invoice stands. Raises `DocumentIsDraft`, `InvoiceIsPaid` while payments are allocated,
    `InvoiceCorrectedSince` where a later document corrects or credits it, `VoidWaits` where it is begun
    already, and `Invalid` without a reason or for a credit note.
    """
    if not reason.strip():
        raise Invalid("Say why; the customer reads it.", field="reason", code="missing_field")
    with transaction.atomic():
        account = held_account(invoice.account_id)
        stored = Invoice.objects.with_open_amount().get(pk=invoice.pk)
        ensure_voidable(stored)
        note = Invoice.objects.create(
            account=account,
            kind=Invoice.Kind.CREDIT_NOTE,
            origin=Invoice.Origin.VOID,
            currency=stored.currency,
            credits=stored,
            reason=reason.strip(),
            period_start=stored.period_start,
            period_end=stored.period_end,
            account_revision=account.revision,
            edited_by=voided_by,
            computed_at=now,
        )
        _mirror(note, stored)
        if needs_approval(note, account):
            note.save()
            return note
        return carried_out(note, now=now, voided_by=voided_by)


def carried_out(note: Invoice, *, now: dt.datetime, voided_by: str) -> Invoice:
    """Issue the credit note that takes an invoice back. Needs both held, by `void` or by issuing its draft;
    raises what stands against it by now, as `void` does."""
    account = held_account(note.account_id, is_changing=True)
    assert note.credits_id is not None
    stored = Invoice.objects.with_open_amount().get(pk=note.credits_id)
    ensure_voidable(stored, but=note)
    clear_draft_of(account)
    # A draft that waits mustn't keep corrections from the lines: they are reversed from here on.
    note.lines.all().delete()
    _mirror(note, stored, is_reversal=True)
    return_credit(stored, entered_by=voided_by)
    issued = completed(note, account, now=now, issued_by=voided_by, settles=stored)
    _reopen(stored)
    announce(
        kinds.INVOICE_VOIDED,
        project_id=account.project_id,
        data={**announced(stored), "credit_note": issued.number, "reason": issued.reason},
    )
    return issued


def _mirror(note: Invoice, invoice: Invoice, *, is_reversal: bool = False) -> None:
    """Every line with the other sign, and the totals of them."""
    lines = [mirrored(line) for line in invoice.lines.order_by("position")]
    for place, line in enumerate(lines, start=1):
        line.invoice, line.position = note, place
        if not is_reversal:
            line.reverses = None
    retotal(note, lines, [])
    InvoiceLine.objects.bulk_create(lines, batch_size=500)


def ensure_voidable(invoice: Any, *, but: Invoice | None = None) -> None:
    """That `void` would take it back as it stands, by the draft `but`. Raises what that does."""
    if invoice.is_draft:
        raise DocumentIsDraft
    if invoice.is_credit_note:
        raise Invalid("A credit note can't be voided; bill what it took back.", field="invoice")
    paid = total(invoice.payments.exclude(method=Payment.Method.CREDIT_NOTE).values_list("amount", flat=True))
    if paid:
        raise InvoiceIsPaid(invoice.number)
    _ensure_uncorrected(invoice)
    waiting = invoice.credit_notes.drafts().filter(origin=Invoice.Origin.VOID)
    if (waiting if but is None else waiting.exclude(pk=but.pk)).exists():
        raise VoidWaits(str(invoice.number))


def _ensure_uncorrected(invoice: Invoice) -> None:
    """No other issued document stands on its lines, or credits it."""
    note = invoice.credit_notes.issued().first()
    if note is not None:
        raise InvoiceCorrectedSince(str(invoice.number), later=str(note.number))
    lines = InvoiceLine.objects.select_related("invoice").filter(invoice__issued_at__isnull=False)
    later = lines.filter(reverses__invoice=invoice).first()
    if later is None:
        # Days of a fee that were given back or added reverse no line: they stand on what was billed before.
        last = invoice.lines.filter(kind__in=FEES).aggregate(last=Max("pk"))["last"]
        later = lines.filter(
            billed_period__lines__invoice=invoice,
            kind__in=FEES,
            pk__gt=last or 0,
            is_adjustment=True,
            reverses=None,
            reversal=None,
        ).first()
    if later is not None:
        raise InvoiceCorrectedSince(str(invoice.number), later=str(later.invoice))


def _reopen(invoice: Invoice) -> None:
    """What a voided invoice billed is to be billed again. What it corrected stands as it was billed before,
    and is to be looked at again."""
    rows = list(BilledPeriod.objects.filter(lines__invoice=invoice).distinct())
    PeriodCorrection.objects.filter(billed_period__in=rows, state__in=OPEN_STATES).delete()
    lines = issued_lines_of(rows)
    for row in rows:
        live = live_lines(lines[row.pk])
        row.learned_at_position = row.position if live else None
        if live:
            stands = _begun_by(live[-1])
            row.invoice, row.position = stands.invoice, stands.invoice.position
            assert stands.period_end is not None
            row.period_end = stands.period_end
        else:
            assert row.position is not None
            cancel_write_offs(
                row, position=row.position, period_end=row.period_end, reason="Billed anew after a void."
            )
            row.invoice = row.position = None
    BilledPeriod.objects.bulk_update(
        rows, ["invoice", "position", "period_end", "learned_at_position"], batch_size=500
    )


def _begun_by(line: InvoiceLine) -> InvoiceLine:
    """The line that was taken back and is back again, by however many reversals."""
    while line.reverses is not None:
        line = line.reverses
    return line
