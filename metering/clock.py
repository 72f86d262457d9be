"""The database's clock, which decides wherever time decides."""

import datetime as dt

from django.db import connection


def database_now() -> dt.datetime:
    """The instant by the database's clock, UTC. Moves within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now.astimezone(dt.UTC)
