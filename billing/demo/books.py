"""The customers of the demo: who is billed for what, what was issued, what waits to be reviewed.

Everything is added where it is missing, nothing is changed, and every step is a verb that anybody else would
use. The prices are made up.
"""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing.invoicing.issuing import issue
from billing.invoicing.runs import run_billing
from billing.invoicing.sellers import change_seller, seller
from billing.models import BillingAccount, BillingRun, CreditGrant, Invoice, Plan, Subscription
from billing.rating import price_from
from billing.selling.accounts import open_account
from billing.selling.plans import define_plan, publish_plan
from billing.selling.price_lists import PriceDraft
from billing.selling.subscriptions import subscribe
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from metering.demo.tree import TENANT
from metering.measuring.windows import first_instant, zone_named
from metering.models import MetricDefinition, Project

BY = "demo"
NOVEMBER = dt.date(2023, 11, 1)  # the month of the Azure input file
DECEMBER = dt.date(2023, 12, 1)
SELLER = {
    "legal_name": "Example Platform Ltd",
    "address_lines": ["1 Sample Quay", "Dublin D02 XY00"],
    "country": "IE",
    "tax_id": "IE0000000X",
    "email": "billing@platform.example",
    "payment_details": "Example Bank · IBAN IE00 EXMP 0000 0000 0000 00 · BIC EXMPIE00",
    "footer": "Example Platform Ltd is made up, as is everything on this document but the usage.",
}
VAT = {"name": "VAT", "percent": "23"}


@dataclass(frozen=True, slots=True)
class Customer:
    """One account of the demo and the plan that it is on, from its first month with usage on."""

    project: str
    plan: str
    fields: dict[str, Any] = field(default_factory=dict)


PLANS: dict[str, dict[str, Any]] = {
    "language-models": {"name": "Language models", "currency": "USD"},
    "applications": {"name": "Applications", "currency": "EUR"},
}
PRICES: dict[str, list[tuple[str | None, str, dict[str, Any], dict[str, Any]]]] = {
    "language-models": [
        (None, "Support, business hours", {"model": "flat", "amount": "49"}, {"charged": "arrears"}),
        (
            "prompt_tokens",
            "Prompt tokens",
            {
                "model": "graduated",
                "unit_conversion": {"divide_by": "1000"},
                "tiers": [
                    {"up_to": "5000", "unit_amount": "0.0030"},
                    {"up_to": None, "unit_amount": "0.0024"},
                ],
            },
            {"split_by": ["project"]},
        ),
        (
            "generated_tokens",
            "Generated tokens, large model",
            {"model": "per_unit", "unit_conversion": {"divide_by": "1000"}, "unit_amount": "0.012"},
            {"label_match": {"model": "chat-large"}},
        ),
        (
            "generated_tokens",
            "Generated tokens",
            {"model": "per_unit", "unit_conversion": {"divide_by": "1000"}, "unit_amount": "0.004"},
            {},
        ),
        (
            "llm_requests",
            "Requests",
            {"model": "package", "package_size": "1000", "package_amount": "1.50", "free_units": "2000"},
            {},
        ),
    ],
    "applications": [
        (None, "Base fee", {"model": "flat", "amount": "29"}, {"charged": "advance"}),
        (
            "api_calls",
            "API calls",
            {
                "model": "graduated",
                "usage_discount": "1000",
                "tiers": [
                    {"up_to": "10000", "unit_amount": "0.002"},
                    {"up_to": None, "unit_amount": "0.0012"},
                ],
            },
            {"split_by": ["labels.endpoint"]},
        ),
        (
            "egress_bytes",
            "Egress, per GB",
            {
                "model": "per_unit",
                "unit_conversion": {"divide_by": "1000000000"},
                "unit_amount": "0.09",
                "min_amount": "1",
            },
            {},
        ),
        (
            "active_seats",
            "Seats",
            {
                "model": "volume",
                "tiers": [
                    {"up_to": "10", "unit_amount": "4"},
                    {"up_to": "50", "unit_amount": "3.50"},
                    {"up_to": None, "unit_amount": "3"},
                ],
            },
            {},
        ),
    ],
}
LLM_CUSTOMERS = (
    Customer(
        "alder",
        "language-models",
        {
            "legal_name": "Alder Insurance plc",
            "address_lines": ["40 Fenchurch Avenue", "London EC3M 5BN"],
            "country": "GB",
            "tax_id": "GB000000000",
            "invoice_emails": ["accounts@alder.example"],
            "timezone": "Europe/London",
        },
    ),
    Customer(
        "birch-assistant",
        "language-models",
        {
            "legal_name": "Birch Assistant Inc.",
            "address_lines": ["500 Market Street", "San Francisco, CA 94105"],
            "country": "US",
            "invoice_emails": ["ap@birch.example"],
            "timezone": "America/Los_Angeles",
        },
    ),
    Customer(
        "birch-notes",
        "language-models",
        {"legal_name": "Birch Meeting Notes LLC", "country": "US", "invoice_emails": []},
    ),
)
SIMULATED_CUSTOMERS = (
    Customer(
        "simulated-shop",
        "applications",
        {
            "legal_name": "Simulated Shop GmbH",
            "address_lines": ["Beispielweg 3", "10115 Berlin"],
            "country": "DE",
            "tax_id": "DE000000000",
            "invoice_emails": ["rechnung@shop.example"],
            "timezone": "Europe/Berlin",
            "tax_rates": [VAT],
        },
    ),
    Customer(
        "simulated-chat",
        "applications",
        {
            "legal_name": "Simulated Chat BV",
            "address_lines": ["Voorbeeldgracht 8", "1015 Amsterdam"],
            "country": "NL",
            "invoice_emails": ["finance@chat.example"],
            "timezone": "Europe/Amsterdam",
            "tax_rates": [VAT],
            "approval_above": "100",
        },
    ),
)


@dataclass(frozen=True, slots=True)
class Books:
    """How many there are in the end, and the run that was made last."""

    account_count: int
    issued_count: int
    draft_count: int
    run: BillingRun


def keep_books(*, now: dt.datetime) -> Books:
    """Sell the demo's plans to its customers, bill what is due, issue and settle some of it.

    November 2023 is issued to all customers of the language models but one, paid by one of them; what the
    simulated applications used since the month before last waits as drafts.
    """
    if not seller().legal_name:
        change_seller(SELLER)
    tenant = Project.objects.get(key=TENANT)
    plans = {key: _plan(key, tenant) for key in PLANS}
    for customer in LLM_CUSTOMERS:
        _ensure_subscribed(customer, plans[customer.plan], since=NOVEMBER, until=DECEMBER)
    since = _month_before(now)
    for customer in SIMULATED_CUSTOMERS:
        _ensure_subscribed(customer, plans[customer.plan], since=since)
    run = run_billing(as_of=now, now=now, requested_by=BY)
    _issue_and_settle(now)
    return Books(
        account_count=BillingAccount.objects.count(),
        issued_count=Invoice.objects.issued().count(),
        draft_count=Invoice.objects.drafts().count(),
        run=run,
    )


def _plan(key: str, tenant: Project) -> Plan:
    found = Plan.objects.filter(project=tenant, key=key).order_by("-version").first()
    if found is not None:
        return found
    metrics = {metric.key: metric for metric in MetricDefinition.objects.filter(project=tenant)}
    prices = [
        PriceDraft(
            price=price_from(price),
            kind="fixed" if metric is None else "usage",
            metric=None if metric is None else metrics[metric],
            name=name,
            **options,
        )
        for metric, name, price, options in PRICES[key]
    ]
    return publish_plan(define_plan(key=key, project=tenant, prices=prices, **PLANS[key]))


def _ensure_subscribed(
    customer: Customer, plan: Plan, *, since: dt.date, until: dt.date | None = None
) -> None:
    """From one local midnight of the customer to another."""
    project = Project.objects.get(key=customer.project)
    account = BillingAccount.objects.filter(project=project).first()
    if account is None:
        fields = {"currency": PLANS[customer.plan]["currency"], "timezone": "UTC", **customer.fields}
        account = open_account(project, fields)
    if not Subscription.objects.filter(account=account).exists():
        zone = zone_named(account.timezone)
        subscribe(
            account,
            plan=plan,
            effective_from=first_instant(since, zone),
            effective_until=None if until is None else first_instant(until, zone),
        )


def _month_before(now: dt.datetime) -> dt.date:
    """The first of the month before the one of `now`."""
    return (now.date().replace(day=1) - dt.timedelta(days=1)).replace(day=1)


def _issue_and_settle(now: dt.datetime) -> None:
    """Alder has paid, Birch's assistant hasn't and has some credit, Birch's notes is still to be issued."""
    for key in ("alder", "birch-assistant"):
        account = BillingAccount.objects.get(project__key=key)
        if Invoice.objects.issued().filter(account=account).exists():
            continue
        if key == "birch-assistant":
            grant_credit(
                account,
                amount=Decimal("5.00"),
                kind=CreditGrant.Kind.PROMOTIONAL,
                name="Welcome credit",
                key="welcome",
                granted_by=BY,
                now=now,
            )
        invoice = issue(Invoice.objects.drafts().get(account=account), now=now, issued_by=BY, is_early=True)
        if key == "alder":
            record_payment(
                invoice,
                amount=invoice.amount_due,
                received_on=now.date(),
                reference=f"Transfer {invoice.number}",
                key="demo",
                recorded_by=BY,
                now=now,
            )
