"""However usage, voids, runs, documents and their voids follow each other: what was billed is what was used.

The oracle keeps the events in a list and rates each month whole, with the pure rating of `billing.rating`.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.errors import InvoiceCorrectedSince
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice, InvoiceLine, PeriodCorrection
from billing.rating import bill, price_from, rated
from metering import catalogue
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at

pytestmark = pytest.mark.django_db

MONTHS = ("2026-01", "2026-02", "2026-03")
ENDS = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
TIERS = [
    {"up_to": "3", "unit_amount": "1.005"},
    {"up_to": "7", "unit_amount": "0.50", "flat_amount": "2"},
    {"up_to": None, "unit_amount": "0.333"},
]
PRICES: dict[str, dict[str, Any]] = {
    "per_unit": {"model": "per_unit", "unit_amount": "0.333"},
    "graduated": {"model": "graduated", "tiers": TIERS},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": "3", "package_amount": "1", "free_units": "1"},
    "minimum": {"model": "per_unit", "unit_amount": "0.8", "min_amount": "5", "max_amount": "9"},
    "discounted": {
        "model": "per_unit",
        "unit_amount": "1.11",
        "discount_percent": "12.5",
        "usage_discount": "2",
    },
}
uses = st.tuples(
    st.integers(0, 2), st.sampled_from(["eu", "us"]), st.sampled_from(["0", "0.5", "1", "2.25", "4"])
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.lists(uses, min_size=1, max_size=3)),
        st.tuples(st.just("void event"), st.integers(0, 20)),
        st.tuples(st.just("run"), st.integers(0, 2)),
        st.tuples(st.just("issue"), st.none()),
        st.tuples(st.just("void invoice"), st.integers(0, 5)),
    ),
    min_size=2,
    max_size=12,
)


def worth(events: list[tuple[int, str, str]], month: int, is_eu: bool, price: dict[str, Any]) -> Decimal:
    """What a month costs under one of the two prices: `eu` has one, everything else the other."""
    quantities = [
        Decimal(quantity)
        for number, region, quantity in events
        if number == month and (region == "eu") is is_eu
    ]
    parsed = price_from(price)
    return bill(parsed, rated(parsed, sum(quantities, Decimal(0))), currency="EUR").amount


@settings(max_examples=40)
@given(
    eu=st.sampled_from(list(PRICES)),
    rest=st.sampled_from(list(PRICES)),
    write_off=st.sampled_from([None, "0.5", "2"]),
    steps=steps,
)
def test_documents_of_a_month_come_to_what_it_is_worth(eu, rest, write_off, steps):
    catalogue.forget()
    with transaction.atomic():
        acme, tokens = a_project("acme"), a_metric("tokens")
        account = an_account(acme, write_off_below=write_off)
        a_seller()
        plan = a_plan(
            a_fee("31", charged="arrears"),
            a_usage_price(tokens, PRICES[eu], label_match={"region": "eu"}, name="eu"),
            a_usage_price(tokens, PRICES[rest], name="rest"),
        )
        a_subscription(account, plan, at("2026-01-01T00:00:00Z"), effective_until=at(ENDS[2]))
        events: list[tuple[int, str, str]] = []
        ids: list[int] = []

        for kind, what in [*steps, ("run", 2)]:
            if kind == "use":
                for month, region, quantity in what:
                    ids += used(acme, quantity, on=f"{MONTHS[month]}-10T00:00:00Z", labels={"region": region})
                    events.append((month, region, quantity))
            elif kind == "void event" and ids:
                place = what % len(ids)
                a_void_of(ids.pop(place))
                events.pop(place)
            elif kind == "run":
                billed(ENDS[what], now=ENDS[2])
            elif kind == "issue" and Invoice.objects.drafts().exists():
                issued_if_current(account)
            elif kind == "void invoice":
                void_one(account, what)
        assert_books(events, PRICES[eu], PRICES[rest], drafts=True)

        billed(ENDS[2])
        if Invoice.objects.drafts().exists():
            issued(account, ENDS[2])
        assert_books(events, PRICES[eu], PRICES[rest], drafts=False)
        assert_numbers()
        transaction.set_rollback(True)


def issued_if_current(account: BillingAccount) -> None:
    draft = Invoice.objects.drafts().get()
    account.refresh_from_db()
    if draft.account_revision == account.revision:
        issued(account, ENDS[2])


def void_one(account: BillingAccount, place: int) -> None:
    invoices = [
        invoice
        for invoice in Invoice.objects.issued().invoices().with_open_amount().order_by("id")
        if not invoice.is_void
    ]
    if not invoices:
        return
    try:
        with transaction.atomic():
            void(invoices[place % len(invoices)], now=at(ENDS[2]), reason="Wrong.", voided_by="ada")
    except InvoiceCorrectedSince:
        return


def assert_books(
    events: list[tuple[int, str, str]], eu: dict[str, Any], rest: dict[str, Any], *, drafts: bool
) -> None:
    """Lines of all documents, with the draft's where there is one, and write-offs are what each month is
    worth; without drafts nothing else is left."""
    lines = InvoiceLine.objects.exclude(kind="manual").select_related("billed_period__price")
    if not drafts:
        assert not lines.filter(invoice__issued_at=None).exists()
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in lines:
        found[line.billed_period.price.name, f"{line.billed_period.period_start:%Y-%m}"] += line.amount
    for correction in PeriodCorrection.objects.filter(state="written_off"):
        period = correction.billed_period
        found[period.price.name, f"{period.period_start:%Y-%m}"] += correction.difference
    for number, month in enumerate(MONTHS):
        assert found["eu", month] == worth(events, number, True, eu), ("eu", month)
        assert found["rest", month] == worth(events, number, False, rest), ("rest", month)
        assert found["Base fee", month] == 31
    assert not PeriodCorrection.objects.filter(state="waiting").exists()


def assert_numbers() -> None:
    for kind in ("invoice", "credit_note"):
        numbers = Invoice.objects.issued().filter(kind=kind).order_by("sequence")
        assert [invoice.sequence for invoice in numbers] == list(range(1, len(numbers) + 1))
