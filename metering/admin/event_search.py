"""Finding events by id, through indexes alone."""

from django.db import connection

from .row_ids import id_from

MOST_FOUND = 50

# The key index is (project, source, event_id), and the source isn't known: for each project walk from one
# source to the next through that index, and look the id up under each. Reads a few rows per source.
_BY_ANY_ID = """
    WITH wanted AS (
           SELECT p.id
             FROM metering_project p
            WHERE (%(project_id)s::bigint IS NULL OR p.id = %(project_id)s)
              AND (%(project_key)s::text IS NULL OR p.key = %(project_key)s)
         )
    SELECT e.id
      FROM metering_usageevent e
      JOIN wanted w ON w.id = e.project_id
     WHERE e.id = %(id)s
     UNION
   (SELECT e.id
      FROM wanted w
     CROSS JOIN LATERAL (
           WITH RECURSIVE sources (source) AS (
               SELECT min(f.source) FROM metering_usageevent f WHERE f.project_id = w.id
               UNION ALL
               SELECT (SELECT min(f.source)
                         FROM metering_usageevent f
                        WHERE f.project_id = w.id
                          AND f.source > s.source)
                 FROM sources s
                WHERE s.source IS NOT NULL
           )
           SELECT source FROM sources WHERE source IS NOT NULL
           ) AS known
      JOIN metering_usageevent e
        ON e.project_id = w.id
       AND e.source = known.source
       AND e.event_id = %(event_id)s
     WHERE %(most_projects)s::bigint IS NULL
        OR (SELECT count(*) FROM wanted) <= %(most_projects)s
     LIMIT %(most)s)
"""


def ids_of_events_called(
    text: str,
    *,
    project_id: int | None = None,
    project_key: str | None = None,
    most_projects: int | None = None,
) -> list[int]:
    """Ids of the events whose ledger id or whose event id is exactly `text`, fifty at most.

    Of one project or of all; where those are more than `most_projects`, by the ledger id alone.
    """
    text = text.strip()
    if not text or "\x00" in text:
        return []
    asked = {
        "id": id_from(text),
        "event_id": text,
        "project_id": project_id,
        "project_key": project_key,
        "most_projects": most_projects,
        "most": MOST_FOUND,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BY_ANY_ID, asked)
        return [row_id for (row_id,) in cursor.fetchall()]
