"""Issuing: a draft becomes a document with a number, for ever. And taking it back: by a credit note.

Order inside the transaction: the account's row, the draft, everything else, and last the row of the series,
whose number is taken in the same breath: it is held for an instant only, and no number is lost.
"""

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Max

from billing.document_news import announced
from billing.errors import (
    ApprovalMissing,
    DocumentIsDraft,
    DraftOutdated,
    GraceNotOver,
    InvoiceCorrectedSince,
    InvoiceIsPaid,
    NothingToIssue,
    OwnWorkNotApproved,
    SellerUnknown,
    TooMuch,
)
from billing.models import (
    BilledPeriod,
    BillingAccount,
    CreditGrant,
    Invoice,
    InvoiceApproval,
    InvoiceDispatch,
    InvoiceLine,
    NumberSeries,
    Payment,
    PeriodCorrection,
    Seller,
)
from billing.money import amount_text
from billing.selling.accounts import held_account
from billing.settling.credits import draw_credit, grant_credit, return_credit
from metering.announcing import kinds
from metering.announcing.outbox import announce
from metering.errors import Invalid
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT

from .charges import mirrored
from .draft_lines import FEES, OPEN_STATES
from .drafting import clear_draft_of, held_draft
from .due import issued_lines_of, live_lines
from .number_series import PREFIXES
from .retotalling import retotal
from .totals import total

State = PeriodCorrection.State
_NEXT_NUMBER = """
    UPDATE billing_numberseries SET last_number = last_number + 1 WHERE kind = %s
    RETURNING id, prefix, digits, last_number
"""


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
        return _issued(stored, account, now=now, issued_by=issued_by)


def void(invoice: Invoice, *, now: dt.datetime, reason: str, voided_by: str) -> Invoice:
    """Take an issued invoice back in full: returns the credit note, with a number of its own.

    Its periods are to be billed again, credit that it drew is given back. Raises `DocumentIsDraft`,
    `InvoiceIsPaid` while payments are allocated, `InvoiceCorrectedSince` where a later document corrects or
    credits it, and `Invalid` without a reason or for a credit note.
    """
    if not reason.strip():
        raise Invalid("Say why; the customer reads it.", field="reason", code="missing_field")
    with transaction.atomic():
        account = held_account(invoice.account_id, is_changing=True)
        stored = Invoice.objects.with_open_amount().get(pk=invoice.pk)
        _ensure_voidable(stored)
        clear_draft_of(account)
        _ensure_uncorrected(stored)
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
        )
        lines = [mirrored(line) for line in stored.lines.order_by("position")]
        for place, line in enumerate(lines, start=1):
            line.invoice, line.position = note, place
        retotal(note, lines, [])
        InvoiceLine.objects.bulk_create(lines, batch_size=500)
        return_credit(stored, entered_by=voided_by)
        issued = _issued(note, account, now=now, issued_by=voided_by, settles=stored)
        _reopen(stored)
        announce(
            kinds.INVOICE_VOIDED,
            project_id=account.project_id,
            data={**announced(stored), "credit_note": issued.number, "reason": issued.reason},
        )
    return issued


def approve(invoice: Invoice, *, approved_by: str, note: str = "") -> InvoiceApproval:
    """Agree to a draft with exactly what is on it now.

    Raises `DocumentIsIssued`, and `OwnWorkNotApproved` for whoever edited it last or added what is on it."""
    with transaction.atomic():
        held_account(invoice.account_id)
        stored = held_draft(invoice.pk)
        if approved_by and approved_by in editors_of(stored):
            raise OwnWorkNotApproved
        return InvoiceApproval.objects.create(
            invoice=stored,
            content_digest=content_digest(stored),
            approved_by=approved_by,
            note=note.strip(),
        )


def editors_of(invoice: Invoice) -> set[str]:
    """Who edited it last, and who added what is on it."""
    lines = invoice.lines.exclude(added_by="").values_list("added_by", flat=True)
    return {invoice.edited_by, *lines, *invoice.discounts.values_list("added_by", flat=True)}


def needs_approval(invoice: Invoice, account: BillingAccount) -> bool:
    """Whether a second person has to agree: a credit note, or what was added by hand, above the limit."""
    limit = account.approval_above
    if limit is None:
        return False
    if invoice.is_credit_note:
        return abs(invoice.total) > limit
    lines = invoice.lines.filter(kind=InvoiceLine.Kind.MANUAL).values_list("amount", flat=True)
    discounts = invoice.discounts.values_list("amount", flat=True)
    return total(abs(amount) for amount in (*lines, *discounts)) > limit


def approval_of(invoice: Invoice) -> InvoiceApproval | None:
    """The approval of the draft as it is now."""
    digest = content_digest(invoice)
    for approval in invoice.approvals.order_by("-id"):
        if bytes(approval.content_digest) == digest:
            return approval
    return None


def content_digest(invoice: Invoice) -> bytes:
    """Of everything that somebody agrees to: the lines, the discounts, the total."""
    lines = invoice.lines.order_by("position").values_list(
        "kind", "name", "amount", "discount_amount", "taxes"
    )
    discounts = invoice.discounts.order_by("position").values_list(
        "name", "percent", "fixed_amount", "amount"
    )
    content = [
        invoice.kind,
        _plain(invoice.total),
        [[kind, name, _plain(amount), _plain(cut), taxes] for kind, name, amount, cut, taxes in lines],
        [[_plain(value) for value in discount] for discount in discounts],
        invoice.reason,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


def _plain(value: Any) -> Any:
    return format(value.normalize(EXACT), "f") if isinstance(value, Decimal) else value


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
            raise ApprovalMissing(
                f"{amount_text(account.approval_above or Decimal(0), account.currency)} {account.currency}"
            )
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
        text = amount_text(left, invoice.currency)
        raise TooMuch(
            f"At most {text} {invoice.currency}, tax included, is left to credit of {invoice.number}."
        )


def _issued(
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
    invoice.seller, invoice.customer = seller_copy(), customer_copy(account)
    invoice.issued_at, invoice.issued_by, invoice.issued_on = now, issued_by, day
    is_invoice = invoice.kind == Invoice.Kind.INVOICE
    invoice.due_on = day + dt.timedelta(days=account.payment_terms_days) if is_invoice else day
    target = settles or invoice.credits
    if not is_invoice:
        _settle_credit_note(invoice, account, target, now=now, issued_by=issued_by)
    invoice.series_id, invoice.sequence, invoice.number = _next_number(invoice.kind)
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
        _cancel_write_offs(
            correction.billed_period,
            position=correction.position,
            period_end=correction.period_end,
            reason="Billed with a later correction.",
        )
        correction.state = State.BOOKED
        correction.save(update_fields=["state"])


def _cancel_write_offs(period: BilledPeriod, *, position: int, period_end: dt.datetime, reason: str) -> None:
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


def _ensure_voidable(invoice: Any) -> None:
    if invoice.is_draft:
        raise DocumentIsDraft
    if invoice.is_credit_note:
        raise Invalid("A credit note can't be voided; bill what it took back.", field="invoice")
    paid = total(invoice.payments.exclude(method=Payment.Method.CREDIT_NOTE).values_list("amount", flat=True))
    if paid:
        raise InvoiceIsPaid(invoice.number)


def _ensure_uncorrected(invoice: Invoice) -> None:
    """No other document stands on its lines, or credits it."""
    note = invoice.credit_notes.issued().first()
    if note is not None:
        raise InvoiceCorrectedSince(str(invoice.number), later=str(note.number))
    lines = InvoiceLine.objects.select_related("invoice")
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
            _cancel_write_offs(
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


def _next_number(kind: str) -> tuple[int, int, str]:
    """The series, the number in it and its text."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_NUMBER, [kind])
        row = cursor.fetchone()
        if row is None:
            try:
                with transaction.atomic():
                    NumberSeries.objects.create(kind=kind, prefix=PREFIXES[NumberSeries.Kind(kind)])
            except IntegrityError:
                pass  # a rival made it
            cursor.execute(_NEXT_NUMBER, [kind])
            row = cursor.fetchone()
    series_id, prefix, digits, number = row
    return series_id, number, NumberSeries(prefix=prefix, digits=digits).text_of(number)


def seller_copy() -> dict[str, Any]:
    """The seller as documents show it."""
    seller = Seller.objects.get(pk=1)
    return {
        name: getattr(seller, name)
        for name in (
            "legal_name",
            "address_lines",
            "country",
            "tax_id",
            "email",
            "payment_details",
            "footer",
        )
    }


def customer_copy(account: BillingAccount) -> dict[str, Any]:
    """The customer as documents show it."""
    return {
        "legal_name": account.legal_name,
        "address_lines": list(account.address_lines),
        "country": account.country,
        "tax_id": account.tax_id,
        "timezone": account.timezone,
        "payment_terms_days": account.payment_terms_days,
        "project_key": account.project.key,
        "project_name": account.project.name,
    }
