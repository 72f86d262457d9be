"""What a request computes is read at a final position of the ledger, found by that very request."""

import pytest

from billing.models import BillingRun, Invoice
from metering.models import Fence
from tests.billing.billed import a_seller, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

from .callers import Caller

pytestmark = pytest.mark.django_db(transaction=True)


def test_run_and_draft_are_read_at_a_fence_of_their_own():
    tokens = a_metric("tokens")
    account = an_account(a_project("acme"))
    a_seller()
    a_subscription(account, a_plan(a_usage_price(tokens)))
    [first] = used(account.project, "100")
    call = Caller(account.project)

    run = call("POST", "/billing-runs/", {"as_of": "2026-04-01T00:00:00Z"})
    assert run.status_code == 201, run.content
    draft = Invoice.objects.get()
    assert (draft.position, draft.subtotal) == (first, 10)
    [second] = used(account.project, "10")
    computed = call("POST", f"/invoices/{draft.pk}/recompute/", {})

    assert computed.status_code == 200, computed.content
    assert (computed.json()["position"], computed.json()["subtotal"]) == (second, "11.00")
    assert list(Fence.objects.order_by("id").values_list("position", flat=True)) == [first, second]
    assert BillingRun.objects.get().position == first
