"""Finding events by id, through indexes alone."""

from django.db import connection

from .paging import id_from

MOST_FOUND = 50

# The key index is (project, source, event_id), and the source isn't known: for each project walk from one
# source to the next through that index, and look the id up under each. Reads a few rows per source.
_BY_ANY_ID = """
    SELECT e.id
      FROM metering_usageevent e
     WHERE e.id = %(id)s
       AND (%(project_id)s::bigint IS NULL OR e.project_id = %(project_id)s)
     UNION
   (SELECT e.id
      FROM metering_project p
     CROSS JOIN LATERAL (
           WITH RECURSIVE sources (source) AS (
               SELECT min(f.source) FROM metering_usageevent f WHERE f.project_id = p.id
               UNION ALL
               SELECT (SELECT min(f.source)
                         FROM metering_usageevent f
                        WHERE f.project_id = p.id
                          AND f.source > s.source)
                 FROM sources s
                WHERE s.source IS NOT NULL
           )
           SELECT source FROM sources WHERE source IS NOT NULL
           ) AS known
      JOIN metering_usageevent e
        ON e.project_id = p.id
       AND e.source = known.source
       AND e.event_id = %(event_id)s
     WHERE %(project_id)s::bigint IS NULL OR p.id = %(project_id)s
     LIMIT %(most)s)
"""


def ids_of_events_called(text: str, *, project_id: int | None = None) -> list[int]:
    """Ids of the events whose ledger id or whose event id is exactly `text`, fifty at most."""
    text = text.strip()
    if not text or "\x00" in text:
        return []
    asked = {"id": id_from(text), "event_id": text, "project_id": project_id, "most": MOST_FOUND}
    with connection.cursor() as cursor:
        cursor.execute(_BY_ANY_ID, asked)
        return [row_id for (row_id,) in cursor.fetchall()]
