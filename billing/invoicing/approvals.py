"""Four eyes: what was added by hand, and credit notes, above a limit need somebody else's agreement."""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Prefetch

from billing.errors import DraftChangedSince, OwnWorkNotApproved
from billing.models import (
    BillingAccount,
    Invoice,
    InvoiceApproval,
    InvoiceDiscount,
    InvoiceLine,
    PeriodCorrection,
)
from billing.selling.accounts import held_account
from metering.keys import persons_of
from metering.texts.numbers import EXACT

from .drafting import held_draft
from .parties import customer_copy
from .totals import total

State = PeriodCorrection.State


def approve(
    invoice: Invoice, *, approved_by: str, note: str = "", seen: bytes | None = None
) -> InvoiceApproval:
    """Agree to a draft with exactly what is on it now; `seen` is the digest of what was looked at.

    Raises `DocumentIsIssued`, `DraftChangedSince`, and `OwnWorkNotApproved` for whoever edited it last or
    added what is on it."""
    with transaction.atomic():
        held_account(invoice.account_id)
        stored = held_draft(invoice.pk)
        ensure_as_seen(stored, seen)
        if is_work_of(approved_by, stored):
            raise OwnWorkNotApproved
        return InvoiceApproval.objects.create(
            invoice=stored,
            content_digest=content_digest(stored),
            approved_by=approved_by,
            note=note.strip(),
        )


def ensure_as_seen(draft: Invoice, seen: bytes | None) -> None:
    """That the draft, whose row is held so that nothing comes between, is still what somebody looked at.
    Raises `DraftChangedSince`."""
    if seen is not None and content_digest(draft) != seen:
        raise DraftChangedSince


def digest_from(text: str) -> bytes:
    """A digest as it is shown. Raises `DraftChangedSince` for what none is written like."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DraftChangedSince from None


def is_work_of(name: str, invoice: Invoice) -> bool:
    """Whether this person, or the one who made this key, edited it last or added what is on it."""
    return bool(persons_of([name]) & persons_of(editors_of(invoice)))


def editors_of(invoice: Invoice) -> set[str]:
    """Who edited it last, and who added what is on it."""
    lines = invoice.lines.exclude(added_by="").values_list("added_by", flat=True)
    return {invoice.edited_by, *lines, *invoice.discounts.values_list("added_by", flat=True)}


def needs_approval(invoice: Invoice, account: BillingAccount) -> bool:
    """Whether a second person has to agree: a credit note, or what was added by hand, above the limit."""
    if account.approval_above is None:
        return False
    if invoice.is_credit_note:
        return exceeds_limit(invoice.total, account)
    lines = invoice.lines.filter(kind=InvoiceLine.Kind.MANUAL).values_list("amount", flat=True)
    discounts = invoice.discounts.values_list("amount", flat=True)
    return exceeds_limit(total(abs(amount) for amount in (*lines, *discounts)), account)


def exceeds_limit(amount: Decimal, account: BillingAccount) -> bool:
    """Whether it takes a second person to take back, or to add, so much."""
    return account.approval_above is not None and abs(amount) > account.approval_above


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
    drafts = (
        Invoice.objects.filter(pk__in=invoice_ids)
        .select_related("account__project")
        .prefetch_related(Prefetch("lines", lines), Prefetch("discounts", discounts), "approvals")
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
    """Of everything that somebody agrees to: what the document shows of its customer, its lines and
    discounts, its totals and texts."""
    return _digest(invoice, invoice.lines.order_by("position"), invoice.discounts.order_by("position"))


def _digest(invoice: Invoice, lines: Iterable[InvoiceLine], discounts: Iterable[InvoiceDiscount]) -> bytes:
    content = [
        invoice.kind,
        invoice.currency,
        _plain(invoice.total),
        customer_copy(invoice.account),
        [[_plain(getattr(line, name)) for name in _SHOWN_OF_LINES] for line in lines],
        [
            [
                _plain(value)
                for value in (discount.name, discount.percent, discount.fixed_amount, discount.amount)
            ]
            for discount in discounts
        ],
        invoice.reason,
        invoice.notes,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


# What documents print of their lines, and what colleagues read of them.
_SHOWN_OF_LINES = (
    "kind",
    "name",
    "plan_name",
    "metric_key",
    "unit",
    "project_key",
    "group",
    "quantity",
    "rated_quantity",
    "period_start",
    "period_end",
    "service_start_on",
    "service_end_on",
    "day_count",
    "full_day_count",
    "price",
    "share",
    "detail",
    "amount",
    "discount_amount",
    "taxes",
    "tax_amount",
    "reason",
)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(EXACT), "f")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return value.isoformat() if isinstance(value, dt.date) else value
