"""Rows that are named by their number in an address, and chosen by it in forms."""

from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple

BIGINT_DIGITS = 18


def id_from(text: str | None) -> int | None:
    """A row id from a URL; None for what is none."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > BIGINT_DIGITS:
        return None
    return int(text)


class RowSelect(AutocompleteSelect):
    """One row, found by typing. Shows what was chosen; what is no id is the field's to complain about."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids_among(value), attr)


class RowSelectMultiple(AutocompleteSelectMultiple):
    """The same for several rows."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids_among(value), attr)


def _ids_among(values: Any) -> list[Any]:
    return [one for one in values if id_from(str(one)) is not None]
