"""What the things are called that changes of configuration refer to, also when they are gone."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from psycopg import sql

from .histories import ChangeRow, histories

_NAMES_OF_GONE = sql.SQL("""
    SELECT DISTINCT ON (pgh_obj_id) pgh_obj_id, concat_ws(' ', {names})
      FROM {table}
     WHERE pgh_obj_id = ANY({ids})
     ORDER BY pgh_obj_id, pgh_id DESC
""")


def names_of(rows: Sequence[ChangeRow]) -> dict[tuple[type[models.Model], int], str]:
    """What the rows refer to, by what people call it: a statement for each kind of thing.

    What is gone is called as its own history knows it last.
    """
    wanted: dict[type[models.Model], set[int]] = {}
    for row in rows:
        for one in row.history.fields:
            if one.related_model is None:
                continue
            ids = {values[one.column] for values in (row.after, row.before or {}) if values.get(one.column)}
            wanted.setdefault(one.related_model._meta.concrete_model, set()).update(ids)
    names: dict[tuple[type[models.Model], int], str] = {}
    for model, ids in wanted.items():
        if not ids:
            continue
        # With what they refer to: some are called by it.
        found = model._default_manager.select_related().filter(pk__in=ids)
        names.update({(model, each.pk): str(each) for each in found})
        gone = sorted(pk for pk in ids if (model, pk) not in names)
        if gone:
            names.update({(model, pk): name for pk, name in _names_of_gone(model, gone)})
    return names


def _names_of_gone(model: type[models.Model], ids: list[int]) -> list[tuple[int, str]]:
    history = next((one for one in histories() if one.tracked is model), None)
    if history is None:
        return []
    fields: list[Any] = [history.model._meta.get_field(name) for name in history.model.named_by]
    with connection.cursor() as cursor:
        cursor.execute(
            _NAMES_OF_GONE.format(
                names=sql.SQL(", ").join(sql.Identifier(one.column) for one in fields),
                table=sql.Identifier(history.model._meta.db_table),
                ids=sql.Literal(ids),
            )
        )
        return cursor.fetchall()
