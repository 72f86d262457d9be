"""What the application's role may do, tried as that role."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.db import ProgrammingError, connection, transaction

from metering.answering.fences import raise_fence
from metering.grants import APPEND_ONLY_TABLES, grant_application_role
from metering.guards import right_breaches
from metering.models import Correction, UsageEvent
from metering.rolling_up.rollups import roll_up
from metering.sealing.seal_checking import seal_breaches
from metering.sealing.seals import seal_ledger
from tests.factories import a_metric, a_project, a_void_of, an_event, outcomes, recorded, total_of

pytestmark = pytest.mark.django_db

ALL_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def rights_on(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r FROM unnest(%s::text[]) r WHERE has_table_privilege(%s, %s, r)",
            [list(ALL_RIGHTS), settings.APPLICATION_ROLE, table],
        )
        return [right for (right,) in cursor.fetchall()]


@contextmanager
def as_the_application() -> Iterator[None]:
    execute(f"SET ROLE {settings.APPLICATION_ROLE}")
    yield
    execute("RESET ROLE")  # after an error, the rollback does


@pytest.mark.parametrize("table", APPEND_ONLY_TABLES)
def test_the_application_may_only_read_and_add_to_append_only_tables(table: str) -> None:
    assert rights_on(table) == ["SELECT", "INSERT"]


def test_the_application_may_change_rows_of_the_other_tables_and_nothing_else() -> None:
    ours = [
        model._meta.db_table
        for app in ("metering", "quotas", "billing")
        for model in apps.get_app_config(app).get_models()
        if model.__name__ in {"Project", "MetricDefinition", "PendingContribution", "UsageMeterRollup"}
    ]

    assert len(ours) == 4
    assert {tuple(rights_on(table)) for table in ours} == {("SELECT", "INSERT", "UPDATE", "DELETE")}


def test_the_application_owns_nothing_and_is_no_superuser() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, rolcreaterole, rolbypassrls,"
            "       (SELECT count(*) FROM pg_class WHERE relowner = r.oid)"
            "  FROM pg_roles r WHERE rolname = %s",
            [settings.APPLICATION_ROLE],
        )
        assert cursor.fetchone() == (False, False, False, 0)
    assert right_breaches(settings.APPLICATION_ROLE) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE metering_usageevent SET quantity = 0",
        "DELETE FROM metering_usageevent",
        "TRUNCATE metering_usageevent",
        "TRUNCATE metering_project CASCADE",
        "UPDATE metering_fence SET position = 0",
        "UPDATE metering_ledgerseal SET position = 0",
        "DELETE FROM metering_sealleaf",
        "UPDATE metering_correction SET reason = ''",
        "DELETE FROM metering_correction",
        "TRUNCATE metering_correction",
        "DROP TRIGGER ledger_seal_refuses_change ON metering_ledgerseal",
        "ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_refuses_change",
        "DROP TRIGGER usage_event_refuses_change ON metering_usageevent",
        "DROP TABLE metering_usageevent",
        "SET LOCAL session_replication_role = replica",
        "SELECT setval('metering_usageevent_id_seq', 1)",
        "CREATE OR REPLACE FUNCTION metering_refuse_ledger_change() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ],
)
def test_the_application_is_denied(statement: str) -> None:
    a_project("acme")
    a_metric()
    recorded(an_event(quantity="5"))

    with pytest.raises(ProgrammingError) as caught, transaction.atomic(), as_the_application():
        execute(statement)

    assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)
    assert list(UsageEvent.objects.values_list("quantity", flat=True)) == [5]


@pytest.mark.django_db(transaction=True)
def test_the_application_can_do_its_work() -> None:
    with as_the_application():
        a_project("acme")
        metric = a_metric()
        created = recorded(an_event(id="e-1", quantity="5"))
        existing = recorded(an_event(id="e-1", quantity="5"))
        tick = roll_up()
        fence = raise_fence()
        total = total_of(metric)
        sealing = seal_ledger()
        void_id = a_void_of(created[0].id)
        after = total_of(metric)

    assert outcomes(created) == ["created"]
    assert outcomes(existing) == ["exists"]
    assert tick.merged_count == 1
    assert fence.position >= created[0].id
    assert (total, after) == (5, None)
    assert list(Correction.objects.values_list("event", "void")) == [(created[0].id, void_id)]
    assert (sealing.seal_count, sealing.row_count) == (1, 1)
    assert list(seal_breaches(head=sealing.head)) == []


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE"])
def test_a_right_too_many_is_a_breach_until_rights_are_granted_anew(right: str) -> None:
    execute(f"GRANT {right} ON metering_usageevent TO {settings.APPLICATION_ROLE}")

    assert [breach.what for breach in right_breaches(settings.APPLICATION_ROLE)] == [
        f"'{settings.APPLICATION_ROLE}' may {right} the ledger."
    ]
    assert grant_application_role() is True
    assert right_breaches(settings.APPLICATION_ROLE) == []


def test_a_right_on_one_column_is_a_breach_too() -> None:
    execute(f"GRANT UPDATE (quantity) ON metering_usageevent TO {settings.APPLICATION_ROLE}")

    assert [breach.what for breach in right_breaches(settings.APPLICATION_ROLE)] == [
        f"'{settings.APPLICATION_ROLE}' may UPDATE the ledger."
    ]


def test_the_deploy_check_warns_a_superuser_who_runs_the_application() -> None:
    found = run_checks(databases=["default"], include_deployment_checks=True)

    warnings = [message.msg for message in found if message.id == "metering.W001"]
    assert len(warnings) == 1
    assert warnings[0].endswith("is a superuser.")


def test_the_deploy_check_passes_for_the_application() -> None:
    with as_the_application():
        found = run_checks(databases=["default"], include_deployment_checks=True)

    assert [message for message in found if message.id in {"metering.W001", "metering.E001"}] == []


def test_an_unknown_role_is_a_breach() -> None:
    assert [breach.what for breach in right_breaches("nobody_here")] == [
        "The role 'nobody_here' doesn't exist."
    ]
