"""Which limits and thresholds stand on a metric, on the metric's page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from metering.admin import cells
from metering.admin.panels import Panel, panel_body
from metering.models import MetricDefinition
from quotas.models import ProjectQuota, UsageThreshold

from .standing import mode_badge
from .threshold import ACTION_COLOURS, ACTION_WORDS

SHOWN = 6


def limits_panel(request: HttpRequest, metric: MetricDefinition) -> Panel | None:
    """Whom it limits: the first projects by key."""
    if not request.user.has_perm("quotas.view_projectquota"):
        return None
    quotas = list(
        ProjectQuota.objects.filter(metric=metric)
        .select_related("project")
        .order_by("project__key", "period", "pk")[: SHOWN + 1]
    )
    add_url = reverse("admin:quotas_projectquota_add") + "?" + urlencode({"metric": metric.pk})
    body = panel_body(
        "admin/quotas/panels/limits_on_metric.html",
        request,
        {
            "limits": [_limit_line(one, metric) for one in quotas[:SHOWN]],
            "add_url": add_url if request.user.has_perm("quotas.add_projectquota") else "",
        },
    )
    if not quotas:
        return Panel(_("Limits on it"), body)
    url = _listed("projectquota", metric)
    return Panel(_("Limits on it"), body, url=url, link_text=_("All limits on it"))


def _limit_line(quota: ProjectQuota, metric: MetricDefinition) -> dict[str, Any]:
    return {
        "project": cells.project_link(quota.project),
        "url": reverse("admin:quotas_projectquota_change", args=[quota.pk]),
        "limit": cells.number(quota.limit, unit=metric.unit),
        "period": quota.get_period_display().partition(" (")[0],
        "mode": mode_badge(quota),
    }


def thresholds_panel(request: HttpRequest, metric: MetricDefinition) -> Panel | None:
    """Where its usage is watched: the first projects by key. Index: threshold_by_metric."""
    if not request.user.has_perm("quotas.view_usagethreshold"):
        return None
    thresholds = list(
        UsageThreshold.objects.kept()
        .filter(metric=metric)
        .select_related("project")
        .order_by("project__key", "level", "pk")[: SHOWN + 1]
    )
    if not thresholds:
        return None
    body = panel_body(
        "admin/quotas/panels/thresholds_on_metric.html",
        request,
        {"thresholds": [_threshold_line(one, metric) for one in thresholds[:SHOWN]]},
    )
    url = _listed("usagethreshold", metric)
    return Panel(_("Thresholds on it"), body, url=url, link_text=_("All thresholds on it"))


def _threshold_line(threshold: UsageThreshold, metric: MetricDefinition) -> dict[str, Any]:
    action = UsageThreshold.Action(threshold.action)
    return {
        "project": cells.project_link(threshold.project),
        "url": reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]),
        "level": cells.number(threshold.level, unit=metric.unit),
        "period": threshold.get_period_display().partition(" (")[0],
        "action": cells.badge(ACTION_WORDS[action], ACTION_COLOURS[action])
        if threshold.is_enabled
        else cells.badge(_("Off"), "warning"),
    }


def _listed(model: str, metric: MetricDefinition) -> str:
    return reverse(f"admin:quotas_{model}_changelist") + "?" + urlencode({"metric__id__exact": metric.pk})
