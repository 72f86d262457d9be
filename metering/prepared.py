"""Statements that run on every request, planned once per connection."""

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection


def raw_connection() -> "psycopg.Connection[Any]":
    """The driver's own connection behind Django's, in the same transaction."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    return raw


def first_row(statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row of a question that begins a request, bound on the server and planned once.

    It stands in for Django's health check of a kept connection, which is a round trip of its own: outside a
    transaction, a connection that turns out to be dead is replaced and asked once more.
    """
    if connection.in_atomic_block:
        return _ask(statement, parameters)
    connection.health_check_done = True  # type: ignore[attr-defined]
    try:
        return _ask(statement, parameters)
    except (OperationalError, InterfaceError):
        connection.close()
        return _ask(statement, parameters)


def _ask(statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    with connection.wrap_database_errors, psycopg.Cursor(raw_connection()) as cursor:
        return cursor.execute(statement, parameters, prepare=True).fetchone()
