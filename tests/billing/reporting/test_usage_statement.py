"""Usage statements: what was used on which day, and what bills it."""

import pytest

from billing.invoicing.voiding import void
from billing.reporting.usage_statement import USAGE_STATEMENT
from metering.attributing.scope_tree import attribute
from metering.errors import Invalid
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

from .reported import rows_of, text_of

pytestmark = pytest.mark.django_db
HEADER = "account,customer,paying_project,project,metric,day,quantity,unit,event_count,billed_on\n"


def a_customer_that_pays_for_a_child():
    acme = a_project("acme")
    shop = a_project("shop", parent=acme)
    attribute(shop, payer=acme)
    account = an_account(acme, timezone="Europe/Berlin")
    a_seller()
    a_subscription(
        account,
        a_plan(a_usage_price(a_metric("tokens", unit="tokens"))),
        at("2026-03-01", "Europe/Berlin"),
    )
    used(acme, "1.5", "2", on="2026-03-10T22:59:59Z")  # 23:59:59 in Berlin
    used(shop, "4", on="2026-03-10T23:00:00Z")
    used(acme, "8", on="2026-04-01T12:00:00Z")
    billed("2026-04-02T00:00:00Z")
    return account, issued(account, "2026-04-02T12:00:00Z")


def test_days_are_local_and_name_what_bills_them():
    account, _ = a_customer_that_pays_for_a_child()

    text = text_of(USAGE_STATEMENT, start="2026-03-01", until="2026-05-01")

    front = f"{account.pk},Acme Ltd,acme"
    assert text == HEADER + (
        f"{front},acme,tokens,2026-03-10,3.5,tokens,2,INV-000001\n"
        f"{front},shop,tokens,2026-03-11,4,tokens,1,INV-000001\n"
        f"{front},acme,tokens,2026-04-01,8,tokens,1,\n"
    )


def test_voided_document_bills_nothing():
    _, invoice = a_customer_that_pays_for_a_child()

    void(invoice, now=at("2026-04-03T00:00:00Z"), reason="Wrong.", voided_by="ada")

    rows = rows_of(USAGE_STATEMENT, start="2026-03-01", until="2026-04-01")
    assert {row["billed_on"] for row in rows} == {""}


def test_correction_bills_instead():
    account, _ = a_customer_that_pays_for_a_child()
    used(account.project, "1", on="2026-03-20T12:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T12:00:00Z")

    rows = rows_of(USAGE_STATEMENT, start="2026-03-01", until="2026-04-01")

    assert [(row["day"], row["quantity"], row["billed_on"]) for row in rows] == [
        ("2026-03-10", "3.5", "INV-000002"),
        ("2026-03-11", "4", "INV-000002"),
        ("2026-03-20", "1", "INV-000002"),
    ]


def test_interval_is_needed_and_bounded():
    for filters, field in (
        ({"until": "2026-04-01"}, "filters.from"),
        ({"start": "2026-03-01"}, "filters.until"),
        ({"start": "2025-03-01", "until": "2026-03-03"}, "filters.until"),
    ):
        with pytest.raises(Invalid) as refusal:
            text_of(USAGE_STATEMENT, **filters)
        assert refusal.value.field == field


def test_empty_interval_is_a_header():
    a_customer_that_pays_for_a_child()

    assert text_of(USAGE_STATEMENT, start="2026-03-10", until="2026-03-10") == HEADER


def test_another_tenant_sees_nothing():
    a_customer_that_pays_for_a_child()
    stranger = a_project("stranger")

    found = text_of(USAGE_STATEMENT, project_path=stranger.path, start="2026-03-01", until="2026-04-01")

    assert found == HEADER
