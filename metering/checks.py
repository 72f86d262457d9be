"""System checks of the database: `manage.py check --database default [--deploy]`."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection

from .guards import guard_breaches, ledger_exists, right_breaches


@register(Tags.database)
def ledger_is_guarded(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Fails when a guard of the ledger or of its seals is missing, altered, or not ALWAYS."""
    if not databases or "default" not in databases or not ledger_exists():
        return []
    return [Error(breach.what, hint=breach.hint, id="metering.E001") for breach in guard_breaches()]


@register(Tags.database, deploy=True)
def application_is_not_the_owner(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warns when the connected role could change the ledger but for its guards."""
    if not databases or "default" not in databases or not ledger_exists():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (role,) = cursor.fetchone()
    return [Warning(breach.what, hint=breach.hint, id="metering.W001") for breach in right_breaches(role)]
