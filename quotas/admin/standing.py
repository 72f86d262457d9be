"""All limits that count one project's usage, with charts: what it may still use, and where it is heading."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from metering.admin import cells
from metering.admin.charts import Chart
from metering.catalogue import current
from metering.clock import database_now
from metering.measuring.windows import zone_named
from metering.models import Project
from quotas.course import Course, courses_of
from quotas.models import ProjectQuota, QuotaDecision

from .meters import heading_words, meter
from .standing_charts import course_chart, periods_chart

MAX_SHOWN = 20
DECISIONS_SHOWN = 8
MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Card:
    """One quota, as the page shows it."""

    quota: ProjectQuota
    url: str
    title: str
    mode: SafeString
    used: str
    bar: SafeString
    facts: list[tuple[str, Any]]
    course: Chart
    periods: Chart | None


def standing_page(request: HttpRequest, project_id: int, *, context: dict[str, Any]) -> HttpResponse:
    """The limits of a project, those of its payer included, which count its usage, too."""
    if not request.user.has_perm("quotas.view_projectquota"):
        raise PermissionDenied
    project = get_object_or_404(Project, pk=project_id)
    now = database_now()
    payer_id = current().payer_at(project.pk, now)
    quotas = list(
        ProjectQuota.objects.filter(project=project)
        .select_related("project", "metric")
        .order_by("metric__key", "pk")[: MAX_SHOWN + 1]
    )
    cards = [_card(course) for course in courses_of(quotas[:MAX_SHOWN], now=now)]
    decisions = QuotaDecision.objects.filter(project=project).order_by("-pk")[:DECISIONS_SHOWN]
    return TemplateResponse(
        request,
        "admin/quotas/projectquota/standing.html",
        {
            **context,
            "title": _("Limits of %s") % project.name,
            "project": project,
            "project_link": cells.project_link(project),
            "cards": cards,
            "has_more": len(quotas) > MAX_SHOWN,
            "list_url": _filtered("quotas_projectquota", project),
            "add_url": reverse("admin:quotas_projectquota_add") + "?" + urlencode({"project": project.pk}),
            "may_add": request.user.has_perm("quotas.add_projectquota"),
            "payer": None if payer_id == project.pk else _payer(payer_id),
            "uncounted": uncounted_words(project),
            "decisions": list(decisions) if request.user.has_perm("quotas.view_quotadecision") else [],
            "decisions_url": _filtered("quotas_quotadecision", project),
        },
    )


def uncounted_words(project: Project) -> str:
    """Which projects below are not counted, because they pay for themselves or others do; "" where none."""
    others = _children_with_other_payers(project)
    if not others:
        return ""
    keys = ", ".join(others[:MAX_NAMED]) + (" …" if len(others) > MAX_NAMED else "")
    return _("Not counted, because they pay for themselves or others do: %s") % keys


def _children_with_other_payers(project: Project) -> list[str]:
    below = Project.objects.below(project).exclude(pk=project.pk).order_by("key").values_list("pk", "key")
    children = list(below[:200])
    if not children:
        return []
    catalogue, now = current(), database_now()
    return [key for child_id, key in children if catalogue.payer_at(child_id, now) != project.pk]


def _payer(payer_id: int) -> dict[str, Any]:
    payer = Project.objects.get(pk=payer_id)
    return {
        "key": payer.key,
        "url": reverse("admin:quotas_projectquota_standing", args=[payer.pk]),
        "count": ProjectQuota.objects.filter(project=payer).count(),
    }


def _card(course: Course) -> Card:
    quota, standing = course.quota, course.standing
    zone = zone_named(quota.project.timezone)
    unit = quota.metric.unit
    facts: list[tuple[str, Any]] = [
        (_("Left"), cells.number(standing.remaining, unit=unit)),
        (_("At the end of the period"), heading_words(standing)),
        (_("Starts anew"), cells.moment(standing.period.end, empty=_("never"))),
    ]
    if standing.held:
        facts.insert(0, (_("Held by reservations"), cells.number(standing.held, unit=unit)))
    return Card(
        quota=quota,
        url=reverse("admin:quotas_projectquota_change", args=[quota.pk]),
        title=f"{quota.metric.display_name} · {quota.get_period_display().partition(' (')[0]}",
        mode=mode_badge(quota),
        used=f"{cells.readable(standing.used)} / {cells.readable(standing.limit)} {unit}".strip(),
        bar=meter(standing.fraction, projected=standing.projected_fraction),
        facts=facts,
        course=course_chart(course, zone=zone),
        periods=periods_chart(course, zone=zone),
    )


def mode_badge(quota: ProjectQuota) -> SafeString:
    """The mode in one coloured word."""
    mode = ProjectQuota.Mode(quota.mode)
    words, colour = {
        ProjectQuota.Mode.HARD: (_("Hard"), "danger"),
        ProjectQuota.Mode.SOFT: (_("Soft"), "warning"),
        ProjectQuota.Mode.MONITOR: (_("Monitor"), "info"),
    }[mode]
    return cells.badge(words, colour)


def _filtered(model: str, project: Project) -> str:
    return reverse(f"admin:{model}_changelist") + "?" + urlencode({"project__id__exact": project.pk})
