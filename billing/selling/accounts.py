"""Opening billing accounts and changing them. The only writers of accounts."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from billing.errors import LimitNotLoosened
from billing.models import BillingAccount
from billing.models.account import (
    MAX_ADDRESS_LINES,
    MAX_INVOICE_EMAILS,
    MAX_ISSUE_GRACE_DAYS,
    MAX_PAYMENT_TERMS_DAYS,
    MAX_TAX_RATES,
)
from billing.money import SCALES
from billing.rating.members import Members, exact_number
from metering.errors import Conflict, Invalid, NotFound
from metering.measuring.windows import UnknownTimeZone, zone_named
from metering.models import Project
from metering.texts.numbers import EXACT, plain

from .billing_cycles import move_cycles

FIELDS = (
    "legal_name",
    "address_lines",
    "country",
    "tax_id",
    "tax_rates",
    "currency",
    "timezone",
    "payment_terms_days",
    "invoice_emails",
    "issue_grace_days",
    "issues_automatically",
    "approval_above",
    "approve_corrections_above",
    "write_off_below",
)
LINE_LENGTH = 200
TAX_NAME_LENGTH = 50
LIMITS = ("approval_above", "approve_corrections_above", "write_off_below")
# Above these a second person has to agree.
APPROVALS = ("approval_above", "approve_corrections_above")
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


def open_account(project: Project, fields: Mapping[str, Any]) -> BillingAccount:
    """The commercial profile of a project that pays. `fields` need a legal name and a currency.

    Without a time zone it has the project's. Raises `Invalid` that names the field, `Conflict` when the
    project has an account, and `NotFound` when the project was removed meanwhile.
    """
    for name in ("legal_name", "currency"):
        if not fields.get(name):
            raise Invalid("This member is needed.", field=name, code="missing_field")
    account = BillingAccount(project=project, timezone=project.timezone)
    for name, value in _checked(fields).items():
        setattr(account, name, value)
    try:
        with transaction.atomic():
            if not Project.objects.select_for_update(no_key=True).filter(pk=project.pk).exists():
                raise NotFound("The project '{key}' was removed.", key=project.key)
            account.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            "The project '{key}' has a billing account already.", key=project.key, field="project"
        ) from None
    account.refresh_from_db()
    return account


def change_account(
    account: BillingAccount, changes: Mapping[str, Any], *, now: dt.datetime, may_loosen: bool = False
) -> BillingAccount:
    """Change what is known of a customer. Issued documents stay as they are.

    Another time zone holds from the next boundary of each billing period on. Raises `Invalid` that names the
    field, `Conflict` for another currency once there are subscriptions, and `LimitNotLoosened` without
    `may_loosen`.
    """
    checked = _checked(changes)
    with transaction.atomic():
        stored = held_account(account.pk, is_changing=True)
        if not may_loosen:
            ensure_not_loosened(stored, checked)
        currency = checked.get("currency", stored.currency)
        if currency != stored.currency and stored.subscriptions.exists():
            raise Conflict(
                "The account has subscriptions in {currency}, and so keeps its currency.",
                currency=stored.currency,
                field="currency",
            )
        zone_name = checked.get("timezone", stored.timezone)
        if zone_name != stored.timezone:
            for subscription in stored.subscriptions.unended(now).select_related("plan"):
                move_cycles(subscription, at=now, timezone=zone_name)
        for name, value in checked.items():
            setattr(stored, name, value)
        stored.save(update_fields=list(checked) or ["legal_name"])
    account.refresh_from_db()
    return account


def ensure_not_loosened(account: BillingAccount, changes: Mapping[str, Any]) -> None:
    """Whoever draws documents up mustn't decide that nobody need look at them: refuse as `change_account`
    does; nothing is held, so that asks again. Raises `LimitNotLoosened`."""
    for name in loosened({name: getattr(account, name) for name in APPROVALS}, changes):
        raise LimitNotLoosened(name)


def loosened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Which of `APPROVALS` in `after` let more pass without a second person than they did `before`; both by
    name, None for no limit. Pure."""
    return [
        name
        for name in APPROVALS
        if name in after
        and before[name] is not None
        and (after[name] is None or Decimal(after[name]) > Decimal(before[name]))
    ]


def held_account(account_id: int, *, is_changing: bool = False) -> BillingAccount:
    """The account, its row ours until the transaction ends: its subscriptions and documents change one after
    the other. `is_changing`: what its drafts are made of changes, so those there are go out of date."""
    account = (
        BillingAccount.objects.select_for_update(no_key=True, of=("self",))
        .select_related("project")
        .get(pk=account_id)
    )
    if is_changing:
        account.revision += 1
        account.save(update_fields=["revision"])
    return account


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored. Raises `Invalid`."""
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise Invalid("'{unknown}' can't be changed.", unknown=unknown[0], field=unknown[0])
    readers: dict[str, Callable[[Any], Any]] = {
        "legal_name": _legal_name,
        "address_lines": _address_lines,
        "country": _country,
        "tax_id": lambda value: _text(value, "tax_id", 50),
        "tax_rates": tax_rates_from,
        "currency": _currency,
        "timezone": _zone,
        "payment_terms_days": lambda value: _days(value, "payment_terms_days", MAX_PAYMENT_TERMS_DAYS),
        "invoice_emails": _emails,
        "issue_grace_days": lambda value: _days(value, "issue_grace_days", MAX_ISSUE_GRACE_DAYS),
        "issues_automatically": lambda value: _flag(value, "issues_automatically"),
        **{name: partial(_limit, name=name) for name in LIMITS},
    }
    return {name: readers[name](value) for name, value in fields.items()}


def tax_rates_from(value: Any, *, at: str = "tax_rates") -> list[dict[str, str]]:
    """`[{"name": "VAT", "percent": "19"}]` in its canonical spelling. Raises `Invalid` with the path."""
    if not isinstance(value, list):
        raise Invalid("Must be an array of rates.", field=at)
    if len(value) > MAX_TAX_RATES:
        raise Invalid("At most {most} rates.", most=MAX_TAX_RATES, field=at)
    rates: list[dict[str, str]] = []
    for index, entry in enumerate(value):
        members = Members(entry, at=f"{at}[{index}]", known=("name", "percent"))
        name = _text(members.needed("name"), members.path("name"), TAX_NAME_LENGTH)
        percent = exact_number(members.needed("percent"), members.path("percent"))
        if not name:
            raise Invalid("A rate needs a name.", field=members.path("name"))
        if name in {rate["name"] for rate in rates}:
            raise Invalid("Another rate has this name.", field=members.path("name"))
        if not Decimal(0) <= percent <= Decimal(100):
            raise Invalid("Must be from 0 to 100.", field=members.path("percent"))
        rates.append({"name": name, "percent": plain(percent)})
    return rates


def _legal_name(value: Any) -> str:
    name = _text(value, "legal_name", LINE_LENGTH)
    if not name:
        raise Invalid("An account needs a legal name.", field="legal_name")
    return name


def _address_lines(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Invalid("Must be an array of lines.", field="address_lines")
    if len(value) > MAX_ADDRESS_LINES:
        raise Invalid("At most {most} lines.", most=MAX_ADDRESS_LINES, field="address_lines")
    lines = [_text(line, f"address_lines[{index}]", LINE_LENGTH) for index, line in enumerate(value)]
    return [line for line in lines if line]


def _country(value: Any) -> str:
    code = _text(value, "country", 50).upper()
    if code and not _COUNTRY.fullmatch(code):
        raise Invalid("Must be two letters (ISO 3166), such as DE.", field="country")
    return code


def _currency(value: Any) -> str:
    code = value.strip().upper() if isinstance(value, str) else ""
    if code not in SCALES:
        raise Invalid("Must be a currency code of ISO 4217, such as USD.", field="currency")
    return code


def _zone(value: Any) -> str:
    name = _text(value, "timezone", 64)
    try:
        zone_named(name)
    except UnknownTimeZone:
        raise Invalid("There is no time zone '{name}'.", name=name, field="timezone") from None
    return name


def _days(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Invalid("Must be a whole number from 0 to {most}.", most=most, field=name)
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid("Must be true or false.", field=name)
    return value


def _limit(value: Any, name: str) -> Decimal | None:
    """An amount in the account's currency from which something else holds; None: never."""
    if value is None:
        return None
    amount = exact_number(value, name)
    if amount < 0:
        raise Invalid("Must not be negative.", field=name)
    exponent = amount.normalize(EXACT).as_tuple().exponent
    if amount >= Decimal(10) ** 24 or (isinstance(exponent, int) and exponent < -4):
        raise Invalid("Must be an amount with at most 24 digits and 4 decimals.", field=name)
    return amount


def _emails(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Invalid("Must be an array of e-mail addresses.", field="invoice_emails")
    if len(value) > MAX_INVOICE_EMAILS:
        raise Invalid("At most {most} addresses.", most=MAX_INVOICE_EMAILS, field="invoice_emails")
    found: list[str] = []
    for index, address in enumerate(value):
        text = _text(address, f"invoice_emails[{index}]", 254)
        try:
            validate_email(text)
        except ValidationError:
            raise Invalid(
                "'{text}' is no e-mail address.", text=text[:100], field=f"invoice_emails[{index}]"
            ) from None
        if text not in found:
            found.append(text)
    return found


def _text(value: Any, field: str, max_length: int) -> str:
    """One line of text without blanks around it."""
    if not isinstance(value, str):
        raise Invalid("Must be a text.", field=field)
    text = value.strip()
    if len(text) > max_length:
        raise Invalid("At most {most} characters.", most=max_length, field=field)
    if not text.isprintable():
        raise Invalid("Holds a line break or another control character.", field=field)
    return text
