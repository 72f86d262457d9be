"""Rows are called as people call them, in the language of the page."""

import re

import pytest
from django.test import Client
from django.utils.translation import override

from billing.models import BillingAccount, BillingRun, Invoice, Subscription
from config.message_catalogues import compiled
from quotas.models import ProjectQuota
from tests.billing.admin.reading import confirmed, read, url
from tests.billing.billed import draft_of

pytestmark = pytest.mark.django_db


def test_row_is_named_in_the_language_of_the_page() -> None:
    compiled("de")

    with override("de"):
        names = [str(Invoice(pk=4)), str(BillingRun(pk=2)), str(ProjectQuota(pk=7))]

    assert names == ["Entwurf (4)", "Lauf 2", "Kontingent 7"]


def test_subscription_is_called_by_its_customer_and_plan(staff: Client, account: BillingAccount) -> None:
    subscription = Subscription.objects.get(account=account)

    page = staff.get(url("change", subscription.pk, model="subscription")).content.decode()

    assert _title(page) == f"{account.legal_name} · Pro | Meterbook"
    assert str(subscription) == f"Subscription {subscription.pk}"  # without a query


def test_title_names_a_document_once(staff: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    page = staff.get(url("change", draft.pk)).content.decode()

    assert _title(page) == f"Draft ({draft.pk}) | Meterbook"


def test_history_of_a_draft_tells_of_its_edits(staff: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    assert "Nothing was done to it by hand" in read(staff, url("history", draft.pk))

    confirmed(staff, "add_line", draft, name="Support", amount="5", reason="Ticket 88")

    page = staff.get(url("history", draft.pk))
    assert _title(page.content.decode()) == f"Draft ({draft.pk}) | History | Meterbook"
    assert "Changed lines." in page.content.decode()
    edits = [one for one in staff.get(url("change", draft.pk)).context["document"]["history"] if one["at"]]
    assert [one["who"] for one in edits if one["text"] == "Last edited"] == ["root"]


def _title(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert found is not None
    return " ".join(found[1].split())
