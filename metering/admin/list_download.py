"""The button above every list: its rows as a file, at once where they are few, else in the background."""

from collections.abc import Generator
from contextlib import closing
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin as UnfoldModelAdmin

from metering import numerals
from metering.answering.answers import one_snapshot
from metering.clock import database_now
from metering.errors import Invalid, MeterbookError
from metering.models import Export
from metering.tasks import run_exports

from .list_columns import FileColumns
from .list_exports import file_name_of, request_list, title_of
from .list_files import LARGEST_AT_ONCE, ListTooSlow, WholeList, whole_list
from .long_work import csv_attachment, wake
from .refusals import worded

RIGHT = "metering.export_data"


class ListDownload(UnfoldModelAdmin):
    """What a list says about its file, and the page that gives it.

    `csv_columns`: names of fields, or columns; None: all fields that are data. `csv_more` follow them.
    `csv_key` is the field by which the files of other lists name a row of this one.
    """

    csv_columns: ClassVar[FileColumns | None] = None
    csv_more: ClassVar[FileColumns] = ()
    csv_key: ClassVar[str] = "pk"

    def may_download(self, request: HttpRequest) -> bool:
        """Who sees the list and may export; by an account that may sign in here."""
        user = request.user
        may_sign_in = user.is_active and user.is_staff
        return may_sign_in and user.has_perm(RIGHT) and bool(self.has_view_or_change_permission(request))

    def rows_in_file(self, changelist: Any) -> QuerySet:
        """The rows of all pages of a list, in its order."""
        rows: QuerySet = changelist.queryset
        return rows

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_as_csv"
        return [path("as-csv/", self.admin_site.admin_view(self.as_csv_view), name=name), *super().get_urls()]

    def csv_url(self, request: HttpRequest) -> str:
        """Empty for who may not download the list."""
        if not self.may_download(request):
            return ""
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_as_csv")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {"csv_url": self.csv_url(request), **(extra_context or {})})

    def as_csv_view(self, request: HttpRequest) -> HttpResponseBase:
        """The file of the list at this query; of a large one a page that lets a worker make it."""
        if not self.may_download(request):
            raise PermissionDenied
        query = request.META.get("QUERY_STRING", "")
        try:
            found = whole_list(self, query, request.user)
            if request.method == "POST":
                return self._file_asked_for(request, request_list(self, query, request.user))
            count = _count(found)
        except Invalid as refusal:
            return self._list_not_understood(request, refusal)
        except MeterbookError as refusal:
            messages.error(request, worded(refusal))
            return HttpResponseRedirect(self._list_at(query))
        if count == 0:
            messages.info(request, gettext("Nothing matches, so there is nothing to download."))
            return HttpResponseRedirect(self._list_at(query))
        if count is not None and count <= LARGEST_AT_ONCE:
            name = file_name_of(self, query=query, day=database_now().date())
            return csv_attachment(_streamed(self, query, request.user), name)
        return self._file_offered(request, found, query)

    def _list_at(self, query: str) -> str:
        url = reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{url}?{query}" if query else url

    def _file_asked_for(self, request: HttpRequest, export: Export) -> HttpResponse:
        self.log_addition(request, export, [{"added": {}}])
        wake(run_exports)
        return HttpResponseRedirect(
            reverse(f"{self.admin_site.name}:metering_export_change", args=[export.pk])
        )

    def _file_offered(self, request: HttpRequest, found: WholeList, query: str) -> TemplateResponse:
        days = Export.kept_for().days
        about = max(found.estimated_count(), LARGEST_AT_ONCE + 1)
        return self.confirmation(
            request,
            title=_("Download as CSV"),
            subtitle=str(title_of(self)),
            sentences=[
                gettext("The list has about %(count)s rows: too many to wait for.")
                % {"count": numerals.count(about)},
                *(f"{title}: {value}" for title, value in found.narrowing()),
                ngettext(
                    "A worker makes the file meanwhile; the next page shows how far it is. It stays under "
                    "“Exports” for %(days)d day after it is made.",
                    "A worker makes the file meanwhile; the next page shows how far it is. It stays under "
                    "“Exports” for %(days)d days after it is made.",
                    days,
                )
                % {"days": days},
            ],
            button=_("Make it in the background"),
            back_url=self._list_at(query),
            original=None,
            is_harmless=True,
        )

    def _list_not_understood(self, request: HttpRequest, refusal: Invalid) -> TemplateResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Download as CSV"),
            "refusal": worded(refusal),
            "list_url": self._list_at(""),
        }
        return TemplateResponse(request, "admin/list_not_understood.html", context, status=400)


def _count(found: WholeList) -> int | None:
    """None: more than are sent at once, or more than can be counted in time."""
    try:
        count = found.count_up_to(LARGEST_AT_ONCE)
    except ListTooSlow:
        return None
    return count if count <= LARGEST_AT_ONCE else None


def _streamed(model_admin: Any, query: str, person: Any) -> Generator[bytes, None, None]:
    """The file as it is read, of one snapshot; whoever goes away ends the reading."""
    with one_snapshot(), closing(whole_list(model_admin, query, person).blocks()) as blocks:
        for block in blocks:
            yield block.data
