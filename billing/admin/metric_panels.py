"""Which prices a metric has, in which plans, and how many are on them: on the metric's page."""

from typing import Any

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.models import Plan, Price, Subscription
from metering import numerals
from metering.admin import cells
from metering.admin.panels import Panel, asked_at, panel_body
from metering.models import MetricDefinition

from .billing_links import listed
from .plan import STATE_COLOURS
from .price_words import price_in_words, usage_in_words

SHOWN = 8


def prices_panel(request: HttpRequest, metric: MetricDefinition) -> Panel | None:
    """Its prices, the newest plans first, with the accounts that are on each plan now."""
    if not request.user.has_perm("billing.view_plan"):
        return None
    prices = list(_with_subscribers(request, metric)[: SHOWN + 1])
    shown = prices[:SHOWN]
    body = panel_body(
        "admin/billing/panels/prices.html",
        request,
        {
            "prices": [_price_line(one, shown) for one in shown],
        },
    )
    if not shown:
        return Panel(_("Prices"), body, is_wide=True)
    url = listed("plan", prices__metric__id__exact=metric.pk)
    return Panel(_("Prices"), body, url=url, link_text=_("All plans that price it"), is_wide=True)


def _with_subscribers(request: HttpRequest, metric: MetricDefinition) -> QuerySet[Price]:
    running = Subscription.objects.at(asked_at(request)).filter(plan=OuterRef("plan")).order_by()
    counted = running.values("plan").annotate(count=Count("pk")).values("count")
    return (
        Price.objects.filter(metric=metric)
        .select_related("plan")
        .annotate(subscriber_count=Coalesce(Subquery(counted, output_field=IntegerField()), 0))
        .order_by("-plan_id", "position")
    )


def _price_line(price: Any, others: list[Price]) -> dict[str, Any]:
    plan = price.plan
    beside = [one for one in others if one.plan_id == plan.pk and one.pk != price.pk]
    return {
        "url": reverse("admin:billing_plan_change", args=[plan.pk]),
        "plan": plan.name,
        "version": plan.version,
        "badge": cells.badge(plan.get_state_display(), STATE_COLOURS[Plan.State(plan.state)]),
        "words": price_in_words(price, plan),
        "usage": usage_in_words(price, beside),
        "subscriber_count": numerals.count(price.subscriber_count),
        "subscribers_url": listed("subscription", plan__id__exact=plan.pk) if price.subscriber_count else "",
    }
