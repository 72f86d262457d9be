"""What is reserved: for looking. Holds are made and ended by the API."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.admin import cells
from metering.admin.filters import ProjectFilter
from metering.admin.paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id
from metering.clock import database_now
from quotas.models import QuotaHold, QuotaHoldEnding

from . import file_columns


@admin.register(QuotaHold)
class QuotaHoldAdmin(LargeTableAdmin):
    """Newest first, by primary key."""

    intro = _(
        "Amounts that applications have reserved before using them. An open one counts as used in every "
        "quota concerned; it ends by being used or given back, or by itself when its time is over."
    )
    empty_title = _("Nothing was reserved yet")
    empty_text = _("Applications reserve by POST /api/v1/quotas/holds/. Check the filters.")
    csv_columns = file_columns.HOLDS
    list_display = ("code", "state", "project_key", "metric_key", "amount", "used", "made", "until")
    list_display_links = ("code",)
    list_filter = (("project", ProjectFilter),)
    search_fields = ("public_id",)
    search_help_text = _("Id of a hold, exactly")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "code",
                    "state",
                    "project_key",
                    "payer_key",
                    "metric_key",
                    "asked_for",
                    "amount",
                    "used",
                )
            },
        ),
        (_("Times"), {"fields": ("for_use", "made", "until", "over")}),
        (_("Who"), {"fields": ("actor", "idempotency_key", "event_link")}),
    )

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(public_id=term) if term else queryset), False

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related("project", "billing_scope", "metric", "ending")

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        return page_by_id(changelist.queryset, place=Place.from_text(place), size=self.list_per_page)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.seen_at = now

    @staticmethod
    def _ending(hold: QuotaHold) -> QuotaHoldEnding | None:
        return getattr(hold, "ending", None)

    @admin.display(description=_("hold"))
    def code(self, hold: QuotaHold) -> SafeString:
        return cells.code(hold.public_id)

    @admin.display(description=_("state"))
    def state(self, hold: Any) -> SafeString:
        ending = self._ending(hold)
        if ending is not None:
            is_used = ending.kind == QuotaHoldEnding.Kind.COMMITTED
            return cells.badge(ending.get_kind_display(), "success" if is_used else "")
        if hold.expires_at > (getattr(hold, "seen_at", None) or database_now()):
            return cells.badge(gettext("Open"), "info")
        return cells.badge(gettext("Expired"), "warning")

    @admin.display(description=_("project"))
    def project_key(self, hold: QuotaHold) -> SafeString:
        return cells.project_link(hold.project)

    @admin.display(description=_("paid by"))
    def payer_key(self, hold: QuotaHold) -> SafeString:
        return cells.project_link(hold.billing_scope)

    @admin.display(description=_("metric"))
    def metric_key(self, hold: QuotaHold) -> str:
        return hold.metric.display_name

    @admin.display(description=_("asked for"))
    def asked_for(self, hold: QuotaHold) -> SafeString:
        return cells.number(hold.requested, unit=hold.metric.unit)

    @admin.display(description=_("reserved"))
    def amount(self, hold: QuotaHold) -> SafeString:
        return cells.number(hold.granted, unit=hold.metric.unit)

    @admin.display(description=_("used"))
    def used(self, hold: QuotaHold) -> SafeString:
        ending = self._ending(hold)
        return cells.number(None if ending is None else ending.quantity)

    @admin.display(description=_("for use at"))
    def for_use(self, hold: QuotaHold) -> SafeString:
        return cells.moment(hold.occurred_at)

    @admin.display(description=_("reserved at"))
    def made(self, hold: QuotaHold) -> SafeString:
        return cells.moment(hold.created_at)

    @admin.display(description=_("expires at"))
    def until(self, hold: QuotaHold) -> SafeString:
        return cells.moment(hold.expires_at)

    @admin.display(description=_("ended at"))
    def over(self, hold: QuotaHold) -> SafeString:
        ending = self._ending(hold)
        return cells.moment(None if ending is None else ending.ended_at)

    @admin.display(description=_("event"))
    def event_link(self, hold: QuotaHold) -> Any:
        ending = self._ending(hold)
        if ending is None or ending.event is None:
            return cells.DASH
        return cells.link(reverse("admin:metering_usageevent_change", args=[ending.event]), ending.event)
