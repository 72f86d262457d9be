"""What limits, thresholds and alerts have to say on the page of a project."""

from typing import Any

from django.db.models import Case, OuterRef, QuerySet, Subquery, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from metering import numerals
from metering.admin import cells
from metering.admin.panels import Panel, asked_at, panel_body
from metering.models import Project
from quotas.models import Alert, ProjectQuota, ThresholdCrossing, UsageThreshold
from quotas.utilisation import Utilisation, utilisations_of

from .alert import KIND_COLOURS
from .crossing_words import subject_words
from .meters import meter
from .standing import mode_badge
from .threshold import ACTION_COLOURS, ACTION_WORDS

SHOWN_QUOTAS = 4  # each metric among them is a statement
SHOWN_THRESHOLDS = 5
SHOWN_ALERTS = 5
_STRICTEST_FIRST = Case(
    When(mode=ProjectQuota.Mode.HARD, then=Value(0)),
    When(mode=ProjectQuota.Mode.SOFT, then=Value(1)),
    default=Value(2),
)


def limits_panel(request: HttpRequest, project: Project) -> Panel | None:
    """Its limits with bars: used, held, left, and when counting starts anew. The strictest first."""
    if not request.user.has_perm("quotas.view_projectquota"):
        return None
    quotas = list(
        ProjectQuota.objects.filter(project=project)
        .select_related("metric", "project")
        .order_by(_STRICTEST_FIRST, "metric__key", "pk")[: SHOWN_QUOTAS + 1]
    )
    shown = quotas[:SHOWN_QUOTAS]
    standings = utilisations_of(shown, now=asked_at(request)) if shown else {}
    add_url = reverse("admin:quotas_projectquota_add") + "?" + urlencode({"project": project.pk})
    body = panel_body(
        "admin/quotas/panels/limits.html",
        request,
        {
            "limits": [_limit_line(quota, standings[quota.pk]) for quota in shown],
            "add_url": add_url if request.user.has_perm("quotas.add_projectquota") else "",
        },
    )
    if not shown:
        return Panel(_("Limits"), body)
    url = reverse("admin:quotas_projectquota_standing", args=[project.pk])
    words = _("All its limits") if len(quotas) > SHOWN_QUOTAS else _("With charts")
    return Panel(_("Limits"), body, url=url, link_text=words)


def _limit_line(quota: ProjectQuota, standing: Utilisation) -> dict[str, Any]:
    unit = quota.metric.unit
    facts = [
        (_("Used"), cells.number(standing.used, unit=unit)),
        (_("Limit"), cells.number(standing.limit, unit=unit)),
        (_("Left"), cells.number(standing.remaining, unit=unit)),
    ]
    if standing.held:
        facts.insert(1, (_("Held"), cells.number(standing.held, unit=unit)))
    return {
        "url": reverse("admin:quotas_projectquota_change", args=[quota.pk]),
        "name": quota.metric.display_name,
        "period": quota.get_period_display().partition(" (")[0],
        "mode": mode_badge(quota),
        "bar": meter(standing.fraction, projected=standing.projected_fraction),
        "facts": facts,
        "resets": cells.moment(standing.period.end) if standing.period.end is not None else "",
    }


def thresholds_panel(request: HttpRequest, project: Project) -> Panel | None:
    """Its thresholds, each with the last time it was near or reached."""
    if not request.user.has_perm("quotas.view_usagethreshold"):
        return None
    thresholds: list[Any] = list(_with_last_crossing(project)[: SHOWN_THRESHOLDS + 1])
    add_url = reverse("admin:quotas_usagethreshold_add") + "?" + urlencode({"project": project.pk})
    body = panel_body(
        "admin/quotas/panels/thresholds.html",
        request,
        {
            "thresholds": [_threshold_line(one) for one in thresholds[:SHOWN_THRESHOLDS]],
            "add_url": add_url if request.user.has_perm("quotas.add_usagethreshold") else "",
        },
    )
    if not thresholds:
        return Panel(_("Thresholds"), body)
    url = reverse("admin:quotas_usagethreshold_changelist")
    url += "?" + urlencode({"project__id__exact": project.pk})
    return Panel(_("Thresholds"), body, url=url, link_text=_("All its thresholds"))


def _with_last_crossing(project: Project) -> QuerySet[UsageThreshold]:
    """Index: crossing_once_per_period begins with the threshold."""
    last = ThresholdCrossing.objects.filter(threshold=OuterRef("pk")).order_by("-id")
    return (
        UsageThreshold.objects.kept()
        .filter(project=project)
        .select_related("metric")
        .annotate(
            last_kind=Subquery(last.values("kind")[:1]), last_at=Subquery(last.values("crossed_at")[:1])
        )
        .order_by("-is_enabled", "metric__key", "level", "id")
    )


def _threshold_line(threshold: Any) -> dict[str, Any]:
    action = UsageThreshold.Action(threshold.action)
    whose = _("each subject on its own")
    if threshold.is_for_each_subject and threshold.subject_type:
        whose = _("each %s on its own") % threshold.subject_type
    elif not threshold.is_for_each_subject:
        whose = subject_words(threshold.subject_type, threshold.subject_id)
    crossed: Any = cells.quiet(_("not yet"))
    if threshold.last_at is not None:
        kind = ThresholdCrossing.Kind(threshold.last_kind)
        crossed = cells.two_lines(
            cells.badge(kind.label, KIND_COLOURS[kind]), cells.moment(threshold.last_at)
        )
    level: Any = cells.quiet(_("no quota to take a share of"))
    if threshold.level is not None:
        level = cells.number(threshold.level, unit=threshold.metric.unit)
    return {
        "url": reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]),
        "name": threshold.metric.display_name,
        "period": threshold.get_period_display().partition(" (")[0],
        "whose": whose,
        "level": level,
        "action": cells.badge(ACTION_WORDS[action], ACTION_COLOURS[action])
        if threshold.is_enabled
        else cells.badge(_("Off"), "warning"),
        "crossed": crossed,
    }


def alerts_panel(request: HttpRequest, project: Project) -> Panel | None:
    """Its open alerts, latest first; nothing where none waits. Index: alert_open."""
    if not request.user.has_perm("quotas.view_alert"):
        return None
    alerts = list(
        Alert.objects.filter(acknowledged_at=None, crossing__threshold__project=project)
        .select_related("crossing__threshold__metric")
        .order_by("-id")[: SHOWN_ALERTS + 1]
    )
    if not alerts:
        return None
    body = panel_body(
        "admin/quotas/panels/alerts.html",
        request,
        {"alerts": [_alert_line(one) for one in alerts[:SHOWN_ALERTS]]},
    )
    url = reverse("admin:quotas_alert_changelist")
    url += "?" + urlencode({"crossing__threshold__project__id__exact": project.pk})
    words = _("All its open alerts") if len(alerts) > SHOWN_ALERTS else _("In the inbox")
    return Panel(_("Open alerts"), body, url=url, link_text=words)


def _alert_line(alert: Alert) -> dict[str, Any]:
    crossing = alert.crossing
    metric, kind = crossing.threshold.metric, ThresholdCrossing.Kind(crossing.kind)
    return {
        "url": reverse("admin:quotas_alert_change", args=[alert.pk]),
        "name": metric.display_name,
        "badge": cells.badge(kind.label, KIND_COLOURS[kind]),
        "whose": subject_words(crossing.subject_type, crossing.subject_id),
        "used": _("%(value)s of %(level)s")
        % {
            "value": cells.readable(crossing.value),
            "level": numerals.with_unit(cells.readable(crossing.level), metric.unit),
        },
        "at": cells.moment(crossing.crossed_at),
    }
