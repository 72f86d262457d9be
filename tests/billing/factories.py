"""Accounts, plans and subscriptions as the verbs make them. Every default can be overridden by keyword."""

import datetime as dt
import itertools
from typing import Any

from billing.models import BillingAccount, Plan, Price, Subscription
from billing.rating import price_from
from billing.selling.accounts import open_account
from billing.selling.plans import define_plan, publish_plan
from billing.selling.price_lists import PriceDraft
from billing.selling.subscriptions import subscribe
from metering.models import MetricDefinition, Project
from tests.factories import at

_numbers = itertools.count(1)

MARCH = at("2026-03-01T00:00:00Z")


def a_fee(amount: str = "30", **overrides: Any) -> PriceDraft:
    """A fixed fee, in advance unless told otherwise."""
    price = price_from({"model": "flat", "amount": amount})
    return PriceDraft(
        **{"price": price, "kind": "fixed", "name": "Base fee", "charged": "advance", **overrides}
    )


def a_usage_price(
    metric: MetricDefinition, price: dict[str, Any] | None = None, **overrides: Any
) -> PriceDraft:
    """0.10 a unit unless told otherwise."""
    parsed = price_from(price or {"model": "per_unit", "unit_amount": "0.10"})
    return PriceDraft(**{"price": parsed, "metric": metric, **overrides})


def a_draft(*prices: PriceDraft, **overrides: Any) -> Plan:
    """A draft of a global monthly plan in euros."""
    key = overrides.pop("key", None) or f"plan-{next(_numbers)}"
    return define_plan(
        **{"key": key, "name": key.title(), "currency": "EUR", "prices": prices or [a_fee()], **overrides}
    )


def a_plan(*prices: PriceDraft, **overrides: Any) -> Plan:
    """The same, published."""
    return publish_plan(a_draft(*prices, **overrides))


def an_account(project: Project, **overrides: Any) -> BillingAccount:
    fields = {"legal_name": f"{project.name} Ltd", "currency": "EUR", "timezone": "UTC", **overrides}
    return open_account(project, fields)


def a_subscription(
    account: BillingAccount, plan: Plan, effective_from: dt.datetime = MARCH, **overrides: Any
) -> Subscription:
    return subscribe(account, plan=plan, effective_from=effective_from, **overrides)


def prices_of(plan: Plan) -> list[Price]:
    return list(plan.prices.order_by("position"))
