"""Every change of configuration is kept, whoever makes it and however; usage leaves no trace there."""

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Model
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from billing.invoicing.number_series import ensure_series, take_number
from billing.invoicing.sellers import change_seller
from billing.models import BillingAccount, NumberSeries, Seller
from billing.selling.accounts import change_account
from metering.accountability import changed_by
from metering.attributing.scope_tree import attribute, change_project, install_surface
from metering.defining.definitions import change_metric
from metering.delivering.endpoints import Changes, add_endpoint, change_endpoint, switch_off
from metering.grants import APPEND_ONLY_TABLES
from metering.histories import History, histories
from metering.keys import create_api_key, principal_of, revoke_api_key
from metering.models import (
    ApiKey,
    AttributionRule,
    Change,
    Project,
    WebhookEndpoint,
)
from metering.rolling_up.rollups import roll_up
from tests.billing.factories import a_draft, a_plan, a_subscription, an_account
from tests.factories import a_metric, a_project, an_event, at, recorded

pytestmark = pytest.mark.django_db

ADA = {"actor": "ada", "reason": "asked for", "through": "admin"}


def history_of(model: type[Model]) -> History:
    return next(history for history in histories() if history.tracked is model)


def changes_of(row: Model) -> list[Any]:
    history = history_of(type(row)).model
    return list(history._default_manager.filter(pgh_obj=row.pk).order_by("pgh_id"))


def a_rule() -> AttributionRule:
    parent = a_project("parent")
    child = a_project("child", parent=parent)
    return attribute(child, payer=parent, effective_from=at("2024-01-01T00:00:00Z"))


def a_key() -> ApiKey:
    return create_api_key(project=a_project("acme"), name="Backend", permissions=["read"])[0]


def an_endpoint() -> WebhookEndpoint:
    return add_endpoint(project=a_project("acme"), url="https://example.com/hooks", description="", kinds=[])[
        0
    ]


def a_seller() -> Seller:
    return change_seller({"legal_name": "We"})


def a_series() -> NumberSeries:
    ensure_series()
    return NumberSeries.objects.get(kind="invoice")


def a_right() -> Any:
    group = Group.objects.create(name="clerks")
    group.permissions.add(Permission.objects.first())
    return Group.permissions.through.objects.get(group=group)


def a_user_right() -> Any:
    user = User.objects.create_user("bob")
    user.user_permissions.add(Permission.objects.first())
    return User.user_permissions.through.objects.get(user=user)


def a_membership() -> Any:
    user = User.objects.create_user("bob")
    user.groups.add(Group.objects.create(name="clerks"))
    return User.groups.through.objects.get(user=user)


def a_job() -> PeriodicTask:
    pace = IntervalSchedule.objects.create(every=77, period="seconds")
    return PeriodicTask.objects.create(name="a job", task="metering.roll_up", interval=pace)


# What makes a row, and a change of it: column, value then.
KEPT: dict[str, tuple[Callable[[], Any], str, Any]] = {
    "project": (lambda: a_project("acme"), "name", "Acme Inc"),
    "surface": (lambda: install_surface(project=a_project("acme"), key="app", name="App"), "name", "Appl"),
    "rule": (a_rule, "effective_until", at("2025-01-01T00:00:00Z")),
    "metric": (lambda: a_metric("tokens"), "display_name", "Tokens of text"),
    "key": (a_key, "name", "Frontend"),
    "endpoint": (an_endpoint, "is_enabled", False),
    "plan": (lambda: a_draft(key="pro"), "name", "Professional"),
    "price": (lambda: a_draft(key="pro").prices.get(), "name", "Fee"),
    "account": (lambda: an_account(a_project("acme")), "payment_terms_days", 14),
    "subscription": (
        lambda: a_subscription(an_account(a_project("acme")), a_plan()),
        "trial_until",
        at("2026-04-01T00:00:00Z"),
    ),
    "seller": (a_seller, "legal_name", "We Ltd"),
    "series": (a_series, "prefix", "X-"),
    "user": (lambda: User.objects.create_user("bob", password="secret-of-bob"), "is_superuser", True),
    "group": (lambda: Group.objects.create(name="clerks"), "name", "finance"),
    "membership": (a_membership, "group_id", 999_999),
    "group right": (a_right, "permission_id", 3),
    "user right": (a_user_right, "permission_id", 3),
    "job": (a_job, "enabled", False),
    "interval": (lambda: IntervalSchedule.objects.create(every=77, period="seconds"), "every", 78),
    "crontab": (lambda: CrontabSchedule.objects.create(minute="7"), "minute", "8"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_every_way_to_change_a_row_leaves_one_change_with_before_and_after(kind: str) -> None:
    make, column, value = KEPT[kind]
    row = make()
    model, before = type(row), getattr(row, column)
    if kind == "membership":
        value = Group.objects.create(name="others").pk
    made = len(changes_of(row))

    with changed_by("ada", reason="asked for", through="admin"):
        model._default_manager.filter(pk=row.pk).update(**{column: value})
        model._default_manager.filter(pk=row.pk).update(**{column: value})  # changes nothing
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pghistory.context_metadata', '', true)")  # as another transaction
        cursor.execute(f'UPDATE {model._meta.db_table} SET "{column}" = %s WHERE id = %s', [before, row.pk])

    by_ada, bare = changes_of(row)[made:]
    assert made >= 1
    assert (getattr(by_ada, column), by_ada.pgh_label, by_ada.pgh_context) == (value, "changed", ADA)
    assert (getattr(bare, column), bare.pgh_label, bare.pgh_context) == (before, "changed", None)
    assert (by_ada.database_role, bare.database_role) == (session_user(), session_user())


def test_every_history_is_tried_here_or_with_the_quotas() -> None:
    tried = {
        *("metering.project", "metering.surfaceinstallation", "metering.attributionrule"),
        *("metering.metricdefinition", "metering.apikey", "metering.webhookendpoint"),
        *("billing.plan", "billing.price", "billing.billingaccount", "billing.subscription"),
        *("billing.seller", "billing.numberseries", "auth.user", "auth.group", "auth.user_groups"),
        *("auth.user_user_permissions", "auth.group_permissions", "django_celery_beat.periodictask"),
        *("django_celery_beat.intervalschedule", "django_celery_beat.crontabschedule"),
    }

    assert len(KEPT) == len(tried)
    assert {history.key for history in histories()} == tried | {
        "quotas.projectquota",
        "quotas.quotaoverride",
        "quotas.usagethreshold",
    }


def test_verbs_leave_one_change_each_with_who_and_why() -> None:
    acme = a_project("acme")
    metric, key, endpoint = a_metric(), a_key_of(acme), an_endpoint_of(acme)
    account = an_account(acme)

    with changed_by("ada", reason="asked for", through="admin"):
        change_project(acme, name="Acme Inc")
        change_metric(metric, {"display_name": "Tokens of text"})
        revoke_api_key(key, revoked_at=at("2024-01-01T00:00:00Z"))
        change_endpoint(endpoint, Changes(description="theirs"))
        change_account(account, {"payment_terms_days": 14}, now=at("2026-03-01T00:00:00Z"))

    for row in (acme, metric, key, endpoint, account):
        assert [(one.pgh_label, one.pgh_context) for one in changes_of(row)] == [
            ("set", None),
            ("changed", ADA),
        ]


def a_key_of(project: Project) -> ApiKey:
    return create_api_key(project=project, name="Backend", permissions=["read"])[0]


def an_endpoint_of(project: Project) -> WebhookEndpoint:
    return add_endpoint(project=project, url="https://example.com/hooks", description="", kinds=[])[0]


def test_removal_is_kept_with_what_it_was() -> None:
    group = Group.objects.create(name="clerks")
    gone = Group.objects.get(pk=group.pk)

    with changed_by("ada", through="admin"):
        group.delete()

    last = changes_of(gone)[-1]
    assert (last.pgh_label, last.name, last.pgh_context["actor"]) == ("removed", "clerks", "ada")


def test_that_a_password_changed_is_kept_but_never_to_what() -> None:
    bob = User.objects.create_user("bob", password="secret-of-bob")

    bob.set_password("other-of-bob")
    bob.save()
    User.objects.filter(pk=bob.pk).update(last_login=at("2024-01-01T00:00:00Z"))

    assert [change.pgh_label for change in changes_of(bob)] == ["set", "password changed"]


def test_no_secret_is_in_any_history() -> None:
    bob = User.objects.create_user("bob", password="secret-of-bob")
    key, secret = create_api_key(project=a_project("acme"), name="Backend", permissions=["read"])
    key.refresh_from_db()
    secrets = (bob.password, secret, secret.partition(".")[2], bytes(key.digest).hex())

    kept = "\n".join(
        json.dumps(row, default=str)
        for history in histories()
        for row in history.model._default_manager.values()
    )
    columns = {column.column for history in histories() for column in history.model._meta.fields}

    assert "Backend" in kept
    assert [secret for secret in secrets if secret in kept] == []
    assert columns.isdisjoint({"password", "digest", "pepper_number", "salt", "key_number", "last_login"})
    assert {type(one) for history in histories() for one in history.fields}.isdisjoint({models.BinaryField})


@pytest.mark.parametrize("table", [history.model._meta.db_table for history in histories()])
def test_histories_are_append_only(table: str) -> None:
    assert table in APPEND_ONLY_TABLES
    for statement in (f"UPDATE {table} SET pgh_label = ''", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass", [table])
            assert len([name for (name,) in cursor.fetchall() if "_refuses_" in name]) == 2
            if statement.startswith("TRUNCATE"):
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                    cursor.execute(statement)


def test_row_of_a_history_is_refused_change() -> None:
    a_project("acme")
    history: type[Change] = history_of(Project).model

    for change in (lambda rows: rows.update(name="x"), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change(history._default_manager.all())


def test_the_application_writes_histories_by_changing_what_they_follow() -> None:
    acme = a_project("acme")

    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {settings.APPLICATION_ROLE}")
        Project.objects.filter(pk=acme.pk).update(name="Acme Inc")
        cursor.execute("RESET ROLE")

    assert [change.name for change in changes_of(acme)] == ["Acme", "Acme Inc"]
    assert changes_of(acme)[-1].database_role == session_user()  # who signed in, not whom they play


def test_ledger_and_what_follows_it_carry_no_trigger_of_a_history() -> None:
    tables = (
        "metering_usageevent",
        "metering_pendingcontribution",
        "metering_usagemeterrollup",
        "metering_fence",
        "metering_heartbeat",
        "billing_invoice",
        "billing_invoiceline",
    )
    followed = {history.tracked._meta.db_table for history in histories()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE tgname LIKE 'pgtrigger_%'"
        )
        found = {name for (name,) in cursor.fetchall()}

    assert found == followed
    assert found.isdisjoint(tables)


def test_work_leaves_no_trace() -> None:
    acme = a_project("acme")
    a_metric()
    key, secret = create_api_key(project=acme, name="Backend", permissions=["ingest"])
    endpoint, _ = add_endpoint(project=acme, url="https://example.com/hooks", description="", kinds=[])
    job, account, series = a_job(), an_account(acme), a_series()
    before = rows_kept()

    with changed_by("Backend", through="API"):
        principal_of(secret)
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at("2024-01-01T00:00:00Z"))
        recorded(an_event(quantity=5))
        roll_up()
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
            failure_count=3, delivered_at=at("2024-01-01T00:00:00Z")
        )
        PeriodicTask.objects.filter(pk=job.pk).update(
            last_run_at=at("2024-01-01T00:00:00Z"), total_run_count=7
        )
        BillingAccount.objects.filter(pk=account.pk).update(revision=7, next_due_at=dt.datetime.now(dt.UTC))
        take_number(series.kind)

    assert rows_kept() == before


def test_recording_sends_the_same_statements_for_being_accountable() -> None:
    a_project("acme")
    a_metric()
    recorded(an_event(quantity=1))
    seen: list[list[str]] = []

    def watch(execute, statement, params, many, context):
        seen[-1].append(str(statement))
        return execute(statement, params, many, context)

    for is_accountable in (False, True):
        seen.append([])
        with connection.execute_wrapper(watch):
            if is_accountable:
                with changed_by("Backend", through="API"):
                    recorded(an_event(quantity=1))
            else:
                recorded(an_event(quantity=1))

    assert [re.sub(r"s\d+_x\d+", "", one) for one in seen[0]] == [
        re.sub(r"s\d+_x\d+", "", one) for one in seen[1]
    ]


def test_endpoint_that_failed_too_long_was_switched_off_by_the_job() -> None:
    endpoint = an_endpoint()

    with changed_by("", through="task metering.deliver_webhooks"):
        switch_off(endpoint.pk, reason=WebhookEndpoint.Disabled.FAILING, error="timed out")

    last = changes_of(endpoint)[-1]
    assert (last.is_enabled, last.disabled_reason) == (False, "failing")
    assert last.pgh_context == {"actor": "", "reason": "", "through": "task metering.deliver_webhooks"}


def test_publication_of_a_plan_is_one_change_of_it_and_none_of_its_prices() -> None:
    plan = a_plan(key="pro")

    assert [change.state for change in changes_of(plan)] == ["draft", "published"]
    assert [change.pgh_label for change in changes_of(plan.prices.get())] == ["set"]


def session_user() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT SESSION_USER")
        return str(cursor.fetchone()[0])


def rows_kept() -> dict[str, int]:
    return {history.key: history.model._default_manager.count() for history in histories()}
