"""What tests of invoicing share: a customer with usage, runs at chosen instants, documents as tables."""

import datetime as dt
from typing import Any

from billing.invoicing.issuing import issue
from billing.invoicing.runs import run_billing
from billing.invoicing.sellers import change_seller
from billing.models import BillingAccount, BillingRun, Invoice
from billing.money import amount_text
from metering.clock import ledger_end
from metering.models import Project
from tests.factories import an_event, at, recorded

SELLER = {
    "legal_name": "Meterbook Test AG",
    "address_lines": ["1 Test Street", "10115 Berlin"],
    "country": "DE",
    "tax_id": "DE999999999",
}


def a_seller(**overrides: Any) -> None:
    change_seller({**SELLER, **overrides})


def used(project: Project, *quantities: str, on: str = "2026-03-10T12:00:00Z", **overrides: Any) -> list[int]:
    """Events of `tokens`, one per quantity; returns their ledger ids."""
    events = [an_event(project, quantity=quantity, occurred_at=on, **overrides) for quantity in quantities]
    return [outcome.id for outcome in recorded(*events) if outcome.id is not None]


def billed(on: str, *accounts: BillingAccount, now: str | None = None) -> BillingRun:
    """A billing run as of an instant, of all accounts or the given ones."""
    instant = at(on)
    ids = [account.pk for account in accounts] or None
    return run_billing(as_of=instant, now=at(now) if now else instant, accounts=ids, position=ledger_end())


def draft_of(account: BillingAccount) -> Invoice:
    return Invoice.objects.get(account=account, issued_at=None, origin=Invoice.Origin.RUN)


def issued(account: BillingAccount, on: str, **options: Any) -> Invoice:
    """The account's draft, issued at an instant, however early that is."""
    return issue(draft_of(account), now=at(on), **{"issued_by": "ada", "is_early": True, **options})


def table_of(invoice: Invoice) -> list[tuple[Any, ...]]:
    """(kind, name, quantity, amount) of each line, in order; a mark for corrections."""
    return [
        (
            f"{line.kind}{' (correction)' if line.is_adjustment else ''}",
            line.name,
            None if line.quantity is None else format(line.quantity.normalize(), "f"),
            amount_text(line.amount, invoice.currency),
        )
        for line in invoice.lines.order_by("position")
    ]


def a_day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)
