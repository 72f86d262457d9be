"""Rebuilds of rollups: the account of them, and the pages by which staff ask for one."""

from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError as BrokerError
from unfold.decorators import action

from metering import moments, numerals
from metering.models import MetricDefinition, RollupRebuild
from metering.rolling_up.rebuild_requests import request_rebuild
from metering.tasks import rebuild_rollups

from . import cells
from .base import HouseAdmin, ReadOnlyAdmin

State = RollupRebuild.State
STATE_COLOURS = {
    State.WAITING: "info",
    State.INTACT: "success",
    State.REPAIRED: "warning",
    State.FAILED: "danger",
}


@admin.register(RollupRebuild)
class RollupRebuildAdmin(ReadOnlyAdmin):
    intro = _(
        "Rollups are projections of the ledger. A rebuild works out those of a metric again and repairs what "
        "differs; answers and recording go on meanwhile. Ask for one on the page of a metric."
    )
    empty_title = _("Nothing was rebuilt yet")
    empty_text = _("Open a metric and choose “Rebuild rollups”, or run manage.py rebuild_rollups --all.")
    list_display = ("of", "state_badge", "rows", "wrong", "who", "finished")
    list_display_links = ("of",)
    list_select_related = ("metric",)
    search_fields = ("metric__key", "metric__display_name")
    search_help_text = _("Metric")
    ordering = ("-requested_at", "-id")
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("of", "state_badge", "failure_text", "who", "requested", "finished", "took")}),
        (
            _("What was found"),
            {
                "fields": ("rows", "missing", "extra", "different", "merged", "up_to", "limited"),
                "description": _(
                    "What was wrong is repaired. Buckets for which contributions were still pending were "
                    "only behind, and are not counted."
                ),
            },
        ),
    )

    @admin.display(description=_("metric"))
    def of(self, rebuild: RollupRebuild) -> SafeString:
        return cells.two_lines(rebuild.metric.display_name, rebuild.metric.key)

    @admin.display(description=_("state"))
    def state_badge(self, rebuild: RollupRebuild) -> SafeString:
        return cells.badge(rebuild.state.label, STATE_COLOURS[rebuild.state])

    @admin.display(description=_("why it failed"))
    def failure_text(self, rebuild: RollupRebuild) -> str:
        return rebuild.failure or "—"

    @admin.display(description=_("rollups"))
    def rows(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.row_count)

    @admin.display(description=_("wrong"))
    def wrong(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(None if rebuild.row_count is None else rebuild.wrong_count)

    @admin.display(description=_("missing"))
    def missing(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.missing_count)

    @admin.display(description=_("without usage behind them"))
    def extra(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.extra_count)

    @admin.display(description=_("different"))
    def different(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.different_count)

    @admin.display(description=_("pending contributions merged"))
    def merged(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.pending_count)

    @admin.display(description=_("read up to position"))
    def up_to(self, rebuild: RollupRebuild) -> SafeString:
        return cells.number(rebuild.position)

    @admin.display(description=_("limited to"))
    def limited(self, rebuild: RollupRebuild) -> str:
        if rebuild.project_count is None:
            return gettext("all projects")
        return gettext("%d projects") % rebuild.project_count

    @admin.display(description=_("requested by"))
    def who(self, rebuild: RollupRebuild) -> str:
        return rebuild.requested_by or "—"

    @admin.display(description=_("requested at"))
    def requested(self, rebuild: RollupRebuild) -> SafeString:
        return cells.moment(rebuild.requested_at)

    @admin.display(description=_("finished at"))
    def finished(self, rebuild: RollupRebuild) -> SafeString:
        return cells.moment(rebuild.finished_at)

    @admin.display(description=_("took"))
    def took(self, rebuild: RollupRebuild) -> str:
        return (
            "—"
            if rebuild.seconds is None
            else numerals.with_unit(numerals.fixed(rebuild.seconds, decimals=1), "s")
        )


def last_rebuild_in_words(metric: MetricDefinition) -> str:
    """When a metric's rollups were last rebuilt, and what that found; empty where they never were."""
    last = RollupRebuild.objects.filter(metric=metric).order_by("-requested_at", "-id").first()
    if last is None:
        return ""
    if last.finished_at is None:
        return gettext("A rebuild of the rollups is waiting for a worker, or under way.")
    facts = {
        "at": moments.in_words(last.finished_at, to_the="minute"),
        "wrong": cells.grouped(last.wrong_count),
    }
    if last.state == State.FAILED:
        return gettext("The last rebuild of the rollups, %(at)s, failed.") % facts
    if last.state == State.INTACT:
        return gettext("Rollups last rebuilt %(at)s: nothing was wrong.") % facts
    return gettext("Rollups last rebuilt %(at)s: %(wrong)s were wrong and are repaired.") % facts


class RebuildPages(HouseAdmin):
    """The part of the metrics' admin that asks for a rebuild."""

    def has_rebuild_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.rebuild_rollups"))

    @action(description=_("Rebuild rollups"), url_path="rebuild", permissions=["rebuild"], icon="rebase_edit")
    def rebuild(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        back_url = self.page_url("change", metric.pk)
        if request.method == "POST":
            request_rebuild(metric, requested_by=request.user.get_username())
            with suppress(BrokerError):  # the next sweep finds it
                rebuild_rollups.delay()
            return self.done(
                request,
                gettext("The rollups of “%s” will be rebuilt in the background.") % metric.display_name,
                url=back_url,
            )
        return self.confirmation(
            request,
            title=_("Rebuild rollups"),
            subtitle=metric.display_name,
            sentences=[
                _("All hours, days and months of this metric are worked out again from the ledger."),
                _("What differs is repaired; rows that are right stay as they are."),
                _("Usage is recorded and read as ever meanwhile."),
                last_rebuild_in_words(metric) or _("They were never rebuilt."),
            ],
            button=_("Rebuild the rollups"),
            back_url=back_url,
            original=metric,
        )
