"""The ledger refuses change, whoever asks and however, and says when its guards are gone."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.checks import Error, run_checks
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from metering.attributing.scope_tree import attribute
from metering.guards import fix_guards, guard_breaches
from metering.models import Correction, MetricDefinition, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from tests.factories import (
    NOON,
    a_metric,
    a_project,
    a_void_of,
    an_event,
    at,
    ledger_rows,
    recorded,
    total_of,
)

pytestmark = pytest.mark.django_db

EVERYTHING = [field.attname for field in UsageEvent._meta.concrete_fields]
INSERT = """
    INSERT INTO metering_usageevent
           (id, project_id, billing_scope_id, source, event_id, event_name,
            labels, occurred_at, recorded_at, digest)
    SELECT nextval('metering_usageevent_id_seq'), project_id, billing_scope_id, source, event_id, event_name,
           labels, occurred_at, '1999-12-31T00:00:00Z', digest
      FROM metering_usageevent
     WHERE event_id = 'kept'
"""


def execute(statement: str, *params: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.rowcount


def by_orm_update() -> None:
    UsageEvent.objects.filter(event_id="kept").update(quantity=0)


def by_orm_save() -> None:
    event = UsageEvent.objects.get(event_id="kept")
    event.quantity = 0
    event.save()


def by_orm_delete() -> None:
    UsageEvent.objects.filter(event_id="kept").delete()


def by_orm_bulk_upsert() -> None:
    event = UsageEvent.objects.get(event_id="kept")
    UsageEvent.objects.bulk_create(
        [event], update_conflicts=True, unique_fields=["id"], update_fields=["quantity"]
    )


WAYS: dict[str, Callable[[], object] | str] = {
    "orm update": by_orm_update,
    "orm save": by_orm_save,
    "orm delete": by_orm_delete,
    "orm upsert": by_orm_bulk_upsert,
    "update": "UPDATE metering_usageevent SET quantity = 0",
    "update to the same": "UPDATE metering_usageevent SET quantity = quantity",
    "update of the key": "UPDATE metering_usageevent SET id = id + 1000",
    "delete": "DELETE FROM metering_usageevent",
    "delete of one row": "DELETE FROM metering_usageevent WHERE event_id = 'kept'",
    "delete by a cte": "WITH gone AS (DELETE FROM metering_usageevent RETURNING 1) SELECT count(*) FROM gone",
    "upsert": INSERT
    + " ON CONFLICT ON CONSTRAINT usage_event_recorded_once DO UPDATE SET quantity = EXCLUDED.quantity",
    "merge that updates": """
        MERGE INTO metering_usageevent e USING (SELECT 'kept' AS event_id) s ON e.event_id = s.event_id
         WHEN MATCHED THEN UPDATE SET quantity = 0
    """,
    "merge that deletes": """
        MERGE INTO metering_usageevent e USING (SELECT 'kept' AS event_id) s ON e.event_id = s.event_id
         WHEN MATCHED THEN DELETE
    """,
    "truncate": "TRUNCATE metering_usageevent",
    "truncate of all that refers": "TRUNCATE metering_usageevent CASCADE",
    "truncate of projects": "TRUNCATE metering_project CASCADE",
    "truncate of surfaces": "TRUNCATE metering_surfaceinstallation RESTART IDENTITY CASCADE",
}


@pytest.fixture
def usage() -> MetricDefinition:
    a_project("acme")
    metric = a_metric()
    recorded(an_event(id="kept", quantity="5"), an_event(quantity="7.5"))
    roll_up()
    # PostgreSQL truncates no table that has deferred checks outstanding.
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    return metric


@contextmanager
def refused_by(constraint: str) -> Iterator[None]:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        yield
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.errors.RestrictViolation)
    assert cause.diag.constraint_name == constraint


@pytest.mark.parametrize("replica", [False, True], ids=["", "as replica"])
@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_refuses_change(usage: MetricDefinition, way: str, replica: bool) -> None:
    before = ledger_rows(*EVERYTHING)
    attempt = WAYS[way]
    if replica:
        execute("SET LOCAL session_replication_role = replica")

    with refused_by("usage_event_is_append_only"):
        execute(attempt) if isinstance(attempt, str) else attempt()

    assert len(before) == 2
    assert ledger_rows(*EVERYTHING) == before
    assert total_of(usage) == total_of(usage, at("2024-05-15T11:59:00Z"), at("2024-05-15T12:00:01Z")) == 12.5


def test_the_connected_user_of_these_tests_is_a_superuser() -> None:
    # Otherwise the refusals above might be the grants' and not the guards'.
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (True,)


def test_a_refusal_says_what_to_do(usage: MetricDefinition) -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        execute("DELETE FROM metering_usageevent")

    diagnosis = caught.value.__cause__.diag
    assert diagnosis.message_primary == (
        "The ledger is append-only: DELETE on metering_usageevent is refused."
    )
    assert diagnosis.message_hint == "Record a void and, if need be, a new event."


def test_copy_still_adds_rows(usage: MetricDefinition) -> None:
    project = Project.objects.get(key="acme")

    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY metering_usageevent (project_id, billing_scope_id, source, event_id, event_name, labels,"
            " occurred_at, digest) FROM STDIN"
        ) as copy,
    ):
        copy.write_row((project.pk, project.pk, "copy", "e-1", "tokens", "{}", NOON, b"\x00"))

    assert ledger_rows("source", "event_id")[-1] == ("copy", "e-1")
    assert UsageEvent.objects.count() == 3


def test_a_known_key_can_be_passed_over(usage: MetricDefinition) -> None:
    before = ledger_rows(*EVERYTHING)

    added = execute(INSERT + " ON CONFLICT DO NOTHING")

    assert added == 0
    assert ledger_rows(*EVERYTHING) == before


def test_a_known_key_is_refused_by_its_constraint(usage: MetricDefinition) -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        execute(INSERT)

    assert caught.value.__cause__.diag.constraint_name == "usage_event_recorded_once"


def test_recorded_at_is_stamped_whatever_the_writer_says(usage: MetricDefinition) -> None:
    project = Project.objects.get(key="acme")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (before,) = cursor.fetchone()

    UsageEvent.objects.create(
        project=project,
        billing_scope=project,
        source="api",
        event_id="backdated",
        event_name="tokens",
        occurred_at=at(NOON),
        recorded_at=dt.datetime(1999, 12, 31, tzinfo=dt.UTC),
        digest=b"",
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (after,) = cursor.fetchone()
    assert before < UsageEvent.objects.get(event_id="backdated").recorded_at < after


def test_a_replicated_row_keeps_its_stamp(usage: MetricDefinition) -> None:
    execute("SET LOCAL session_replication_role = replica")

    execute(
        INSERT.replace(
            "billing_scope_id, source, event_id, event_name,\n           labels",
            "billing_scope_id, 'replicated', event_id, event_name,\n           labels",
        )
    )

    assert UsageEvent.objects.get(source="replicated").recorded_at == at("1999-12-31T00:00:00Z")


# -- the account of corrections ----------------------------------------------------------------------------

WAYS_TO_CHANGE_THE_ACCOUNT: dict[str, Callable[[], object] | str] = {
    "orm update": lambda: Correction.objects.update(reason="another"),
    "orm save": lambda: Correction.objects.get().save(),
    "orm delete": lambda: Correction.objects.all().delete(),
    "update": "UPDATE metering_correction SET reason = 'another'",
    "update to the same": "UPDATE metering_correction SET actor = actor",
    "delete": "DELETE FROM metering_correction",
    "merge": """
        MERGE INTO metering_correction c USING (SELECT 'another' AS reason) s ON TRUE
         WHEN MATCHED THEN UPDATE SET reason = s.reason
    """,
    "upsert": """
        INSERT INTO metering_correction (project_id, kind, event, void, reason, actor)
        SELECT project_id, kind, event, void, 'another', actor FROM metering_correction
        ON CONFLICT ON CONSTRAINT correction_once_per_event DO UPDATE SET reason = EXCLUDED.reason
    """,
    "truncate": "TRUNCATE metering_correction",
    "truncate that cascades": "TRUNCATE metering_correction RESTART IDENTITY CASCADE",
}


@pytest.mark.parametrize("role", ["", "replica", "owner"])
@pytest.mark.parametrize("way", WAYS_TO_CHANGE_THE_ACCOUNT)
def test_the_account_of_corrections_refuses_change(usage: MetricDefinition, way: str, role: str) -> None:
    a_void_of(UsageEvent.objects.get(event_id="kept").pk)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    before = list(Correction.objects.values())
    attempt = WAYS_TO_CHANGE_THE_ACCOUNT[way]
    if role == "replica":
        execute("SET LOCAL session_replication_role = replica")
    elif role == "owner":
        # One that is no superuser.
        execute("CREATE ROLE account_owner; GRANT SELECT ON ALL TABLES IN SCHEMA public TO account_owner")
        execute("GRANT CREATE ON SCHEMA public TO account_owner")
        execute("ALTER TABLE metering_correction OWNER TO account_owner; SET LOCAL ROLE account_owner")

    with refused_by("correction_is_append_only"):
        execute(attempt) if isinstance(attempt, str) else attempt()

    assert len(before) == 1
    assert list(Correction.objects.values()) == before


def test_the_second_account_of_one_correction_is_refused(usage: MetricDefinition) -> None:
    a_void_of(UsageEvent.objects.get(event_id="kept").pk)

    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        execute(
            "INSERT INTO metering_correction (project_id, kind, event, void, reason, actor)"
            " SELECT project_id, kind, event, void, reason, actor FROM metering_correction"
        )

    assert caught.value.__cause__.diag.constraint_name == "correction_once_per_event"


# -- what hangs on usage ----------------------------------------------------------------------------------


def test_a_project_with_usage_is_not_deleted(usage: MetricDefinition) -> None:
    project = Project.objects.get(key="acme")

    with pytest.raises(ProtectedError):
        project.delete()
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError), transaction.atomic():
        execute("DELETE FROM metering_project WHERE id = %s", project.pk)

    assert Project.objects.filter(pk=project.pk).exists()
    assert UsageEvent.objects.count() == 2


def test_a_payer_of_usage_is_not_deleted() -> None:
    tenant = a_project("tenant")
    payer, user = a_project("payer", parent=tenant), a_project("user", parent=tenant)
    rule = attribute(user, payer=payer)
    a_metric()
    recorded(an_event(user))
    rule.delete()

    with pytest.raises(ProtectedError):
        payer.delete()
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError), transaction.atomic():
        execute("DELETE FROM metering_project WHERE id = %s", payer.pk)

    assert ledger_rows("project__key", "billing_scope__key") == [("user", "payer")]


def test_a_metric_with_usage_is_not_deleted(usage: MetricDefinition) -> None:
    with pytest.raises(ProtectedError):
        usage.delete()

    assert MetricDefinition.objects.filter(pk=usage.pk).exists()


def test_a_metric_whose_usage_is_still_pending_is_not_deleted() -> None:
    a_project("acme")
    metric = a_metric()
    recorded(an_event(quantity="5"))

    with pytest.raises(ProtectedError):
        metric.delete()

    assert MetricDefinition.objects.filter(pk=metric.pk).exists()


# -- the check --------------------------------------------------------------------------------------------

SABOTAGE = {
    "row guard disabled": (
        "ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_refuses_change",
        "The ledger's guard 'usage_event_refuses_change' isn't ENABLE ALWAYS.",
    ),
    "row guard only for origin": (
        "ALTER TABLE metering_usageevent ENABLE TRIGGER usage_event_refuses_change",
        "The ledger's guard 'usage_event_refuses_change' isn't ENABLE ALWAYS.",
    ),
    "row guard only for replicas": (
        "ALTER TABLE metering_usageevent ENABLE REPLICA TRIGGER usage_event_refuses_change",
        "The ledger's guard 'usage_event_refuses_change' isn't ENABLE ALWAYS.",
    ),
    "row guard dropped": (
        "DROP TRIGGER usage_event_refuses_change ON metering_usageevent",
        "The ledger's guard 'usage_event_refuses_change' is missing.",
    ),
    "truncate guard disabled": (
        "ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_refuses_truncate",
        "The ledger's guard 'usage_event_refuses_truncate' isn't ENABLE ALWAYS.",
    ),
    "truncate guard dropped": (
        "DROP TRIGGER usage_event_refuses_truncate ON metering_usageevent",
        "The ledger's guard 'usage_event_refuses_truncate' is missing.",
    ),
    "guard with a condition": (
        """
        CREATE OR REPLACE TRIGGER usage_event_refuses_change BEFORE UPDATE OR DELETE ON metering_usageevent
           FOR EACH ROW WHEN (OLD.id < 0) EXECUTE FUNCTION metering_refuse_ledger_change();
        ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_change
        """,
        "The ledger's guard 'usage_event_refuses_change' was altered.",
    ),
    "guard of some columns": (
        """
        CREATE OR REPLACE TRIGGER usage_event_refuses_change
           BEFORE DELETE OR UPDATE OF labels ON metering_usageevent
           FOR EACH ROW EXECUTE FUNCTION metering_refuse_ledger_change();
        ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_change
        """,
        "The ledger's guard 'usage_event_refuses_change' was altered.",
    ),
    "guard without delete": (
        """
        CREATE OR REPLACE TRIGGER usage_event_refuses_change BEFORE UPDATE ON metering_usageevent
           FOR EACH ROW EXECUTE FUNCTION metering_refuse_ledger_change();
        ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_change
        """,
        "The ledger's guard 'usage_event_refuses_change' was altered.",
    ),
    "guard that does nothing": (
        """
        CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE OR REPLACE TRIGGER usage_event_refuses_change BEFORE UPDATE OR DELETE ON metering_usageevent
           FOR EACH ROW EXECUTE FUNCTION pass();
        ALTER TABLE metering_usageevent ENABLE ALWAYS TRIGGER usage_event_refuses_change
        """,
        "The ledger's guard 'usage_event_refuses_change' was altered.",
    ),
    "stamp dropped": (
        "DROP TRIGGER usage_event_is_stamped ON metering_usageevent",
        "The trigger that stamps recorded_at is missing.",
    ),
    "function emptied": (
        "CREATE OR REPLACE FUNCTION metering_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN NEW; END$$",
        "The function behind the ledger's guards was altered.",
    ),
    "guard of seals dropped": (
        "DROP TRIGGER ledger_seal_refuses_change ON metering_ledgerseal",
        "The seals' guard 'ledger_seal_refuses_change' is missing.",
    ),
    "guard of leaves only for origin": (
        "ALTER TABLE metering_sealleaf ENABLE TRIGGER seal_leaf_refuses_truncate",
        "The seal leaves' guard 'seal_leaf_refuses_truncate' isn't ENABLE ALWAYS.",
    ),
    "function of seals emptied": (
        "CREATE OR REPLACE FUNCTION metering_refuse_seal_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN NEW; END$$",
        "The function behind the seals' guards was altered.",
    ),
    "guard of corrections dropped": (
        "DROP TRIGGER correction_refuses_change ON metering_correction",
        "The corrections' guard 'correction_refuses_change' is missing.",
    ),
    "guard of corrections only for origin": (
        "ALTER TABLE metering_correction ENABLE TRIGGER correction_refuses_truncate",
        "The corrections' guard 'correction_refuses_truncate' isn't ENABLE ALWAYS.",
    ),
    "function of corrections emptied": (
        "CREATE OR REPLACE FUNCTION metering_refuse_correction_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN NEW; END$$",
        "The function behind the corrections' guards was altered.",
    ),
    "stamp disabled": (
        "ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_is_stamped",
        "The trigger that stamps recorded_at is disabled.",
    ),
}


def check() -> list[Error]:
    return [message for message in run_checks(databases=["default"]) if message.id == "metering.E001"]


def test_the_check_passes_while_all_guards_stand() -> None:
    assert guard_breaches() == []
    assert check() == []


@pytest.mark.parametrize("way", SABOTAGE)
def test_the_check_fails_when_a_guard_is_weakened_and_passes_once_it_is_fixed(
    usage: MetricDefinition, way: str
) -> None:
    sabotage, message = SABOTAGE[way]
    execute(sabotage)

    assert [(error.msg, error.hint) for error in check()] == [
        (message, "Run `manage.py doctor --fix-guards` as the owner.")
    ]

    fix_guards()

    assert check() == []
    with refused_by("usage_event_is_append_only"):
        execute("UPDATE metering_usageevent SET quantity = 0")
    with refused_by("usage_event_is_append_only"):
        execute("TRUNCATE metering_usageevent")


def test_before_their_migration_seals_are_no_breach() -> None:
    # `migrate` asks the checks before it makes the tables.
    execute("DROP TABLE metering_sealleaf, metering_ledgerseal; DROP FUNCTION metering_refuse_seal_change()")

    assert guard_breaches() == []
