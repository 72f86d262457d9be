"""Files that staff take with them: chosen, made in the background or at once, downloaded."""

import datetime as dt
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.exporting.export_kinds import Asked, ExportKind, filters_of, registered_kinds
from metering.exporting.exports import (
    cancel_export,
    file_of,
    is_own,
    kinds_staff_may_export,
    remove_export,
    request_export,
)
from metering.models import Export
from metering.principal import Principal
from metering.tasks import run_exports

from . import cells, file_columns
from .base import ReadOnlyAdmin
from .export_forms import ExportForm
from .list_exports import file_name_of, list_exports_seen_by, list_of, narrowing_in_words, title_of
from .long_work import csv_attachment, file_size, progress_bar, wake
from .refusals import worded
from .row_ids import id_from

State = Export.State
STATE_COLOURS = {
    State.QUEUED: "info",
    State.RUNNING: "info",
    State.FINISHED: "success",
    State.FAILED: "danger",
    State.CANCELLED: "warning",
    State.REMOVED: "plain",
}
PATIENCE_SECONDS = 30  # after which a waiting export probably has no worker


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Rows are read-only; whoever may export adds them by the pages below."""

    intro = _(
        "Files of usage, of billing and of lists, each of one instant. Cells can't act as formulas in a "
        "spreadsheet. A file is kept for some days and then removed. Every list has “Download as CSV” above "
        "it; of a long one the file is made here."
    )
    empty_title = _("Nothing was exported yet")
    empty_text = _("Choose what to export; a worker makes the file, and it waits for you here.")
    csv_columns = file_columns.EXPORTS
    list_display = ("what", "state_badge", "progress", "who", "kept_until", "file")
    list_display_links = ("what",)
    list_filter = ("state",)
    search_fields = ("requested_by", "kind")
    search_help_text = _("Person or kind")
    ordering = ("-id",)
    sortable_by = ()

    # -- rights ------------------------------------------------------------------------------------------

    def has_export_data_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("metering.export_data")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_export_data_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_export_data_permission(request) or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        """Exports of what the person may see: a file says as much as the pages it is made from."""
        names = [kind.name for kind in kinds_staff_may_export(request.user.has_perm)]
        return super().get_queryset(request).filter(Q(kind__in=names) | list_exports_seen_by(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        export_id = Export.id_in(search_term.strip())
        if export_id is not None:
            return queryset.filter(pk=export_id), False
        return super().get_search_results(request, queryset, search_term)

    def _found(self, request: HttpRequest, object_id: str, *, to_change: bool = False) -> Export:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if to_change and not self.has_export_data_permission(request):
            raise PermissionDenied
        export = get_object_or_404(self.get_queryset(request), pk=id_from(str(object_id)) or 0)
        if to_change and not self._may_change(request, export):
            raise PermissionDenied
        return export

    def _may_change(self, request: HttpRequest, export: Export) -> bool:
        """Cancel and remove one's own; whoever may do everything, all."""
        if not self.has_export_data_permission(request):
            return False
        return request.user.is_superuser or is_own(export, _principal(request))

    # -- pages -------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(
                f"<int:object_id>/{route}/", self.admin_site.admin_view(view), name=f"metering_export_{name}"
            )

        return [
            page("download", self.download_view, "download"),
            page("cancel", self.cancel_view, "cancel"),
            page("remove", self.remove_view, "remove"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Which kind; then of what, and whether at once or in the background."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        kinds = kinds_staff_may_export(request.user.has_perm)
        kind = next((kind for kind in kinds if kind.name == request.GET.get("kind")), None)
        if kind is None:
            return self._page(request, "choose", title=_("Export"), kinds=kinds)
        form = ExportForm(request.POST if request.method == "POST" else None, kind=kind)
        if request.method == "POST" and form.is_valid():
            if "now" in request.POST:
                return csv_attachment(_streamed(kind, form.sent), f"{kind.name.replace('_', '-')}.csv")
            try:
                export = request_export(kind, form.sent, principal=_principal(request), project_path=None)
            except MeterbookError as refusal:
                form.refuse(refusal)
            else:
                self.log_addition(request, export, [{"added": {}}])
                wake(run_exports)
                return HttpResponseRedirect(self.page_url("change", export.pk))
        return self._page(request, "ask", title=kind.title, kind=kind, form=form)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How far it is, and the file."""
        if request.method != "GET":
            raise PermissionDenied
        export, now = self._found(request, object_id), database_now()
        waited = (now - export.requested_at).total_seconds()
        return self._page(
            request,
            "progress",
            title=_title(export),
            original=export,
            export=export,
            badge=self.state_badge(export),
            bar=self.progress(export),
            facts=_facts(export),
            is_stuck=export.state == State.QUEUED and waited > PATIENCE_SECONDS,
            has_file=export.has_file(at=now),
            may_change=self._may_change(request, export) and export.state != State.REMOVED,
        )

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        export = self._found(request, object_id)
        try:
            response = csv_attachment(file_of(export, at=database_now()), _file_name(export))
        except MeterbookError as refusal:
            messages.error(request, worded(refusal))
            return HttpResponseRedirect(self.page_url("change", export.pk))
        response["Content-Length"] = str(export.byte_count)
        return response

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        export = self._found(request, object_id, to_change=True)
        back_url = self.page_url("change", export.pk)
        if request.method == "POST":
            try:
                cancel_export(export)
            except MeterbookError as refusal:
                messages.error(request, worded(refusal))
                return HttpResponseRedirect(back_url)
            self.log_change(request, export, _("Cancelled."))
            return self.done(request, gettext("The export is cancelled."), url=back_url)
        return self.confirmation(
            request,
            title=_("Cancel an export"),
            subtitle=_title(export),
            sentences=[_("What was written of the file is removed. You can ask for it again.")],
            button=_("Cancel the export"),
            back_url=back_url,
            original=export,
        )

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        export = self._found(request, object_id, to_change=True)
        back_url = self.page_url("change", export.pk)
        if request.method == "POST":
            try:
                remove_export(export)
            except MeterbookError as refusal:
                messages.error(request, worded(refusal))
                return HttpResponseRedirect(back_url)
            self.log_change(request, export, _("Removed the file."))
            return self.done(request, gettext("The file is removed."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Remove an export"),
            subtitle=_title(export),
            sentences=[
                _("Its file can't be downloaded any more. You can ask for it again."),
                _("The list keeps saying who asked for it, and when."),
            ],
            button=_("Remove the export"),
            back_url=back_url,
            original=export,
        )

    def _page(self, request: HttpRequest, name: str, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/metering/export/{name}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "list_url": self.page_url("changelist"),
                "add_url": self.page_url("add"),
                "original": None,
                **context,
            },
        )

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.has_file_now = row.has_file(at=now)

    @admin.display(description=_("export"))
    def what(self, export: Export) -> SafeString:
        return cells.two_lines(_title(export), _filters_in_words(export))

    @admin.display(description=_("state"))
    def state_badge(self, export: Export) -> SafeString:
        return cells.badge(export.get_state_display(), STATE_COLOURS[State(export.state)])

    @admin.display(description=_("progress"))
    def progress(self, export: Export) -> SafeString:
        fraction = export.done_fraction
        rows = gettext("%(count)s rows") % {"count": numerals.count(export.row_count)}
        if export.is_active and export.expected_count:
            rows = gettext("%(count)s of ~%(expected)s rows") % {
                "count": numerals.count(export.row_count),
                "expected": numerals.count(export.expected_count),
            }
        if export.state in {State.FAILED, State.CANCELLED, State.REMOVED} or fraction is None:
            return cells.quiet(rows)  # how much is to come nobody knows, or none is
        return progress_bar(int(fraction * 100), rows)

    @admin.display(description=_("by"))
    def who(self, export: Export) -> SafeString:
        return cells.two_lines(export.requested_by, cells.moment(export.requested_at))

    @admin.display(description=_("kept until"))
    def kept_until(self, export: Export) -> SafeString:
        return cells.moment(export.expires_at if export.is_finished else None)

    @admin.display(description=_("file"))
    def file(self, export: Any) -> SafeString:
        if not export.has_file_now:
            return cells.quiet(cells.DASH)
        url = self.page_url("download", export.pk)
        return cells.two_lines(
            cells.link(url, gettext("Download"), title=_file_name(export)), _size(export.byte_count)
        )


def _streamed(kind: ExportKind, sent: dict[str, str]) -> Generator[bytes, None, None]:
    """The file as it is read; whoever goes away ends the reading."""
    with closing(kind.blocks(Asked(filters=filters_of(kind, sent)))) as blocks:
        for block in blocks:
            yield block.data


def _principal(request: HttpRequest) -> Principal:
    return Principal(name=request.user.get_username(), permissions=frozenset({"read"}))


def _title(export: Export) -> str:
    listed = list_of(export)
    if listed is not None:
        return gettext("List: %s") % title_of(listed)
    titles = {kind.name: kind.title for kind in registered_kinds()}
    return str(titles.get(export.kind, export.kind))


def _filters_in_words(export: Export) -> str:
    """In the order of the form; a midnight in UTC as the day that was asked for."""
    listed = list_of(export)
    if listed is not None:
        return narrowing_in_words(export.filters.get("query", ""))
    kind = next((kind for kind in registered_kinds() if kind.name == export.kind), None)
    labels = {one.name: str(one.label) for one in kind.filters} if kind is not None else {}
    named = [
        f"{label}: {str(export.filters[name]).removesuffix('T00:00:00Z')}"
        for name, label in labels.items()
        if name in export.filters
    ]
    return ", ".join(named) or gettext("everything")


def _file_name(export: Export) -> str:
    listed = list_of(export)
    if listed is None:
        return export.file_name
    query, day = export.filters.get("query", ""), export.requested_at.astimezone(dt.UTC).date()
    return file_name_of(listed, query=query, day=day, number=export.pk)


def _limits(export: Export) -> Any:
    """In words; of a list as a link to it, narrowed as it was."""
    words, listed = _filters_in_words(export), list_of(export)
    if listed is None:
        return words
    query = export.filters.get("query", "")
    return cells.link(f"{listed.page_url('changelist')}?{query}", words)


def _facts(export: Export) -> list[tuple[Any, Any]]:
    project = export.project
    return [
        (_("File"), cells.code(_file_name(export))),
        (_("Limited to"), _limits(export)),
        (_("Asked for by a key of"), project.key if project is not None else None),
        (_("Rows"), cells.grouped(export.row_count)),
        (_("Size"), _size(export.byte_count)),
        (_("Requested"), cells.two_lines(export.requested_by, cells.moment(export.requested_at))),
        (_("Started"), cells.moment(export.started_at)),
        (_("Ended"), cells.moment(export.finished_at)),
        (_("Kept until"), cells.moment(export.expires_at) if export.is_finished else None),
    ]


def _size(size: int) -> str:
    return file_size(size) if size else cells.DASH
