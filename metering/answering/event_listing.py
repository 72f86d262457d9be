"""Reading the ledger back, page by page, newest use first.

A page costs the same anywhere in the ledger: for each project and each of its event names the index
usage_event_by_project (by payer: usage_event_by_payer) yields its next few rows in order, and those are
merged. Of many projects only those count whose next row is among the first: any other has so many rows of
others before it that none of its own comes onto the page. Voids, and what they cancel, are few:
usage_event_voided_once holds nothing else.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db import connection

from metering.measuring.label_filter import Params, text_sql
from metering.models import UsageEvent
from metering.texts.cursors import cursor_text, place_at, row_id
from metering.texts.numbers import plain
from metering.texts.timestamps import instant_from, iso

MAX_PAGE = 1000
FEW_PROJECTS = 10

_COLUMNS = """e.id, p.key AS project, s.key AS billing_scope, f.key AS surface,
               e.source, e.event_id, e.event_name, e.subject_type, e.subject_id,
               e.quantity, e.labels::text, e.occurred_at, e.recorded_at, e.kind, e.voids"""
_OCCURRED_AT = 11  # its place among them
_JOINS = """JOIN metering_project p ON p.id = e.project_id
          JOIN metering_project s ON s.id = e.billing_scope_id
          LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events. `payer_id`: billed to that project; else of `project_ids`, None being all there are.

    The interval is half-open. `position`: as the ledger stood there, events and voids after it left out.
    `is_voided` asks whether a void cancels the event; a void itself is never voided.
    """

    project_ids: Sequence[int] | None = None
    payer_id: int | None = None
    event_name: str | None = None
    source: str | None = None
    event_id: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    is_voided: bool | None = None
    position: int | None = None

    def sql(self, params: Params) -> str:
        """Conditions on `e` other than whose it is and its name."""
        clauses = []
        if self.position is not None:
            clauses.append(f"AND e.id <= {params.add(self.position)}")
        if self.kind is not None:
            # The same, by usage_event_void_names_an_event; and an index holds the few voids by this column.
            clauses.append(f"AND e.voids IS {'NOT ' if self.kind == UsageEvent.Kind.VOID else ''}NULL")
        if self.is_voided is not None:
            clauses.append(f"AND {'' if self.is_voided else 'NOT '}EXISTS ({self._void_sql(params)})")
        for name in ("source", "event_id", "subject_type", "subject_id"):
            value = getattr(self, name)
            if value is not None:
                clauses.append(f"AND e.{name} = {params.add(value)}")
        if self.start is not None:
            clauses.append(f"AND e.occurred_at >= {params.add(self.start)}")
        if self.end is not None:
            clauses.append(f"AND e.occurred_at < {params.add(self.end)}")
        for name, wanted in self.labels.items():
            clauses.append(f"AND ({text_sql('e.labels', name, params)}) = {params.add(wanted)}")
        return " ".join(clauses)

    def voided_by_sql(self, params: Params) -> str:
        """The id of the void that cancels `e`, or NULL."""
        return f"({self._void_sql(params)})"

    def _void_sql(self, params: Params) -> str:
        # Index: usage_event_voided_once.
        known = "" if self.position is None else f" AND v.id <= {params.add(self.position)}"
        return (
            "SELECT v.id FROM metering_usageevent v"  # noqa: S608 (values are bound)
            f" WHERE v.project_id = e.project_id AND v.voids = e.id{known}"
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two events, and the direction in which to go on."""

    occurred_at: dt.datetime
    id: int
    backwards: bool = False

    @property
    def text(self) -> str:
        return cursor_text([iso(self.occurred_at), self.id, int(self.backwards)])

    @classmethod
    def from_text(cls, text: str) -> "Cursor":
        """Raises `Invalid` for what was not made by `text`."""

        def read(facts: list[Any]) -> "Cursor":
            occurred_at, event_id, backwards = facts
            return cls(instant_from(occurred_at), row_id(event_id), bool(backwards))

        return place_at(text, read)


@dataclass(frozen=True, slots=True)
class Page:
    events: list[dict[str, Any]]
    following: Cursor | None
    preceding: Cursor | None


def events_page(event_filter: EventFilter, *, cursor: Cursor | None, limit: int) -> Page:
    """One page of events as the API shows them, by (occurred_at, id) descending; labels are raw JSON."""
    params = Params()
    owner = "project_id" if event_filter.payer_id is None else "billing_scope_id"
    backwards = cursor is not None and cursor.backwards
    order = "ASC" if backwards else "DESC"
    after = ""
    if cursor is not None:
        sign = ">" if backwards else "<"
        after = (
            f"AND (e.occurred_at, e.id) {sign} ({params.add(cursor.occurred_at)}, {params.add(cursor.id)})"
        )

    def next_rows(columns: str, count: int) -> str:
        """Of one `wanted` project and event name."""
        return f"""
            SELECT {columns}
              FROM metering_usageevent e
             WHERE e.{owner} = wanted.id
               AND e.event_name = wanted.event_name
               {event_filter.sql(params)}
               {after}
             ORDER BY e.occurred_at {order}, e.id {order}
             LIMIT {params.add(count)}
        """  # noqa: S608 (values are bound; the text is ours)

    wanted = f"""
        SELECT owner.id, named.event_name
          FROM ({_owners_sql(event_filter, params)}) AS owner
         CROSS JOIN LATERAL ({_names_sql(event_filter, owner, params)}) AS named
    """  # noqa: S608
    if event_filter.payer_id is None and _are_many(event_filter.project_ids):
        wanted = f"""
            SELECT wanted.id, wanted.event_name
              FROM ({wanted}) AS wanted
             CROSS JOIN LATERAL ({next_rows("e.occurred_at, e.id AS event_id", 1)}) next
             ORDER BY next.occurred_at {order}, next.event_id {order}
             LIMIT {params.add(limit + 1)}
        """  # noqa: S608
    statement = f"""
        SELECT {_COLUMNS}, {event_filter.voided_by_sql(params)}
          FROM (
                SELECT found.*
                  FROM ({wanted}) AS wanted
                 CROSS JOIN LATERAL ({next_rows("e.*", limit + 1)}) found
                 ORDER BY found.occurred_at {order}, found.id {order}
                 LIMIT {params.add(limit + 1)}
               ) e
          {_JOINS}
         ORDER BY e.occurred_at {order}, e.id {order}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as db:
        db.execute(statement, params)
        rows = db.fetchall()
    has_more = len(rows) > limit
    rows = rows[:limit]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    first, last = rows[0], rows[-1]
    following = Cursor(last[_OCCURRED_AT], last[0]) if has_more or backwards else None
    preceding = None
    if (cursor is not None and not backwards) or (backwards and has_more):
        preceding = Cursor(first[_OCCURRED_AT], first[0], backwards=True)
    return Page([_shown(row) for row in rows], following, preceding)


def _owners_sql(event_filter: EventFilter, params: Params) -> str:
    if event_filter.payer_id is not None:
        return f"SELECT {params.add(event_filter.payer_id)}::bigint AS id"
    if event_filter.project_ids is not None:
        return f"SELECT DISTINCT unnest({params.add(list(event_filter.project_ids))}::bigint[]) AS id"
    return "SELECT id FROM metering_project"


def _names_sql(event_filter: EventFilter, owner: str, params: Params) -> str:
    """The event names of one `owner`: the ledger's own, found by stepping from one to the next through the
    index, so that nothing of it is left out that no metric listens to any more."""
    if event_filter.event_name is not None:
        return f"SELECT {params.add(event_filter.event_name)} AS event_name"
    return f"""
        WITH RECURSIVE walk (event_name) AS (
            SELECT min(e.event_name) FROM metering_usageevent e WHERE e.{owner} = owner.id
             UNION ALL
            SELECT (SELECT min(e.event_name)
                      FROM metering_usageevent e
                     WHERE e.{owner} = owner.id
                       AND e.event_name > walk.event_name)
              FROM walk
             WHERE walk.event_name IS NOT NULL
        )
        SELECT event_name FROM walk WHERE event_name IS NOT NULL
    """  # noqa: S608 (our own words)


def _are_many(project_ids: Sequence[int] | None) -> bool:
    """Whether it pays to ask first whose next rows come first."""
    return project_ids is None or len(project_ids) > FEW_PROJECTS


def event_of(
    event_id: int, *, project_ids: Sequence[int] | None, position: int | None = None
) -> dict[str, Any] | None:
    """One event as the API shows it; None where it doesn't exist (at `position`) or lies elsewhere."""
    wanted = EventFilter(project_ids=project_ids, position=position)
    params = Params()
    where = f"e.id = {params.add(event_id)} {wanted.sql(params)}"
    if project_ids is not None:
        where += f" AND e.project_id = ANY ({params.add(list(project_ids))}::bigint[])"
    with connection.cursor() as db:
        db.execute(
            f"SELECT {_COLUMNS}, {wanted.voided_by_sql(params)}"  # noqa: S608 (values are bound)
            f" FROM metering_usageevent e {_JOINS} WHERE {where}",
            params,
        )
        row = db.fetchone()
    return None if row is None else _shown(row)


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    (
        row_id,
        project,
        billing_scope,
        surface,
        source,
        event_id,
        event_name,
        subject_type,
        subject_id,
        quantity,
        labels,
        occurred_at,
        recorded_at,
        kind,
        voids,
        voided_by,
    ) = row
    return {
        "id": row_id,
        "project": project,
        "billing_scope": billing_scope,
        "surface": surface,
        "source": source,
        "event_id": event_id,
        "event_name": event_name,
        "subject_type": subject_type or None,
        "subject_id": subject_id or None,
        "quantity": None if quantity is None else plain(quantity),
        "labels": msgspec.Raw(labels.encode()),  # as they were sent: no float comes near them
        "occurred_at": iso(occurred_at),
        "recorded_at": iso(recorded_at),
        "kind": kind,
        "voids": voids,
        "voided_by": voided_by,
    }
