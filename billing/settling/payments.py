"""Payments: recorded by hand or by API, append-only; what is wrong is taken back by a row of its own."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Sum

from billing.document_news import announced
from billing.errors import DocumentIsDraft
from billing.models import CreditEntry, CreditGrant, Invoice, Payment
from billing.selling.accounts import held_account
from metering.announcing import kinds
from metering.announcing.outbox import announce
from metering.errors import Conflict, Invalid
from metering.texts.numbers import EXACT

from .credits import balance_of, ensure_positive, grant_credit, withdraw_credit

REFERENCE_LENGTH = 200
# Keys of ours: of the credit that a payment left, and of the row that takes a payment back, where credit was
# withdrawn with it. The journal makes one entry of each pair.
CREDIT_KEY = "payment:"  # and the payment's id
WITHDRAWAL_KEY = "credit-entry:"  # and the entry's id
BY_HAND = tuple(method for method in Payment.Method.values if method != Payment.Method.CREDIT_NOTE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """`is_new` is False where the key had been used for the same payment already. `to_credit`: what was paid
    beyond the open amount, and is credit of the account now."""

    payment: Payment
    is_new: bool
    to_credit: Decimal = Decimal(0)


def record_payment(
    invoice: Invoice,
    *,
    amount: Decimal,
    received_on: dt.date,
    method: str = Payment.Method.BANK_TRANSFER,
    reference: str = "",
    key: str = "",
    recorded_by: str = "",
    now: dt.datetime,
    excess_to_credit: bool = False,
) -> Recorded:
    """Record what was received for an issued invoice, in its currency.

    More than is open is refused, or with `excess_to_credit` becomes paid credit of the account. With a `key`
    the same payment again changes nothing. Raises `DocumentIsDraft`, `Invalid` that names the field,
    `TooMuch`, and `Conflict` for a key that was used for another payment or an invoice that owes nothing.
    """
    _ensure_worded(method, received_on, reference, key, now)
    with transaction.atomic():
        account = held_account(invoice.account_id)
        stored: Any = Invoice.objects.with_open_amount().get(pk=invoice.pk)
        if stored.is_draft:
            raise DocumentIsDraft
        if stored.is_credit_note:
            raise Invalid("A credit note isn't paid.", field="invoice")
        known = stored.payments.filter(key=key).first() if key else None
        if known is not None:
            return _again(known, amount, key)
        if stored.open_amount <= 0:
            raise Conflict("Nothing is owed on {number}.", number=stored.number)
        excess = max(EXACT.subtract(amount, stored.open_amount), Decimal(0))
        at_most = amount if excess_to_credit else stored.open_amount
        ensure_positive(amount, at_most=at_most, currency=stored.currency)
        payment = Payment.objects.create(
            invoice=stored,
            method=method,
            amount=EXACT.subtract(amount, excess),
            received_on=received_on,
            reference=reference.strip(),
            key=key,
            recorded_by=recorded_by,
        )
        if excess:
            grant_credit(
                account,
                amount=excess,
                kind=CreditGrant.Kind.PAID,
                key=f"{CREDIT_KEY}{payment.pk}",
                reason=f"Paid beyond {stored.number}{f': {payment.reference}' if payment.reference else '.'}",
                granted_by=recorded_by,
                now=now,
            )
        if amount >= stored.open_amount:
            announce(kinds.INVOICE_PAID, project_id=account.project_id, data=announced(stored))
    return Recorded(payment, is_new=True, to_credit=excess)


def take_back_payment(payment: Payment, *, reason: str, recorded_by: str, received_on: dt.date) -> Payment:
    """Take back a payment that was recorded by mistake or bounced, by a row of its own; what was paid beyond
    the invoice is withdrawn from the account's credit.

    Raises `Invalid` without a reason, `Conflict` for what was taken back already, for what a credit note
    settles, and where another invoice drew the credit.
    """
    if not reason.strip():
        raise Invalid("Say why.", field="reason", code="missing_field")
    with transaction.atomic():
        held_account(payment.invoice.account_id)
        stored = Payment.objects.get(pk=payment.pk)
        if stored.method == Payment.Method.CREDIT_NOTE:
            raise Conflict("A credit note settles this part; it can't be taken back.")
        if stored.reverses_id is not None or Payment.objects.filter(reverses=stored).exists():
            raise Conflict("This payment was taken back already.")
        grant = credit_from(stored)
        withdrawn = None
        if grant is not None:
            withdrawn = _take_back_credit(grant, reason=reason, entered_by=recorded_by)
        return Payment.objects.create(
            invoice_id=stored.invoice_id,
            method=stored.method,
            amount=EXACT.minus(stored.amount),
            received_on=received_on,
            reference=stored.reference,
            key="" if withdrawn is None else f"{WITHDRAWAL_KEY}{withdrawn.pk}",
            reverses=stored,
            reason=reason.strip(),
            recorded_by=recorded_by,
        )


def credit_from(payment: Payment) -> CreditGrant | None:
    """What was paid beyond the invoice, as credit of the account."""
    account_id = payment.invoice.account_id
    return CreditGrant.objects.filter(account=account_id, key=f"{CREDIT_KEY}{payment.pk}").first()


def credit_left_by(payments: Sequence[Payment]) -> dict[int, Decimal]:
    """By payment of one invoice, what was paid beyond it; those that left nothing aren't in it."""
    keys = {f"{CREDIT_KEY}{payment.pk}": payment.pk for payment in payments}
    if not keys:
        return {}
    grants = CreditGrant.objects.filter(account=payments[0].invoice.account_id, key__in=keys)
    return {keys[key]: amount for key, amount in grants.values_list("key", "amount")}


def _take_back_credit(grant: CreditGrant, *, reason: str, entered_by: str) -> CreditEntry | None:
    """Withdraw what is left, unless an invoice that stands was paid with it. Needs the account's row."""
    moved = grant.entries.filter(kind__in=(CreditEntry.Kind.DRAWN, CreditEntry.Kind.RETURNED))
    if moved.aggregate(total=Sum("amount"))["total"]:
        last = moved.filter(kind=CreditEntry.Kind.DRAWN).select_related("invoice").latest("id")
        raise Conflict(
            "What was paid beyond the invoice became credit, which {invoice} drew; void that one first.",
            invoice=last.invoice,
        )
    if balance_of(grant) <= 0:
        return None
    return withdraw_credit(grant, reason=reason, entered_by=entered_by)


def _ensure_worded(method: str, received_on: dt.date, reference: str, key: str, now: dt.datetime) -> None:
    if method not in BY_HAND:
        raise Invalid("Must be one of {known}.", known=", ".join(BY_HAND), field="method")
    if received_on > now.date() + dt.timedelta(days=1):
        raise Invalid("Lies in the future.", field="received_on")
    if key.startswith(WITHDRAWAL_KEY):
        raise Invalid("Keys that begin with {ours} are ours.", ours=WITHDRAWAL_KEY, field="key")
    for name, text in (("reference", reference), ("key", key)):
        if len(text) > REFERENCE_LENGTH:
            raise Invalid("At most {most} characters.", most=REFERENCE_LENGTH, field=name)


def _again(known: Payment, amount: Decimal, key: str) -> Recorded:
    granted = credit_from(known)
    excess = granted.amount if granted is not None else Decimal(0)
    if EXACT.add(known.amount, excess) != amount:
        raise Conflict("The key '{key}' was used for another payment.", key=key, field="key")
    return Recorded(known, is_new=False, to_credit=excess)
