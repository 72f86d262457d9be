"""The columns of a list's file: what each is called, and where its values come from.

Names are those of the model's fields, in English whatever the language of the page, and keep their meaning.
Values are data: keys instead of names, stored values of choices, exact numbers, instants in UTC.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ImproperlyConfigured
from django.db.models import (
    BinaryField,
    F,
    Field,
    ForeignKey,
    Func,
    GeneratedField,
    JSONField,
    Model,
    TextField,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from metering.texts.csv_blocks import Value
from metering.texts.numbers import plain

# What a field that authenticates somebody, or proves something, is called. No file holds any.
_SECRET = re.compile(r"password|secret|token|digest|fingerprint|hash|pepper|signature|(^|_)mac(_|$)")


def as_data(value: Any) -> Value:
    """A value of a field as a cell: no zeros that only a column's scale pads, no words of a language."""
    if value is None or isinstance(value, (str, dt.date)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return Decimal(plain(value))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column made of what the database says of `sources`: lookups such as "project__key", or expressions.

    `written` makes the cell of their values.
    """

    name: str
    sources: Sequence[str | Combinable]
    written: Callable[..., Value] = as_data

    def __post_init__(self) -> None:
        for source in self.sources:
            if isinstance(source, str) and _SECRET.search(source.rpartition("__")[2]):
                raise ImproperlyConfigured(f"The column {self.name} would show {source}, which is secret.")


@dataclass(frozen=True, slots=True)
class RowColumn:
    """A column asked of a row of the list, after `prepare_rows` has asked what it needs for many at once."""

    name: str
    written: Callable[[Any], Value]


Columns = Sequence[ListColumn | RowColumn]
FileColumns = Sequence[str | ListColumn | RowColumn]  # a text is the name of a field


def column(name: str, source: str | Combinable | None = None) -> ListColumn:
    """What one lookup or expression says; without one, the field of that name."""
    return ListColumn(name, (source or name,))


def columns_of(model_admin: Any) -> Columns:
    """As the admin says: its `csv_columns`, or all fields; then its `csv_more`."""
    model, site = model_admin.model, model_admin.admin_site
    chosen = model_admin.csv_columns
    if chosen is None:
        chosen = [field.name for field in model._meta.concrete_fields if _is_data(field)]
    return [
        field_column(model, one, site) if isinstance(one, str) else one
        for one in (*chosen, *model_admin.csv_more)
    ]


def field_column(model: type[Model], name: str, site: AdminSite) -> ListColumn:
    """A field under its own name: what a foreign key names by its natural key, JSON and arrays as JSON."""
    field = model._meta.get_field(name)
    if isinstance(field, ForeignKey):
        related = site._registry.get(field.related_model)
        return column(name, f"{name}__{getattr(related, 'csv_key', 'pk')}")
    if isinstance(field, JSONField):
        return ListColumn(name, (json_text(name),))
    if isinstance(field, ArrayField):
        return ListColumn(name, (json_text(Func(F(name), function="to_jsonb", output_field=JSONField())),))
    return column(name)


def json_text(source: str | Combinable) -> Cast:
    """As text by the database: in Python a JSON number would pass through a float."""
    return Cast(source, TextField())


def _is_data(field: Field) -> bool:
    is_written_by_us = not isinstance(field, BinaryField | GeneratedField)
    return is_written_by_us and not _SECRET.search(field.name)
