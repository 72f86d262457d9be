"""Who is billed, with everything that is known of the customer."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextareaWidget

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
from billing.selling.billing_cycles import period_at
from billing.selling.unbilled import Unbilled, unbilled_usage_of
from metering import numerals
from metering.admin import cells
from metering.admin.base import VerbForm
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.project_forms import time_zone_choices
from metering.admin.row_ids import id_from
from metering.catalogue import current
from metering.clock import database_now
from metering.measuring.windows import first_instant, zone_named
from metering.models import Project
from metering.texts.numbers import plain

from . import file_columns
from .account_money import money_card
from .consequences import of_account, rates_words
from .plan import currency_choices
from .running import running_page
from .subscription_words import LocalTimes, period_in_words, state_badge

MAY_LOOSEN = "billing.loosen_approval"
UNBILLED_DAYS = 62  # two months: this one and the last
SHORTEST_PAST, LONGEST_PAST = dt.timedelta(days=30), dt.timedelta(days=365)
_RATE = re.compile(r"(?P<name>.*\S)\s+(?P<percent>[0-9.]+)\s*%?")


class LinesField(forms.CharField):
    """A list of texts, one per line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=5000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]


class AddressesField(LinesField):
    """E-mail addresses, one per line."""

    def validate(self, value: Any) -> None:
        super().validate(value)
        for line in value:
            try:
                validate_email(line)
            except ValidationError:
                words = gettext("“%s” isn't a complete e-mail address, such as invoices@example.com.")
                raise ValidationError(words % line[:100]) from None


class TaxRatesField(LinesField):
    """Named percentages, one per line: “VAT 19”."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(f"{rate['name']} {rate['percent']}" for rate in value)

    def to_python(self, value: Any) -> Any:
        rates = []
        for line in super().to_python(value):
            found = _RATE.fullmatch(line)
            if found is None:
                raise ValidationError(
                    gettext("“%s” isn't a name and a percentage, such as “VAT 19”.") % line[:100]
                )
            rates.append(found.groupdict())
        return rates


class BillingAccountForm(VerbForm):
    address_lines = LinesField(
        label=_("Address"), help_text=_("One line per line, as on an envelope, without name and country.")
    )
    tax_rates = TaxRatesField(
        label=_("Tax rates"),
        help_text=_(
            "One per line, a name and a percentage: VAT 19. Each is taken of the net amount, never of one "
            "another. Empty: no tax."
        ),
    )
    invoice_emails = AddressesField(
        label=_("Invoice e-mails"), help_text=_("Where invoices are sent, one address per line.")
    )
    currency = forms.ChoiceField(
        label=_("Currency"),
        choices=currency_choices,
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Of all its invoices. It can't be changed once there are subscriptions."),
    )
    timezone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zone_choices,
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Billing periods begin at its midnight; a change holds from the next period on."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            limit = self.initial.get(name)
            if isinstance(limit, Decimal):  # 200.0000 as it is stored
                self.initial[name] = plain(limit)
        stored = self.instance.timezone
        if "timezone" in self.fields and stored:
            zones = time_zone_choices()
            if (stored, stored) not in zones:
                zones.append((stored, stored))
            self.fields["timezone"].choices = zones  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        """An error of one line, such as `invoice_emails[1]`, belongs to the field with the lines."""
        refusal = self.refusal
        if refusal is not None and getattr(refusal, "field", None):
            refusal.field = refusal.field.split("[")[0]  # type: ignore[attr-defined]
        return super().clean()


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


@dataclass(frozen=True, slots=True)
class Timeline:
    """From when until when the bars of subscriptions are drawn."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def around(cls, now: dt.datetime, *, begun_at: dt.datetime) -> Self:
        """From the first beginning on, a year back at most, and a third of that ahead."""
        past = min(max(now - begun_at, SHORTEST_PAST), LONGEST_PAST)
        return cls(now - past, now + past / 3)

    def place(self, instant: dt.datetime) -> float:
        """Where, from 0 to 100."""
        share = (instant - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * 100, 2)


def customer_card(account: BillingAccount, *, now: dt.datetime) -> dict[str, Any]:
    """What the page shows below the form: who pays, subscriptions over time, usage that nothing prices."""
    zone = zone_named(account.timezone)
    subscriptions = list(
        account.subscriptions.select_related("plan")
        .prefetch_related("cycles")
        .order_by("-effective_from", "-id")
    )
    catalogue = current()
    payer_id = catalogue.payer_at(account.project_id, now)
    first_day = now.astimezone(zone).date() - dt.timedelta(days=UNBILLED_DAYS)
    since = first_instant(first_day, zone)
    unbilled = unbilled_usage_of(account, since=since, until=now, catalogue=catalogue)
    shown = [each for each in subscriptions if not each.is_empty][:50]
    timeline = Timeline.around(now, begun_at=min((each.effective_from for each in shown), default=now))
    return {
        "payer": Project.objects.get(pk=payer_id) if payer_id != account.project_id else None,
        "subscriptions": [_subscription_line(each, zone=zone, now=now, timeline=timeline) for each in shown],
        "timeline": {
            "first": timeline.start.astimezone(zone).date(),
            "last": timeline.end.astimezone(zone).date(),
            "now": timeline.place(now),
        },
        "unbilled": [_unbilled_line(each, zone=zone) for each in unbilled],
        "unbilled_days": UNBILLED_DAYS,
        "subscribe_url": reverse("admin:billing_subscription_add") + f"?account={account.pk}",
    }


def _subscription_line(
    subscription: Subscription, *, zone: ZoneInfo, now: dt.datetime, timeline: Timeline
) -> dict[str, Any]:
    times = LocalTimes(zone)
    period = period_at(subscription, now)
    start = timeline.place(subscription.effective_from)
    end = 100.0 if subscription.effective_until is None else timeline.place(subscription.effective_until)
    return {
        "url": reverse("admin:billing_subscription_change", args=[subscription.pk]),
        "plan": subscription.plan.name,
        "version": subscription.plan.version,
        "badge": state_badge(subscription, now=now),
        "since": times.short(subscription.effective_from),
        "until": times.short(subscription.effective_until, empty=gettext("further notice")),
        "period": period_in_words(period) if period else cells.DASH,
        "left": start,
        "width": max(end - start, 0.0),
        "is_active": subscription.covers(now),
    }


def _unbilled_line(unbilled: Unbilled, *, zone: ZoneInfo) -> dict[str, Any]:
    times = LocalTimes(zone)
    return {
        "url": reverse("admin:metering_metricdefinition_change", args=[unbilled.metric_id]),
        "metric": unbilled.metric_key,
        "since": times.short(unbilled.start),
        "until": times.short(unbilled.end),
        "value": numerals.with_unit(cells.readable(unbilled.value), unbilled.unit)
        if unbilled.value is not None
        else cells.DASH,
        "record_count": numerals.count(unbilled.record_count),
        "why": gettext("no price of “%s” matches these labels") % unbilled.plan_key
        if unbilled.plan_key
        else gettext("no subscription takes it"),
    }
