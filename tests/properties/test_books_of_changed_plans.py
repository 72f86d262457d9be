"""However plans are changed, cancelled and taken back, also for months that were invoiced: what was billed is
what the subscriptions, as they stand in the end, come to.

The oracle looks at each period of each subscription: usage is rated whole; of a fee the days billed are the
days of service, and nothing is given back that wasn't charged.
"""

import datetime as dt
from collections import defaultdict
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoicing.due import live_lines
from billing.models import BillingAccount, Invoice, InvoiceLine, Plan, Subscription
from billing.proration import prorated_price
from billing.rating import bill, rated
from billing.selling.billing_cycles import periods_until
from billing.selling.subscriptions import cancel, change_plan, withdraw_cancellation
from metering import catalogue
from metering.errors import MeterbookError
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

START, END = at("2026-01-01T00:00:00Z"), at("2026-05-01T00:00:00Z")
HOUR = dt.timedelta(hours=1)
instants = st.integers(1, 24 * 119).map(lambda hours: START + hours * HOUR)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), instants),
        st.tuples(st.just("run"), instants),
        st.tuples(st.just("issue"), st.none()),
        st.tuples(st.just("change"), st.tuples(instants, st.integers(0, 2))),
        st.tuples(st.just("cancel"), instants),
        st.tuples(st.just("withdraw"), st.none()),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=40)
@given(steps=steps)
def test_documents_come_to_what_the_subscriptions_are_worth(steps):
    catalogue.forget()
    with transaction.atomic():
        acme, tokens = a_project("acme"), a_metric("tokens")
        account = an_account(acme)
        a_seller()
        plans = [
            a_plan(a_fee("31"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "1.005"})),
            a_plan(a_fee("10", charged="arrears"), a_usage_price(tokens, minimum_of("7"))),
            a_plan(a_fee("99.99"), a_usage_price(tokens), interval_count=2),
        ]
        a_subscription(account, plans[0], START)
        events: list[dt.datetime] = []
        now = START

        for kind, what in [*steps, ("run", END)]:
            if kind == "use":
                used(acme, "1", on=what.isoformat())
                events.append(what)
            elif kind == "run":
                now = max(now, what)
                billed(now.isoformat())
            elif kind == "issue":
                issue_if_current(account, now)
            else:
                now_or_never(account, plans, kind, what, now)
        issue_if_current(account, END)
        billed(END.isoformat())
        issue_if_current(account, END)

        billed(END.isoformat())
        assert not Invoice.objects.drafts().exists()
        assert_worth(account, events)
        transaction.set_rollback(True)


def minimum_of(amount: str) -> dict[str, str]:
    return {"model": "per_unit", "unit_amount": "0.5", "min_amount": amount}


def now_or_never(
    account: BillingAccount, plans: list[Plan], kind: str, what: object, now: dt.datetime
) -> None:
    """Sell as somebody would, back-dated or not; what the verbs refuse is not done."""
    subscription = account.subscriptions.lasting().order_by("-effective_from", "-id").first()
    if subscription is None:
        return
    try:
        with transaction.atomic():
            if kind == "change":
                instant, plan = what  # type: ignore[misc]
                change_plan(subscription, plan=plans[plan], now=now, at=instant)
            elif kind == "cancel":
                cancel(subscription, now=now, at=what)  # type: ignore[arg-type]
            else:
                withdraw_cancellation(subscription, now=now)
    except MeterbookError:
        return


def issue_if_current(account: BillingAccount, now: dt.datetime) -> None:
    draft = Invoice.objects.drafts().first()
    account.refresh_from_db()
    if draft is not None and draft.account_revision == account.revision:
        issued(account, now.isoformat())


def assert_worth(account: BillingAccount, events: list[dt.datetime]) -> None:
    lines = InvoiceLine.objects.exclude(kind="manual").select_related("billed_period").order_by("id")
    billed_lines: dict[tuple[int, int, dt.datetime], list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        assert line.billed_period is not None
        period = line.billed_period
        billed_lines[period.subscription_id, period.price_id, period.period_start].append(line)
    for subscription in account.subscriptions.select_related("plan"):
        for key, worth, days in owed(subscription, events):
            found = billed_lines.pop(key, [])
            total = sum((line.amount for line in found), Decimal(0))
            if days is None:
                assert total == worth, key
            else:
                assert sum(line.day_count or 0 for line in found) == days, key
                # Each change of days is rounded once, by half a cent at most.
                assert abs(total - worth) <= Decimal("0.005") * max(len(found), 1), key
                assert total >= 0, key
    for key, rest in billed_lines.items():
        assert sum((line.amount for line in rest), Decimal(0)) == 0, key
        assert live_lines(rest) == [] or sum(line.day_count or 0 for line in rest) == 0, key


def owed(
    subscription: Subscription, events: list[dt.datetime]
) -> list[tuple[tuple[int, int, dt.datetime], Decimal, int | None]]:
    """(key, what it is worth, days of service of a fee) for each price and period that is due at the end."""
    found: list[tuple[tuple[int, int, dt.datetime], Decimal, int | None]] = []
    if subscription.is_empty:
        return found
    for period in periods_until(subscription, END + dt.timedelta(microseconds=1)):
        for price in subscription.plan.prices.all():
            if period.end > END and price.charged != "advance":
                continue
            key = (subscription.pk, price.pk, period.start)
            if price.is_fixed:
                amount = Decimal(price.price["amount"])
                worth = amount * period.service.count / period.full.count
                found.append((key, min(worth, amount), period.service.count))
            else:
                count = sum(period.start <= instant < period.end for instant in events)
                parsed = prorated_price(price.parsed, period.share)
                found.append((key, bill(parsed, rated(parsed, Decimal(count)), currency="EUR").amount, None))
    return found
