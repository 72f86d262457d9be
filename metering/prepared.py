"""Statements that run on every request, planned once per connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


def raw_connection() -> "psycopg.Connection[Any]":
    """The driver's own connection behind Django's, in the same transaction."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    return raw


@contextmanager
def prepared_cursor() -> "Iterator[psycopg.Cursor[Any]]":
    """A cursor that binds on the server, so that `prepare=True` saves parsing and planning.

    Errors of the driver become Django's, as on Django's own cursors.
    """
    with connection.wrap_database_errors, psycopg.Cursor(raw_connection()) as cursor:
        yield cursor
