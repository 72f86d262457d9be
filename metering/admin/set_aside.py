"""What ticks couldn't finish: rows set aside, and merged usage that an observer failed at."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from metering.models import MetricDefinition, OwedObservation, PendingContribution, Project
from metering.rolling_up.tick_observers import tick_observers

from . import cells
from .base import ReadOnlyAdmin


class _OfMetricAndProject(ReadOnlyAdmin):
    """Rows without foreign keys: their metric and project are asked for once for the page."""

    list_title: ClassVar[Any] = ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {"title": self.list_title, **(extra_context or {})})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Led to from Home while there are any; no list of its own in the menu."""
        return False

    def prepare_rows(self, request: HttpRequest, rows: Any) -> None:
        projects = Project.objects.in_bulk({row.project_id for row in rows})
        metrics = MetricDefinition.objects.in_bulk({row.metric_id for row in rows})
        for row in rows:
            row.shown_project, row.shown_metric = projects.get(row.project_id), metrics.get(row.metric_id)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.prepare_rows(request, [row])
        return row

    @admin.display(description=_("metric"))
    def metric_shown(self, row: Any) -> str:
        return row.shown_metric.display_name if row.shown_metric else cells.DASH

    @admin.display(description=_("project"))
    def project_shown(self, row: Any) -> SafeString | str:
        return cells.project_link(row.shown_project) if row.shown_project else cells.DASH

    @admin.display(description=_("since"))
    def since(self, row: Any) -> SafeString:
        return cells.moment(row.created_at)

    @admin.display(description=_("why"))
    def why(self, row: Any) -> SafeString:
        return cells.one_line(row.failure)


@admin.register(PendingContribution)
class SetAsideAdmin(_OfMetricAndProject):
    """Only those that failed; the others are gone within seconds. Index: pending_that_failed."""

    list_title = _("Usage set aside")
    intro = _(
        "Usage that couldn't be merged into rollups, with the reason. Every question counts it all the same, "
        "and it holds up no other; a rebuild of its metric reads its hours from the ledger again."
    )
    empty_title = _("Nothing is set aside")
    empty_text = _("Each tick merged everything that it took.")
    list_display = ("metric_shown", "project_shown", "hour", "since", "why")
    ordering = ("id",)
    sortable_by = ()
    fields = ("metric_shown", "project_shown", "hour", "since", "failure")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).exclude(failure="")

    @admin.display(description=_("hour (UTC)"))
    def hour(self, row: PendingContribution) -> SafeString:
        return cells.moment(row.hour_start)


@admin.register(OwedObservation)
class OwedObservationAdmin(_OfMetricAndProject):
    """Those of observers that the settings name: of others nobody makes up for them."""

    list_title = _("Usage not evaluated yet")
    intro = _(
        "Merged usage that limits and thresholds haven't seen, since looking at it failed. It is tried again "
        "each minute; a row that stays says why."
    )
    empty_title = _("Nothing is owed")
    empty_text = _("Everything that was merged has been evaluated.")
    list_display = ("metric_shown", "project_shown", "hours", "since", "tried", "why")
    ordering = ("id",)
    sortable_by = ()
    fields = ("observer", "metric_shown", "project_shown", "hours", "since", "tried", "failure")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(observer__in=tick_observers())

    @admin.display(description=_("hours (UTC)"))
    def hours(self, row: OwedObservation) -> str:
        return f"{row.first_hour:%Y-%m-%d %H:%M} – {row.last_hour:%Y-%m-%d %H:%M}"

    @admin.display(description=_("last tried"))
    def tried(self, row: OwedObservation) -> SafeString:
        return cells.moment(row.tried_at)
