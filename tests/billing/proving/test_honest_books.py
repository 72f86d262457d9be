"""Books that the verbs kept pass every check, whatever became of the documents."""

import pytest

from billing.invoicing.issuing import void
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.billing.proof import assert_verified
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db


def test_nothing_sold_yet():
    assert_verified()


def test_volume_correction_becomes_credit():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    a_seller()
    volume = {
        "model": "volume",
        "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
    }
    a_subscription(account, a_plan(a_usage_price(tokens, volume)))
    used(acme, "15")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(acme, "1", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")
    assert_verified()

    issued(account, "2026-05-01T01:00:00Z")

    assert_verified()


def test_void_and_what_is_billed_again():
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    a_seller()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z")

    void(first, now=at("2026-04-02T00:00:00Z"), reason="Wrong address.", voided_by="ada")
    assert_verified()
    billed("2026-04-02T00:00:00Z")
    assert_verified()
    issued(account, "2026-04-02T01:00:00Z")

    assert_verified()
