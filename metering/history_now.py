"""How rows stand now, in the words of their histories: told apart from what a change made of them."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection
from psycopg import sql

from .histories import ChangeRow

_NOW = sql.SQL("""
    SELECT {number}::int, {key}::bigint, to_jsonb(t)::text
      FROM {table} t
     WHERE {key} = ANY({ids})
""")


def rows_now(changes: Sequence[ChangeRow]) -> dict[tuple[str, int], Mapping[str, Any]]:
    """By kind and id, the rows that the changes are of, by column; without those that are gone. One query.

    Index: the primary key of each table.
    """
    wanted: dict[int, tuple[Any, set[int]]] = {}
    for change in changes:
        wanted.setdefault(change.history.number, (change.history, set()))[1].add(change.object_id)
    if not wanted:
        return {}
    statement = sql.SQL(" UNION ALL ").join(
        _NOW.format(
            number=sql.Literal(number),
            key=sql.Identifier(history.tracked._meta.pk.column),
            table=sql.Identifier(history.tracked._meta.db_table),
            ids=sql.Literal(sorted(ids)),
        )
        for number, (history, ids) in wanted.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return {
            (wanted[number][0].key, row_id): json.loads(text, parse_float=Decimal)
            for number, row_id, text in cursor
        }
