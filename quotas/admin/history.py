"""What the pages of all histories of limits share: who, when, through what and why, newest first."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.admin import cells
from metering.admin.history_links import put_back_url
from metering.admin.paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id
from metering.admin.row_ids import id_from
from metering.admin.undoing import undoable
from metering.histories import changes_by_id, histories


def history_of(model: str, object_id: str) -> HttpResponse:
    """To the changes of one limit: found by its number."""
    url = reverse(f"admin:quotas_{model}_changelist")
    return HttpResponseRedirect(f"{url}?{urlencode({'q': f'#{object_id}'})}")


class HistoryAdmin(LargeTableAdmin):
    """Rows that a trigger writes, newest first by primary key; found by number, project or metric."""

    related: tuple[str, ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("#"):
            return queryset.filter(pgh_obj=id_from(term[1:]) or 0), False
        return self.keyed(queryset, term), False

    def keyed(self, queryset: QuerySet, key: str) -> QuerySet:
        """The changes of limits of the project or the metric with that key."""
        return queryset.filter(project__key=key) | queryset.filter(metric__key=key)

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        rows = changelist.queryset
        if self.related:
            rows = rows.select_related(*self.related)
        return page_by_id(rows, place=Place.from_text(place), size=self.list_per_page)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """What each was before, and whether it can be put back so: four statements."""
        before = self._before(rows)
        history = next(one for one in histories() if one.model is self.model)
        open_to_undo = undoable(request.user, changes_by_id(history, [row.pk for row in rows]))
        for row in rows:
            row.before = before.get(row.pk)
            is_open = (history.key, row.pk) in open_to_undo
            row.put_back_url = put_back_url(history.key, row.pk) if is_open else ""

    def before(self, change: Any) -> Any:
        """The change before this one of the same limit; None for the first."""
        if not hasattr(change, "before"):
            change.before = self._before([change]).get(change.pk)
        return change.before

    def _before(self, changes: Sequence[Any]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        last: Any = None
        rows = self.model._default_manager.filter(pgh_obj__in={change.pgh_obj_id for change in changes})
        for row in rows.order_by("pgh_obj_id", "pgh_id"):
            if last is not None and last.pgh_obj_id == row.pgh_obj_id:
                found[row.pk] = last
            last = row
        return found

    @admin.display(description=_("at"))
    def when(self, change: Any) -> SafeString:
        return cells.moment(change.pgh_created_at)

    @admin.display(description=_("by"))
    def who(self, change: Any) -> Any:
        told = change.pgh_context or {}
        if not told.get("actor"):
            return cells.quiet(gettext("not known: past the verbs"))
        return cells.two_lines(told["actor"], told.get("through", ""))

    @admin.display(description=_("why"))
    def why(self, change: Any) -> Any:
        reason = (change.pgh_context or {}).get("reason")
        return reason or cells.quiet(gettext("no reason given"))

    @admin.display(description=_("undo"))
    def put_back(self, change: Any) -> Any:
        if not change.put_back_url:
            return cells.quiet(cells.DASH)
        return cells.link(change.put_back_url, gettext("Put back as it was"))

    @admin.display(description=_("through"))
    def through(self, change: Any) -> str:
        return (change.pgh_context or {}).get("through") or gettext("the database")


def changes_in_words(names: dict[str, Any], before: Any, after: Any, value: Any) -> str:
    """What differs between two rows as a sentence; `value(row, name)` says what one of them has."""
    parts = [
        gettext("%(what)s from %(before)s to %(after)s")
        % {"what": names[name], "before": value(before, name), "after": value(after, name)}
        for name in names
        if getattr(before, name) != getattr(after, name)
    ]
    words = ", ".join(parts)
    return f"{words[:1].upper()}{words[1:]}." if words else gettext("Nothing that counts changed.")
