"""Two people sell to one account at once, or publish a plan while another changes its prices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, connection

from billing.errors import PlanIsFixed, UsageTakenAlready
from billing.models import Plan, Price, Subscription
from billing.selling.plans import change_draft, clone_plan, publish_plan
from metering.errors import Conflict
from metering.guards import fix_guards
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.concurrency.rivals import Held, Rival, race
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(job: Callable[[], Any]) -> Any:
    try:
        return job()
    except Exception as error:
        return type(error)


@contextmanager
def without(removal: str, restoration: str) -> Iterator[None]:
    """The database without one of its rules, for a negative control."""
    with connection.cursor() as cursor:
        cursor.execute(removal)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM billing_subscriptionitem")
            cursor.execute(restoration)


def sold_by_eight() -> list[Any]:
    tokens = a_metric("tokens")
    account = an_account(a_project("acme"))
    plans = [a_plan(a_usage_price(tokens)) for _ in range(8)]

    return race(*(lambda plan=plan: attempt(lambda: a_subscription(account, plan)) for plan in plans))


def test_of_eight_who_sell_the_same_usage_one_does() -> None:
    results = sold_by_eight()

    assert sum(isinstance(result, Subscription) for result in results) == 1
    assert results.count(UsageTakenAlready) == 7
    assert Subscription.objects.count() == 1


def test_without_the_constraint_all_eight_do() -> None:
    with without(
        "ALTER TABLE billing_subscriptionitem DROP CONSTRAINT usage_taken_once",
        "ALTER TABLE billing_subscriptionitem ADD CONSTRAINT usage_taken_once EXCLUDE USING gist ("
        "int8range(account_id, account_id, '[]') WITH &&, int8range(metric_id, metric_id, '[]') WITH &&,"
        " during WITH &&)",
    ):
        results = sold_by_eight()

    assert sum(isinstance(result, Subscription) for result in results) == 8


def test_whoever_changes_a_plan_while_it_is_published_comes_too_late() -> None:
    plan = a_draft(a_fee("30"))

    with Held(lambda: publish_plan(plan)) as publisher:
        editor = Rival(lambda: change_draft(Plan.objects.get(pk=plan.pk), {}, prices=[a_fee("1")]))
        waited = editor.is_still_waiting_after(0.5)
        publisher.commit()

    assert waited
    assert isinstance(editor.error, PlanIsFixed)
    assert Price.objects.get().price == {"model": "flat", "amount": "30"}


def priced_behind_the_verbs(plan: Plan) -> tuple[bool, BaseException | None]:
    """Whether a bare statement waited for the one who publishes, and what became of it."""
    with Held(lambda: publish_plan(plan)) as publisher:
        writer = Rival(lambda: Price.objects.filter(plan=plan).update(name="Other"))
        waited = writer.is_still_waiting_after(0.5)
        publisher.commit()
    return waited, writer.error


def test_a_bare_statement_comes_too_late_as_well() -> None:
    plan = a_draft(a_fee(name="Base"))

    waited, error = priced_behind_the_verbs(plan)

    assert waited
    assert isinstance(error, IntegrityError)
    assert Price.objects.get().name == "Base"


def test_a_guard_that_does_not_hold_the_plan_lets_it_pass() -> None:
    plan = a_draft(a_fee(name="Base"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('billing_refuse_price_change'::regproc)")
        (definition,) = cursor.fetchone()
        cursor.execute(definition.replace("FOR SHARE", ""))
    try:
        waited, error = priced_behind_the_verbs(plan)
    finally:
        fix_guards()

    assert not waited
    assert error is None
    assert Price.objects.get().name == "Other"


def test_of_eight_who_clone_a_plan_one_makes_the_draft() -> None:
    plan = a_plan(key="pro")

    results = race(*(lambda: attempt(lambda: clone_plan(plan)) for _ in range(8)))

    assert sum(isinstance(result, Plan) for result in results) == 1
    assert results.count(Conflict) == 7
    assert list(Plan.objects.order_by("version").values_list("version", flat=True)) == [1, 2]
