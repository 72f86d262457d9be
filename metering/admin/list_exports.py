"""Lists of the admin as exports in the background: a kind "list:app.model" for each list.

They are asked for from the lists alone, and made with the rights that who asked has at that moment.
"""

import datetime as dt
from collections.abc import Generator
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest, QueryDict
from django.utils.text import capfirst, slugify
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from metering.answering.answers import one_snapshot
from metering.errors import Invalid, Refused
from metering.exporting.export_kinds import Asked, Column, ExportKind, Filter, Shape
from metering.exporting.exports import request_export
from metering.models import Export
from metering.principal import Principal
from metering.texts.csv_blocks import Block

from .list_columns import columns_of
from .list_files import MAX_QUERY_LENGTH, WholeList, whole_list

FAMILY = "list:"


def list_kind(label: str) -> ExportKind:
    """The kind of file of the list of `app.model`. Raises `Invalid` where there is no such list."""
    model_admin = _lists().get(label)
    if model_admin is None:
        raise Invalid(f"There is no list '{label[:100]}'.", field="kind")
    opts = model_admin.opts
    return ExportKind(
        name=FAMILY + label,
        title=title_of(model_admin),
        description=_("What the list shows by its search and filters."),
        right=f"{opts.app_label}.view_{opts.model_name}",
        columns=[Column(one.name, "") for one in columns_of(model_admin)],
        filters=[
            Filter("query", _("Search and filters"), max_length=MAX_QUERY_LENGTH),
            Filter("person", _("Person"), Shape.NUMBER, is_required=True),
        ],
        blocks=lambda asked: _blocks(model_admin, asked),
        ensure=lambda asked: _asked_list(model_admin, asked),
        expected_count=lambda asked: _asked_list(model_admin, asked).estimated_count(),
    )


def request_list(model_admin: Any, query: str, person: Any) -> Export:
    """Let a worker make the file of a list. Raises `Refused`, `Invalid` for a query that the list doesn't
    understand, and `Conflict` where too many wait already."""
    sent: dict[str, object] = {"person": person.pk, "query": query or None}
    principal = Principal(name=person.get_username(), permissions=frozenset({"read"}))
    return request_export(list_kind(_label(model_admin)), sent, principal=principal, project_path=None)


def list_exports_seen_by(request: HttpRequest) -> Q:
    """Files of lists: one's own, while one may see the list; whoever may do everything sees all.

    A list can differ from person to person, so that its file isn't for everybody who may see the list.
    """
    seen = [FAMILY + label for label, one in _lists().items() if one.has_view_or_change_permission(request)]
    seen_by_kind = Q(kind__in=seen)
    return seen_by_kind if request.user.is_superuser else seen_by_kind & Q(filters__person=request.user.pk)


def list_of(export: Export) -> Any:
    """The admin of the list that an export is of; None for other kinds, and for a list that is no more."""
    return _lists().get(export.kind.removeprefix(FAMILY)) if export.kind.startswith(FAMILY) else None


def title_of(model_admin: Any) -> Any:
    """What the list is called, in the language of the page."""
    return capfirst(model_admin.opts.verbose_name_plural)


def file_name_of(model_admin: Any, *, query: str, day: dt.date, number: int | None = None) -> str:
    """Such as "invoices-filtered-2026-11-23.csv": of our own English words, safe in any header."""
    with override("en"):
        words = slugify(str(model_admin.opts.verbose_name_plural)) or model_admin.opts.model_name
    hint = "-filtered" if _narrowing(query) else ""
    return f"{words}{hint}-{day}{'' if number is None else f'-{number}'}.csv"


def _narrowing(query: str) -> list[tuple[str, str]]:
    """What a query narrows its list by: (name, value); how the list is ordered and paged is left out."""
    return [
        (name, value)
        for name, values in QueryDict(query).lists()
        for value in values
        if value and name not in {"o", "p", "place", "all", "e"}
    ]


def narrowing_in_words(query: str) -> str:
    """As it stands in the address, for whoever wants to know what a file holds."""
    names = {"q": gettext("Search")}
    parts = [
        f"{names.get(name, name.removesuffix('__exact').replace('__', ' '))}: {value}"
        for name, value in _narrowing(query)
    ]
    return ", ".join(parts) or gettext("everything")


def _lists() -> dict[str, Any]:
    return {_label(one): one for one in admin.site._registry.values() if hasattr(one, "may_download")}


def _label(model_admin: Any) -> str:
    return str(model_admin.opts.label_lower)


def _asked_list(model_admin: Any, asked: Asked) -> WholeList:
    person = get_user_model()._default_manager.filter(pk=asked["person"]).first()
    if person is None:
        raise Refused("Who asked for it has no account any more.")
    return whole_list(model_admin, asked["query"] or "", person)


def _blocks(model_admin: Any, asked: Asked) -> Generator[Block, None, None]:
    with one_snapshot():
        yield from _asked_list(model_admin, asked).blocks()
