"""Issuing: a draft becomes a document with a number, for ever."""

import datetime as dt
from decimal import Decimal

from django.db import transaction

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
    BillingAccount,
    Invoice,
    InvoiceLine,
    PeriodCorrection,
    Seller,
)
from billing.selling.accounts import held_account
from billing.settling.credits import draw_credit
from metering.keys import persons_of
from metering.texts.numbers import EXACT

from .approvals import approval_of, ensure_as_seen, needs_approval
from .completing import completed
from .drafting import held_draft
from .totals import total
from .voiding import carried_out

State = PeriodCorrection.State


def issue(
    invoice: Invoice,
    *,
    now: dt.datetime,
    issued_by: str,
    is_early: bool = False,
    seen: bytes | None = None,
) -> Invoice:
    """Give a draft its number; from then on neither it nor its lines change. Returns the issued document.

    `seen` is the digest of what was looked at.

    Draws credit, copies seller and customer, and lets it be sent once committed. A draft that comes to less
    than nothing is a credit note, whose amount becomes credit of the account unless it settles an invoice.
    Raises `DocumentIsIssued`, `DraftChangedSince`, `NothingToIssue`, `DraftOutdated`, `GraceNotOver` (unless
    `is_early`), `ApprovalMissing`, `SellerUnknown`, `TooMuch` where less is left to credit; then nothing has
    happened.
    """
    with transaction.atomic():
        account = held_account(invoice.account_id)
        stored = held_draft(invoice.pk)
        ensure_as_seen(stored, seen)
        ensure_issuable(stored, account, now=now, issued_by=issued_by, is_early=is_early)
        if stored.origin == Invoice.Origin.VOID:
            return carried_out(stored, now=now, voided_by=issued_by)
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
        if approval is None or (not invoice.edited_by and _is_same(approval.approved_by, issued_by)):
            raise ApprovalMissing(limit=account.approval_above or Decimal(0), currency=account.currency)
    if invoice.credits is not None:
        _ensure_creditable(invoice, invoice.credits)
    seller = Seller.objects.filter(pk=1).first()
    if seller is None or not seller.legal_name:
        raise SellerUnknown


def _is_same(one: str, other: str) -> bool:
    """Whether one person stands behind both names."""
    return bool(persons_of([one]) & persons_of([other]))


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
