"""What time it is, as the database tells: its clock decides wherever time does, its ledger's end likewise."""

import datetime as dt

from django.db import connection


def database_now() -> dt.datetime:
    """The instant by the database's clock, UTC. Moves within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now.astimezone(dt.UTC)


def ledger_end() -> int:
    """The last id drawn so far; final only where no recorder is running."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM metering_usageevent_id_seq"
        )
        (position,) = cursor.fetchone()
    return int(position)
