"""Billing runs: ask for one, watch it, see what came of it."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing.invoicing.runs import request_run
from billing.models import BillingAccount, BillingRun
from billing.tasks import run_requested
from metering import moments, numerals
from metering.admin import cells
from metering.admin.long_work import progress_bar, wake
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.errors import MeterbookError

from .billing_links import account_link, documents_url, listed
from .overview import OverviewPage
from .review import ReviewPage
from .subscription_forms import LocalInstantField, instant_in

State = BillingRun.State
UTC = ZoneInfo("UTC")
STATE_COLOURS = {
    State.QUEUED: "info",
    State.RUNNING: "info",
    State.FINISHED: "success",
    State.INTERRUPTED: "warning",
}
PATIENCE_SECONDS = 60  # after which a waiting run probably has no worker
SHOWN_PARKED = 50


class AsOfForm(forms.Form):
    as_of = LocalInstantField(
        label=_("Billed up to"),
        help_text=_("UTC, such as 2026-02-01 or 2026-02-01 08:00. What has ended by then is billed."),
    )

    def clean_as_of(self) -> Any:
        instant = instant_in(UTC, self.cleaned_data["as_of"])
        if instant is None:
            raise ValidationError(gettext("Say up to when."))
        return instant


@admin.register(BillingRun)
class BillingRunAdmin(OverviewPage, ReviewPage):
    """Rows are read-only; whoever may start runs asks for one, and a worker does it."""

    intro = _(
        "A billing run drafts one invoice for every account that owes something, and issues those that may "
        "go by themselves. It may be repeated at any time: nothing is ever billed twice."
    )
    empty_title = _("Nothing was billed yet")
    empty_text = _("“Bill now” above drafts an invoice for every account that owes something.")
    list_display = ("when", "state_badge", "billed_up_to", "progress", "drafts", "issued", "parked", "who")
    list_display_links = ("when",)
    list_filter = ("state", "trigger")
    ordering = ("-id",)
    sortable_by = ()
    actions_list = ("bill_now", "bill_as_of")

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_start_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.start_billingrun")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_start_permission(request) or bool(super().has_view_permission(request, obj))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    # -- starting ----------------------------------------------------------------------------------------

    @action(description=_("Bill now"), url_path="now", permissions=["start"], icon="play_arrow")
    def bill_now(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            return self._requested(request, forms.Form(), as_of=database_now())
        return self._asked(request, title=_("Bill now"), subtitle=gettext("what has ended by now"))

    @action(description=_("Bill as of…"), url_path="as-of", permissions=["start"], icon="event")
    def bill_as_of(self, request: HttpRequest) -> HttpResponse:
        """As if it were another day: a run of the past, or what a missed one would have billed."""
        form = AsOfForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._requested(request, form, as_of=form.cleaned_data["as_of"])
        return self._asked(
            request, title=_("Bill as of"), subtitle=gettext("an instant in the past"), form=form
        )

    def _requested(self, request: HttpRequest, form: forms.Form, *, as_of: Any) -> HttpResponse:
        try:
            run = request_run(as_of=as_of, now=database_now(), requested_by=request.user.get_username())
        except MeterbookError as refusal:
            if getattr(refusal, "field", None) in form.fields:
                form.add_error(refusal.field, worded(refusal))  # type: ignore[attr-defined]
                return self._asked(
                    request, title=_("Bill as of"), subtitle=gettext("an instant in the past"), form=form
                )
            self.message_user(request, worded(refusal), level="warning")
            return HttpResponseRedirect(self.page_url("changelist"))
        self.log_addition(request, run, [{"added": {}}])
        wake(run_requested)
        return HttpResponseRedirect(self.page_url("change", run.pk))

    def _asked(
        self, request: HttpRequest, *, title: Any, subtitle: str, form: forms.Form | None = None
    ) -> HttpResponse:
        count = BillingAccount.objects.count()
        itself = BillingAccount.objects.filter(issues_automatically=True).count()
        return self.confirmation(
            request,
            title=title,
            subtitle=subtitle,
            sentences=[
                ngettext(
                    "%(count)s account is looked through. Whoever owes something gets a draft; drafts that "
                    "are there are computed again, and what was added to them by hand stays.",
                    "All %(count)s accounts are looked through. Whoever owes something gets a draft; drafts "
                    "that are there are computed again, and what was added to them by hand stays.",
                    count,
                )
                % {"count": numerals.count(count)},
                ngettext(
                    "%(count)s account has its invoices issued without review: once issued, they never "
                    "change.",
                    "%(count)s accounts have their invoices issued without review: once issued, they never "
                    "change.",
                    itself,
                )
                % {"count": numerals.count(itself)}
                if itself
                else gettext("No account has its invoices issued without review, so nothing goes out."),
                gettext("A worker does it; you can leave the page that follows."),
            ],
            button=_("Start the billing run"),
            back_url=self.page_url("changelist"),
            original=None,
            form=form,
            is_harmless=not itself,
        )

    # -- one run -----------------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What came of it; how far it is while it runs."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(BillingRun, pk=id_from(str(object_id)) or 0)
        parked = run.parked_accounts.select_related("account__project").order_by("since", "id")
        waited = (database_now() - run.started_at).total_seconds()
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/billing/billingrun/run.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": run,
                "title": gettext("Billing run of %s") % moments.in_words(run.started_at, to_the="minute"),
                "run": run,
                "is_active": run.state in {State.QUEUED, State.RUNNING},
                "is_stuck": run.state == State.QUEUED and waited > PATIENCE_SECONDS,
                "badge": self.state_badge(run),
                "bar": _bar(run),
                "verdict": _verdict(run),
                "counts": _counts(run),
                "facts": _facts(run),
                "parked": [(account_link(one.account), one) for one in parked[:SHOWN_PARKED]],
                "parked_url": listed("parkedaccount"),
            },
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("when"))
    def when(self, run: BillingRun) -> SafeString:
        return cells.moment(run.started_at)

    @admin.display(description=_("state"))
    def state_badge(self, run: BillingRun) -> SafeString:
        return cells.badge(run.get_state_display(), STATE_COLOURS[State(run.state)])

    @admin.display(description=_("billed up to"))
    def billed_up_to(self, run: BillingRun) -> SafeString:
        return cells.moment(run.as_of)

    @admin.display(description=_("accounts"))
    def progress(self, run: BillingRun) -> SafeString | str:
        if run.state == State.RUNNING:
            return _bar(run)
        return cells.DASH if run.state == State.QUEUED else cells.number(run.done_count)

    @admin.display(description=_("drafts"))
    def drafts(self, run: BillingRun) -> SafeString:
        return cells.number(run.drafted_count)

    @admin.display(description=_("issued"))
    def issued(self, run: BillingRun) -> SafeString:
        return cells.number(run.issued_count)

    @admin.display(description=_("parked"))
    def parked(self, run: BillingRun) -> SafeString:
        if not run.parked_count:
            return cells.number(0)
        return format_html(
            '<span class="mb-number mb-bad"><strong>{}</strong></span>', numerals.count(run.parked_count)
        )

    @admin.display(description=_("by"))
    def who(self, run: BillingRun) -> str:
        return run.requested_by or str(run.get_trigger_display())


def _bar(run: BillingRun) -> SafeString:
    percent = 100 * run.done_count // run.account_count if run.account_count else 0
    words = gettext("%(done)s of %(count)s accounts") % {
        "done": numerals.count(run.done_count),
        "count": numerals.count(run.account_count),
    }
    return progress_bar(percent, words)


def _verdict(run: BillingRun) -> str:
    """What came of it, in a sentence."""
    if run.state == State.QUEUED:
        return gettext("It waits for a worker.")
    if run.state == State.RUNNING:
        return gettext("It is under way. Each account is billed by itself: one that fails holds up no other.")
    if run.state == State.INTERRUPTED:
        return gettext(
            "Its process ended before it was done. What it drafted stays; bill again for the rest."
        )
    if run.parked_count:
        return ngettext(
            "Done, but %(count)s account couldn't be billed. The reason is below.",
            "Done, but %(count)s accounts couldn't be billed. The reasons are below.",
            run.parked_count,
        ) % {"count": numerals.count(run.parked_count)}
    if not run.drafted_count and not run.issued_count:
        return gettext("Done: nobody owed anything new.")
    return gettext("Done: every account that owes something was billed.")


def _counts(run: BillingRun) -> Sequence[tuple[Any, str, str]]:
    return [
        (_("Drafts to review"), numerals.count(run.drafted_count), documents_url(standing="drafts")),
        (_("Issued without review"), numerals.count(run.issued_count), documents_url()),
        (_("Couldn't be billed"), numerals.count(run.parked_count), listed("parkedaccount")),
    ]


def _facts(run: BillingRun) -> Sequence[tuple[Any, Any]]:
    facts: list[tuple[Any, Any]] = [
        (_("Billed up to"), cells.moment(run.as_of)),
        (_("Ledger position"), cells.grouped(run.position)),
        (_("Started by"), run.requested_by or run.get_trigger_display()),
        (_("Asked for at") if run.state == State.QUEUED else _("Started at"), cells.moment(run.started_at)),
        (_("Finished at"), cells.moment(run.finished_at)),
    ]
    if run.finished_at is not None:
        facts.append((_("Took"), cells.span_of((run.finished_at - run.started_at).total_seconds())))
    return facts
