"""What the rows of a narrowed list come to together: the amount that its link stood for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from metering.admin.cells import grouped
from metering.admin.paging import PlaceChangeList

from .document_words import bare

MOST_CURRENCIES = 8


@dataclass(frozen=True, slots=True)
class ListSum:
    """Of the rows in one currency: how many there are, and each column's sum in words."""

    currency: str
    row_count: int
    count: str
    sums: tuple[tuple[Any, str], ...]


def sums_of(changelist: PlaceChangeList, columns: Mapping[Any, Any], *, currency: str) -> list[ListSum]:
    """By currency, over all pages; nothing for a list that isn't narrowed down. One statement.

    `columns` maps what a sum is called to its expression, `currency` is the path to the currency.
    """
    if not (changelist.filter_params or changelist.query):
        return []
    rows: QuerySet = changelist.queryset.order_by().values(of=F(currency))
    names = {f"sum_{number}": expression for number, expression in enumerate(columns.values())}
    found = rows.annotate(
        row_count=Count("pk"), **{name: Sum(expression) for name, expression in names.items()}
    )
    return [
        ListSum(
            row["of"],
            row["row_count"],
            grouped(row["row_count"]),
            tuple((title, bare(row[name], row["of"])) for title, name in zip(columns, names, strict=True)),
        )
        for row in found.order_by("of")[:MOST_CURRENCIES]
    ]
