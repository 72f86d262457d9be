"""The history words terms and prices as other pages do, and so does an account that may only be seen."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import BillingAccount
from billing.selling.accounts import change_account
from metering.clock import database_now
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import read, url
from tests.billing.factories import a_draft, a_fee

pytestmark = pytest.mark.django_db


def changes(client: Client, what: str) -> list[list[tuple[str, str, str]]]:
    found = client.get(reverse("history_of_changes"), {"what": what}).context["changes"]
    return [[(one.name, str(one.before), str(one.after)) for one in change.values] for change in found]


def test_terms_are_said_with_their_unit(staff: Client, account: BillingAccount) -> None:
    rates = [{"name": "VAT", "percent": "23"}, {"name": "City", "percent": "1.5"}]
    change_account(account, {"tax_rates": rates, "approval_above": Decimal(100)}, now=database_now())

    [latest, _first] = changes(staff, "billing.billingaccount")

    assert latest == [
        ("Tax rates", "VAT 19%", "VAT 23%, City 1.5%"),
        ("Approval above", NONE, "100.00 EUR"),
    ]


def test_price_is_said_as_on_its_plan(staff: Client) -> None:
    price = a_draft(a_fee("30"), key="pro").prices.get()
    new = {"model": "per_unit", "unit_amount": "0.002"}
    type(price).objects.filter(pk=price.pk).update(price=new)

    assert changes(staff, "billing.price")[0] == [("Price", "30.00", "0.002 per unit")]


def test_onlooker_reads_tax_rates_in_words(clerk: Clerk, account: BillingAccount) -> None:
    page = read(clerk("view_billingaccount"), url("change", account.pk, model="billingaccount"))

    assert "Tax rates VAT 19%" in page
    assert "percent&quot;" not in page


NONE = '<span class="mb-quiet">none</span>'
