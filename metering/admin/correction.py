"""Who corrected what, and why: for looking."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.correcting.corrections import AMEND_SOURCE
from metering.models import Correction, UsageEvent

from . import cells
from .filters import ProjectFilter
from .paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id
from .row_ids import id_from

KIND_COLOURS = {
    Correction.Kind.VOID: "danger",
    Correction.Kind.AMENDMENT: "info",
    Correction.Kind.REATTRIBUTION: "warning",
}


@admin.register(Correction)
class CorrectionAdmin(LargeTableAdmin):
    """Newest first, by primary key."""

    intro = _(
        "Every correction of the ledger: which event was voided or amended, by whom and why. Rows are never "
        "changed or removed. To correct an event, open it among the usage events."
    )
    empty_title = _("Nothing was corrected yet")
    empty_text = _("Events are voided and amended on their pages, or by the API. Check the filters.")
    list_display = ("when", "what", "project_key", "event_link", "void_link", "replacement_link", "why")
    list_display_links = ("when",)
    list_filter = (("project", ProjectFilter), "kind")
    search_fields = ("event",)
    search_help_text = _("Ledger id of an event, exactly")
    fieldsets = (
        (None, {"fields": ("what", "why_in_full", "who", "when")}),
        (_("In the ledger"), {"fields": ("project_key", "event_link", "void_link", "replacement_link")}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=_corrections_with(search_term.strip())), False

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        rows = changelist.queryset.select_related("project")
        return page_by_id(rows, place=Place.from_text(place), size=self.list_per_page)

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("corrected at"))
    def when(self, correction: Correction) -> SafeString:
        return cells.moment(correction.corrected_at)

    @admin.display(description=_("what"))
    def what(self, correction: Correction) -> SafeString:
        return cells.badge(correction.get_kind_display(), KIND_COLOURS[Correction.Kind(correction.kind)])

    @admin.display(description=_("project"))
    def project_key(self, correction: Correction) -> SafeString:
        return cells.project_link(correction.project)

    @admin.display(description=_("event"))
    def event_link(self, correction: Correction) -> SafeString:
        return event_link(correction.event)

    @admin.display(description=_("void"))
    def void_link(self, correction: Correction) -> SafeString:
        return event_link(correction.void)

    @admin.display(description=_("instead"))
    def replacement_link(self, correction: Correction) -> Any:
        return cells.DASH if correction.replacement is None else event_link(correction.replacement)

    @admin.display(description=_("why, and who"))
    def why(self, correction: Correction) -> SafeString:
        return cells.two_lines(cells.one_line(correction.reason), cells.one_line(correction.actor))

    @admin.display(description=_("why"))
    def why_in_full(self, correction: Correction) -> str:
        return correction.reason

    @admin.display(description=_("by"))
    def who(self, correction: Correction) -> SafeString:
        return cells.one_line(correction.actor)


def event_link(event_id: int) -> SafeString:
    """A row of the ledger by its id."""
    url = reverse("admin:metering_usageevent_change", args=[event_id])
    return cells.link(url, event_id, title=gettext("Event %d") % event_id)


def correction_of(event: UsageEvent) -> Correction | None:
    """The account of the correction that voided an event, or that a void belongs to.

    Index: correction_once_per_event.
    """
    corrected_id = event.pk if event.voids is None else event.voids
    return Correction.objects.filter(project_id=event.project_id, event=corrected_id).first()


def origin_of(event: UsageEvent) -> Correction | None:
    """The account of the amendment in which an event was recorded, where its id was left to us."""
    replaced_id = id_from(event.event_id) if event.source == AMEND_SOURCE else None
    if replaced_id is None:
        return None
    replaced = UsageEvent.objects.filter(pk=replaced_id).first()
    correction = correction_of(replaced) if replaced is not None else None
    return correction if correction is not None and correction.replacement == event.pk else None


def _corrections_with(text: str) -> list[int]:
    """Ids of corrections that name the row of the ledger, found by its project through the same index."""
    row = UsageEvent.objects.filter(pk=id_from(text) or 0).first()
    if row is None:
        return []
    found = [correction_of(row), origin_of(row)]
    return [correction.pk for correction in found if correction is not None]
