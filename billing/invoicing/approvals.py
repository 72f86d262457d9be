"""Four eyes: what was added by hand, and credit notes, above a limit need somebody else's agreement."""

import hashlib
import json
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.errors import (
    OwnWorkNotApproved,
)
from billing.models import (
    BillingAccount,
    Invoice,
    InvoiceApproval,
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
