"""Who is on which plan."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter

from billing.models import BillingAccount, Subscription
from billing.periods import BillingPeriod
from billing.selling.billing_cycles import period_at
from billing.selling.subscriptions import subscribe, successor_of
from metering.admin import cells
from metering.admin.consequences import Consequence
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.measuring.windows import zone_named

from . import file_columns
from .consequences import of_subscription
from .order_pages import OrderPages
from .price_words import price_in_words, usage_in_words
from .subscription_forms import SubscriptionForm
from .subscription_words import (
    LocalTimes,
    period_in_words,
    rhythm_in_words,
    state_badge,
    state_of,
    until_words,
)

SHOWN_PERIODS = 6  # the running one, those before it, and the next
TICK = dt.timedelta(microseconds=1)


class StateFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("active", _("Active")), ("scheduled", _("Scheduled")), ("ended", _("Ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        now = database_now()
        if self.value() == "active":
            return queryset.at(now)  # type: ignore[attr-defined]
        if self.value() == "scheduled":
            return queryset.lasting().filter(effective_from__gt=now)  # type: ignore[attr-defined]
        if self.value() == "ended":
            return queryset.over(now)  # type: ignore[attr-defined]
        return queryset


@admin.register(Subscription)
class SubscriptionAdmin(OrderPages):
    form = SubscriptionForm
    intro = _(
        "Which account is on which plan, from when until when. Usage of a metric belongs to one subscription "
        "of its account at any instant. A change of plan ends one subscription and begins another."
    )
    empty_title = _("No subscriptions yet")
    empty_text = _("Publish a plan and open a billing account, then subscribe the one to the other.")
    csv_columns = file_columns.SUBSCRIPTIONS
    list_display = ("customer", "plan_shown", "state_shown", "period_shown", "since", "until")
    list_display_links = ("customer",)
    list_filter = (StateFilter, ("account", AutocompleteSelectFilter), ("plan", AutocompleteSelectFilter))
    search_fields = ("account__legal_name", "account__project__key", "plan__key", "plan__name")
    search_help_text = _("Account, project or plan")
    sortable_by = ()
    ordering = ("-effective_from", "-id")
    autocomplete_fields = ("account",)
    change_form_template = "admin/billing/subscription/change_form.html"
    actions_detail = ("change_plan", "cancel_subscription", "withdraw_change", "withdraw_cancellation")
    add_fieldsets = (
        (None, {"fields": ("account", "plan")}),
        (_("When"), {"fields": ("effective_from", "effective_until", "trial_until")}),
        (_("Billing periods"), {"fields": ("anchor", "anchor_on")}),
    )
    fieldsets = ((None, {"fields": ("customer_fixed", "plan_fixed", "rhythm")}),)
    readonly_fields = ("customer_fixed", "plan_fixed", "rhythm")

    # -- list --------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        subscriptions: QuerySet[Subscription] = super().get_queryset(request)
        return subscriptions.select_related("account", "plan").prefetch_related("cycles")

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.now = now
            row.period = period_at(row, now)
            row.times = LocalTimes(zone_named(row.account.timezone))

    @admin.display(description=_("account"))
    def customer(self, subscription: Subscription) -> str:
        return subscription.account.legal_name

    @admin.display(description=_("plan"))
    def plan_shown(self, subscription: Subscription) -> SafeString:
        return cells.two_lines(subscription.plan.name, str(subscription.plan))

    @admin.display(description=_("state"))
    def state_shown(self, subscription: Any) -> SafeString:
        return state_badge(subscription, now=subscription.now)

    @admin.display(description=_("running period"))
    def period_shown(self, subscription: Any) -> str:
        return period_in_words(subscription.period) if subscription.period else cells.DASH

    @admin.display(description=_("from"))
    def since(self, subscription: Any) -> str:
        return str(subscription.times.short(subscription.effective_from))

    @admin.display(description=_("until"))
    def until(self, subscription: Any) -> str:
        return str(until_words(subscription, subscription.times))

    # -- form --------------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a subscription says changes by orders alone, never by a form."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        account_id = id_from(request.GET.get("account"))
        if obj is None and account_id:
            accounts = BillingAccount.objects.select_related("project")
            form_class.account = accounts.filter(pk=account_id).first()
        return form_class

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        now = database_now()
        return of_subscription(form.cleaned_data["account"], _terms(form, now=now), now=now)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        self.adopt(obj, subscribe(form.cleaned_data["account"], **_terms(form, now=database_now())))

    @admin.display(description=_("account"))
    def customer_fixed(self, subscription: Subscription) -> SafeString:
        url = reverse("admin:billing_billingaccount_change", args=[subscription.account_id])
        return cells.link(url, subscription.account.legal_name)

    @admin.display(description=_("plan"))
    def plan_fixed(self, subscription: Subscription) -> SafeString:
        plan = subscription.plan
        url = reverse("admin:billing_plan_change", args=[plan.pk])
        return cells.two_lines(cells.link(url, plan.name), str(plan))

    @admin.display(description=_("billed"))
    def rhythm(self, subscription: Subscription) -> str:
        cycles = sorted(subscription.cycles.all(), key=lambda row: (row.after is not None, row.after))
        return rhythm_in_words(subscription.plan, cycles[-1])

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        subscription = kwargs.get("obj")
        if subscription is not None:
            context |= {"title": str(subscription), "subtitle": ""}  # its name is the title
            context["order"] = subscription_card(subscription)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what can be done with it now."""
        actions = list(super().get_actions_detail(request, object_id))
        stored = Subscription.objects.select_related("plan")
        subscription = stored.filter(pk=id_from(str(object_id)) or 0).first()
        names = _offered(subscription) if subscription is not None else ()
        return [one for one in actions if one.action_name.endswith(names)] if names else []


def _terms(form: Any, *, now: dt.datetime) -> dict[str, Any]:
    """As `subscribe` takes them."""
    given, instants = form.cleaned_data, form.instants
    return {
        "plan": given["plan"],
        "effective_from": instants.get("effective_from") or now,
        "effective_until": instants.get("effective_until"),
        "trial_until": instants.get("trial_until"),
        "anchor": given["anchor"],
        "anchor_on": given["anchor_on"],
    }


def _offered(subscription: Subscription) -> tuple[str, ...]:
    now = database_now()
    if state_of(subscription, now=now) in {"ended", "withdrawn"}:
        return ()
    successor = successor_of(subscription)
    if successor is not None:
        return ("_withdraw_change", "_cancel_subscription") if successor.effective_from > now else ()
    if subscription.cancelled_at is not None:
        return ("_withdraw_cancellation", "_change_plan", "_cancel_subscription")
    return ("_change_plan", "_cancel_subscription")


def subscription_card(subscription: Subscription) -> dict[str, Any]:
    """What the page shows beside the facts: state, what follows, periods, prices."""
    now = database_now()
    times = LocalTimes(zone_named(subscription.account.timezone))
    successor = successor_of(subscription)
    plan = subscription.plan
    prices = list(plan.prices.all())
    running = period_at(subscription, now)
    return {
        "badge": state_badge(subscription, now=now),
        "since": times.short(subscription.effective_from),
        "until": until_words(subscription, times),
        "trial_until": times.last(subscription.trial_until, empty=""),
        "cancelled_at": times.short(subscription.cancelled_at, empty=""),
        "zone": subscription.account.timezone,
        "before": _neighbour(subscription.replaces, times),
        "after": _neighbour(successor, times),
        "periods": [
            {
                "words": period_in_words(period),
                "is_running": period == running,
                "lies_ahead": period.start > now,
            }
            for period in periods_shown(subscription, now=now)
        ],
        "prices": [
            {"name": price.name, "words": price_in_words(price, plan), "usage": usage_in_words(price, prices)}
            for price in prices
        ],
    }


def periods_shown(subscription: Subscription, *, now: dt.datetime) -> list[BillingPeriod]:
    """The latest first: the next one, the running one, and those before it."""
    last_instant = now
    if subscription.effective_until is not None:
        last_instant = min(now, subscription.effective_until - TICK)
    period = period_at(subscription, max(last_instant, subscription.effective_from))
    if period is None:
        return []
    following = period_at(subscription, period.end)
    found = [following, period] if following is not None and period.start <= now else [period]
    while len(found) < SHOWN_PERIODS:
        earlier = period_at(subscription, found[-1].start - TICK)
        if earlier is None:
            break
        found.append(earlier)
    return found


def _neighbour(subscription: Subscription | None, times: LocalTimes) -> dict[str, Any] | None:
    if subscription is None:
        return None
    return {
        "url": reverse("admin:billing_subscription_change", args=[subscription.pk]),
        "plan": subscription.plan.name,
        "since": times.short(subscription.effective_from),
    }
