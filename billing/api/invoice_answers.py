"""Invoices and credit notes with all that is on them, as the API writes them."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from billing.invoicing.approvals import content_digest
from billing.invoicing.standing import status_of
from billing.models import CreditEntry, Invoice, InvoiceApproval, InvoiceDiscount, InvoiceLine, Payment
from billing.money import amount_text
from billing.settling.payments import Recorded
from metering.texts.numbers import EXACT, plain
from metering.texts.timestamps import iso

AmountText = Callable[[Decimal], str]


def summary(invoice: Invoice, *, on: dt.date) -> dict[str, Any]:
    """A document without what is on it. Needs it loaded as `visible_documents` does."""
    loaded: Any = invoice
    text = amounts_in(invoice.currency)
    return {
        "id": invoice.pk,
        "kind": invoice.kind,
        "number": invoice.number,
        "status": status_of(invoice, on=on),
        "account": invoice.account_id,
        "project": invoice.account.project.key,
        "customer": invoice.customer.get("legal_name") or invoice.account.legal_name,
        "currency": invoice.currency,
        "origin": invoice.origin,
        "credits": invoice.credits_id,
        "period_start": iso_or_none(invoice.period_start),
        "period_end": iso_or_none(invoice.period_end),
        "issued_on": _day(invoice.issued_on),
        "due_on": _day(invoice.due_on),
        "subtotal": text(invoice.subtotal),
        "discount_total": text(invoice.discount_total),
        "tax_total": text(invoice.tax_total),
        "total": text(invoice.total),
        "credit_drawn": text(invoice.credit_drawn),
        "amount_due": text(invoice.amount_due),
        "paid_amount": text(loaded.paid_amount),
        "open_amount": text(_open_amount(loaded)),
        "created_at": iso(invoice.created_at),
        "issued_at": iso_or_none(invoice.issued_at),
    }


def without_remarks(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the customer may read it: without what colleagues wrote for each other."""
    lines = [{**line, "reason": "", "added_by": ""} for line in document["lines"]]
    discounts = [{**discount, "reason": "", "added_by": ""} for discount in document["discounts"]]
    payments = [{**payment, "reason": "", "recorded_by": ""} for payment in document["payments"]]
    return {**document, "lines": lines, "discounts": discounts, "payments": payments, "approvals": []}


def shown(invoice: Invoice, *, on: dt.date) -> dict[str, Any]:
    """A document with everything. Needs it loaded as `visible_document` does."""
    text = amounts_in(invoice.currency)
    return {
        **summary(invoice, on=on),
        "as_of": iso_or_none(invoice.as_of),
        "position": invoice.position,
        "computed_at": iso_or_none(invoice.computed_at),
        "edited_by": invoice.edited_by,
        "issued_by": invoice.issued_by,
        "reason": invoice.reason,
        "notes": invoice.notes,
        "lines": [shown_line(line, text) for line in invoice.lines.all()],
        "discounts": [shown_discount(discount, text) for discount in invoice.discounts.all()],
        "taxes": invoice.taxes,
        "payments": [shown_payment(payment, text) for payment in invoice.payments.all()],
        "credit_draws": [_shown_movement(entry, text) for entry in invoice.credit_entries.all()],
        "digest": content_digest(invoice).hex() if invoice.is_draft else None,
        "approvals": [shown_approval(approval) for approval in invoice.approvals.all()],
        "credit_notes": sorted(note.pk for note in invoice.credit_notes.all()),
    }


def amounts_in(currency: str) -> AmountText:
    """Amounts of one currency as texts."""
    return lambda amount: amount_text(amount, currency)


def shown_line(line: InvoiceLine, text: AmountText) -> dict[str, Any]:
    return {
        "id": line.pk,
        "kind": line.kind,
        "is_correction": line.is_adjustment,
        "reverses": line.reverses_id,
        "name": line.name,
        "plan": line.plan_name,
        "metric": line.metric_key or None,
        "unit": line.unit,
        "project": line.project_key or None,
        "labels": line.group,
        "period_start": iso_or_none(line.period_start),
        "period_end": iso_or_none(line.period_end),
        "first_day": _day(line.service_start_on),
        "end_day": _day(line.service_end_on),
        "days": line.day_count,
        "of_days": line.full_day_count,
        "quantity": _plain_or_none(line.quantity),
        "amount": text(line.amount),
        "discount_amount": text(line.discount_amount),
        "taxes": line.taxes,
        "tax_amount": text(line.tax_amount),
        "rated_quantity": _plain_or_none(line.rated_quantity),
        "rated_amount": None if line.rated_amount is None else text(line.rated_amount),
        "price": line.price,
        "share": line.share or None,
        "detail": line.detail,
        "evidence": _evidence(line),
        "reason": line.reason,
        "added_by": line.added_by,
    }


def shown_discount(discount: InvoiceDiscount, text: AmountText) -> dict[str, Any]:
    return {
        "id": discount.pk,
        "name": discount.name,
        "percent": _plain_or_none(discount.percent),
        "fixed_amount": None if discount.fixed_amount is None else text(discount.fixed_amount),
        "amount": text(discount.amount),
        "reason": discount.reason,
        "added_by": discount.added_by,
    }


def shown_payment(payment: Payment, text: AmountText) -> dict[str, Any]:
    return {
        "id": payment.pk,
        "method": payment.method,
        "amount": text(payment.amount),
        "received_on": payment.received_on.isoformat(),
        "reference": payment.reference,
        "key": payment.key or None,
        "credit_note": payment.credit_note.number if payment.credit_note else None,
        "reverses": payment.reverses_id,
        "reason": payment.reason,
        "recorded_by": payment.recorded_by,
        "recorded_at": iso(payment.recorded_at),
    }


def shown_recorded(recorded: Recorded, *, currency: str) -> dict[str, Any]:
    text = amounts_in(currency)
    return {**shown_payment(recorded.payment, text), "to_credit": text(recorded.to_credit)}


def shown_approval(approval: InvoiceApproval) -> dict[str, Any]:
    return {
        "approved_by": approval.approved_by,
        "approved_at": iso(approval.approved_at),
        "note": approval.note,
    }


def iso_or_none(instant: dt.datetime | None) -> str | None:
    return None if instant is None else iso(instant)


def _open_amount(loaded: Any) -> Decimal:
    """What is owed; nothing is on drafts and credit notes."""
    if loaded.is_draft or loaded.is_credit_note:
        return Decimal(0)
    open_amount: Decimal = loaded.open_amount
    return open_amount


def _shown_movement(entry: CreditEntry, text: AmountText) -> dict[str, Any]:
    return {
        "grant": entry.grant_id,
        "name": entry.grant.name,
        "kind": entry.kind,
        "amount": text(EXACT.minus(entry.amount)),
    }


def _evidence(line: InvoiceLine) -> dict[str, Any] | None:
    if line.evidence is None or line.event_digest is None:
        return None
    return {
        "event_count": line.event_count,
        "digest": bytes(line.event_digest).hex(),
        "position": line.evidence["position"],
        "match": line.evidence["match"],
    }


def _plain_or_none(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _day(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()
