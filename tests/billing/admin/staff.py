"""Who opens the pages of billing, and a customer whose March was billed."""

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from billing.models import BillingAccount, Invoice
from metering.models import Project
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project


def url(model: str, page: str, *args: object) -> str:
    return reverse(f"admin:billing_{model}_{page}", args=args)


def superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def staff_with(*codenames: str, name: str = "clerk") -> Client:
    """Somebody who holds exactly these rights."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def a_billed_customer(**overrides: object) -> tuple[Project, BillingAccount, Invoice]:
    """Acme: 30.00 a month in advance and 0.10 a token; 100 tokens in March, issued on 2 April at 70.00."""
    a_seller()
    acme = a_project("acme")
    account = an_account(acme, **overrides)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(a_metric(display_name="Tokens"))))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    return acme, account, issued(account, "2026-04-02T00:00:00Z")
