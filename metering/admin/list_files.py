"""A list of the admin as a file: the rows that somebody sees in it, over all pages, by search and filters.

The list is built by the admin's own code from the query of its address, for the person who asks, with the
rights of that moment. So the file holds what the list holds, at once or in the background.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.db import DataError
from django.db.models import F, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from metering.answering.answers import statements_within
from metering.errors import Invalid, Refused, Unavailable
from metering.texts.csv_blocks import Block, Value, csv_blocks

from .list_columns import Columns, ListColumn, RowColumn, columns_of

LARGEST_AT_ONCE = 20_000  # rows; more are made in the background
PATIENCE = "3s"  # for finding out whether there are more
MAX_QUERY_LENGTH = 4000
ROWS_ASKED_AT_ONCE = 500


class ListTooSlow(Unavailable):
    """Whether a list is short can't be told in time."""

    code = "list_too_slow"

    def __init__(self) -> None:
        super().__init__("Counting the rows takes too long.")


class _Heard:
    """Stands where a request keeps messages for its person; filters complain there."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def add(self, level: int, message: Any, extra_tags: str = "") -> None:
        self.said.append(str(message))


@dataclass(frozen=True, slots=True)
class WholeList:
    """The rows of a list over all its pages, in its order."""

    model_admin: Any
    request: HttpRequest
    changelist: Any
    rows: QuerySet

    def count_up_to(self, most: int) -> int:
        """How many rows there are, `most` + 1 standing for more. Raises `ListTooSlow`, and `Invalid` for a
        value that the database can't read."""
        try:
            with statements_within(PATIENCE, ListTooSlow):
                return self.rows.order_by().values("pk")[: most + 1].count()
        except DataError:
            raise Invalid(_("A filter has a value that can't be read."), field="query") from None

    def estimated_count(self) -> int:
        """By the planner: it costs the same at any size."""
        (plan,) = json.loads(self.rows.order_by().explain(format="json"))
        return int(plan["Plan"]["Plan Rows"])

    def narrowing(self) -> list[tuple[str, str]]:
        """What it is narrowed by, in the words of its page: (filter, what was chosen)."""
        said = [(_("Search"), self.changelist.query)] if self.changelist.query else []
        for spec in self.changelist.filter_specs:
            for name in spec.expected_parameters():
                for value in self.request.GET.getlist(name):
                    if value:
                        said.append((capfirst(str(spec.title)), _choice_in_words(spec, value)))
        return said

    def blocks(self) -> Generator[Block, None, None]:
        """As CSV. Read in flat memory; within `one_snapshot`, of one."""
        columns = columns_of(self.model_admin)
        yield from csv_blocks([one.name for one in columns], self._cells(columns))

    def _cells(self, columns: Columns) -> Iterator[Sequence[Value]]:
        sources = [source for one in columns if isinstance(one, ListColumn) for source in one.sources]
        names = {f"csv_{number}": source for number, source in enumerate(sources)}
        annotated = self.rows.prefetch_related(None).annotate(
            **{name: _expression(source) for name, source in names.items()}
        )
        found = annotated.values_list("pk", *names).iterator(chunk_size=2000)
        if not any(isinstance(one, RowColumn) for one in columns):
            yield from (_row(columns, values[1:], None) for values in found)
            return
        while chunk := list(islice(found, ROWS_ASKED_AT_ONCE)):
            prepared = self._prepared([values[0] for values in chunk])
            yield from (_row(columns, values[1:], prepared[values[0]]) for values in chunk)

    def _prepared(self, keys: Sequence[Any]) -> dict[Any, Any]:
        rows = self.model_admin.get_queryset(self.request)
        if not rows.query.select_related:
            rows = self.changelist.apply_select_related(rows)
        found = {row.pk: row for row in rows.filter(pk__in=keys)}
        self.model_admin.prepare_rows(self.request, list(found.values()))
        return found


def whole_list(model_admin: Any, query: str, person: Any) -> WholeList:
    """The list as `person` sees it at the address with that `query`.

    Raises `Refused` where the person may not see or export it, and `Invalid` for a query that the list
    doesn't understand.
    """
    request = HttpRequest()
    request.method = "GET"
    request.path = request.path_info = model_admin.page_url("changelist")
    request.user = person
    request.session = {}  # type: ignore[assignment]
    request._messages = heard = _Heard()  # type: ignore[attr-defined]
    if not model_admin.may_download(request):
        raise Refused(
            _("%(person)s may not see “%(list)s”, or may not export.")
            % {"person": person.get_username(), "list": model_admin.opts.verbose_name_plural}
        )
    if len(query) > MAX_QUERY_LENGTH or "\x00" in query or "%00" in query:
        raise Invalid(_("The filters are too long, or hold a character that none may hold."), field="query")
    request.GET = QueryDict(query)
    try:
        changelist = _unpaged(model_admin, request)
    except (IncorrectLookupParameters, SuspiciousOperation):
        raise Invalid(
            _("The list can't be filtered by “%s”: a filter is unknown, or its value can't be read.")
            % query[:200],
            field="query",
        ) from None
    if heard.said:
        raise Invalid(" ".join(heard.said), field="query")
    return WholeList(model_admin, request, changelist, model_admin.rows_in_file(changelist))


def _unpaged(model_admin: Any, request: HttpRequest) -> Any:
    """The admin's own list, but for a page of rows, which nobody looks at."""
    kind = type("WholeChangeList", (_Unpaged, model_admin.get_changelist(request)), {})
    shown = model_admin.get_list_display(request)
    links = model_admin.get_list_display_links(request, shown)
    if model_admin.get_actions(request):
        shown = ["action_checkbox", *shown]  # the address names columns to order by through their places
    return kind(
        request,
        model_admin.model,
        shown,
        links,
        model_admin.get_list_filter(request),
        model_admin.date_hierarchy,
        model_admin.get_search_fields(request),
        model_admin.get_list_select_related(request),
        model_admin.list_per_page,
        model_admin.list_max_show_all,
        model_admin.list_editable,
        model_admin,
        model_admin.get_sortable_by(request),
        model_admin.search_help_text,
    )


class _Unpaged:
    def get_results(self, request: HttpRequest) -> None:
        """Nothing: there is no page."""


def _choice_in_words(spec: Any, value: str) -> str:
    """What the filter calls the value; a row that it names, by its own name."""
    field = getattr(spec, "field", None)
    related = getattr(field, "related_model", None)
    if related is not None and value.isdecimal():
        return str(related._default_manager.filter(pk=value).first() or value)
    choices = getattr(spec, "lookup_choices", None) or getattr(field, "flatchoices", None) or ()
    return str({str(choice[0]): choice[1] for choice in choices}.get(value, value))


def _expression(source: Any) -> Any:
    return F(source) if isinstance(source, str) else source


def _row(columns: Columns, values: Sequence[Any], row: Any) -> list[Value]:
    cells: list[Value] = []
    place = 0
    for one in columns:
        if isinstance(one, RowColumn):
            cells.append(one.written(row))
        else:
            end = place + len(one.sources)
            cells.append(one.written(*values[place:end]))
            place = end
    return cells
