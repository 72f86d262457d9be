"""Which recorded events name another payer than today's rules would: what re-attribution would move.

Rules say from when to when each project pays, so the ledger is asked in one statement: the spans of the
project and its surfaces, joined to the events that happened in them. Index: usage_event_by_project.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from metering.catalogue import Catalogue, current
from metering.errors import Invalid
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.models import Project, SurfaceInstallation

from .payers import spans_of

_COLUMNS = (
    "e.id, e.event_name, e.subject_type, e.subject_id, e.quantity::text, e.labels::text, e.occurred_at, f.key"
)


@dataclass(frozen=True, slots=True)
class MovedUsage:
    """Events of one name that one project paid for and another pays by today's rules.

    `held_by` names a metric whose numbers would change because it counts only one of the recorded event and
    its repetition: it was archived since, or defined since. `quantity` is None where no event has one.
    """

    from_payer: str
    to_payer: str
    event_name: str
    held_by: str | None
    count: int
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class ReattributionPreview:
    """What would move, up to a ledger position; empty where every event has the payer of today's rules."""

    position: int
    moves: Sequence[MovedUsage]

    @property
    def count(self) -> int:
        """Events that move without changing what any metric counts."""
        return sum(move.count for move in self.moves if move.held_by is None)

    @property
    def held_count(self) -> int:
        return sum(move.count for move in self.moves if move.held_by is not None)


def reattribution_preview(
    project: Project, *, start: dt.datetime, end: dt.datetime, position: int | None = None
) -> ReattributionPreview:
    """Usage of a project in [start, end) whose recorded payer differs from today's rules, by payers and name.

    Voided events aren't in it. Raises `Invalid` for an empty interval.
    """
    _ensure_interval(start, end)
    position = _ledger_end() if position is None else position
    params = Params()
    catalogue = current()
    statement = f"""
        SELECT e.billing_scope_id, s.payer_id, e.event_name,
               {_held_sql(catalogue, project, params)} AS held_by,
               count(*), sum(e.quantity)
          {_from_sql(catalogue, project, start, end, position, params)}
         GROUP BY 1, 2, 3, 4
         ORDER BY 5 DESC, 1, 2, 3, 4
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
    keys = dict(
        Project.objects.filter(pk__in={id for row in rows for id in row[:2]}).values_list("id", "key")
    )
    return ReattributionPreview(
        position,
        [
            MovedUsage(keys[from_id], keys[to_id], event_name, held_by, count, quantity)
            for from_id, to_id, event_name, held_by, count, quantity in rows
        ],
    )


def misattributed_ids(
    project: Project, *, start: dt.datetime, end: dt.datetime, position: int, with_held: bool
) -> list[int]:
    """Ids of the events that the preview counts, ascending; with those held by a metric only where asked."""
    params, catalogue = Params(), current()
    held = "" if with_held else f"AND {_held_sql(catalogue, project, params)} IS NULL"
    statement = f"""
        SELECT e.id
          {_from_sql(catalogue, project, start, end, position, params)}
           {held}
         ORDER BY e.id
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [event_id for (event_id,) in cursor.fetchall()]


def misattributed_rows(
    catalogue: Catalogue,
    project: Project,
    ids: Sequence[int],
    *,
    start: dt.datetime,
    end: dt.datetime,
    with_held: bool,
) -> list[tuple[Any, ...]]:
    """Those of the events `ids` that are misattributed by the rules of `catalogue` and not voided yet.

    Rows of id, event name, subject type, subject, quantity, labels, occurred at, surface's key; ascending.
    """
    params = Params()
    held = "" if with_held else f"AND {_held_sql(catalogue, project, params)} IS NULL"
    statement = f"""
        SELECT {_COLUMNS}
          {_from_sql(catalogue, project, start, end, max(ids), params)}
           AND e.id = ANY ({params.add(list(ids))}::bigint[])
           {held}
         ORDER BY e.id
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


def _ensure_interval(start: dt.datetime, end: dt.datetime) -> None:
    if start >= end:
        raise Invalid("The interval is empty: it must end after it begins.", field="end")


def _from_sql(
    catalogue: Catalogue,
    project: Project,
    start: dt.datetime,
    end: dt.datetime,
    position: int,
    params: Params,
) -> str:
    """FROM and WHERE: events `e`, spans `s` of their surface (0: none), the surface `f`."""
    surfaces = SurfaceInstallation.objects.filter(project=project).values_list("id", flat=True)
    spans = [
        (surface_id or 0, span.start, span.end, span.payer_id)
        for surface_id in (None, *surfaces)
        for span in spans_of(catalogue, project.pk, surface_id=surface_id, start=start, end=end)
    ]
    arrays = ", ".join(
        f"{params.add(list(values))}::{kind}[]"
        for values, kind in zip(
            zip(*spans, strict=True), ("bigint", "timestamptz", "timestamptz", "bigint"), strict=True
        )
    )
    return f"""FROM unnest({arrays}) AS s (surface_id, start_at, end_at, payer_id)
          JOIN metering_usageevent e
            ON e.project_id = {params.add(project.pk)}
           AND e.event_name = ANY ({params.add(catalogue.event_names())}::text[])
           AND e.occurred_at >= s.start_at
           AND e.occurred_at < s.end_at
           AND COALESCE(e.surface_id, 0) = s.surface_id
          LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id
         WHERE e.kind = 'usage'
           AND e.id <= {params.add(position)}
           AND e.billing_scope_id <> s.payer_id
           AND NOT EXISTS (
               SELECT FROM metering_usageevent v WHERE v.project_id = e.project_id AND v.voids = e.id
               )"""


def _held_sql(catalogue: Catalogue, project: Project, params: Params) -> str:
    """The key of the first metric that counts only one of the event and its repetition, else NULL."""
    cases = [
        f"WHEN {_counts_once_sql(meaning, params)} THEN {params.add(meaning.key)}::text"
        for _, meaning in sorted(catalogue.meanings.items())
        if project.path.startswith(meaning.owner_path)
        and (meaning.archived_from is not None or meaning.counts_from > 0)
    ]
    return f"(CASE {' '.join(cases)} END)" if cases else "NULL::text"


def _counts_once_sql(meaning: Meaning, params: Params) -> str:
    """A repetition counts where the metric isn't archived; the event, where it lies between its positions."""
    clauses = [f"e.event_name = {params.add(meaning.event_name)}"]
    if meaning.archived_from is None:
        clauses.append(f"e.id <= {params.add(meaning.counts_from)}")
    else:
        clauses.append(f"e.id > {params.add(meaning.counts_from)}")
        clauses.append(f"e.id <= {params.add(meaning.archived_from)}")
    if meaning.has_filter:
        clauses.append(meaning.filter.sql("e.labels", params))
    return " AND ".join(clauses)


def _ledger_end() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM metering_usageevent")
        (position,) = cursor.fetchone()
    return int(position)
