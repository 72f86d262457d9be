"""Accounts that couldn't be billed, with the reason, and trying again."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing.invoicing.runs import run_billing
from billing.models import BillingRun, ParkedAccount
from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.admin.refusals import worded
from metering.clock import database_now
from metering.errors import MeterbookError

from . import file_columns
from .billing_links import account_link


@admin.register(ParkedAccount)
class ParkedAccountAdmin(ReadOnlyAdmin):
    intro = _(
        "Accounts that the last billing run couldn't bill. The others were billed all the same. Put right "
        "what the reason says and try again; an account leaves this list as soon as it is billed."
    )
    empty_title = _("No account is parked")
    empty_text = _("The last billing run could bill every account.")
    csv_columns = file_columns.PARKED
    list_display = ("customer", "why", "parked_since", "run_shown", "again")
    list_display_links = None
    list_select_related = ("account__project", "run")
    list_filter = ("code",)
    linked_lookups = ("code__exact",)
    search_fields = ("account__legal_name", "account__project__key", "reason")
    search_help_text = _("Account, project or reason")
    ordering = ("since", "id")
    sortable_by = ()
    fields = ("customer", "why", "parked_since", "run_shown")
    actions_detail = ("try_again",)

    def has_start_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.start_billingrun")

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if self.has_start_permission(request) else shown[:-1]

    @action(description=_("Try again"), url_path="try-again", permissions=["start"], icon="refresh")
    def try_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bill the one account, as of now."""
        parked = get_object_or_404(ParkedAccount.objects.select_related("account"), pk=object_id)
        account = parked.account
        if request.method == "POST":
            return self._tried(request, parked)
        return self.confirmation(
            request,
            title=_("Try again"),
            subtitle=account.legal_name,
            sentences=[
                _("What this account owes by now is drafted; all others are left as they are."),
                _("Its invoice is issued at once, if it may be: the account issues automatically.")
                if account.issues_automatically
                else _("Its draft waits in the review queue."),
            ],
            button=_("Bill this account"),
            back_url=self.page_url("changelist"),
            original=parked,
            is_harmless=not account.issues_automatically,
        )

    def _tried(self, request: HttpRequest, parked: ParkedAccount) -> HttpResponse:
        now = database_now()
        try:
            run_billing(
                as_of=now,
                now=now,
                trigger=BillingRun.Trigger.ADMIN,
                requested_by=request.user.get_username(),
                accounts=[parked.account_id],
            )
        except MeterbookError as refusal:
            self.message_user(request, worded(refusal), level="warning")
            return HttpResponseRedirect(self.page_url("changelist"))
        still = ParkedAccount.objects.filter(account=parked.account_id).first()
        if still is not None:
            self.message_user(request, gettext("Still not: %s") % still.reason, level="warning")
            return HttpResponseRedirect(self.page_url("changelist"))
        url = reverse("admin:billing_billingaccount_change", args=[parked.account_id])
        return self.done(request, gettext("The account is billed."), url=url)

    @admin.display(description=_("account"))
    def customer(self, parked: ParkedAccount) -> SafeString:
        return cells.two_lines(account_link(parked.account), parked.account.project.key)

    @admin.display(description=_("why"))
    def why(self, parked: ParkedAccount) -> SafeString:
        return cells.two_lines(parked.reason, cells.code(parked.code))

    @admin.display(description=_("since"))
    def parked_since(self, parked: ParkedAccount) -> SafeString:
        return cells.moment(parked.since)

    @admin.display(description=_("run"))
    def run_shown(self, parked: ParkedAccount) -> SafeString | str:
        if parked.run is None:
            return cells.DASH
        return cells.link(reverse("admin:billing_billingrun_change", args=[parked.run_id]), parked.run)

    @admin.display(description="")
    def again(self, parked: ParkedAccount) -> SafeString:
        return cells.link(self.page_url("try_again", parked.pk), gettext("Try again"))
