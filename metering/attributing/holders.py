"""What refers to a row and so keeps it from being removed, in the tables of every app."""

from collections.abc import Iterator

import psycopg
from django.db import IntegrityError, connection, transaction
from django.db.models import ForeignKey, Model

from metering.models import UsageMeterRollup

# What people call them, where the table's own name wouldn't say it.
_NAMES: dict[tuple[str, str], str] = {
    ("metering.Project", "parent"): "projects below it",
    ("metering.UsageEvent", "project"): "usage (its own or what it pays for)",
    ("metering.UsageEvent", "surface"): "usage",
    ("metering.UsageEvent", "billing_scope"): "usage (its own or what it pays for)",
    ("metering.AttributionRule", "billing_attribution_project"): "attribution rules by which it pays",
    ("metering.ApiKey", "project"): "API keys (revoked ones count)",
}


def holders_of(row: Model) -> list[str]:
    """The kinds of rows that refer to `row`, in words; empty where nothing does.

    Rollups aren't asked: they stand on events, which are, by an index.
    """
    names = [
        _name(field)
        for field in _references_to(row)
        if field.model is not UsageMeterRollup
        and field.model._default_manager.filter(**{field.name: row.pk}).exists()
    ]
    return list(dict.fromkeys(names))


def delete_unheld(row: Model) -> bool:
    """Delete `row` unless something refers to it; the foreign keys decide, at once and not at the commit.

    In SQL of its own, because Django would fetch whatever refers to the row in order to refuse. Must run in a
    transaction; False leaves that usable and the row where it is.
    """
    statement = f"DELETE FROM {connection.ops.quote_name(row._meta.db_table)} WHERE id = %s"  # noqa: S608
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(statement, [row.pk])
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    except IntegrityError as error:
        if not isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation):
            raise
        return False
    return True


def _references_to(row: Model) -> Iterator[ForeignKey]:
    """Foreign keys of the database. Pending contributions have none, and stand on events, which have."""
    for relation in row._meta.get_fields(include_hidden=True):
        field = relation.remote_field if relation.auto_created and not relation.concrete else None
        if isinstance(field, ForeignKey) and field.db_constraint:  # type: ignore[attr-defined]
            yield field


def _name(field: ForeignKey) -> str:
    return _NAMES.get((field.model._meta.label, field.name)) or str(field.model._meta.verbose_name_plural)
