"""Prepaid credit: what accounts were given, and what is left of it."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from billing.models import CreditGrant
from billing.settling.credits import (
    DEFAULT_PRIORITY,
    balance_of,
    ensure_grantable,
    grant_credit,
    with_balance,
    withdraw_credit,
)
from metering.admin import cells
from metering.admin.base import VerbForm
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.measuring.windows import zone_named

from . import file_columns
from .billing_links import account_link, document_link, listed
from .consequences import of_credit
from .credit_entry import entry_line
from .document_words import in_words, money_cell
from .money_words import balance_bar
from .reason_form import ReasonForm
from .subscription_forms import LocalInstantField, end_in
from .subscription_words import LocalTimes

USABLE, USED_UP, EXPIRED = "usable", "used_up", "expired"
BADGES = {
    USABLE: (_("Usable"), "success"),
    USED_UP: (_("Used up"), ""),
    EXPIRED: (_("Expired"), "warning"),
}
BY_HAND = [(kind.value, kind.label) for kind in (CreditGrant.Kind.PAID, CreditGrant.Kind.PROMOTIONAL)]
SHOWN_ENTRIES = 50


class StandingFilter(DropdownFilter):
    title = _("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, words) for name, (words, _kind) in BADGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        unexpired = Q(expires_at=None) | Q(expires_at__gt=database_now())
        if self.value() == USABLE:
            return queryset.filter(unexpired, balance__gt=0)
        if self.value() == USED_UP:
            return queryset.filter(unexpired, balance__lte=0)
        return queryset.exclude(unexpired) if self.value() == EXPIRED else queryset


class CreditGrantForm(VerbForm):
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=BY_HAND,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("Paid in advance: the customer's money. Promotional: a present."),
    )
    expires_at = LocalInstantField(
        label=_("Valid until"),
        required=False,
        help_text=_("The last day, included, on the account's clocks; or a time. Empty: without end."),
    )

    # Sent twice, the form gives credit once.
    key = forms.RegexField(r"page-[0-9a-f-]{36}", required=False, widget=forms.HiddenInput())

    class Meta:
        model = CreditGrant
        fields = ("account", "kind", "amount", "name", "priority", "expires_at", "reason", "key")
        widgets: ClassVar[dict[str, Any]] = {"reason": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "amount" in self.fields:
            self.fields["amount"].help_text = gettext("In the account's currency.")
            self.fields["name"].required = False
            self.fields["name"].help_text = gettext("What the customer reads. Empty: the kind.")
            self.fields["priority"].initial = DEFAULT_PRIORITY
            self.fields["key"].initial = f"page-{uuid.uuid4()}"
            self.fields["reason"].required = True
            self.fields["reason"].help_text = gettext(
                "Why, for those who ask later; such as the order or mail."
            )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        account, text = cleaned.get("account"), cleaned.get("expires_at") or ""
        cleaned["expires_at"] = None
        if account is not None:
            try:
                cleaned["expires_at"] = end_in(zone_named(account.timezone), text)
            except forms.ValidationError as error:
                self.add_error("expires_at", error)
        return cleaned


@admin.register(CreditGrant)
class CreditGrantAdmin(ConsequencesFirst):
    form = CreditGrantForm
    intro = _(
        "Credit that accounts pay invoices with, drawn as soon as an invoice is issued: the smallest "
        "priority first, then what expires soonest. What a credit note gives back beyond what is owed "
        "becomes credit, too."
    )
    empty_title = _("No credit was given yet")
    empty_text = _("Add some when a customer pays in advance, or as a present.")
    csv_columns = file_columns.CREDIT_GRANTS
    list_display = ("title", "customer", "granted", "bar", "standing", "order", "until")
    list_display_links = ("title",)
    list_filter = (StandingFilter, ("kind", ChoicesDropdownFilter), ("account", AutocompleteSelectFilter))
    search_fields = ("name", "account__legal_name", "account__project__key")
    search_help_text = _("Name, account or project")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("account",)
    change_form_template = "admin/billing/creditgrant/change_form.html"
    add_fieldsets = (
        (None, {"fields": ("account", "kind", "amount", "name")}),
        (_("Drawing"), {"fields": ("priority", "expires_at")}),
        (_("Why"), {"fields": ("reason", "key")}),
    )
    fieldsets = (
        (None, {"fields": ("customer", "kind_shown", "granted", "bar", "standing")}),
        (_("Drawing"), {"fields": ("priority", "until")}),
        (_("Why"), {"fields": ("why", "note", "granted_by", "given")}),
    )
    readonly_fields = (
        "customer",
        "kind_shown",
        "granted",
        "bar",
        "standing",
        "until",
        "why",
        "note",
        "given",
    )
    actions_detail = ("withdraw",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        grants = CreditGrant.objects.select_related("account__project", "credit_note").order_by("-id")
        return with_balance(grants)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It isn't edited: it is withdrawn, and another one given."""
        return False

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.change_creditgrant")

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        given, now = form.cleaned_data, database_now()
        told = {name: given[name] for name in ("amount", "kind", "expires_at")}
        try:
            ensure_grantable(given["account"], **told, priority=given["priority"], now=now)
        except MeterbookError:
            return ()  # the verb says what is wrong
        return of_credit(given["account"], **told, now=now)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        granted = grant_credit(
            given["account"],
            amount=given["amount"],
            kind=given["kind"],
            name=given["name"],
            priority=given["priority"],
            expires_at=given["expires_at"],
            key=given["key"],
            reason=given["reason"],
            granted_by=request.user.get_username(),
            now=database_now(),
        )
        self.adopt(obj, granted.grant)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Nothing can be done with a grant of which nothing is left."""
        grant = CreditGrant.objects.filter(pk=id_from(str(object_id)) or 0).first()
        if grant is None or balance_of(grant) <= 0:
            return []
        return list(super().get_actions_detail(request, object_id))

    @action(
        description=_("Withdraw what is left"),
        url_path="withdraw",
        permissions=["withdraw"],
        icon="undo",
        variant=ActionVariant.DANGER,
    )
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        grant: Any = get_object_or_404(self.get_queryset(request), pk=object_id)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                withdrawn = withdraw_credit(
                    grant, reason=form.cleaned_data["reason"], entered_by=request.user.get_username()
                )
            except MeterbookError as refusal:
                field = getattr(refusal, "field", None)
                form.add_error(field if field in form.fields else None, worded(refusal))
            else:
                self.log_change(request, grant, [{"changed": {"fields": [gettext_noop("balance")]}}])
                words = gettext("%s withdrawn.") % in_words(abs(withdrawn.amount), grant.currency)
                return self.done(request, words, url=self.page_url("change", grant.pk))
        return self.confirmation(
            request,
            title=_("Withdraw credit"),
            subtitle=f"{grant.account.legal_name}, {grant.name}",
            sentences=[
                gettext("%(left)s of %(granted)s are left and can't be drawn any more.")
                % {
                    "left": in_words(grant.balance, grant.currency),
                    "granted": in_words(grant.amount, grant.currency),
                },
                gettext(
                    "What invoices have drawn stays. If the customer paid in advance, pay it back yourself."
                ),
            ],
            button=_("Withdraw it"),
            back_url=self.page_url("change", grant.pk),
            original=grant,
            form=form,
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        grant = kwargs.get("obj")
        if grant is not None:
            entries = grant.entries.select_related("invoice").order_by("-id")[: SHOWN_ENTRIES + 1]
            context["entries"] = [entry_line(entry, grant) for entry in entries[:SHOWN_ENTRIES]]
            context["is_cut"] = len(entries) > SHOWN_ENTRIES
            context["ledger_url"] = listed("creditentry", account__id__exact=grant.account_id)
        return super().render_change_form(request, context, *args, **kwargs)

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.seen_at = now

    @admin.display(description=_("credit"))
    def title(self, grant: CreditGrant) -> SafeString:
        return cells.two_lines(grant.name, grant.get_kind_display())

    @admin.display(description=_("account"))
    def customer(self, grant: CreditGrant) -> SafeString:
        return account_link(grant.account)

    @admin.display(description=_("kind"))
    def kind_shown(self, grant: CreditGrant) -> str:
        return grant.get_kind_display()

    @admin.display(description=_("granted"))
    def granted(self, grant: CreditGrant) -> SafeString:
        return money_cell(grant.amount, grant.currency)

    @admin.display(description=_("left"))
    def bar(self, grant: Any) -> SafeString:
        return cells.two_lines(
            in_words(grant.balance, grant.currency), balance_bar(grant.balance, grant.amount)
        )

    @admin.display(description=_("standing"))
    def standing(self, grant: Any) -> SafeString:
        return cells.badge(*BADGES[standing_of(grant, now=getattr(grant, "seen_at", None) or database_now())])

    @admin.display(description=_("priority"))
    def order(self, grant: CreditGrant) -> SafeString:
        return cells.number(grant.priority)

    @admin.display(description=_("valid until"))
    def until(self, grant: CreditGrant) -> str:
        times = LocalTimes(zone_named(grant.account.timezone))
        return times.last(grant.expires_at, empty=gettext("without end"))

    @admin.display(description=_("reason"))
    def why(self, grant: CreditGrant) -> str:
        return grant.reason or cells.DASH

    @admin.display(description=_("credit note"))
    def note(self, grant: CreditGrant) -> SafeString | str:
        return document_link(grant.credit_note)

    @admin.display(description=_("granted at"))
    def given(self, grant: CreditGrant) -> SafeString:
        return cells.moment(grant.granted_at)


def standing_of(grant: Any, *, now: dt.datetime) -> str:
    """One word for a grant with its balance."""
    if grant.expires_at is not None and grant.expires_at <= now:
        return EXPIRED
    return USABLE if grant.balance > 0 else USED_UP
