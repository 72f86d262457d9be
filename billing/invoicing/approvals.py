"""Four eyes: what was added by hand, and credit notes, above a limit need somebody else's agreement."""

import hashlib
import json
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Prefetch

from billing.errors import OwnWorkNotApproved
from billing.models import (
    BillingAccount,
    Invoice,
    InvoiceApproval,
    InvoiceDiscount,
    InvoiceLine,
    PeriodCorrection,
)
from billing.selling.accounts import held_account
from metering.texts.numbers import EXACT

from .drafting import held_draft
from .totals import total

State = PeriodCorrection.State


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


def approved_as_they_are(invoice_ids: Collection[int]) -> set[int]:
    """Those of some drafts that have an approval of exactly what is on them now. Four statements at most."""
    if not invoice_ids:
        return set()
    lines, discounts = InvoiceLine.objects.order_by("position"), InvoiceDiscount.objects.order_by("position")
    drafts = Invoice.objects.filter(pk__in=invoice_ids).prefetch_related(
        Prefetch("lines", lines), Prefetch("discounts", discounts), "approvals"
    )
    return {
        draft.pk
        for draft in drafts
        if any(
            bytes(approval.content_digest) == _digest(draft, draft.lines.all(), draft.discounts.all())
            for approval in draft.approvals.all()
        )
    }


def content_digest(invoice: Invoice) -> bytes:
    """Of everything that somebody agrees to: the lines, the discounts, the total."""
    return _digest(invoice, invoice.lines.order_by("position"), invoice.discounts.order_by("position"))


def _digest(invoice: Invoice, lines: Iterable[InvoiceLine], discounts: Iterable[InvoiceDiscount]) -> bytes:
    content = [
        invoice.kind,
        _plain(invoice.total),
        [
            [line.kind, line.name, _plain(line.amount), _plain(line.discount_amount), line.taxes]
            for line in lines
        ],
        [
            [
                _plain(value)
                for value in (discount.name, discount.percent, discount.fixed_amount, discount.amount)
            ]
            for discount in discounts
        ],
        invoice.reason,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


def _plain(value: Any) -> Any:
    return format(value.normalize(EXACT), "f") if isinstance(value, Decimal) else value
