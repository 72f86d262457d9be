"""A first migrate, on a database that holds nothing yet."""

import pytest
from django.core import checks
from django.db import connection


@pytest.mark.django_db
def test_system_checks_ask_no_table() -> None:
    """They run before the first migration has made one."""
    asked: list[str] = []

    def note(execute, sql, params, many, context):
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        found = checks.run_checks()

    assert asked == []
    assert [message for message in found if message.is_serious()] == []
