"""Between which readings of its stream a reading would come, by the ledger: what it would add as a step."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from metering.measuring.event_sql import counted_sql, event_stream_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.streams import stream_of


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """An instant in one stream of a metric."""

    project_id: int
    billing_scope_id: int
    subject_type: str
    subject_id: str
    group: tuple[str | None, ...]
    at: dt.datetime

    @property
    def stream(self) -> tuple[int, int, uuid.UUID]:
        return (
            self.project_id,
            self.billing_scope_id,
            stream_of(self.subject_type, self.subject_id, self.group),
        )


Neighbour = tuple[dt.datetime, Decimal]  # when a recorded reading was taken, and what it states


def step_neighbours(
    meaning: Meaning, places: Sequence[StreamPlace]
) -> list[tuple[Neighbour | None, Neighbour | None]]:
    """For each place the recorded reading before it (or at the same instant) and the one after it.

    One statement. Index: usage_event_by_project, from the place outwards.
    """
    params = Params()
    columns: list[tuple[str, list[Any]]] = [
        ("bigint", [place.project_id for place in places]),
        ("bigint", [place.billing_scope_id for place in places]),
        ("text", [place.subject_type for place in places]),
        ("text", [place.subject_id for place in places]),
        ("uuid", [place.stream[2] for place in places]),
        ("timestamptz", [place.at for place in places]),
    ]
    arrays = ", ".join(f"{params.add(values)}::{kind}[]" for kind, values in columns)

    def nearest(sign: str, direction: str) -> str:
        return f"""
            SELECT e.occurred_at, {meaning.value_sql(params)} AS value
              FROM metering_usageevent e
             WHERE e.project_id = p.project_id
               AND e.billing_scope_id = p.billing_scope_id
               AND e.subject_type = p.subject_type
               AND e.subject_id = p.subject_id
               AND {event_stream_sql(meaning, params)} = p.stream
               AND e.occurred_at {sign} p.at
               AND {counted_sql(meaning, params)}
             ORDER BY e.occurred_at {direction}, e.id {direction}
             LIMIT 1
        """  # noqa: S608 (values are bound; the text is ours)

    statement = f"""
        SELECT before.occurred_at, before.value, after.occurred_at, after.value
          FROM unnest({arrays}) WITH ORDINALITY
               AS p (project_id, billing_scope_id, subject_type, subject_id, stream, at, n)
          LEFT JOIN LATERAL ({nearest("<=", "DESC")}) before ON TRUE
          LEFT JOIN LATERAL ({nearest(">", "ASC")}) after ON TRUE
         ORDER BY p.n
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [
            (
                None if before_at is None else (before_at.astimezone(dt.UTC), before),
                None if after_at is None else (after_at.astimezone(dt.UTC), after),
            )
            for before_at, before, after_at, after in cursor.fetchall()
        ]
