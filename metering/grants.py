"""The application's role: created where the connecting user may, and granted what it needs, no more."""

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

from .guards import GUARDED_TABLES

# Rows of these are only ever added.
# Fences and crossings are never changed by anybody; they have no triggers because nothing is proved by them.
APPEND_ONLY_TABLES = (
    *(guarded.table for guarded in GUARDED_TABLES),
    "metering_fence",
    "quotas_thresholdcrossing",
)

_MAY_CREATE_ROLES = "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
_ROLE_EXISTS = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)"
_OWN_TABLES = """
    SELECT c.relname
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = current_schema()
       AND c.relkind IN ('r', 'p')
       AND pg_has_role(current_user, c.relowner, 'USAGE')
"""


def grant_application_role(*, using: str = "default") -> bool:
    """Give `APPLICATION_ROLE` its rights on all tables of ours; make the role where it is missing.

    The ledger, fences and seals: SELECT and INSERT. Everything else: SELECT, INSERT, UPDATE, DELETE.
    Returns whether the role exists in the end; a user who may not create roles leaves it to the operator.
    """
    role = settings.APPLICATION_ROLE
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (user,) = cursor.fetchone()
        if user == role:
            return True  # one role for everything: nothing to grant, and `check --deploy` says so
        cursor.execute(_ROLE_EXISTS, [role])
        (exists,) = cursor.fetchone()
        if not exists:
            cursor.execute(_MAY_CREATE_ROLES)
            (may_create,) = cursor.fetchone()
            if not may_create:
                return False
            # Two databases of one cluster may be migrated at once; the loser of the race finds the role made.
            cursor.execute(
                sql.SQL(
                    "DO $$ BEGIN CREATE ROLE {role} NOLOGIN;"
                    " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
                ).format(role=sql.Identifier(role))
            )
        name = sql.Identifier(role)
        cursor.execute(_OWN_TABLES)
        tables = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(
                schema=sql.Identifier("public"), role=name
            )
        )
        for table in tables:
            rights = "SELECT, INSERT, UPDATE, DELETE"
            if table in APPEND_ONLY_TABLES:
                rights = "SELECT, INSERT"
            elif table == "django_migrations":
                rights = "SELECT"
            cursor.execute(
                sql.SQL(
                    "REVOKE ALL ON {table} FROM {role}; GRANT " + rights + " ON {table} TO {role}"
                ).format(table=sql.Identifier(table), role=name)
            )
        cursor.execute(
            sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}").format(role=name)
        )
    return True


def grant_after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`, connected once, by the last of our apps."""
    if connections[using].vendor == "postgresql":
        grant_application_role(using=using)
