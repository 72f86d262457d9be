"""All histories of configuration as one: who changed what, when, from what to what, and why."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import pghistory.core
from django.db import connection, models
from psycopg import sql

from .models import SET, Change, Project

PAGE_CHANGES = 50
_LARGEST_ID = 2**31 - 1

_FOUND = sql.SQL("""
    (SELECT {number}::int AS history, pgh_id, pgh_created_at
       FROM {table}
      WHERE {conditions}
      ORDER BY pgh_created_at {direction}, pgh_id {direction}
      LIMIT {size})
""")
_CALLED = sql.SQL("""
    (SELECT {number}::int, {key}::bigint FROM {table} WHERE {is_it} LIMIT 1000)
    UNION ALL
    (SELECT {number}::int, pgh_obj_id::bigint
       FROM {history}
      WHERE pgh_label = 'removed'
        AND ({is_it})
      LIMIT 1000)
""")
_READ = sql.SQL("""
    SELECT {number}::int, c.pgh_id, to_jsonb(c)::text, to_jsonb(b)::text
      FROM {table} c
      LEFT JOIN LATERAL (SELECT *
                           FROM {table}
                          WHERE pgh_obj_id = c.pgh_obj_id
                            AND pgh_id < c.pgh_id
                          ORDER BY pgh_id DESC
                          LIMIT 1) b ON true
     WHERE c.pgh_id = ANY({ids})
""")


@dataclass(frozen=True, slots=True)
class History:
    """The history of one table. `number` is its place among all."""

    number: int
    model: type[Change]

    @property
    def tracked(self) -> type[models.Model]:
        """Whose rows it follows."""
        found: Any = self.model
        return found.pgh_tracked_model._meta.concrete_model

    @property
    def key(self) -> str:
        """What it is called in URLs: "metering.project"."""
        return self.tracked._meta.label_lower

    @property
    def words(self) -> Any:
        """What one of its rows is called."""
        return self.model.words or self.tracked._meta.verbose_name

    @property
    def page_model(self) -> type[models.Model]:
        """On whose page its changes are looked for, and whose view right it takes to see them."""
        related: Any = self.model._meta.get_field(self.model.page_of).related_model
        return related._meta.concrete_model

    @property
    def page_column(self) -> str:
        related: Any = self.model._meta.get_field(self.model.page_of)
        return str(related.column)

    @property
    def view_right(self) -> str:
        options = self.page_model._meta
        return f"{options.app_label}.view_{options.model_name}"

    @property
    def fields(self) -> list[Any]:
        """What it keeps of a row."""
        names = {field.name for field in self.tracked._meta.fields}
        return [field for field in self.model._meta.fields if field.name in names]


@cache
def histories() -> tuple[History, ...]:
    """All that the installed apps keep, by the names of their tables."""
    found: list[Any] = [model for model in pghistory.core.event_models() if issubclass(model, Change)]
    found.sort(key=lambda model: model._meta.db_table)
    return tuple(History(number, model) for number, model in enumerate(found))


def histories_on_page_of(model: type[models.Model]) -> list[History]:
    """Those whose changes are looked for on a page of `model`; empty where nothing is kept of it."""
    concrete = model._meta.concrete_model
    return [history for history in histories() if history.page_model is concrete]


@dataclass(frozen=True, slots=True)
class Place:
    """Behind a change, in time; on to older ones, or with `is_backwards` to newer ones."""

    at: dt.datetime
    number: int
    change_id: int
    is_backwards: bool = False

    def __str__(self) -> str:
        sign = "+" if self.is_backwards else ""
        return f"{sign}{self.at.astimezone(dt.UTC):%Y%m%dT%H%M%S.%f}_{self.number}_{self.change_id}"

    @classmethod
    def from_text(cls, text: str | None) -> "Place | None":
        """None, the beginning, for what was not made here."""
        try:
            at, number, change_id = (text or "").removeprefix("+").split("_")
            instant = dt.datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=dt.UTC)
            place = cls(instant, int(number), int(change_id), (text or "").startswith("+"))
        except ValueError:
            return None
        return place if 0 <= place.number < 1000 and 0 <= place.change_id <= _LARGEST_ID else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes: `actor` as it was told; in the half-open interval; of the rows on the page of one
    object (`page_id`); whose project has the key `search`, or that are called so."""

    actor: str = ""
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    page_id: int | None = None
    search: str = ""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change. `after` and `before` by column; `before` is None for the first of a row."""

    history: History
    change_id: int
    at: dt.datetime
    label: str
    object_id: int
    context: Mapping[str, Any]
    database_role: str
    after: Mapping[str, Any]
    before: Mapping[str, Any] | None

    @property
    def changed_fields(self) -> list[Any]:
        """The columns that differ from before; none for the first and for a removal."""
        if self.before is None or self.label == SET:
            return []
        return [
            field
            for field in self.history.fields
            if self.after.get(field.column) != self.before.get(field.column)
        ]


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Newest first, and the places before and behind; None where there is nothing."""

    rows: Sequence[ChangeRow] = field(default_factory=list)
    newer: Place | None = None
    older: Place | None = None


def page_of_changes(
    among: Sequence[History], wanted: Wanted, *, place: Place | None = None, size: int = PAGE_CHANGES
) -> ChangePage:
    """The changes in `among`, newest first from `place` on.

    Two statements, whatever the number of changes: each history gives its next few by time. With a name
    sought for, two before them find what is called so.
    """
    if not among:
        return ChangePage()
    backwards = place is not None and place.is_backwards
    direction = sql.SQL("ASC" if backwards else "DESC")
    named = _rows_called(among, wanted.search) if wanted.search else {}
    project_ids = _projects_called(wanted.search) if wanted.search else []
    found = sql.SQL(" UNION ALL ").join(
        _FOUND.format(
            number=sql.Literal(history.number),
            table=sql.Identifier(history.model._meta.db_table),
            conditions=sql.SQL(" AND ").join(_conditions(history, wanted, place, named, project_ids)),
            direction=direction,
            size=sql.Literal(size + 1),
        )
        for history in among
    )
    ordered = sql.SQL(
        "SELECT * FROM ({found}) AS f ORDER BY pgh_created_at {way}, history {way}, pgh_id {way} LIMIT {size}"
    ).format(found=found, way=direction, size=sql.Literal(size + 1))
    with connection.cursor() as cursor:
        cursor.execute(ordered)
        keys = [(number, change_id) for number, change_id, _ in cursor.fetchall()]
    has_more = len(keys) > size
    keys = keys[:size]
    if backwards:
        keys.reverse()
    rows = _rows(keys)
    if not rows:
        return ChangePage()
    has_newer, has_older = (has_more, True) if backwards else (place is not None, has_more)
    return ChangePage(
        rows,
        newer=_place_of(rows[0], is_backwards=True) if has_newer else None,
        older=_place_of(rows[-1]) if has_older else None,
    )


def changes_by_id(history: History, change_ids: Sequence[int]) -> list[ChangeRow]:
    """Changes of one history by their numbers, in that order; those that there aren't are left out."""
    return _rows([(history.number, change_id) for change_id in change_ids])


def _place_of(row: ChangeRow, *, is_backwards: bool = False) -> Place:
    return Place(row.at, row.history.number, row.change_id, is_backwards)


def _projects_called(key: str) -> list[int]:
    return list(Project.objects.filter(key=key).values_list("pk", flat=True))


def _conditions(
    history: History,
    wanted: Wanted,
    place: Place | None,
    named: Mapping[int, list[int]],
    project_ids: list[int],
) -> list[sql.Composable]:
    """Of one history: the place by the index on (pgh_created_at, pgh_id), a person by that on the actor."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if place is not None:
        # At the very instant the order goes on by history: those with a smaller number lie beyond it.
        bound = place.change_id
        if history.number != place.number:
            is_behind = history.number < place.number
            bound = _LARGEST_ID if is_behind else 0
        conditions.append(
            sql.SQL("(pgh_created_at, pgh_id) {than} ({at}, {bound})").format(
                than=sql.SQL(">" if place.is_backwards else "<"),
                at=sql.Literal(place.at),
                bound=sql.Literal(bound),
            )
        )
    if wanted.start is not None:
        conditions.append(sql.SQL("pgh_created_at >= {}").format(sql.Literal(wanted.start)))
    if wanted.end is not None:
        conditions.append(sql.SQL("pgh_created_at < {}").format(sql.Literal(wanted.end)))
    if wanted.actor:
        conditions.append(sql.SQL("(pgh_context ->> 'actor') = {}").format(sql.Literal(wanted.actor)))
    if wanted.page_id is not None:
        column = sql.Identifier(history.page_column)
        conditions.append(sql.SQL("{} = {}").format(column, sql.Literal(wanted.page_id)))
    if wanted.search:
        conditions.append(_called(history, named, project_ids))
    return conditions


def _rows_called(among: Sequence[History], name: str) -> dict[int, list[int]]:
    """By number of a history, rows whose name is `name`, or was until they were removed: one statement."""
    parts = []
    for history in among:
        columns = [
            sql.Identifier(column)
            for column in history.model.named_by
            if isinstance(history.model._meta.get_field(column), (models.CharField, models.TextField))
        ]
        if columns:
            is_it = sql.SQL(" OR ").join(sql.SQL("{} = {}").format(one, sql.Literal(name)) for one in columns)
            parts.append(
                _CALLED.format(
                    number=sql.Literal(history.number),
                    key=sql.Identifier(history.tracked._meta.pk.column or "id"),
                    table=sql.Identifier(history.tracked._meta.db_table),
                    history=sql.Identifier(history.model._meta.db_table),
                    is_it=is_it,
                )
            )
    found: dict[int, list[int]] = {}
    if parts:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(" UNION ALL ").join(parts))
            for number, row_id in cursor:
                found.setdefault(number, []).append(row_id)
    return found


def _called(history: History, named: Mapping[int, list[int]], project_ids: list[int]) -> sql.Composable:
    """Rows that have the name, or that are of a project with that key."""
    columns = {"pgh_obj_id": named.get(history.number, [])}
    columns |= {field.column: project_ids for field in history.fields if field.related_model is Project}
    either = [
        sql.SQL("{} = ANY({})").format(sql.Identifier(column), sql.Literal(ids))
        for column, ids in columns.items()
        if ids
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(either)) if either else sql.SQL("false")


def _rows(keys: Sequence[tuple[int, int]]) -> list[ChangeRow]:
    by_history: dict[int, list[int]] = {}
    for number, change_id in keys:
        by_history.setdefault(number, []).append(change_id)
    if not by_history:
        return []
    statement = sql.SQL(" UNION ALL ").join(
        _READ.format(
            number=sql.Literal(number),
            table=sql.Identifier(histories()[number].model._meta.db_table),
            ids=sql.Literal(ids),
        )
        for number, ids in by_history.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found = {(number, change_id): (after, before) for number, change_id, after, before in cursor}
    return [_row(histories()[key[0]], *found[key]) for key in keys if key in found]


def _row(history: History, after_text: str, before_text: str | None) -> ChangeRow:
    after = json.loads(after_text, parse_float=Decimal)
    return ChangeRow(
        history=history,
        change_id=after["pgh_id"],
        at=dt.datetime.fromisoformat(after["pgh_created_at"]),
        label=after["pgh_label"],
        object_id=after["pgh_obj_id"],
        context=after["pgh_context"] or {},
        database_role=after["database_role"],
        after=after,
        before=None if before_text is None else json.loads(before_text, parse_float=Decimal),
    )
