"""Issuing: a draft becomes a document with a number, for ever.

Order inside the transaction: the account's row, the draft, everything else, and last the row of the series,
whose number is taken in the same breath: it is held for an instant only, and no number is lost.
"""

import datetime as dt
from decimal import Decimal

from django.db import transaction

from billing.document_news import announced
from billing.errors import (
    ApprovalMissing,
    DraftOutdated,
    GraceNotOver,
    NothingToIssue,
    SellerUnknown,
    TooMuch,
    money,
)
from billing.models import (
    BilledPeriod,
    BillingAccount,
    CreditGrant,
    Invoice,
    InvoiceDispatch,
    InvoiceLine,
    Payment,
    PeriodCorrection,
    Seller,
)
from billing.selling.accounts import held_account
from billing.settling.credits import draw_credit, grant_credit
from metering.announcing import kinds
from metering.announcing.outbox import announce
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT

from .approvals import approval_of, needs_approval
from .drafting import held_draft
from .number_series import take_number
from .parties import customer_copy, seller_copy
from .totals import total

State = PeriodCorrection.State


def issue(invoice: Invoice, *, now: dt.datetime, issued_by: str, is_early: bool = False) -> Invoice:
    """Give a draft its number; from then on neither it nor its lines change. Returns the issued document.

    Draws credit, copies seller and customer, and lets it be sent once committed. A draft that comes to less
    than nothing is a credit note, whose amount becomes credit of the account unless it settles an invoice.
    Raises `DocumentIsIssued`, `NothingToIssue`, `DraftOutdated`, `GraceNotOver` (unless `is_early`),
    `ApprovalMissing`, `SellerUnknown`, `TooMuch` where less is left to credit; then nothing has happened.
    """
    with transaction.atomic():
        account = held_account(invoice.account_id)
        stored = held_draft(invoice.pk)
        ensure_issuable(stored, account, now=now, issued_by=issued_by, is_early=is_early)
        if stored.origin == Invoice.Origin.RUN:  # documents by hand bill no periods
            account = held_account(invoice.account_id, is_changing=True)
        if stored.kind == Invoice.Kind.INVOICE:
            stored.credit_drawn = total(
                draw.amount for draw in draw_credit(stored, up_to=max(stored.total, Decimal(0)), at=now)
            )
            stored.amount_due = EXACT.subtract(stored.total, stored.credit_drawn)
        return completed(stored, account, now=now, issued_by=issued_by)


def grace_until(invoice: Invoice, account: BillingAccount) -> dt.datetime | None:
    """When late usage of the periods on a draft has had its days of grace; None where it bills no usage."""
    usage = invoice.lines.filter(kind=InvoiceLine.Kind.USAGE, is_adjustment=False)
    ends = usage.order_by("-period_end").values_list("period_end", flat=True).first()
    return None if ends is None else ends + dt.timedelta(days=account.issue_grace_days)


def ensure_issuable(
    invoice: Invoice, account: BillingAccount, *, now: dt.datetime, issued_by: str, is_early: bool = False
) -> None:
    """Refuse what can't be issued as it is now, as `issue` does; nothing is held, so `issue` asks again."""
    if not invoice.lines.exists():
        raise NothingToIssue
    if invoice.origin == Invoice.Origin.RUN and invoice.account_revision != account.revision:
        raise DraftOutdated
    until = grace_until(invoice, account)
    if until is not None and until > now and not is_early:
        raise GraceNotOver(until=until)
    if needs_approval(invoice, account):
        approval = approval_of(invoice)
        if approval is None or (not invoice.edited_by and approval.approved_by == issued_by):
            raise ApprovalMissing(limit=account.approval_above or Decimal(0), currency=account.currency)
    if invoice.credits is not None:
        _ensure_creditable(invoice, invoice.credits)
    seller = Seller.objects.filter(pk=1).first()
    if seller is None or not seller.legal_name:
        raise SellerUnknown


def _ensure_creditable(note: Invoice, invoice: Invoice) -> None:
    """The invoice wasn't voided, or credited otherwise, since the credit note was begun."""
    credited = total(invoice.credit_notes.issued().values_list("total", flat=True))
    left = EXACT.add(invoice.total, credited)
    if EXACT.add(left, note.total) < 0:
        raise TooMuch(
            "At most {amount}, tax included, is left to credit of {number}.",
            amount=money(left, invoice.currency),
            number=invoice.number,
        )


def completed(
    invoice: Invoice,
    account: BillingAccount,
    *,
    now: dt.datetime,
    issued_by: str,
    settles: Invoice | None = None,
) -> Invoice:
    """The last steps; the number comes at the very end."""
    _book(invoice)
    InvoiceDispatch.objects.create(
        invoice=invoice,
        state=InvoiceDispatch.State.DUE if account.invoice_emails else InvoiceDispatch.State.NO_ADDRESS,
    )
    day = _day(now, account)
    invoice.seller, invoice.customer = seller_copy(Seller.objects.get(pk=1)), customer_copy(account)
    invoice.issued_at, invoice.issued_by, invoice.issued_on = now, issued_by, day
    is_invoice = invoice.kind == Invoice.Kind.INVOICE
    invoice.due_on = day + dt.timedelta(days=account.payment_terms_days) if is_invoice else day
    target = settles or invoice.credits
    if not is_invoice:
        _settle_credit_note(invoice, account, target, now=now, issued_by=issued_by)
    invoice.series_id, invoice.sequence, invoice.number = take_number(invoice.kind)
    invoice.save()
    kind = kinds.INVOICE_ISSUED if is_invoice else kinds.CREDIT_NOTE_ISSUED
    announce(kind, project_id=account.project_id, data=announced(invoice))
    return invoice


def _day(now: dt.datetime, account: BillingAccount) -> dt.date:
    return now.astimezone(zone_named(account.timezone)).date()


def _book(invoice: Invoice) -> None:
    """The periods that the document bills are settled by it."""
    position = invoice.position
    if position is None:
        return
    booked = invoice.lines.filter(billed_period__isnull=False, reverses=None)
    ends: dict[int, dt.datetime] = {}
    for period_id, end in booked.order_by("position").values_list("billed_period_id", "period_end"):
        assert period_id is not None
        assert end is not None
        ends[period_id] = end
    drafted = PeriodCorrection.objects.filter(invoice=invoice, state=State.DRAFTED)
    corrections = list(drafted.select_related("billed_period"))
    ends |= {correction.billed_period_id: correction.period_end for correction in corrections}
    rows = list(BilledPeriod.objects.filter(pk__in=ends))
    for row in rows:
        row.period_end, row.position, row.invoice = ends[row.pk], position, invoice
        if row.learned_at_position is not None and row.learned_at_position <= position:
            row.learned_at_position = None
    BilledPeriod.objects.bulk_update(
        rows, ["period_end", "position", "invoice", "learned_at_position"], batch_size=500
    )
    for correction in corrections:
        cancel_write_offs(
            correction.billed_period,
            position=correction.position,
            period_end=correction.period_end,
            reason="Billed with a later correction.",
        )
        correction.state = State.BOOKED
        correction.save(update_fields=["state"])


def cancel_write_offs(period: BilledPeriod, *, position: int, period_end: dt.datetime, reason: str) -> None:
    """What was written off of the period is billed now with the rest."""
    written_off = total(
        PeriodCorrection.objects.filter(billed_period=period, state=State.WRITTEN_OFF).values_list(
            "difference", flat=True
        )
    )
    if written_off:
        PeriodCorrection.objects.create(
            billed_period=period,
            account_id=period.account_id,
            position=position,
            period_end=period_end,
            billed_amount=written_off,
            rated_amount=0,
            difference=EXACT.minus(written_off),
            state=State.WRITTEN_OFF,
            reason=reason,
        )


def _settle_credit_note(
    note: Invoice, account: BillingAccount, credited: Invoice | None, *, now: dt.datetime, issued_by: str
) -> None:
    """A credit note settles the invoice that it credits; what is left of it becomes credit of the account."""
    left = EXACT.minus(note.total)
    if credited is not None and left > 0:
        open_amount = Invoice.objects.with_open_amount().get(pk=credited.pk).open_amount  # type: ignore[attr-defined]
        part = min(left, max(open_amount, Decimal(0)))
        if part > 0:
            Payment.objects.create(
                invoice=credited,
                method=Payment.Method.CREDIT_NOTE,
                amount=part,
                received_on=_day(now, account),
                credit_note=note,
                recorded_by=issued_by,
            )
            left = EXACT.subtract(left, part)
        if note.origin == Invoice.Origin.VOID:
            return  # the rest was paid by credit, which is given back
    if left > 0:
        grant_credit(
            account,
            amount=left,
            kind=CreditGrant.Kind.CREDIT_NOTE,
            priority=0,
            key=f"credit-note:{note.pk}",
            granted_by=issued_by,
            now=now,
            credit_note=note,
        )
