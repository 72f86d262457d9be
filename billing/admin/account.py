"""Who is billed, with everything that is known of the customer."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from billing.documents.countries import country_name
from billing.models import BillingAccount, Subscription
from billing.selling.accounts import (
    APPROVALS,
    FIELDS,
    LIMITS,
    change_account,
    ensure_not_loosened,
    open_account,
)
from metering.admin import cells
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.models import Project

from . import file_columns
from .account_form import BillingAccountForm
from .account_money import money_card
from .consequences import of_account, rates_words
from .customer_card import customer_card
from .running import running_page

MAY_LOOSEN = "billing.loosen_approval"

# What whoever may only look reads instead of a list as it is stored.
_FIXED: dict[Any, str] = {"tax_rates": "tax_rates_fixed", "address_lines": "address_fixed"}


@admin.register(BillingAccount)
class BillingAccountAdmin(ConsequencesFirst):
    form = BillingAccountForm
    intro = _(
        "Customers: the commercial profile of each project that pays. What a project pays for is decided by "
        "attribution rules; what it costs, by the plans that its account is on."
    )
    empty_title = _("No billing accounts yet")
    empty_text = _("Add one for each project that is to receive invoices.")
    csv_columns = file_columns.ACCOUNTS
    list_display = ("title", "payer", "on_plans", "currency", "terms", "zone")
    list_display_links = ("title",)
    list_select_related = ("project",)
    list_filter = ("currency",)
    search_fields = ("legal_name", "project__key", "project__name", "tax_id", "invoice_emails")
    search_help_text = _("Legal name, project, tax id or e-mail")
    sortable_by = ("title",)
    autocomplete_fields = ("project",)
    change_form_template = "admin/billing/billingaccount/change_form.html"
    actions_detail = ("subscribe_to_plan", "show_running", "show_events")
    _identity = ("legal_name", "address_lines", "country", "tax_id")
    _invoicing = (
        "currency",
        "timezone",
        "tax_rates",
        "payment_terms_days",
        "issue_grace_days",
        "invoice_emails",
        "issues_automatically",
    )
    _limits = LIMITS
    add_fieldsets = (
        (None, {"fields": ("project", *_identity)}),
        (_("Invoices"), {"fields": _invoicing}),
        (_("Approval and corrections"), {"fields": _limits}),
    )
    fieldsets = (
        (None, {"fields": ("payer_fixed", *_identity)}),
        (_("Invoices"), {"fields": _invoicing}),
        (_("Approval and corrections"), {"fields": _limits}),
    )

    needs_reason = True

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        if super().has_change_permission(request, obj):
            return self.fieldsets
        return [
            (title, {"fields": [_FIXED.get(name, name) for name in options["fields"]]})
            for title, options in self.fieldsets
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Approvers change the limits of approval, and nothing else."""
        return request.user.has_perm(MAY_LOOSEN) or super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        if super().has_change_permission(request, obj):
            return ("payer_fixed", *_FIXED.values())
        return ("payer_fixed", *_FIXED.values(), *(name for name in FIELDS if name not in APPROVALS))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Without what is read only: Django leaves out no field that the form itself declares."""
        form_class = super().get_form(request, obj, change=change, **kwargs)
        for name in self.get_readonly_fields(request, obj):
            form_class.base_fields.pop(name, None)
        return form_class

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The project's own name and zone are a good beginning."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        project_id = id_from(str(initial.get("project", "")))
        project = Project.objects.filter(pk=project_id).first() if project_id else None
        if project is not None:
            initial |= {"legal_name": project.name, "timezone": project.timezone}
        return initial

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        if not change:
            return []
        account, given = BillingAccount.objects.get(pk=form.instance.pk), _given(form)
        if not request.user.has_perm(MAY_LOOSEN):
            ensure_not_loosened(account, given)
        return of_account(account, given)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            may_loosen = request.user.has_perm(MAY_LOOSEN)
            account = BillingAccount.objects.get(pk=obj.pk)
            change_account(account, _given(form), now=database_now(), may_loosen=may_loosen)
            return
        self.adopt(obj, open_account(form.cleaned_data["project"], _given(form)))

    # -- list --------------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        by_account: dict[int, list[Subscription]] = {}
        subscriptions = Subscription.objects.at(database_now()).select_related("plan")
        for subscription in subscriptions.filter(account__in=[row.pk for row in rows]):
            by_account.setdefault(subscription.account_id, []).append(subscription)
        for row in rows:
            row.running = by_account.get(row.pk, [])

    @admin.display(description=_("account"), ordering="legal_name")
    def title(self, account: BillingAccount) -> SafeString:
        place = [*account.address_lines[-1:], country_name(account.country)]
        return cells.two_lines(account.legal_name, ", ".join(filter(None, place)))

    @admin.display(description=_("pays for"))
    def payer(self, account: BillingAccount) -> SafeString:
        return cells.project_link(account.project)

    @admin.display(description=_("on"))
    def on_plans(self, account: Any) -> SafeString:
        if not account.running:
            return cells.badge(gettext("No subscription"), "warning")
        return cells.badges([(subscription.plan.name, "info") for subscription in account.running])

    @admin.display(description=_("payment terms"))
    def terms(self, account: BillingAccount) -> str:
        return gettext("%d days") % account.payment_terms_days

    @admin.display(description=_("time zone"))
    def zone(self, account: BillingAccount) -> str:
        return account.timezone

    # -- page --------------------------------------------------------------------------------------------

    @admin.display(description=_("Tax rates"))
    def tax_rates_fixed(self, account: BillingAccount) -> str:
        return rates_words(account.tax_rates)

    @admin.display(description=_("Address"))
    def address_fixed(self, account: BillingAccount) -> str:
        return ", ".join(account.address_lines) or cells.DASH

    @admin.display(description=_("paying project"))
    def payer_fixed(self, account: BillingAccount) -> SafeString:
        return cells.two_lines(cells.project_link(account.project), account.project.name)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        account = kwargs.get("obj")
        if account is not None:
            now = database_now()
            context["customer"] = customer_card(account, now=now)
            if request.user.has_perm("billing.view_invoice"):
                context["money"] = money_card(account, now=now)
        return super().render_change_form(request, context, *args, **kwargs)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_subscribe_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_subscription")

    @action(description=_("Subscribe to a plan"), url_path="subscribe", icon="add", permissions=["subscribe"])
    def subscribe_to_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(
            reverse("admin:billing_subscription_add") + "?" + urlencode({"account": object_id})
        )

    @action(
        description=_("So far this period"), url_path="running", icon="hourglass_top", permissions=["view"]
    )
    def show_running(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return running_page(
            request, object_id, context={**self.admin_site.each_context(request), "opts": self.opts}
        )

    def has_see_events_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.view_usageevent")

    @action(
        description=_("Events it pays for"),
        url_path="events",
        icon="receipt_long",
        permissions=["see_events"],
    )
    def show_events(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = BillingAccount.objects.filter(pk=object_id).first()
        query = urlencode({"billing_scope__id__exact": account.project_id}) if account else ""
        return HttpResponseRedirect(f"{reverse('admin:metering_usageevent_changelist')}?{query}")


def _given(form: Any) -> dict[str, Any]:
    """What the form lets its person change."""
    return {name: form.cleaned_data[name] for name in FIELDS if name in form.cleaned_data}
