"""Changelists of tables with many millions of rows: pages by place, never by number, and no counting."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from metering import numerals
from metering.health import row_count_of

from .base import ReadOnlyAdmin
from .narrowing import NarrowChangeList
from .row_ids import id_from

PLACE_VAR = "place"
PATIENCE = "3s"  # a page that takes longer is given up; staff narrow it down instead of queueing up
_QUERY_CANCELED = "57014"


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page of rows, and the places before and behind it as text; None where there is nothing."""

    rows: Sequence[Any] = field(default_factory=list)
    newer: str | None = None
    older: str | None = None


class UncountedPaginator(Paginator):
    """Stands where the admin expects a paginator; the count is that of the page."""

    template_name = "admin/includes/pagination_by_place.html"

    @cached_property
    def count(self) -> int:
        return len(self.object_list)


class PlaceChangeList(NarrowChangeList):
    """Asks its admin for the page at a place. Runs no COUNT, and no query longer than `PATIENCE`."""

    place: str | None = None

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        # Taken out before the filters look: it is no lookup, and other links of the page must not carry it.
        self.params.pop(PLACE_VAR, None)
        self.place = (self.filter_params.pop(PLACE_VAR, None) or [None])[0]
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
                page = self.model_admin.page_at(self, self.place)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _QUERY_CANCELED:
                raise
            messages.error(request, _("That would take too long. Narrow it down by the filters."))
            page = RowPage()
        self.page = page
        self.result_list = page.rows
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = False
        self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator = UncountedPaginator(page.rows, self.list_per_page)

    @property
    def newer_url(self) -> str | None:
        return self.get_query_string({PLACE_VAR: self.page.newer}) if self.page.newer else None

    @property
    def older_url(self) -> str | None:
        return self.get_query_string({PLACE_VAR: self.page.older}) if self.page.older else None

    @property
    def count_words(self) -> str:
        """“6 invoices in all”; “1 shown, 6 invoices in all” where the page or its filters leave some out."""
        size, shown = row_count_of(self.model), len(self.page.rows)
        count = numerals.count(size.count) if size.is_exact else _("about %s") % numerals.count(size.count)
        name = self.opts.verbose_name if size.count == 1 else self.opts.verbose_name_plural
        if size.is_exact and size.count == shown:
            return _("%(count)s %(name)s in all") % {"count": count, "name": name}
        words = _("%(shown)s shown, %(count)s %(name)s in all")
        return words % {"shown": numerals.count(shown), "count": count, "name": name}

    def spec(self, kind: type) -> Any:
        """The filter of that class, or None."""
        return next((spec for spec in self.filter_specs if isinstance(spec, kind)), None)

    def chosen_id(self, kind: type) -> int | None:
        """The id that a filter holds; None without one, 0, which nothing has, for what is no id."""
        text = self.spec(kind).value()
        return (id_from(text) or 0) if text else None


class LargeTableAdmin(ReadOnlyAdmin):
    """Read-only, fast at any size. Subclasses find pages through an index that they name."""

    show_full_result_count = False
    sortable_by = ()
    list_per_page = 50

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PlaceChangeList]:
        return PlaceChangeList

    def rows_in_file(self, changelist: Any) -> QuerySet:
        """In the order in which `page_at` goes through them: of most lists by id, newest first."""
        rows: QuerySet = changelist.queryset
        return rows.order_by("-pk")

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        """The page at `place`, or the first one where that is None or unreadable."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Place:
    """Behind a row, by its id: "<id>" goes on to older rows, "+<id>" back to newer ones."""

    row_id: int
    is_backwards: bool

    @classmethod
    def from_text(cls, text: str | None) -> "Place | None":
        """None, the beginning, for what was not made here."""
        row_id = id_from((text or "").removeprefix("+"))
        return None if row_id is None else cls(row_id, (text or "").startswith("+"))


def cut(rows: Sequence[Any], *, size: int, place: Place | None) -> RowPage:
    """A page from `size + 1` rows at most, read from `place` on in its direction."""
    has_more = len(rows) > size
    rows = list(rows[:size])
    if not rows:
        return RowPage()
    has_newer, has_older = place is not None, has_more
    if place is not None and place.is_backwards:
        rows.reverse()
        has_newer, has_older = has_more, True
    return RowPage(
        rows,
        newer=f"+{rows[0].pk}" if has_newer else None,
        older=str(rows[-1].pk) if has_older else None,
    )


def page_by_id(queryset: QuerySet, *, place: Place | None, size: int) -> RowPage:
    """Newest id first, through the primary key."""
    if place is None:
        rows = queryset.order_by("-pk")
    elif place.is_backwards:
        rows = queryset.filter(pk__gt=place.row_id).order_by("pk")
    else:
        rows = queryset.filter(pk__lt=place.row_id).order_by("-pk")
    return cut(list(rows[: size + 1]), size=size, place=place)
