"""Corrections of invoiced periods: what is known of them, and deciding those that wait."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from billing.invoicing.corrections import approve_correction, write_off_correction
from billing.models import PeriodCorrection
from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.measuring.windows import zone_named

from . import file_columns
from .billing_links import account_link, document_link
from .document_words import ONE_DAY, TICK, days_in_words, money_cell
from .money_words import signed, signed_cell
from .reason_form import ReasonForm

State = PeriodCorrection.State
STATE_COLOURS = {
    State.WAITING: "warning",
    State.APPROVED: "info",
    State.DRAFTED: "info",
    State.BOOKED: "success",
    State.WRITTEN_OFF: "",
}
DECIDED = {State.BOOKED, State.WRITTEN_OFF}


class OptionalReasonForm(ReasonForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False


@admin.register(PeriodCorrection)
class PeriodCorrectionAdmin(ReadOnlyAdmin):
    intro = _(
        "Invoiced periods that are worth something else by now: usage came late, was taken back, or the "
        "subscription changed. The difference goes on the next invoice, or waits here for a decision."
    )
    empty_title = _("No corrections")
    empty_text = _("Every invoiced period is worth what was billed for it.")
    csv_columns = file_columns.CORRECTIONS
    list_display = ("what", "customer", "period", "billed", "worth", "gap", "state_badge", "document")
    list_display_links = ("what",)
    list_select_related = (
        "account__project",
        "billed_period__price__metric",
        "billed_period__subscription__plan",
        "invoice",
    )
    list_filter = (("state", ChoicesDropdownFilter), ("account", AutocompleteSelectFilter))
    search_fields = ("account__legal_name", "account__project__key")
    search_help_text = _("Account or project")
    ordering = ("-id",)
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("customer", "what", "period", "state_badge")}),
        (_("Amounts before discounts and tax"), {"fields": ("billed", "worth", "gap", "document")}),
        (_("Decision"), {"fields": ("found", "decided", "decided_by", "reason")}),
    )
    actions_detail = ("approve", "write_off")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Called as in the menu: corrections of events are another list."""
        title = _("Corrections of periods")
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*self.list_select_related)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.decide_periodcorrection")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """What can still be decided."""
        stored = PeriodCorrection.objects.filter(pk=id_from(str(object_id)) or 0).first()
        if stored is None or stored.state in DECIDED:
            return []
        offered = super().get_actions_detail(request, object_id)
        if stored.state == State.WAITING:
            return list(offered)
        return [each for each in offered if not each.action_name.endswith("_approve")]

    @action(description=_("Approve"), url_path="approve", permissions=["decide"], icon="check")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decision(
            request,
            object_id,
            approve_correction,
            form=OptionalReasonForm(request.POST or None),
            title=_("Approve a correction"),
            sentences=[
                _(
                    "The account's next draft bills the difference: it takes back what was billed for the "
                    "period and bills what it is worth now."
                ),
                _("Should the difference change before that, it waits for approval again."),
            ],
            button=_("Approve"),
            done=gettext("Approved. The next draft of the account bills it."),
            is_harmless=True,
        )

    @action(
        description=_("Write off"),
        url_path="write-off",
        permissions=["decide"],
        icon="money_off",
        variant=ActionVariant.DANGER,
    )
    def write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decision(
            request,
            object_id,
            write_off_correction,
            form=ReasonForm(request.POST or None),
            title=_("Write off a correction"),
            sentences=[
                _(
                    "This difference is never billed, and never given back where it is in the customer's "
                    "favour."
                ),
                _("What the ledger learns about the period later is another correction."),
            ],
            button=_("Write it off"),
            done=gettext("Written off, on record."),
        )

    def _decision(
        self,
        request: HttpRequest,
        object_id: str,
        verb: Callable[..., PeriodCorrection],
        *,
        form: ReasonForm,
        title: Any,
        sentences: list[Any],
        button: Any,
        done: str,
        is_harmless: bool = False,
    ) -> HttpResponse:
        correction = get_object_or_404(self.get_queryset(request), pk=object_id)
        if request.method == "POST" and form.is_valid():
            who, why = request.user.get_username(), form.cleaned_data["reason"]
            try:
                verb(correction, decided_by=who, reason=why, now=database_now())
            except MeterbookError as refusal:
                field = getattr(refusal, "field", None)
                form.add_error(field if field in form.fields else None, worded(refusal))
            else:
                self.log_change(request, correction, [{"changed": {"fields": [gettext_noop("state")]}}])
                return self.done(request, done, url=self.page_url("change", correction.pk))
        currency = correction.account.currency
        return self.confirmation(
            request,
            title=title,
            subtitle=f"{correction.account.legal_name}, {signed(correction.difference, currency)}",
            sentences=[f"{_name(correction)}, {_period(correction)}", *sentences],
            button=button,
            back_url=self.page_url("change", correction.pk),
            original=correction,
            form=form,
            is_harmless=is_harmless,
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("price"))
    def what(self, correction: PeriodCorrection) -> SafeString:
        return cells.two_lines(_name(correction), correction.billed_period.subscription.plan.name)

    @admin.display(description=_("account"))
    def customer(self, correction: PeriodCorrection) -> SafeString:
        return account_link(correction.account)

    @admin.display(description=_("period"))
    def period(self, correction: PeriodCorrection) -> str:
        return _period(correction)

    @admin.display(description=_("billed"))
    def billed(self, correction: PeriodCorrection) -> SafeString:
        return money_cell(correction.billed_amount, correction.account.currency)

    @admin.display(description=_("now worth"))
    def worth(self, correction: PeriodCorrection) -> SafeString:
        return money_cell(correction.rated_amount, correction.account.currency)

    @admin.display(description=_("difference"))
    def gap(self, correction: PeriodCorrection) -> SafeString:
        return signed_cell(correction.difference, correction.account.currency)

    @admin.display(description=_("state"))
    def state_badge(self, correction: PeriodCorrection) -> SafeString:
        return cells.badge(correction.get_state_display(), STATE_COLOURS[State(correction.state)])

    @admin.display(description=_("document"))
    def document(self, correction: PeriodCorrection) -> SafeString | str:
        return document_link(correction.invoice)

    @admin.display(description=_("found at"))
    def found(self, correction: PeriodCorrection) -> SafeString:
        return cells.moment(correction.found_at)

    @admin.display(description=_("decided at"))
    def decided(self, correction: PeriodCorrection) -> SafeString:
        return cells.moment(correction.decided_at, empty=gettext("not yet"))


def _name(correction: PeriodCorrection) -> str:
    price = correction.billed_period.price
    return price.name or (price.metric.display_name if price.metric else str(price))


def _period(correction: PeriodCorrection) -> str:
    zone = zone_named(correction.account.timezone)
    last = (correction.period_end - TICK).astimezone(zone).date()
    return days_in_words(correction.billed_period.period_start.astimezone(zone).date(), last + ONE_DAY)
