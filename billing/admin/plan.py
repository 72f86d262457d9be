"""The catalogue: plans in versions, with their prices in words."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db import models
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextareaWidget

from billing.models import Plan, Price
from billing.money import SCALES
from billing.selling.plans import (
    DRAFT_FIELDS,
    change_draft,
    define_plan,
)
from metering import numerals
from metering.admin import cells
from metering.admin.base import VerbForm
from metering.admin.filters import ProjectFilter
from metering.clock import database_now

from . import file_columns
from .plan_actions import PlanActions
from .price_words import interval_in_words, price_in_words, usage_in_words
from .what_if import WhatIfPages, state_words

STATE_COLOURS = {
    Plan.State.DRAFT: "warning",
    Plan.State.PUBLISHED: "success",
    Plan.State.ARCHIVED: "",
}
LISTED_PRICES = 4
OFTEN_USED = ("EUR", "USD", "GBP", "CHF", "JPY")


def currency_choices() -> list[tuple[str, str]]:
    """Every currency, those that most people bill in first."""
    return [(code, code) for code in (*OFTEN_USED, *sorted(set(SCALES) - set(OFTEN_USED)))]


class PlanForm(VerbForm):
    currency = forms.ChoiceField(
        label=_("Currency"),
        choices=currency_choices,
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Of every price on the plan. Only accounts of the same currency can subscribe."),
    )


@admin.register(Plan)
class PlanAdmin(WhatIfPages, PlanActions):
    form = PlanForm
    intro = _(
        "What is sold: each plan in versions, each version with its prices. A draft changes freely; what is "
        "published never does, so that invoices stay explainable. To change a price, clone the plan, change "
        "the clone and publish it."
    )
    empty_title = _("No plans yet")
    empty_text = _("Add one, give it prices, and publish it; then accounts can subscribe.")
    csv_more = file_columns.SUBSCRIBERS
    list_display = ("title", "prices_shown", "rhythm", "state_badge", "subscriber_count", "owner")
    list_display_links = ("title",)
    list_select_related = ("project",)
    list_filter = (("state", ChoicesDropdownFilter), "currency", ("project", ProjectFilter))
    linked_lookups = ("prices__metric__id__exact",)
    search_fields = ("key", "name")
    search_help_text = _("Key or name")
    sortable_by = ()
    autocomplete_fields = ("project",)
    formfield_overrides = {
        models.TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 2})},
    }
    change_form_template = "admin/billing/plan/change_form.html"
    actions_detail = ("publish", "compare", "clone", "archive", "remove")
    add_fieldsets = (
        (None, {"fields": ("key", "name", "description", "project")}),
        (_("Terms"), {"fields": ("currency", "interval", "interval_count")}),
    )
    fieldsets = (
        (None, {"fields": ("identity", "name", "description", "owner")}),
        (_("Terms"), {"fields": ("currency", "interval", "interval_count")}),
    )
    readonly_fields = ("identity", "owner")

    # -- list --------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        plans: QuerySet[Plan] = super().get_queryset(request)
        return plans.prefetch_related("prices__metric")

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        counts = dict(
            Plan.objects.filter(pk__in=[row.pk for row in rows])
            .annotate(
                count=Count(
                    "subscriptions",
                    filter=Q(subscriptions__effective_from__lte=now)
                    & (Q(subscriptions__effective_until=None) | Q(subscriptions__effective_until__gt=now)),
                )
            )
            .values_list("pk", "count")
        )
        for row in rows:
            row.active_count = counts.get(row.pk, 0)

    @admin.display(description=_("plan"))
    def title(self, plan: Plan) -> SafeString:
        return cells.two_lines(
            plan.name, gettext("%(key)s, version %(version)d") % {"key": plan.key, "version": plan.version}
        )

    @admin.display(description=_("prices"))
    def prices_shown(self, plan: Plan) -> SafeString:
        prices = list(plan.prices.all())
        if not prices:
            return cells.quiet(gettext("none yet"))
        lines = [
            cells.one_line(f"{price.name}: {price_in_words(price, plan)}") for price in prices[:LISTED_PRICES]
        ]
        if len(prices) > LISTED_PRICES:
            rest = len(prices) - LISTED_PRICES
            lines.append(cells.quiet(ngettext("and %d more", "and %d more", rest) % rest))
        return format_html_join("", '<div class="mb-price-line">{}</div>', ((line,) for line in lines))

    @admin.display(description=_("billed"))
    def rhythm(self, plan: Plan) -> SafeString:
        return cells.two_lines(plan.currency, interval_in_words(plan))

    @admin.display(description=_("state"))
    def state_badge(self, plan: Plan) -> SafeString:
        return cells.badge(plan.get_state_display(), STATE_COLOURS.get(Plan.State(plan.state), ""))

    @admin.display(description=_("subscribers now"))
    def subscriber_count(self, plan: Any) -> SafeString:
        if not plan.active_count:
            return cells.number(None)
        url = reverse("admin:billing_subscription_changelist") + f"?plan__id__exact={plan.pk}"
        return format_html(
            '<span class="mb-number">{}</span>', cells.link(url, numerals.count(plan.active_count))
        )

    @admin.display(description=_("for"))
    def owner(self, plan: Plan) -> Any:
        return cells.project_link(plan.project) if plan.project else gettext("all projects")

    # -- form --------------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and not obj.is_draft:
            return False
        return bool(super().has_change_permission(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    @admin.display(description=_("plan"))
    def identity(self, plan: Plan) -> SafeString:
        words = gettext("Version %(version)d, %(state)s") % {
            "version": plan.version,
            "state": state_words(plan),
        }
        return cells.two_lines(cells.code(plan.key), words)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        fields = {name: given[name] for name in DRAFT_FIELDS}
        if change:
            change_draft(Plan.objects.get(pk=obj.pk), fields)
            return
        self.adopt(obj, define_plan(key=given["key"], project=given["project"], **fields))

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> Any:
        """A new plan has no prices: its page is where they are added."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return self.done(
            request,
            gettext("The draft of “%s” is saved. Give it prices, then publish it.") % obj.name,
            url=self.page_url("change", obj.pk),
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        plan = kwargs.get("obj")
        if plan is not None:
            prices = list(plan.prices.select_related("metric"))
            versions = Plan.objects.filter(project=plan.project, key=plan.key).order_by("-version")
            context["catalogue"] = {
                "is_editable": self.has_change_permission(request, plan),
                "prices": [self._price_line(price, plan, prices) for price in prices],
                "add_usage_url": self.page_url("add_price", plan.pk, Price.Kind.USAGE),
                "add_fee_url": self.page_url("add_price", plan.pk, Price.Kind.FIXED),
                "versions": [
                    {
                        "url": self.page_url("change", each.pk),
                        "version": each.version,
                        "is_this": each.pk == plan.pk,
                        "badge": self.state_badge(each),
                        "published": cells.moment(each.published_at),
                    }
                    for each in versions[:20]
                ],
                "interval": interval_in_words(plan),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def _price_line(self, price: Price, plan: Plan, others: Sequence[Price]) -> dict[str, Any]:
        return {
            "price": price,
            "words": price_in_words(price, plan),
            "usage": usage_in_words(price, others),
            "metric_url": reverse("admin:metering_metricdefinition_change", args=[price.metric_id])
            if price.metric_id
            else "",
            "change_url": self.page_url("change_price", plan.pk, price.position),
            "remove_url": self.page_url("remove_price", plan.pk, price.position),
            "move_url": self.page_url("move_price", plan.pk, price.position),
        }
