"""Lines of prices that are of each project on its own."""

from decimal import Decimal

import pytest

from metering.attributing.scope_tree import attribute
from tests.billing.billed import billed, draft_of, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db


def test_project_whose_events_come_to_no_quantity_is_named_on_its_line() -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    shop = a_project("shop", parent=acme)
    attribute(shop, payer=acme)
    price = {"model": "percentage", "rate_percent": "1", "fixed_amount_per_event": "0.30"}
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens, price, per_project=True)))
    used(shop, "0", "0")

    billed("2026-04-01T00:00:00Z")

    line = draft_of(account).lines.get()
    assert (line.project_key, line.project, line.amount) == ("shop", shop, Decimal("0.60"))
    assert line.evidence["within"] == {"project": "shop"}
