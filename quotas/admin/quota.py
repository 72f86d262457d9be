"""Limits, and how much of each is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.admin import cells
from metering.admin.base import EditableAdmin, VerbForm
from metering.admin.filters import ProjectFilter
from metering.answering.answers import answer
from metering.answering.usage import Scope, Slice, usage_in
from metering.catalogue import Catalogue, current
from metering.clock import database_now
from metering.measuring.windows import zone_named
from metering.models import Project
from metering.texts.numbers import plain
from quotas.enforcement import change_quota, remove_quota, set_quota
from quotas.models import ProjectQuota
from quotas.periods import Period, period_holding

MODE_COLOURS = {
    ProjectQuota.Mode.HARD: "danger",
    ProjectQuota.Mode.SOFT: "warning",
    ProjectQuota.Mode.MONITOR: "info",
}
MODE_WORDS = {
    ProjectQuota.Mode.HARD: _("Hard"),
    ProjectQuota.Mode.SOFT: _("Soft"),
    ProjectQuota.Mode.MONITOR: _("Monitor"),
}
NEAR_FRACTION = Decimal("0.8")


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How a quota stands in the period that runs now; `used` is None where the metric has no value."""

    period: Period
    used: Decimal | None
    limit: Decimal

    @property
    def fraction(self) -> Decimal | None:
        """Used share of the limit, 1 at the limit; None where there is nothing to divide by."""
        return None if not self.limit else (self.used or Decimal(0)) / self.limit


def utilisation_of(quotas: Sequence[ProjectQuota]) -> dict[int, Utilisation]:
    """By quota id, for the periods that run now. One short query per quota: each counts by its own rules."""
    return answer(lambda catalogue: _utilisation_by(catalogue, quotas))


def _utilisation_by(catalogue: Catalogue, quotas: Sequence[ProjectQuota]) -> dict[int, Utilisation]:
    now = database_now()
    found = {}
    for quota in quotas:
        period = period_holding(now, kind=quota.period, zone=zone_named(quota.project.timezone))
        used = None
        meaning = catalogue.meanings.get(quota.metric_id)
        if meaning is not None:
            scope = Scope(project_ids=[quota.project_id], payer_id=quota.project_id, either=True)
            usages = usage_in(meaning, [(period.start, period.end)], slice=Slice(scope=scope))
            used = usages[0].value if usages else None
        found[quota.pk] = Utilisation(period, used, quota.limit)
    return found


class QuotaForm(VerbForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.limit is not None:
            self.initial["limit"] = plain(self.instance.limit)  # 500, not 500.000000000000


@admin.register(ProjectQuota)
class ProjectQuotaAdmin(EditableAdmin):
    form = QuotaForm
    intro = _(
        "How much of a metric a project may use in each period. A quota counts the project's own usage and "
        "what it pays for, each use once; it doesn't add up the tree. Without a quota usage is unlimited."
    )
    empty_title = _("No quotas yet")
    empty_text = _(
        "All usage is unlimited. Add a quota to refuse, warn about or watch what goes beyond a limit."
    )
    list_display = ("name", "project_key", "mode_badge", "share", "used", "limit_shown", "each", "resets")
    list_display_links = ("name",)
    list_select_related = ("project", "metric")
    list_per_page = 25
    list_filter = (
        ("project", ProjectFilter),
        ("mode", ChoicesDropdownFilter),
        ("period", ChoicesDropdownFilter),
    )
    search_fields = ("project__key", "project__name", "metric__key", "metric__display_name")
    search_help_text = _("Project or metric")
    sortable_by = ()
    ordering = ("metric__key", "project__key", "period")
    autocomplete_fields = ("project", "metric")
    add_fieldsets = ((None, {"fields": ("project", "metric", "limit", "mode", "period", "counting")}),)
    fieldsets = (
        (None, {"fields": ("project_key", "metric_name", "limit", "mode", "period_fixed")}),
        (_("Now"), {"fields": ("share", "used_now", "resets", "warning")}),
    )
    readonly_fields = ("project_key", "metric_name", "period_fixed", "share", "used_now", "resets", "warning")
    actions_detail = ("remove",)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        found = utilisation_of(rows)
        for row in rows:
            row.utilisation = found[row.pk]

    @staticmethod
    def _utilisation(quota: Any) -> Utilisation:
        if not hasattr(quota, "utilisation"):
            quota.utilisation = utilisation_of([quota])[quota.pk]
        return quota.utilisation

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        if change:
            change_quota(ProjectQuota.objects.get(pk=obj.pk), limit=given["limit"], mode=given["mode"])
            return
        created = set_quota(
            given["project"],
            metric=given["metric"],
            limit=given["limit"],
            mode=given["mode"],
            period=given["period"],
            counting=given["counting"],
        )
        self.adopt(obj, created)

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def name(self, quota: ProjectQuota) -> str:
        return quota.metric.display_name

    @admin.display(description=_("project"))
    def project_key(self, quota: ProjectQuota) -> SafeString:
        return cells.project_link(quota.project)

    @admin.display(description=_("mode"))
    def mode_badge(self, quota: ProjectQuota) -> SafeString:
        mode = ProjectQuota.Mode(quota.mode)
        return cells.badge(MODE_WORDS[mode], MODE_COLOURS[mode])

    @admin.display(description=_("used of the limit"))
    def share(self, quota: ProjectQuota) -> SafeString:
        fraction = self._utilisation(quota).fraction
        if fraction is None:
            return cells.badge(gettext("Refuses all"), "danger")
        state = "is-over" if fraction > 1 else "is-near" if fraction >= NEAR_FRACTION else ""
        percent = f"{fraction:.1%}"
        return format_html(
            '<div><div class="mb-meter" role="img" aria-label="{}">'
            '<span class="{}" style="width: {}%"></span></div>'
            '<span class="mb-small mb-quiet">{}</span></div>',
            percent,
            state,
            f"{min(fraction, Decimal(1)) * 100:.1f}",
            percent,
        )

    @admin.display(description=_("used"))
    def used(self, quota: ProjectQuota) -> SafeString:
        return cells.number(self._utilisation(quota).used or Decimal(0))

    @admin.display(description=_("limit"))
    def limit_shown(self, quota: ProjectQuota) -> SafeString:
        return cells.number(quota.limit, unit=quota.metric.unit)

    @admin.display(description=_("each"))
    def each(self, quota: ProjectQuota) -> str:
        return quota.get_period_display().partition(" (")[0]

    @admin.display(description=_("starts anew"))
    def resets(self, quota: ProjectQuota) -> SafeString:
        return cells.moment(self._utilisation(quota).period.end, empty=gettext("never"))

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def metric_name(self, quota: ProjectQuota) -> SafeString:
        url = reverse("admin:metering_metricdefinition_change", args=[quota.metric_id])
        return cells.link(url, quota.metric.display_name)

    @admin.display(description=_("period"))
    def period_fixed(self, quota: ProjectQuota) -> str:
        zone = gettext("by the calendar of %s") % quota.project.timezone
        return f"{quota.get_period_display()}, {zone}"

    @admin.display(description=_("used in this period"))
    def used_now(self, quota: ProjectQuota) -> str:
        stand = self._utilisation(quota)
        facts = {
            "used": cells.grouped(stand.used or Decimal(0)),
            "limit": cells.grouped(quota.limit),
            "unit": quota.metric.unit,
        }
        return (gettext("%(used)s of %(limit)s %(unit)s") % facts).strip()

    @admin.display(description=_("what it counts"))
    def warning(self, quota: ProjectQuota) -> SafeString:
        counts = gettext("Its own usage and what it pays for, each use once.")
        others = self._children_paying_for_themselves(quota.project)
        if not others:
            return format_html("{}", counts)
        keys = ", ".join(project.key for project in others[:5]) + (" …" if len(others) > 5 else "")
        note = gettext("Not counted, because they pay for themselves or others do: %s") % keys
        return cells.two_lines(counts, note)

    @staticmethod
    def _children_paying_for_themselves(project: Project) -> list[Project]:
        catalogue, now = current(), database_now()
        below = Project.objects.below(project).exclude(pk=project.pk).order_by("key")[:200]
        return [child for child in below if catalogue.payer_at(child.pk, now) != project.pk]

    # -- actions -----------------------------------------------------------------------------------------

    def has_remove_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.delete_projectquota"))

    @action(
        description=_("Remove"),
        url_path="remove",
        permissions=["remove"],
        icon="remove_circle",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        quota = get_object_or_404(ProjectQuota.objects.select_related("project", "metric"), pk=object_id)
        subtitle = f"{quota.project.key} · {quota.metric.display_name}"
        if request.method == "POST":
            self.log_deletions(request, ProjectQuota.objects.filter(pk=quota.pk))
            remove_quota(quota)
            return self.done(request, gettext("The quota is removed."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Remove a quota"),
            subtitle=subtitle,
            sentences=[
                _(
                    "Usage of this metric is unlimited for the project from now on, unless another quota "
                    "counts it."
                ),
                _("Recorded usage stays as it is."),
            ],
            button=_("Remove the quota"),
            back_url=self.page_url("change", quota.pk),
            original=quota,
        )
