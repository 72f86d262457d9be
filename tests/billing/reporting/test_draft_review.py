"""The review queue: what a draft changes against the invoice before, and what about it needs eyes."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.invoicing.approvals import approve
from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.voiding import void
from billing.models import BillingAccount
from billing.reporting.draft_review import Difference, QuantityChange, review_queue
from billing.selling.accounts import FIELDS, change_account
from metering.models import MetricDefinition, Project
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

MAY = at("2026-05-01T00:00:00Z")
LATER = at("2026-05-10T00:00:00Z")


@pytest.fixture
def tokens() -> MetricDefinition:
    a_seller()
    return a_metric("tokens", display_name="Tokens", unit="token")


def a_customer(key: str, tokens: MetricDefinition, **overrides: object) -> tuple[Project, BillingAccount]:
    """Billed 10 for March, at the beginning of April; a fee of 30 in arrears is added from April on."""
    project = a_project(key)
    account = an_account(project, **overrides)
    a_subscription(account, a_plan(a_usage_price(tokens, name="Tokens")))
    used(project, "100")
    billed("2026-04-01T00:00:00Z", account)
    issued(account, "2026-04-02T00:00:00Z")
    return project, account


def test_draft_is_compared_with_the_invoice_of_the_month_before(tokens):
    acme, account = a_customer("acme", tokens)
    fee = a_plan(a_fee("30", charged="arrears"))
    a_subscription(account, fee, at("2026-04-01T00:00:00Z"))
    used(acme, "60", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")

    queue = review_queue(now=LATER, size=10)

    [review] = queue.reviews
    assert queue.count == 1
    assert (review.previous.number, review.net, review.previous_net) == ("INV-000001", 36, 10)
    assert (review.change, review.change_fraction) == (Decimal(26), Decimal("2.6"))
    assert review.is_unusual
    assert list(review.differences) == [
        Difference("Base fee", Decimal(30), None),
        Difference("Tokens", Decimal(6), Decimal(10)),
    ]
    assert (review.new_count, review.missing_count) == (1, 0)
    assert list(review.quantity_changes) == [QuantityChange("Tokens", "token", Decimal(60), Decimal(100))]
    assert review.quantity_changes[0].change == -40


@pytest.mark.parametrize(("quantity", "is_unusual"), [("150", False), ("151", True), ("50", False)])
def test_change_is_unusual_above_a_half(tokens, quantity, is_unusual):
    acme, _account = a_customer("acme", tokens)
    used(acme, quantity, on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")

    assert review_queue(now=LATER, size=10).reviews[0].is_unusual is is_unusual


def test_first_draft_has_nothing_to_compare_with(tokens):
    acme = a_project("acme")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")

    [review] = review_queue(now=at("2026-04-01T12:00:00Z"), size=10).reviews

    assert (review.previous, review.change, review.change_fraction) == (None, None, None)
    assert not review.is_unusual
    assert review.grace_until == at("2026-04-02T00:00:00Z")
    assert review_queue(now=LATER, size=10).reviews[0].grace_until is None


def test_month_is_not_compared_with_a_year(tokens):
    _acme, account = a_customer("acme", tokens)
    yearly = a_plan(a_fee("500"), interval="year")
    a_subscription(account, yearly, at("2026-04-01T00:00:00Z"))
    billed("2026-05-01T00:00:00Z")

    [review] = review_queue(now=LATER, size=10).reviews

    assert (review.net, review.previous) == (Decimal("376.71"), None)  # 275 of 365 days


def test_draft_is_not_compared_with_what_was_voided(tokens):
    _acme, account = a_customer("acme", tokens)
    void(account.invoices.get(), now=at("2026-04-03T00:00:00Z"), reason="Wrong.", voided_by="ada")
    billed("2026-04-04T00:00:00Z")

    [review] = review_queue(now=LATER, size=10).reviews

    assert (review.net, review.previous) == (Decimal(10), None)


def test_draft_is_out_of_date_once_its_account_changed(tokens):
    _acme, account = a_customer("acme", tokens)
    a_subscription(account, a_plan(a_fee("30")), MAY)
    billed("2026-05-01T00:00:00Z")
    assert not review_queue(now=LATER, size=10).reviews[0].is_outdated

    fields = {name: getattr(account, name) for name in FIELDS}
    change_account(account, {**fields, "tax_rates": [{"name": "VAT", "percent": "19"}]}, now=LATER)

    assert review_queue(now=LATER, size=10).reviews[0].is_outdated


def test_line_by_hand_above_the_limit_needs_somebody_else(tokens):
    account = an_account(a_project("acme"), approval_above=Decimal(100))
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal("100.01")), added_by="ada")
    [before] = review_queue(now=LATER, size=10).reviews

    approve(draft, approved_by="bob")
    [after] = review_queue(now=LATER, size=10).reviews

    assert (before.needs_approval, before.is_approved) == (True, False)
    assert (after.needs_approval, after.is_approved) == (False, True)


def test_what_needs_eyes_comes_first_and_pages_follow(tokens):
    customers = [a_customer(key, tokens) for key in ("calm", "rising", "wild")]
    for (project, _account), quantity in zip(customers, ("100", "120", "900"), strict=True):
        used(project, quantity, on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")

    first = review_queue(now=LATER, size=2)
    second = review_queue(now=LATER, size=2, offset=2)

    assert [review.draft.account.project.key for review in first.reviews] == ["wild", "rising"]
    assert [review.draft.account.project.key for review in second.reviews] == ["calm"]
    assert (first.count, second.count) == (3, 3)


def test_queue_takes_four_statements_however_long_it_is(tokens):
    counts = []
    for key in ("acme", "beta"):
        project, account = a_customer(key, tokens)
        used(project, "20", on="2026-04-10T00:00:00Z")
        billed("2026-05-01T00:00:00Z")
        draft_of(account)
        with CaptureQueriesContext(connection) as queries:
            review_queue(now=LATER, size=10)
        counts.append(len(queries))

    assert counts == [4, 4]


def test_empty_queue_is_empty(db):
    queue = review_queue(now=LATER, size=10)

    assert (list(queue.reviews), queue.count) == ([], 0)
