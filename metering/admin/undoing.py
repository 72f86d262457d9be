"""What of the history can be put back as it was, by whom, and how: always by the verbs, which judge again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string

from metering.accountability import because, taking_back
from metering.errors import Conflict
from metering.histories import ChangeRow, History, changes_by_id, histories
from metering.history_now import rows_now
from metering.models import CHANGED, REMOVED

from .history_links import put_back_url

Values = Mapping[str, Any]


class ChangedAgain(Conflict):
    """What is to be put back isn't as the change had made it any more."""

    code = "changed_again"

    def __init__(self) -> None:
        super().__init__("It was changed again since; look at the latest change.")


@dataclass(frozen=True, slots=True)
class Undo:
    """How rows of one table are put back; settings name it, so that the kernel imports no other app.

    `change(row, values)` gives a row other values, by field: any of `fields`. `set_again(values)` makes a row
    like one that was removed, unless there is another of the same `same_by`; where removed rows stay, they
    say when in `removed_field`. `warnings(row, values)` say what follows at once; `row` is None for one that
    is set again. `is_open(row)`: whether this row may be changed at all, by column. `may(user, row, values)`:
    whether this person may give the row, by column as the change made it, these values by field.
    """

    fields: tuple[str, ...]
    change: Callable[[Any, Values], Any]
    set_again: Callable[[Values], Any] | None = None
    same_by: tuple[str, ...] = ()
    removed_field: str = ""
    warnings: Callable[[Any, Values], Sequence[Any]] = lambda row, values: ()
    is_open: Callable[[Values], bool] = lambda row: True
    may: Callable[[Any, Values, Values], bool] = lambda user, before, after: True


def undo_of(history: History) -> Undo | None:
    """None where changes of such rows can't be taken back."""
    name = settings.HISTORY_UNDO.get(history.key)
    return import_string(name) if name else None


def is_removal(change: ChangeRow, undo: Undo) -> bool:
    """Whether the change took the row away, for good or by a mark on it."""
    if change.label == REMOVED:
        return True
    return bool(
        undo.removed_field
        and change.before is not None
        and change.before.get(undo.removed_field) is None
        and change.after.get(undo.removed_field) is not None
    )


def may_undo(user: Any, change: ChangeRow) -> bool:
    """Whether it is a change that this person could take back, as far as the row allows it now."""
    undo = undo_of(change.history)
    if undo is None:
        return False
    options = change.history.tracked._meta
    if is_removal(change, undo):
        return undo.set_again is not None and user.has_perm(f"{options.app_label}.add_{options.model_name}")
    return bool(
        change.label == CHANGED
        and change.changed_fields
        and {field.name for field in change.changed_fields} <= set(undo.fields)
        and user.has_perm(f"{options.app_label}.change_{options.model_name}")
        and undo.may(user, change.after, values_back(change))
    )


def undoable(user: Any, changes: Sequence[ChangeRow]) -> set[tuple[str, int]]:
    """By kind and number, the changes that this person can take back now: what each made of its row is still
    so. One statement, and one more for each kind of which something was removed."""
    asked = [change for change in changes if may_undo(user, change)]
    now = rows_now(asked)
    taken = _set_anew(asked)
    return {
        (change.history.key, change.change_id)
        for change in asked
        if (change.history.key, change.change_id) not in taken
        and stands_as_made(change, now.get((change.history.key, change.object_id)))
    }


def stands_as_made(change: ChangeRow, now: Values | None) -> bool:
    """Whether the row, given as it is now, is what the change made of it."""
    undo = undo_of(change.history)
    if undo is None:
        return False
    if is_removal(change, undo):
        return now is None or bool(undo.removed_field and now.get(undo.removed_field) is not None)
    return (
        now is not None
        and undo.is_open(now)
        and not (undo.removed_field and now.get(undo.removed_field))
        and all(now.get(field.column) == change.after.get(field.column) for field in change.changed_fields)
    )


def undo_url_of(user: Any, row: Any) -> str:
    """The page that puts back the last change of a row; empty where it can't be by this person."""
    history = next((one for one in histories() if one.tracked is type(row)._meta.concrete_model), None)
    if history is None or undo_of(history) is None:
        return ""
    rows: Any = history.model._default_manager
    last = rows.filter(pgh_obj=row.pk).order_by("-pgh_id").values_list("pgh_id", flat=True)[:1]
    changes = changes_by_id(history, list(last))
    # Nothing was changed just now, where the last change is somebody else's.
    mine = [change for change in changes if change.context.get("actor") == user.get_username()]
    found = undoable(user, mine)
    return put_back_url(*found.pop()) if found else ""


def _set_anew(changes: Sequence[ChangeRow]) -> set[tuple[str, int]]:
    """Removals after which somebody set the same again."""
    removals: dict[str, list[ChangeRow]] = {}
    for change in changes:
        undo = undo_of(change.history)
        if undo is not None and undo.same_by and is_removal(change, undo):
            removals.setdefault(change.history.key, []).append(change)
    found: set[tuple[str, int]] = set()
    for key, of_kind in removals.items():
        history, undo = of_kind[0].history, undo_of(of_kind[0].history)
        assert undo is not None
        names = [history.tracked._meta.get_field(name).attname for name in undo.same_by]  # type: ignore[union-attr]
        same = {change.change_id: _same(change, undo) for change in of_kind}
        either = reduce(or_, (Q(**dict(zip(names, values, strict=True))) for values in same.values()))
        rows = history.tracked._default_manager.filter(either)
        if undo.removed_field:
            rows = rows.filter(**{undo.removed_field: None})
        there = set(rows.values_list(*names))
        found |= {(key, change_id) for change_id, values in same.items() if values in there}
    return found


def _same(change: ChangeRow, undo: Undo) -> tuple[Any, ...]:
    fields: list[Any] = [change.history.model._meta.get_field(name) for name in undo.same_by]
    return tuple(_python(field, change.after.get(field.column)) for field in fields)


def values_back(change: ChangeRow) -> dict[str, Any]:
    """By field, what the row had before the change; of a removed row all it had, rows it refers to as ids."""
    undo = undo_of(change.history)
    if undo is not None and is_removal(change, undo):
        return {field.name: _python(field, change.after.get(field.column)) for field in change.history.fields}
    before = change.before or {}
    return {field.name: _python(field, before.get(field.column)) for field in change.changed_fields}


def _python(field: Any, value: Any) -> Any:
    return value if field.related_model is not None else field.to_python(value)


def warnings_on(change: ChangeRow) -> list[Any]:
    """What follows at once from taking the change back, in sentences."""
    undo = undo_of(change.history)
    assert undo is not None
    row = None
    if not is_removal(change, undo):
        row = change.history.tracked._default_manager.filter(pk=change.object_id).first()
    return list(undo.warnings(row, values_back(change)))


def take_back(change: ChangeRow, *, user: Any, reason: str) -> None:
    """Put the row back as it was before the change, by its verbs; the history says which change that undoes.

    Within `changed_by`. Raises `ChangedAgain` where the row was changed since, also while the verb waited for
    it, and what the verbs raise.
    """
    undo = undo_of(change.history)
    if undo is None or (change.history.key, change.change_id) not in undoable(user, [change]):
        raise ChangedAgain
    because(reason)
    mark = f"{change.history.key}:{change.change_id}"
    taking_back(mark)
    if is_removal(change, undo):
        assert undo.set_again is not None
        undo.set_again(values_back(change))
        return
    # The verb takes its locks in its own order. Whoever was before it is seen afterwards, in the history.
    with transaction.atomic():
        undo.change(change.history.tracked._default_manager.get(pk=change.object_id), values_back(change))
        _ensure_none_between(change, mark)


def _ensure_none_between(change: ChangeRow, mark: str) -> None:
    """That the row was still as the change had made it when it was put back: what came between is a row of
    its history without our mark. Raises `ChangedAgain`."""
    rows: Any = change.history.model._default_manager
    between = rows.filter(pgh_obj=change.object_id, pgh_id__gt=change.change_id).exclude(
        pgh_context__contains={"takes_back": mark}
    )
    last = between.order_by("-pgh_id").values_list("pgh_id", flat=True)[:1]
    for found in changes_by_id(change.history, list(last)):
        if any(
            found.after.get(field.column) != change.after.get(field.column) for field in change.changed_fields
        ):
            raise ChangedAgain
