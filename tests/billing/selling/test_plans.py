import pytest
from django.db import IntegrityError, connection, transaction

from billing.errors import PlanIsFixed
from billing.models import Plan, Price
from billing.selling.plans import (
    archive_plan,
    change_draft,
    change_prices,
    clone_plan,
    publish_plan,
    remove_draft,
)
from billing.selling.price_lists import PriceDraft
from metering.defining.definitions import archive_metric
from metering.errors import Conflict, Invalid, NotFound
from metering.guards import fix_guards, guard_breaches
from tests.billing.factories import a_draft, a_fee, a_plan, a_usage_price, prices_of
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db


def test_prices_are_stored_in_order_and_in_their_canonical_spelling():
    tokens = a_metric("tokens", display_name="Tokens")

    plan = a_draft(
        a_fee("49.00"),
        a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.080"}, label_match={"region": "eu"}),
        a_usage_price(tokens),
    )

    stored = prices_of(plan)
    assert [(each.position, each.name, each.kind, each.price, each.label_match) for each in stored] == [
        (0, "Base fee", "fixed", {"model": "flat", "amount": "49"}, {}),
        (1, "Tokens", "usage", {"model": "per_unit", "unit_amount": "0.08"}, {"region": "eu"}),
        (2, "Tokens", "usage", {"model": "per_unit", "unit_amount": "0.1"}, {}),
    ]
    assert (plan.version, plan.state, plan.published_at) == (1, "draft", None)


def test_draft_changes_and_published_plan_does_not():
    tokens = a_metric("tokens")
    plan = a_draft(a_fee(), a_usage_price(tokens))

    change_draft(plan, {"name": "Team", "interval": "year"}, prices=[a_usage_price(tokens)])
    publish_plan(plan)

    assert (plan.name, plan.interval, plan.state) == ("Team", "year", "published")
    assert plan.published_at is not None
    for change in (
        lambda: change_draft(plan, {"name": "Other"}),
        lambda: change_prices(plan, lambda prices: prices[:0]),
        lambda: remove_draft(plan),
    ):
        with pytest.raises(PlanIsFixed, match="clone it"):
            change()
    assert Plan.objects.get().name == "Team"
    assert Price.objects.count() == 1
    assert publish_plan(plan).published_at == Plan.objects.get().published_at


@pytest.mark.parametrize(
    ("write", "constraint"),
    [
        (lambda plan: Plan.objects.filter(pk=plan.pk).update(name="x"), "published_plan_is_fixed"),
        (lambda plan: Plan.objects.filter(pk=plan.pk).update(state="draft"), "published_plan_is_fixed"),
        (
            lambda plan: Plan.objects.filter(pk=plan.pk).update(
                state="archived", archived_at="2026-01-01T00:00:00Z", currency="USD"
            ),
            "published_plan_is_fixed",
        ),
        (lambda plan: Price.objects.filter(plan=plan).update(name="x"), "price_of_published_plan_is_fixed"),
        (lambda plan: Price.objects.filter(plan=plan).delete(), "price_of_published_plan_is_fixed"),
        (
            lambda plan: Price.objects.create(
                plan=plan, position=9, kind="fixed", name="x", price={"model": "flat", "amount": "1"}
            ),
            "price_of_published_plan_is_fixed",
        ),
        (
            lambda plan: Price.objects.filter(plan__state="draft").update(plan=plan, position=9),
            "price_of_published_plan_is_fixed",
        ),
        (lambda plan: connection.cursor().execute("DELETE FROM billing_plan"), "published_plan_is_fixed"),
        (
            lambda plan: connection.cursor().execute(
                "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE billing_price CASCADE"
            ),
            "price_of_published_plan_is_fixed",
        ),
    ],
    ids=[
        "rename",
        "back to draft",
        "archive and more",
        "change a price",
        "delete a price",
        "add a price",
        "move a price in",
        "delete the plan",
        "truncate prices",
    ],
)
def test_database_holds_what_is_published(write, constraint):
    plan = a_plan(a_fee(), key="sold")
    a_draft(a_fee(), key="other")
    before = list(Plan.objects.order_by("pk").values()), list(Price.objects.order_by("pk").values())

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write(plan)

    assert refusal.value.__cause__.diag.constraint_name == constraint
    assert before == (
        list(Plan.objects.order_by("pk").values()),
        list(Price.objects.order_by("pk").values()),
    )


def test_guards_are_checked_and_restored():
    assert guard_breaches() == []
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER plan_refuses_change ON billing_plan")
        cursor.execute("ALTER TABLE billing_price ENABLE TRIGGER price_refuses_change")
        cursor.execute("ALTER TABLE billing_price DISABLE TRIGGER price_refuses_addition")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION billing_refuse_price_change() RETURNS trigger LANGUAGE plpgsql"
            " AS $$BEGIN RETURN NEW; END$$"
        )

    assert [breach.what for breach in guard_breaches()] == [
        "The plans' guard 'plan_refuses_change' is missing.",
        "The prices' guard 'price_refuses_change' isn't ENABLE ALWAYS.",
        "The prices' guard 'price_refuses_addition' is disabled.",
        "The function behind the prices' guards was altered.",
    ]

    fix_guards()

    assert guard_breaches() == []
    plan = a_plan()
    with pytest.raises(IntegrityError), transaction.atomic():
        Price.objects.filter(plan=plan).update(name="x")


def test_guard_holds_also_for_a_replica():
    """Superusers set session_replication_role; ordinary triggers are silent then."""
    plan = a_plan()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")

    with pytest.raises(IntegrityError, match="never change"), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(name="x")
    with pytest.raises(IntegrityError, match="never change"), transaction.atomic():
        Price.objects.filter(plan=plan).update(name="x")


def test_clone_is_the_next_version_or_a_plan_of_its_own():
    tokens = a_metric("tokens")
    plan = a_plan(a_fee(), a_usage_price(tokens, label_match={"region": "eu"}), key="pro")

    second = clone_plan(plan)
    other = clone_plan(plan, key="team", name="Team")

    assert (second.key, second.version, second.state) == ("pro", 2, "draft")
    assert (other.key, other.version, other.name) == ("team", 1, "Team")
    columns = ("position", "name", "kind", "metric_id", "price", "label_match", "charged")
    assert list(second.prices.values_list(*columns)) == list(plan.prices.values_list(*columns))
    with pytest.raises(Conflict, match="has a draft already"):
        clone_plan(plan)
    with pytest.raises(Conflict, match="along this branch"):
        clone_plan(plan, key="team")


def test_archived_plan_is_not_published_again():
    plan = archive_plan(a_plan())

    assert (plan.state, plan.archived_at is not None) == ("archived", True)
    assert archive_plan(plan).archived_at == plan.archived_at
    with pytest.raises(Conflict, match="archived"):
        publish_plan(plan)
    with pytest.raises(Conflict, match="remove it"):
        archive_plan(a_draft())


def test_key_is_one_plan_along_every_path_of_the_tree():
    tenant = a_project("tenant")
    acme, globex = a_project("acme", parent=tenant), a_project("globex", parent=tenant)

    a_draft(key="pro", project=acme)
    a_draft(key="pro", project=globex)

    for owner in (tenant, acme, None, a_project("below", parent=acme)):
        with pytest.raises(Conflict) as refusal:
            a_draft(key="pro", project=owner)
        assert refusal.value.field == "key"
    assert Plan.objects.count() == 2


def test_publishing_asks_for_prices_whose_metrics_still_count():
    tokens = a_metric("tokens")
    empty, stale = a_draft(), a_draft(a_usage_price(tokens))
    change_draft(empty, {}, prices=[])
    archive_metric(tokens)

    for plan, field in ((empty, "prices"), (stale, "prices[0].metric")):
        with pytest.raises(Invalid) as refusal:
            publish_plan(plan)
        assert refusal.value.field == field
        plan.refresh_from_db()
        assert plan.is_draft


def test_removed_draft_is_gone_with_its_prices():
    plan = a_draft(a_fee(), a_usage_price(a_metric("tokens")))

    remove_draft(plan)

    assert not Price.objects.exists()
    for verb in (remove_draft, publish_plan, lambda each: change_draft(each, {})):
        with pytest.raises(NotFound):
            verb(plan)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"currency": "EUROS"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"key": "Not a key"}, "key"),
        ({"interval": "fortnight"}, "interval"),
        ({"interval_count": 0}, "interval_count"),
        ({"interval_count": True}, "interval_count"),
        ({"interval_count": 1000}, "interval_count"),
        ({"name": "x" * 201}, "name"),
        ({"description": "a\x00b"}, "description"),
    ],
)
def test_plan_that_makes_no_sense_is_refused_with_its_field(wrong, field):
    with pytest.raises(Invalid) as refusal:
        a_draft(**wrong)

    assert refusal.value.field == field
    assert not Plan.objects.exists()


def test_price_list_that_makes_no_sense_is_refused_by_path():
    acme = a_project("acme")
    tokens, theirs = a_metric("tokens"), a_metric("theirs", project=acme)
    average = a_metric("average", aggregation="AVG")
    flat, percentage = {"model": "flat", "amount": "1"}, {"model": "percentage", "rate_percent": "2"}
    eu = {"region": "eu"}

    for prices, path in (
        ([a_usage_price(tokens), a_usage_price(tokens)], "prices[1].label_match"),
        (
            [a_usage_price(tokens, label_match=eu), a_usage_price(tokens, label_match=dict(eu))],
            "prices[1].label_match",
        ),
        ([a_usage_price(tokens, label_match={"$bad": 1})], "prices[0].label_match"),
        ([a_usage_price(theirs)], "prices[0].metric"),
        ([a_usage_price(tokens, flat)], "prices[0].price.model"),
        ([a_usage_price(average, percentage)], "prices[0].price.model"),
        ([a_usage_price(tokens, charged="advance")], "prices[0].charged"),
        ([a_fee(), a_fee(price=a_usage_price(tokens).price)], "prices[1].price.model"),
        ([a_fee(metric=tokens)], "prices[0].metric"),
        ([a_fee(label_match=eu)], "prices[0].label_match"),
        ([a_fee(per_project=True)], "prices[0].per_project"),
        ([a_fee(split_by=["project"])], "prices[0].split_by"),
        ([a_usage_price(tokens, split_by=["payer"])], "prices[0].split_by[0]"),
        ([a_usage_price(tokens, split_by=["labels."])], "prices[0].split_by[0]"),
        ([a_usage_price(tokens, split_by=["labels.a", "project", "labels.a"])], "prices[0].split_by[2]"),
        ([a_usage_price(tokens, split_by=["labels." + "x" * 194])], "prices[0].split_by[0]"),
        ([a_usage_price(tokens, split_by=["labels.a\x00b"])], "prices[0].split_by[0]"),
        ([a_usage_price(tokens, split_by=[f"labels.{n}" for n in "abcdef"])], "prices[0].split_by"),
        ([PriceDraft(price=a_usage_price(tokens).price)], "prices[0].metric"),
        ([a_usage_price(tokens, name="x" * 201)], "prices[0].name"),
    ):
        with pytest.raises(Invalid) as refusal:
            a_draft(*prices)
        assert refusal.value.field == path
    assert not Plan.objects.exists()

    assert a_draft(a_usage_price(theirs), project=acme).prices.count() == 1
