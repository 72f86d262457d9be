"""Verifications: start one, watch it, read what it found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from metering import moments, numerals
from metering.clock import database_now
from metering.errors import Conflict, MeterbookError
from metering.models import VerificationRun
from metering.tasks import go_on_verifying
from metering.verifying.verification import findings_of, request_verification
from metering.verifying.verification_checks import registered_checks
from metering.verifying.verification_findings import Finding

from . import cells, file_columns
from .base import ReadOnlyAdmin
from .long_work import progress_bar, wake
from .refusals import worded
from .row_ids import id_from

State = VerificationRun.State
STATE_COLOURS = {
    State.QUEUED: "info",
    State.RUNNING: "info",
    State.PASSED: "success",
    State.FAILED: "danger",
    State.INTERRUPTED: "warning",
}
FINDING_COLOURS = {"passed": "success", "warning": "warning", "failed": "danger"}
FINDING_WORDS = {"passed": _("Passed"), "warning": _("Warning"), "failed": _("Failed")}
RANK = {"failed": 0, "warning": 1, "passed": 2}
PATIENCE_SECONDS = 60  # after which a waiting verification probably has no worker


class StartForm(forms.Form):
    head = forms.CharField(
        label=_("Published head"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "mbs1:…", "autocomplete": "off"}),
        help_text=_(
            "Optional. A head of the seals that was mailed or kept elsewhere. Only with one can verification "
            "find that the end of the ledger was cut off."
        ),
    )


@dataclass(frozen=True, slots=True)
class CheckSection:
    """One check on a run's page: its promise, and what its steps found."""

    name: str
    title: Any
    promise: Any
    badge: SafeString
    findings: Sequence[tuple[Finding, SafeString]]
    is_single: bool
    breach_count: int


@admin.register(VerificationRun)
class VerificationRunAdmin(ReadOnlyAdmin):
    """Rows are read-only; whoever may verify asks for one, and a worker does it."""

    intro = _(
        "A verification recomputes from the ledger what everything else should be: seals, rollups, "
        "cancellations, payers, positions. It runs every night and changes nothing."
    )
    empty_title = _("Nothing was verified yet")
    empty_text = _(
        "The job “Verify everything” does it every night. “Verify now” above, or manage.py verify on the "
        "server, does it at once."
    )
    empty_text_of_onlookers = _("The job “Verify everything” does it every night.")
    csv_columns = file_columns.VERIFICATIONS
    list_display = ("when", "state_badge", "what", "scope", "up_to", "took", "who")
    list_display_links = ("when",)
    list_filter = ("state", "trigger")
    ordering = ("-id",)
    sortable_by = ()
    actions_list = ("verify_now",)

    # -- rights ------------------------------------------------------------------------------------------

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_verify_ledger_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("metering.verify_ledger")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_verify_ledger_permission(request) or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def empty_words(self, request: HttpRequest) -> Any:
        may_verify = self.has_verify_ledger_permission(request)
        return self.empty_text if may_verify else self.empty_text_of_onlookers

    def get_queryset(self, request: HttpRequest) -> QuerySet[VerificationRun]:
        return super().get_queryset(request).defer("findings")

    # -- pages -------------------------------------------------------------------------------------------

    @action(
        description=_("Verify now"), url_path="start", permissions=["verify_ledger"], icon="verified_user"
    )
    def verify_now(self, request: HttpRequest) -> HttpResponse:
        """Says what happens, asks for a published head, and lets a worker begin."""
        form = StartForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                run = request_verification(
                    trigger=VerificationRun.Trigger.STAFF,
                    requested_by=request.user.get_username(),
                    head=form.cleaned_data["head"].strip(),
                )
            except Conflict as refusal:
                messages.warning(request, worded(refusal))
                return HttpResponseRedirect(self.page_url("changelist"))
            except MeterbookError as refusal:
                field = getattr(refusal, "field", None)
                form.add_error(field if field in form.fields else None, worded(refusal))
            else:
                self.log_addition(request, run, [{"added": {}}])
                wake(go_on_verifying)
                return HttpResponseRedirect(self.page_url("change", run.pk))
        return self._page(
            request, "start", title=_("Verify now"), form=form, checks=registered_checks(), original=None
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What was found; how far it is while it runs."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(VerificationRun, pk=id_from(str(object_id)) or 0)
        waited = (database_now() - run.requested_at).total_seconds()
        return self._page(
            request,
            "report",
            title=_title(run),
            original=run,
            run=run,
            badge=self.state_badge(run),
            bar=_bar(run),
            verdict=_verdict(run),
            sections=_sections(findings_of(run)),
            facts=_facts(run),
            is_stuck=run.state == State.QUEUED and not run.started_at and waited > PATIENCE_SECONDS,
        )

    def _page(self, request: HttpRequest, name: str, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/metering/verificationrun/{name}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "list_url": self.page_url("changelist"),
                **context,
            },
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("when"))
    def when(self, run: VerificationRun) -> SafeString:
        return cells.moment(run.started_at or run.requested_at)

    @admin.display(description=_("result"))
    def state_badge(self, run: VerificationRun) -> SafeString:
        return cells.badge(run.get_state_display(), STATE_COLOURS[State(run.state)])

    @admin.display(description=_("in words"))
    def what(self, run: VerificationRun) -> SafeString:
        if run.is_active:
            return _bar(run)
        first = cells.one_line(run.summary)
        if run.breach_count > 1:
            return cells.two_lines(
                first,
                gettext("the first of %(count)s breaches") % {"count": numerals.count(run.breach_count)},
            )
        return first

    @admin.display(description=_("checked"))
    def scope(self, run: VerificationRun) -> SafeString:
        return cells.one_line(_scope(run))

    @admin.display(description=_("up to position"))
    def up_to(self, run: VerificationRun) -> SafeString:
        return cells.number(run.position)

    @admin.display(description=_("took"))
    def took(self, run: VerificationRun) -> str:
        return _took(run)

    @admin.display(description=_("by"))
    def who(self, run: VerificationRun) -> str:
        return run.requested_by or str(run.get_trigger_display())


def _title(run: VerificationRun) -> str:
    instant = run.started_at or run.requested_at
    return gettext("Verification of %s") % moments.in_words(instant, to_the="minute")


def _took(run: VerificationRun) -> str:
    if run.state == State.QUEUED and not run.started_at:
        return cells.DASH
    return (
        gettext("%s s") % numerals.fixed(run.seconds, decimals=1)
        if run.seconds < 120
        else cells.span_of(run.seconds)
    )


def _scope(run: VerificationRun) -> str:
    if not run.is_partial:
        return gettext("everything")
    return ", ".join([*run.checks, *run.metrics])


def _bar(run: VerificationRun) -> SafeString:
    percent = int(run.done_fraction * 100)
    where = gettext("%(done)s of %(count)s steps") % {
        "done": numerals.count(run.done_count),
        "count": numerals.count(run.step_count) if run.step_count else cells.DASH,
    }
    return progress_bar(percent, f"{where} · {run.current_step}" if run.current_step else where)


def _verdict(run: VerificationRun) -> str:
    """The result in a sentence."""
    if run.state == State.PASSED:
        return gettext("Everything that was checked agrees with the ledger.")
    if run.state == State.FAILED:
        return ngettext(
            "%(count)s thing doesn't agree. It is named below; nothing was changed.",
            "%(count)s things don't agree. They are named below; nothing was changed.",
            run.breach_count,
        ) % {"count": numerals.count(run.breach_count)}
    if run.state == State.INTERRUPTED:
        return run.summary + " " + gettext("What it had found until then is below.")
    if run.state == State.QUEUED and not run.started_at:
        return gettext("It waits for a worker.")
    return gettext("It is under way; usage goes on being recorded meanwhile.")


def _sections(findings: Sequence[Finding]) -> list[CheckSection]:
    """Findings by check, in the order they were made; within a check what failed comes first."""
    known = {check.name: check for check in registered_checks()}
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding)
    sections = []
    for name, found in by_check.items():
        worst = min(found, key=lambda finding: RANK[finding.status]).status
        check = known.get(name)
        sections.append(
            CheckSection(
                name=name,
                title=check.title if check else found[0].title,
                promise=check.promise if check else "",
                badge=cells.badge(FINDING_WORDS[worst], FINDING_COLOURS[worst]),
                findings=[
                    (one, cells.badge(FINDING_WORDS[one.status], FINDING_COLOURS[one.status]))
                    for one in sorted(found, key=lambda finding: RANK[finding.status])
                ],
                is_single=len(found) == 1 and not found[0].subject,
                breach_count=sum(one.breach_count for one in found),
            )
        )
    return sections


def _facts(run: VerificationRun) -> Sequence[tuple[Any, Any]]:
    facts = [
        (_("Asked for by"), run.requested_by or run.get_trigger_display()),
        (_("Checked"), _scope(run)),
        (_("Verified up to position"), cells.grouped(run.position)),
        (_("Started at"), cells.moment(run.started_at)),
        (_("Finished at"), cells.moment(run.finished_at)),
        (_("Took"), _took(run)),
    ]
    if run.head:
        facts.append((_("Held against the head"), cells.code(run.head)))
    return facts
