"""The event with which a metric's meaning froze."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning

MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class FirstUse:
    """The first event that was recorded and counted."""

    id: int
    recorded_at: dt.datetime


def first_use_of(meaning: Meaning) -> FirstUse | None:
    """The first event, by ledger id, that a metric counts; None where the first rows that it could count hold
    none: what is rarer isn't worth a page's time.

    Reads at most 20,000 rows by the ledger's primary key, from where the metric begins to count.
    """
    params = Params()
    statement = f"""
        SELECT e.id, e.recorded_at
          FROM (
                SELECT *
                  FROM metering_usageevent
                 WHERE id > {params.add(meaning.counts_from)}
                 ORDER BY id
                 LIMIT {MOST_ROWS}
               ) e
          JOIN metering_project p
            ON p.id = e.project_id
         WHERE {meaning.where_sql(params)}
           AND starts_with(p.path, {params.add(meaning.owner_path)})
         ORDER BY e.id
         LIMIT 1
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
    return None if row is None else FirstUse(row[0], row[1].astimezone(dt.UTC))
