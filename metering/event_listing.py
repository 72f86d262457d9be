"""Reading the ledger back, page by page, newest use first.

A page costs the same anywhere in the ledger: for each project and event name that is asked for, the index
usage_event_by_project yields its next few rows in order, and those are merged.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db import connection

from .catalogue import Catalogue
from .cursors import cursor_text, place_at, row_id
from .label_filter import Params, text_sql
from .numbers import plain
from .timestamps import instant_from, iso

MAX_PAGE = 1000

_COLUMNS = """e.id, p.key AS project, s.key AS billing_scope, f.key AS surface,
               e.source, e.event_id, e.event_name, e.subject_type, e.subject_id,
               e.quantity, e.labels::text, e.occurred_at, e.recorded_at, e.kind, e.voids"""
_JOINS = """JOIN metering_project p ON p.id = e.project_id
          JOIN metering_project s ON s.id = e.billing_scope_id
          LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events. `project_ids` None: of all projects. The interval is half-open."""

    project_ids: Sequence[int] | None = None
    event_name: str | None = None
    source: str | None = None
    event_id: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def sql(self, params: Params) -> str:
        """Conditions on `e` other than project and event name."""
        clauses = []
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


def events_page(
    event_filter: EventFilter, *, catalogue: Catalogue, cursor: Cursor | None, limit: int
) -> Page:
    """One page of events as the API shows them, by (occurred_at, id) descending; labels are raw JSON."""
    params = Params()
    names = [event_filter.event_name] if event_filter.event_name is not None else catalogue.event_names()
    projects = "SELECT id FROM metering_project"
    if event_filter.project_ids is not None:
        projects = f"SELECT unnest({params.add(list(event_filter.project_ids))}::bigint[])"
    backwards = cursor is not None and cursor.backwards
    order = "ASC" if backwards else "DESC"
    after = ""
    if cursor is not None:
        sign = ">" if backwards else "<"
        after = (
            f"AND (e.occurred_at, e.id) {sign} ({params.add(cursor.occurred_at)}, {params.add(cursor.id)})"
        )
    statement = f"""
        SELECT {_COLUMNS}
          FROM (
                SELECT found.*
                  FROM ({projects}) AS wanted (project_id)
                 CROSS JOIN unnest({params.add(names)}::text[]) AS named (event_name)
                 CROSS JOIN LATERAL (
                       SELECT e.*
                         FROM metering_usageevent e
                        WHERE e.project_id = wanted.project_id
                          AND e.event_name = named.event_name
                          {event_filter.sql(params)}
                          {after}
                        ORDER BY e.occurred_at {order}, e.id {order}
                        LIMIT {params.add(limit + 1)}
                       ) found
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
    following = Cursor(last[11], last[0]) if has_more or backwards else None
    preceding = None
    if (cursor is not None and not backwards) or (backwards and has_more):
        preceding = Cursor(first[11], first[0], backwards=True)
    return Page([_shown(row) for row in rows], following, preceding)


def event_of(event_id: int, *, project_ids: Sequence[int] | None) -> dict[str, Any] | None:
    """One event as the API shows it; None where it doesn't exist or lies outside `project_ids`."""
    with connection.cursor() as db:
        db.execute(
            f"SELECT {_COLUMNS} FROM metering_usageevent e {_JOINS}"  # noqa: S608
            " WHERE e.id = %(id)s AND (%(ids)s::bigint[] IS NULL OR e.project_id = ANY (%(ids)s::bigint[]))",
            {"id": event_id, "ids": None if project_ids is None else list(project_ids)},
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
    }
