"""Files of usage: uploaded, understood, imported in the background, accounted for."""

from collections.abc import Sequence
from typing import Any

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from metering.catalogue import current
from metering.clock import database_now
from metering.errors import Invalid, MeterbookError
from metering.importing.event_imports import rejects_of
from metering.importing.event_uploads import (
    cancel_import,
    file_of,
    options_of,
    retry_upload,
    start_upload,
    store_upload,
    try_upload,
)
from metering.importing.reject_files import RejectFormat, written
from metering.models import EventImport, EventImportReject, Project
from metering.tasks import import_files

from . import cells, file_columns
from .base import ReadOnlyAdmin
from .event_import_forms import SAMPLE_ROWS, MeaningForm, UploadForm
from .long_work import file_size, progress_bar, wake
from .refusals import worded
from .row_ids import id_from

State = EventImport.State
STATE_COLOURS = {
    State.DRAFT: "",
    State.QUEUED: "info",
    State.RUNNING: "info",
    State.STOPPED: "warning",
    State.FAILED: "danger",
    State.CANCELLED: "warning",
    State.FINISHED: "success",
}
SHOWN_REJECTS = 20
OFFERED_NAMES = 200
PATIENCE_SECONDS = 30  # after which a waiting import probably has no worker


@admin.register(EventImport)
class EventImportAdmin(ReadOnlyAdmin):
    """Rows are read-only; whoever may import files adds them by the pages below."""

    intro = _(
        "Files of usage that has happened. What is in the ledger already is recognised by its ids, so a file "
        "may be imported again, and an interrupted import goes on where it was."
    )
    empty_title = _("No files imported yet")
    empty_text = _("Upload one here, or run manage.py import_events on the server for files of any size.")
    csv_columns = file_columns.IMPORTS
    list_display = ("file", "state_badge", "progress", "recorded", "existed", "left_out", "who", "finished")
    list_display_links = ("file",)
    list_filter = ("state", "origin")
    search_fields = ("file_name", "requested_by")
    search_help_text = _("File or person")
    ordering = ("-id",)
    sortable_by = ()

    # -- rights ------------------------------------------------------------------------------------------

    def has_import_events_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("metering.import_events")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_import_events_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_import_events_permission(request) or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def _importable(self, request: HttpRequest, object_id: str) -> EventImport:
        if not self.has_import_events_permission(request):
            raise PermissionDenied
        return get_object_or_404(EventImport, pk=object_id)

    # -- pages -------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(
                f"<int:object_id>/{route}",
                self.admin_site.admin_view(view),
                name=f"metering_eventimport_{name}",
            )

        return [
            page("columns/", self.columns_view, "columns"),
            page("cancel/", self.cancel_view, "cancel"),
            page("retry/", require_POST(self.retry_view), "retry"),
            page("rejects.<slug:form>", self.rejects_view, "rejects"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The first step: which file."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                job = store_upload(
                    file.chunks(), file_name=file.name, requested_by=request.user.get_username()
                )
            except Invalid as refusal:
                form.add_error("file", worded(refusal))
            else:
                self.log_addition(request, job, [{"added": {}}])
                return HttpResponseRedirect(self.page_url("columns", job.pk))
        return self._page(request, "upload", title=_("Import a file of usage"), form=form)

    def columns_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The second step: what is in it. Checks the first events, or starts the import."""
        job = self._importable(request, object_id)
        if job.state != State.DRAFT:
            return HttpResponseRedirect(self.page_url("change", job.pk))
        options = options_of(job)
        asked = request.POST.get("delimiter", options.delimiter)
        if asked != options.delimiter and options.format == "csv" and asked in {",", ";", "\t", "|"}:
            options = msgspec.structs.replace(options, delimiter=asked)
            EventImport.objects.filter(pk=job.pk, state=State.DRAFT).update(
                options=msgspec.to_builtins(options)
            )
            return HttpResponseRedirect(self.page_url("columns", job.pk))
        try:
            file = file_of(job, options)
            samples = file.samples(SAMPLE_ROWS) if file.rows is not None else []
            form = MeaningForm(request.POST or None, header=file.header, samples=samples, options=options)
        except Invalid as refusal:
            return self._page(request, "unreadable", title=job.file_name, job=job, refusal=worded(refusal))
        tried = None
        if request.method == "POST" and form.is_valid():
            try:
                told = form.told()
                tried = try_upload(job, told)
                if "start" in request.POST and tried.is_hopeless:
                    form.add_error(None, gettext("Nothing was started: see what is wrong below."))
                elif "start" in request.POST:
                    start_upload(job, told)
                    self.log_change(request, job, _("Import started."))
                    wake(import_files)
                    return HttpResponseRedirect(self.page_url("change", job.pk))
            except (MeterbookError, forms.ValidationError) as refusal:
                field = getattr(refusal, "field", None)
                text = refusal.message if isinstance(refusal, forms.ValidationError) else worded(refusal)
                form.add_error(field if field in form.fields else None, text)
        return self._page(
            request,
            "columns",
            title=job.file_name,
            job=job,
            form=form,
            tried=tried,
            lines=[] if file.rows is not None else file.first_lines(SAMPLE_ROWS),
            project_keys=Project.objects.order_by("key").values_list("key", flat=True)[:OFFERED_NAMES],
            event_names=current().event_names()[:OFFERED_NAMES],
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How far it is, and what came of it."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        job = get_object_or_404(EventImport, pk=id_from(str(object_id)) or 0)
        may_import = self.has_import_events_permission(request)
        if job.state == State.DRAFT and may_import:
            return HttpResponseRedirect(self.page_url("columns", job.pk))
        rejects = EventImportReject.objects.filter(event_import=job)
        now = database_now()
        return self._page(
            request,
            "progress",
            title=job.file_name,
            job=job,
            badge=self.state_badge(job),
            bar=self.progress(job),
            counts=_counts(job),
            reasons=rejects.values_list("code")
            .annotate(reject_count=Count("id"))
            .order_by("-reject_count", "code"),
            rejects=rejects.order_by("line")[:SHOWN_REJECTS],
            facts=_facts(job),
            is_stuck=job.state == State.QUEUED
            and (now - job.requested_at).total_seconds() > PATIENCE_SECONDS,
            may_cancel=may_import and job.state not in {State.FINISHED, State.CANCELLED},
            may_retry=may_import and job.state == State.FAILED and job.origin == EventImport.Origin.UPLOAD,
        )

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self._importable(request, object_id)
        back_url = self.page_url("change", job.pk)
        if request.method == "POST":
            try:
                cancel_import(job)
            except MeterbookError as refusal:
                messages.error(request, worded(refusal))
                return HttpResponseRedirect(back_url)
            self.log_change(request, job, _("Cancelled."))
            url = back_url if job.done_count else self.page_url("changelist")
            return self.done(request, gettext("The import of “%s” is cancelled.") % job.file_name, url=url)
        return self.confirmation(
            request,
            title=_("Cancel an import"),
            subtitle=job.file_name,
            sentences=[
                _("Events that are recorded stay in the ledger. The uploaded file is removed."),
                _("Importing the file again later records only what is missing."),
            ],
            button=_("Cancel the import"),
            back_url=back_url,
            original=job,
        )

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self._importable(request, object_id)
        try:
            retry_upload(job)
        except MeterbookError as refusal:
            messages.error(request, worded(refusal))
        else:
            self.log_change(request, job, _("Tried again."))
            wake(import_files)
        return HttpResponseRedirect(self.page_url("change", job.pk))

    def rejects_view(self, request: HttpRequest, object_id: str, form: str) -> HttpResponseBase:
        """What was left out and why, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = get_object_or_404(EventImport, pk=object_id)
        kind: RejectFormat = "csv" if form == "csv" else "ndjson"
        content_type = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
        response = StreamingHttpResponse(written(rejects_of(job), kind), content_type=content_type)
        response["Content-Disposition"] = f'attachment; filename="import-{job.pk}-rejects.{kind}"'
        return response

    def _page(self, request: HttpRequest, name: str, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/metering/eventimport/{name}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "list_url": self.page_url("changelist"),
                "original": context.get("job"),
                **context,
            },
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("file"))
    def file(self, job: EventImport) -> SafeString:
        return cells.two_lines(
            cells.one_line(job.file_name), f"{file_size(job.size)} · {job.get_origin_display()}"
        )

    @admin.display(description=_("state"))
    def state_badge(self, job: EventImport) -> SafeString:
        colour = STATE_COLOURS[State(job.state)]
        if job.state == State.FINISHED and job.left_out_count:
            colour = "warning"  # it came to its end, but not with all of its events
        return cells.badge(job.get_state_display(), colour)

    @admin.display(description=_("progress"))
    def progress(self, job: EventImport) -> SafeString:
        percent = int(job.done_fraction * 100)
        return progress_bar(percent, f"{percent} %")

    @admin.display(description=_("recorded"))
    def recorded(self, job: EventImport) -> SafeString:
        return cells.number(job.created_count)

    @admin.display(description=_("existed"))
    def existed(self, job: EventImport) -> SafeString:
        return cells.number(job.existing_count)

    @admin.display(description=_("left out"))
    def left_out(self, job: EventImport) -> SafeString:
        return cells.number(job.left_out_count or None)

    @admin.display(description=_("by"))
    def who(self, job: EventImport) -> SafeString:
        return cells.two_lines(job.requested_by, cells.moment(job.requested_at))

    @admin.display(description=_("finished at"))
    def finished(self, job: EventImport) -> SafeString:
        return cells.moment(job.finished_at)


def _counts(job: EventImport) -> Sequence[tuple[Any, str, Any]]:
    return (
        (_("Recorded"), cells.grouped(job.created_count), _("new in the ledger")),
        (_("Existed"), cells.grouped(job.existing_count), _("the ledger held the same event")),
        (_("Conflicts"), cells.grouped(job.conflict_count), _("the ledger holds the id with other content")),
        (_("Rejected"), cells.grouped(job.rejected_count), _("couldn't be recorded as it is")),
        *(
            [(_("Voided"), cells.grouped(job.cancelled_count), _("voided events and their voids, skipped"))]
            if job.cancelled_count
            else []
        ),
    )


def _facts(job: EventImport) -> Sequence[tuple[Any, Any]]:
    rows = job.options.get("rows", {})
    meanings = [
        *(f"{target} = {column}" for target, column in rows.get("columns", {}).items()),
        *(f"{target}: “{text}”" for target, text in rows.get("constants", {}).items()),
    ]
    return [
        (_("Lines done"), cells.grouped(job.line_count)),
        (_("Size, decompressed"), file_size(job.size)),
        (_("Format"), "CSV" if job.options.get("format") == "csv" else _("one event a line")),
        (_("Meaning of columns"), "; ".join(meanings) or cells.DASH),
        (_("Columns left out"), ", ".join(rows.get("ignored", [])) or cells.DASH),
        (_("Time zone of times without offset"), rows.get("timezone") or cells.DASH),
        (_("Project of events that name none"), job.options.get("project") or cells.DASH),
        (_("Source of events that name none"), job.options.get("source") or cells.DASH),
        (_("Requested"), cells.two_lines(job.requested_by, cells.moment(job.requested_at))),
        (_("Started"), cells.moment(job.started_at)),
        (_("Ended"), cells.moment(job.finished_at)),
        (_("SHA-256 of the content"), cells.code(job.sha256)),
    ]
