"""Prepaid credit: granting it, drawing it for invoices, giving it back, letting it expire.

The only writers of grants and entries, which are append-only. A balance is the sum of entries. Each verb
holds the account's row, so that no credit is drawn twice.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from billing.errors import TooMuch, money
from billing.models import BillingAccount, CreditEntry, CreditGrant, Invoice
from billing.money import rounded
from billing.selling.accounts import held_account
from metering.errors import Conflict, Invalid
from metering.house_language import in_house_language
from metering.texts.numbers import EXACT

ZERO = Decimal(0)
DEFAULT_PRIORITY = 100
MAX_PRIORITY = 999
KEY_LENGTH = 200

Kind = CreditEntry.Kind


@dataclass(frozen=True, slots=True)
class Granted:
    """`is_new` is False where the key had been used for the same grant already."""

    grant: CreditGrant
    is_new: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """What a grant pays of an invoice."""

    grant: CreditGrant
    amount: Decimal


def grant_credit(
    account: BillingAccount,
    *,
    amount: Decimal,
    kind: str,
    name: str = "",
    priority: int = DEFAULT_PRIORITY,
    expires_at: dt.datetime | None = None,
    key: str = "",
    reason: str = "",
    granted_by: str = "",
    now: dt.datetime,
    credit_note: Invoice | None = None,
) -> Granted:
    """Give an account credit to pay invoices with, in its currency.

    With a `key`, the same grant again changes nothing and is answered with the first one. Raises `Invalid`
    that names the field, `Conflict` for a key that was used for another grant.
    """
    if len(key) > KEY_LENGTH:
        raise Invalid("At most {most} characters.", most=KEY_LENGTH, field="key")
    with transaction.atomic():
        held = held_account(account.pk)
        ensure_grantable(held, amount=amount, kind=kind, priority=priority, expires_at=expires_at, now=now)
        known = held.credit_grants.filter(key=key).first() if key else None
        if known is not None:
            if (known.amount, known.kind, known.expires_at) != (amount, kind, expires_at):
                raise Conflict("The key '{key}' was used for another grant.", key=key, field="key")
            return Granted(known, is_new=False)
        grant = CreditGrant.objects.create(
            account=held,
            kind=kind,
            name=name.strip() or _named_by_kind(kind),
            amount=amount,
            currency=held.currency,
            priority=priority,
            expires_at=expires_at,
            key=key,
            credit_note=credit_note,
            reason=reason,
            granted_by=granted_by,
        )
        CreditEntry.objects.create(
            grant=grant, account=held, kind=Kind.GRANTED, amount=amount, entered_by=granted_by
        )
        return Granted(grant, is_new=True)


def ensure_grantable(
    account: BillingAccount,
    *,
    amount: Decimal,
    kind: str,
    priority: int = DEFAULT_PRIORITY,
    expires_at: dt.datetime | None = None,
    now: dt.datetime,
) -> None:
    """Refuse what can't be granted, as `grant_credit` does; nothing is held, so that asks again."""
    if kind not in CreditGrant.Kind.values:
        raise Invalid("Must be one of {known}.", known=", ".join(CreditGrant.Kind.values), field="kind")
    if not 0 <= priority <= MAX_PRIORITY:
        raise Invalid("Must be from 0 to {most}.", most=MAX_PRIORITY, field="priority")
    ensure_amount(amount, currency=account.currency)
    if expires_at is not None and expires_at <= now:
        raise Invalid("Lies in the past.", field="expires_at")


def _named_by_kind(kind: str) -> str:
    """What the customer reads of credit that nobody gave a name."""
    with in_house_language():
        return str(CreditGrant.Kind(kind).label)


def withdraw_credit(grant: CreditGrant, *, reason: str, entered_by: str) -> CreditEntry:
    """Take back what is left of a grant; returns the entry that does.

    Raises `Invalid` without a reason, `Conflict` where nothing is left.
    """
    if not reason.strip():
        raise Invalid("Say why.", field="reason", code="missing_field")
    with transaction.atomic():
        held = held_account(grant.account_id)
        left = balance_of(grant)
        if left <= 0:
            raise Conflict("Nothing is left of this credit.")
        return CreditEntry.objects.create(
            grant=grant,
            account=held,
            kind=Kind.WITHDRAWN,
            amount=EXACT.minus(left),
            reason=reason.strip(),
            entered_by=entered_by,
        )


def draw_credit(invoice: Invoice, *, up_to: Decimal, at: dt.datetime) -> list[Draw]:
    """Pay up to an amount of an invoice with the account's credit: by priority, expiry, age. Needs the
    account's row. Returns what was drawn of which grant."""
    draws = list(draws_for(invoice.account_id, up_to=up_to, at=at))
    CreditEntry.objects.bulk_create(
        CreditEntry(
            grant=draw.grant,
            account_id=invoice.account_id,
            kind=Kind.DRAWN,
            amount=EXACT.minus(draw.amount),
            invoice=invoice,
        )
        for draw in draws
    )
    return draws


def draws_for(account_id: int, *, up_to: Decimal, at: dt.datetime) -> list[Draw]:
    """What would be drawn of which grant, in order."""
    draws, wanted = [], up_to
    for grant in usable_grants(account_id, at=at):
        if wanted <= 0:
            break
        part = min(grant.balance, wanted)  # type: ignore[attr-defined]
        draws.append(Draw(grant, part))
        wanted = EXACT.subtract(wanted, part)
    return draws


def return_credit(invoice: Invoice, *, entered_by: str) -> Decimal:
    """Give back what an invoice drew, to the grants it came from. Needs the account's row."""
    returned = ZERO
    for entry in CreditEntry.objects.filter(invoice=invoice, kind=Kind.DRAWN).select_related("grant"):
        amount = EXACT.minus(entry.amount)
        CreditEntry.objects.create(
            grant=entry.grant,
            account_id=invoice.account_id,
            kind=Kind.RETURNED,
            amount=amount,
            invoice=invoice,
            entered_by=entered_by,
        )
        returned = EXACT.add(returned, amount)
    return returned


def expire_credits(*, now: dt.datetime) -> int:
    """Enter what is left of grants that have expired; returns how many. May be repeated at any time."""
    count = 0
    for grant in with_balance(CreditGrant.objects.filter(expires_at__lte=now)).filter(  # type: ignore[misc]
        balance__gt=0
    ):
        with transaction.atomic():
            held_account(grant.account_id)
            left = balance_of(grant)
            if left > 0:
                CreditEntry.objects.create(
                    grant=grant, account_id=grant.account_id, kind=Kind.EXPIRED, amount=EXACT.minus(left)
                )
                count += 1
    return count


def with_balance(grants: QuerySet[CreditGrant]) -> QuerySet[CreditGrant]:
    """Grants annotated with `balance`: what is left of each."""
    return grants.annotate(balance=Sum("entries__amount"))


def usable_grants(account_id: int, *, at: dt.datetime) -> QuerySet[CreditGrant]:
    """Grants of which something can be drawn, in the order in which they are, with their `balance`."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=at)
    grants = with_balance(CreditGrant.objects.filter(unexpired, account_id=account_id))
    grants = grants.filter(balance__gt=0)  # type: ignore[misc]
    return grants.order_by("priority", "expires_at", "id")  # in PostgreSQL nulls come last


def balance_of(grant: CreditGrant) -> Decimal:
    return grant.entries.aggregate(total=Sum("amount"))["total"] or ZERO


def credit_available(account: BillingAccount, *, at: dt.datetime) -> Decimal:
    """What the account can draw at an instant: entries of grants that haven't expired by then."""
    unexpired = Q(grant__expires_at=None) | Q(grant__expires_at__gt=at)
    entries = CreditEntry.objects.filter(unexpired, account=account)
    return entries.aggregate(total=Sum("amount"))["total"] or ZERO


def ensure_amount(amount: Decimal, *, currency: str, field: str = "amount") -> None:
    """Raises `Invalid` for what is no positive amount of the currency."""
    if amount <= 0:
        raise Invalid("Must be a positive amount in {currency}.", currency=currency, field=field)
    if amount != rounded(amount, currency):
        raise Invalid("Has more decimals than {currency}.", currency=currency, field=field)


def ensure_positive(amount: Decimal, *, at_most: Decimal, currency: str, field: str = "amount") -> None:
    """Raises `Invalid` for what is no positive amount of the currency, `TooMuch` above `at_most`."""
    ensure_amount(amount, currency=currency, field=field)
    if amount > at_most:
        raise TooMuch("At most {amount}.", amount=money(at_most, currency), field=field)
