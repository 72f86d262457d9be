"""Limits, and how much of each is used."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.accountability import changed_by
from metering.admin import cells
from metering.admin.base import VerbForm
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.filters import ProjectFilter
from metering.admin.reason import ReasonForm
from metering.texts.numbers import plain
from quotas.enforcement import change_quota, remove_quota, set_quota
from quotas.models import ProjectQuota
from quotas.utilisation import Utilisation, utilisations_of

from . import file_columns
from .consequences import of_quota
from .history import history_of
from .meters import heading_words, meter
from .standing import mode_badge, standing_page, uncounted_words


def used_words(quota: ProjectQuota, standing: Utilisation | None = None) -> str:
    """What is used of the limit in force, in the period that runs now."""
    standing = standing or utilisations_of([quota])[quota.pk]
    facts = {
        "used": cells.grouped(standing.used or Decimal(0)),
        "limit": cells.grouped(standing.limit),
        "unit": quota.metric.unit,
    }
    return (gettext("%(used)s of %(limit)s %(unit)s") % facts).strip()


class QuotaForm(ReasonForm, VerbForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = self.instance.pk is not None
        if self.instance.limit is not None:
            self.initial["limit"] = plain(self.instance.limit)  # 500, not 500.000000000000
        if self.instance.pk and "counting" in self.fields:
            self.fields["counting"].required = False  # left out, it stays


@admin.register(ProjectQuota)
class ProjectQuotaAdmin(ConsequencesFirst):
    form = QuotaForm
    intro = _(
        "How much of a metric a project may use in each period. A quota counts the project's own usage and "
        "what it pays for, each use once; it doesn't add up the tree. Without a quota usage is unlimited."
    )
    empty_title = _("No quotas yet")
    empty_text = _(
        "All usage is unlimited. Add a quota to refuse, warn about or watch what goes beyond a limit."
    )
    csv_more = file_columns.QUOTA_STANDING
    list_display = (
        "name",
        "of_project",
        "mode_badge",
        "share",
        "used",
        "limit_shown",
        "heading",
        "each",
        "resets",
    )
    list_display_links = ("name",)
    list_per_page = 25
    list_filter = (
        ("project", ProjectFilter),
        ("mode", ChoicesDropdownFilter),
        ("period", ChoicesDropdownFilter),
    )
    linked_lookups = ("metric__id__exact",)
    search_fields = ("project__key", "project__name", "metric__key", "metric__display_name")
    search_help_text = _("Project or metric")
    sortable_by = ()
    ordering = ("metric__key", "project__key", "period")
    autocomplete_fields = ("project", "metric")
    add_fieldsets = (
        (None, {"fields": ("project", "metric", "limit", "mode", "period", "anchor", "counting", "reason")}),
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "project_key",
                    "metric_name",
                    "limit",
                    "mode",
                    "period_fixed",
                    "anchor",
                    "counting",
                    "reason",
                )
            },
        ),
        (_("Now"), {"fields": ("share", "in_force", "used_now", "left", "heading", "resets", "warning")}),
    )
    readonly_fields = (
        "project_key",
        "metric_name",
        "period_fixed",
        "share",
        "in_force",
        "used_now",
        "left",
        "heading",
        "resets",
        "warning",
    )
    actions_detail = ("show_standing", "show_decisions", "remove")

    def get_urls(self) -> list[URLPattern]:
        """With the page of all limits of a project."""
        page = path(
            "of-project/<int:project_id>/",
            self.admin_site.admin_view(self.standing),
            name="quotas_projectquota_standing",
        )
        return [page, *super().get_urls()]

    def kept_history(self, object_id: str) -> HttpResponse:
        return history_of("quotachange", object_id)

    def standing(self, request: HttpRequest, project_id: int) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {**self.admin_site.each_context(request), "opts": self.opts}
        return standing_page(request, project_id, context=context)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        found = utilisations_of(rows)
        for row in rows:
            row.utilisation = found[row.pk]

    @staticmethod
    def _utilisation(quota: Any) -> Utilisation:
        if not hasattr(quota, "utilisation"):
            quota.utilisation = utilisations_of([quota])[quota.pk]
        return quota.utilisation

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """With the names that a quota is called by."""
        return super().get_queryset(request).select_related("project", "metric")

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        before = ProjectQuota.objects.get(pk=form.instance.pk) if change else None
        return of_quota(before, form.instance)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with changed_by(request.user.get_username(), reason=form.cleaned_data["reason"], through="admin"):
            self._save(obj, form.cleaned_data, change=change)

    def _save(self, obj: Any, given: dict[str, Any], *, change: bool) -> None:
        if change:
            change_quota(
                ProjectQuota.objects.get(pk=obj.pk),
                limit=given["limit"],
                mode=given["mode"],
                anchor=given["anchor"],
                counting=given["counting"] or None,
            )
            return
        created = set_quota(
            given["project"],
            metric=given["metric"],
            limit=given["limit"],
            mode=given["mode"],
            period=given["period"],
            anchor=given["anchor"],
            counting=given["counting"],
        )
        self.adopt(obj, created)

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def name(self, quota: ProjectQuota) -> str:
        return quota.metric.display_name

    @admin.display(description=_("project"))
    def of_project(self, quota: ProjectQuota) -> SafeString:
        url = reverse("admin:quotas_projectquota_standing", args=[quota.project_id])
        return cells.link(url, quota.project.key, title=gettext("All its limits, with charts"))

    @admin.display(description=_("project"))
    def project_key(self, quota: ProjectQuota) -> SafeString:
        return cells.project_link(quota.project)

    @admin.display(description=_("mode"))
    def mode_badge(self, quota: ProjectQuota) -> SafeString:
        return mode_badge(quota)

    @admin.display(description=_("used of the limit"))
    def share(self, quota: ProjectQuota) -> SafeString:
        standing = self._utilisation(quota)
        return meter(standing.fraction, projected=standing.projected_fraction)

    @admin.display(description=_("at the end"))
    def heading(self, quota: ProjectQuota) -> SafeString:
        return heading_words(self._utilisation(quota))

    @admin.display(description=_("used"))
    def used(self, quota: ProjectQuota) -> SafeString:
        standing = self._utilisation(quota)
        used = cells.number(standing.used or Decimal(0))
        if not standing.held:
            return used
        held = gettext("+ %s held") % cells.readable(standing.held)
        return format_html('<div>{}<span class="mb-number mb-small mb-quiet">{}</span></div>', used, held)

    @admin.display(description=_("limit"))
    def limit_shown(self, quota: ProjectQuota) -> SafeString:
        """The one in force, and beside a temporary one its own."""
        limit = self._utilisation(quota).limit
        shown = cells.number(limit, unit=quota.metric.unit)
        if limit == quota.limit:
            return shown
        words = gettext("for a while; else %s") % cells.readable(quota.limit)
        return format_html('<div>{}<span class="mb-number mb-small mb-quiet">{}</span></div>', shown, words)

    @admin.display(description=_("limit in force"))
    def in_force(self, quota: ProjectQuota) -> SafeString:
        return self.limit_shown(quota)

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
        return used_words(quota, self._utilisation(quota))

    @admin.display(description=_("left"))
    def left(self, quota: ProjectQuota) -> SafeString:
        return cells.number(self._utilisation(quota).remaining, unit=quota.metric.unit)

    @admin.display(description=_("what it counts"))
    def warning(self, quota: Any) -> SafeString:
        counts = gettext("Its own usage and what it pays for, each use once.")
        if not hasattr(quota, "uncounted"):
            quota.uncounted = uncounted_words(quota.project)
        uncounted = quota.uncounted
        return cells.two_lines(counts, uncounted) if uncounted else format_html("{}", counts)

    # -- actions -----------------------------------------------------------------------------------------

    def has_remove_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.delete_projectquota"))

    def has_see_decisions_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.view_quotadecision"))

    @action(description=_("Charts"), url_path="charts", icon="monitoring", permissions=["view"])
    def show_standing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        quota = get_object_or_404(ProjectQuota, pk=object_id)
        url = reverse("admin:quotas_projectquota_standing", args=[quota.project_id])
        return HttpResponseRedirect(f"{url}#quota-{quota.pk}")

    @action(description=_("Decisions"), url_path="decisions", icon="gavel", permissions=["see_decisions"])
    def show_decisions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        quota = get_object_or_404(ProjectQuota, pk=object_id)
        query = urlencode({"project__id__exact": quota.project_id})
        return HttpResponseRedirect(reverse("admin:quotas_quotadecision_changelist") + "?" + query)

    @action(
        description=_("Remove"),
        url_path="remove",
        permissions=["remove"],
        icon="remove_circle",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        quota = get_object_or_404(ProjectQuota.objects.select_related("project", "metric"), pk=object_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self.log_deletions(request, ProjectQuota.objects.filter(pk=quota.pk))
            reason = form.cleaned_data["reason"]
            with changed_by(request.user.get_username(), reason=reason, through="admin"):
                remove_quota(quota)
            return self.done(request, gettext("The quota is removed."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Remove a quota"),
            subtitle=str(quota),
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
            form=form,
        )
