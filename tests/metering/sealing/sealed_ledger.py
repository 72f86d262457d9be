"""A ledger with seals, and what somebody who owns the database does to it."""

from typing import Any

from django.db import connection

from metering.guards import GUARDED_TABLES
from metering.models import Project
from metering.sealing.seal_checking import seal_breaches
from metering.sealing.seals import seal_ledger, sealed_head
from tests.factories import a_project

# Past the verb, whose lock a fence would wait for in a test's own transaction.
ADD_ROWS = """
    INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name, subject_type,
           subject_id, quantity, labels, occurred_at, digest)
    SELECT p.id, p.id, 'api', 'req-' || n, 'tokens', 'customer', 'kim', n * 1.50,
           jsonb_build_object('model', 'large', 'n', n), '2024-05-15T12:00:00.000001Z', sha256(n::text::bytea)
      FROM metering_project p, generate_series(%s, %s) n
     WHERE p.key = 'acme'
"""


def execute(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def behind_the_guards(*statements: str) -> None:
    """As somebody who owns the database."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for guarded in GUARDED_TABLES:
        execute(f"ALTER TABLE {guarded.table} DISABLE TRIGGER ALL")
    for statement in statements:
        execute(statement)
    for guarded in GUARDED_TABLES:
        execute(f"ALTER TABLE {guarded.table} ENABLE TRIGGER ALL")


def with_rows(first: int, last: int) -> None:
    execute(ADD_ROWS, first, last)


def found(**options: Any) -> list[tuple[str, int | None, int | None]]:
    return [(breach.code, breach.seal, breach.leaf) for breach in seal_breaches(**options)]


def an_empty_ledger() -> Project:
    """One whose first id will be 1; returns the project that `with_rows` adds to."""
    execute("ALTER SEQUENCE metering_usageevent_id_seq RESTART")
    return a_project("acme")


def three_seals() -> str:
    """2,500 rows, then 1,200, then 30, with gaps between their ids, each under a seal; and 7 that aren't."""
    a_project("other")
    for first, last in ((1, 2_500), (2_501, 3_700), (3_701, 3_730)):
        with_rows(first, last)
        execute("SELECT setval('metering_usageevent_id_seq', %s)", last + 10 * (last // 1000))
        seal_ledger()
    head = sealed_head()
    assert head is not None
    with_rows(3_731, 3_737)
    return head
