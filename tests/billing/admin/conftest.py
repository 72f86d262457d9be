"""Finance staff with exactly the rights that a test names, and one customer's month of March."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from billing.models import BillingAccount
from tests.billing.billed import a_seller, billed, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

Clerk = Callable[..., Client]


@pytest.fixture
def clerk(db: None) -> Clerk:
    """Signs somebody in: `clerk("view_invoice", "issue_invoice", name="kim")`."""

    def signed_in(*codenames: str, name: str = "kim") -> Client:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def staff(db: None) -> Client:
    """May do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def account(db: None) -> BillingAccount:
    """Acme: 30.00 a month in advance and 0.10 a token; 123.5 tokens in March; a draft of 86.10 with tax."""
    acme, tokens = a_project("acme", name="Acme"), a_metric("tokens", display_name="Tokens", unit="tokens")
    account = an_account(
        acme,
        tax_rates=[{"name": "VAT", "percent": "19"}],
        address_lines=["Hafenstr. 12", "20457 Hamburg"],
        invoice_emails=["invoices@acme.example"],
        timezone="Europe/Berlin",
        payment_terms_days=14,
    )
    a_seller()
    plan = a_plan(a_fee("30"), a_usage_price(tokens), key="pro", name="Pro")
    a_subscription(account, plan, effective_from=at("2026-03-01T00:00:00", "Europe/Berlin"))
    used(acme, "100", "23.5")
    billed("2026-04-01T00:00:00Z")
    return account
