"""A change of configuration in words: what it is of, by whom, and each value before and after."""

import datetime as dt
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from metering.histories import ChangeRow
from metering.models import CHANGED, REMOVED, SET

from . import cells
from .history_links import put_back_url

LONG = 120  # a text beyond that is cut on the page, whole on hover
Names = Mapping[tuple[type[models.Model], int], str]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One field of a change; `lines` instead of two values where a structure changed, each with its sign."""

    name: str
    before: Any = None
    after: Any = None
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A change as the page shows it."""

    when: SafeString
    actor: str
    actor_words: str
    through: str
    kind: str
    name: str
    url: str
    what: str
    what_kind: str  # of its badge; none for what is the rule
    values: list[ValueChange]
    is_list: bool  # one value each, of something that is new or gone
    reason: str
    takes_back_url: str  # of the change that it took back; empty for any other
    put_back_url: str  # where it can be taken back; empty where it can't be by whoever looks


def shown(row: ChangeRow, names: Names, *, can_be_put_back: bool = False) -> ShownChange:
    actor = str(row.context.get("actor") or "")
    return ShownChange(
        when=cells.moment(row.at),
        actor=actor,
        actor_words=actor or _nobody(row),
        through=str(row.context.get("through") or "") or _past_the_edges(row),
        kind=capfirst(str(row.history.words)),
        name=name_of(row, names),
        url=url_of(row),
        what=str(_LABELS.get(row.label, row.label)),
        what_kind=_KINDS.get(row.label, ""),
        values=_changes(row, names),
        is_list=row.label in {SET, REMOVED},
        reason=str(row.context.get("reason") or ""),
        takes_back_url=_url_told(str(row.context.get("takes_back") or "")),
        put_back_url=put_back_url(row.history.key, row.change_id) if can_be_put_back else "",
    )


def _url_told(change: str) -> str:
    kind, _colon, change_id = change.rpartition(":")
    return put_back_url(kind, int(change_id)) if kind and change_id.isdecimal() else ""


_LABELS = {
    SET: gettext_lazy("new"),
    CHANGED: gettext_lazy("changed"),
    REMOVED: gettext_lazy("removed"),
    "password changed": gettext_lazy("password changed"),
}
_KINDS = {SET: "success", REMOVED: "danger", "password changed": "warning"}


def _nobody(row: ChangeRow) -> str:
    if row.context.get("through"):
        return _("Meterbook itself")
    return _("directly in the database") if row.database_role else _("not known")


def _past_the_edges(row: ChangeRow) -> str:
    if row.database_role:
        return _("as role %s") % row.database_role
    return _("before the history began")


def name_of(row: ChangeRow, names: Names) -> str:
    """What people call the row: by the columns of its history that are for that."""
    parts = []
    for name in row.history.model.named_by:
        column: Any = row.history.model._meta.get_field(name)
        value = row.after.get(column.column)
        if value not in (None, ""):
            parts.append(str(in_words(column, value, names)))
    return " · ".join(parts) or f"#{row.object_id}"


def url_of(row: ChangeRow) -> str:
    """The page of what was changed; empty where there is none (any more)."""
    history = row.history
    if row.label == REMOVED and history.page_model is history.tracked:
        return ""
    return page_url(history.page_model, row.after[history.page_column])


def page_url(model: type[models.Model], row_id: int) -> str:
    """Where a row is changed or looked at; empty where the admin has no page of it."""
    if model not in admin.site._registry:
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row_id])


def _changes(row: ChangeRow, names: Names) -> list[ValueChange]:
    if row.label in {SET, REMOVED}:
        return [
            ValueChange(label_of(one), after=value_in_words(row, one, row.after, names))
            for one in row.history.fields
            if row.after.get(one.column) not in (None, "", [], {})
        ]
    before = row.before or {}
    return [_value_change(row, one, before, names) for one in row.changed_fields]


def _value_change(row: ChangeRow, one: Any, before: Mapping[str, Any], names: Names) -> ValueChange:
    values = (before.get(one.column), row.after.get(one.column))
    if isinstance(one, models.JSONField) and any(map(_is_long, values)) and not _has_words(row, one, before):
        return ValueChange(label_of(one), lines=_difference(*values))
    return ValueChange(
        label_of(one), value_in_words(row, one, before, names), value_in_words(row, one, row.after, names)
    )


def value_in_words(row: ChangeRow, one: Any, values: Mapping[str, Any], names: Names) -> Any:
    """The value of a field before or after a change, in the words of its table where that has its own."""
    return _own_words(row, one, values) or in_words(one, values.get(one.column), names)


def _has_words(row: ChangeRow, one: Any, before: Mapping[str, Any]) -> bool:
    """Whether the table words the value before and after, where there is one."""
    return all(
        _own_words(row, one, values)
        for values in (before, row.after)
        if values.get(one.column) not in (None, "", [], {})
    )


def _own_words(row: ChangeRow, one: Any, values: Mapping[str, Any]) -> str:
    """Empty for what is said like any other value."""
    value = values.get(one.column)
    own = settings.HISTORY_WORDS.get(row.history.key)
    if own is None or value in (None, "", [], {}):
        return ""
    return import_string(own)(one.name, value, values) or ""


def label_of(one: Any) -> str:
    """What a field is called at the beginning of a line."""
    return capfirst(str(one.verbose_name))


def in_words(one: Any, value: Any, names: Names) -> Any:
    """A stored value as people read it: choices by their label, what it refers to by name."""
    if value is None or value == "" or value in ([], {}):
        return cells.quiet(_("none"))
    if one.related_model is not None:
        related: Any = one.related_model
        return names.get((related._meta.concrete_model, value), f"#{value}")
    if isinstance(value, bool):
        return pgettext("state", "on") if value else pgettext("state", "off")
    if isinstance(one, models.DateTimeField):
        return cells.moment(dt.datetime.fromisoformat(value))
    if isinstance(one, ArrayField):
        chosen = dict(one.base_field.flatchoices)
        return ", ".join(str(chosen.get(each, each)) for each in value)
    if one.flatchoices:
        return str(dict(one.flatchoices).get(value, value))
    if isinstance(one, models.JSONField):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, (Decimal, int)):
        return cells.grouped(value)
    text = str(value)
    return cells.one_line(text) if len(text) > LONG else text


def _is_long(value: Any) -> bool:
    return len(json.dumps(value, default=str)) > LONG // 2


def _difference(before: Any, after: Any) -> tuple[tuple[str, str], ...]:
    """The lines that differ, with one of context, each behind "-", "+" or " "."""
    texts = [
        json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str).splitlines()
        for value in (before, after)
    ]
    found = list(difflib.unified_diff(texts[0], texts[1], n=1, lineterm=""))[2:]
    return tuple((line[:1], line[1:]) for line in found if not line.startswith("@@"))
