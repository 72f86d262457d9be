"""The history of limits: who changed what, when, from what to what, and why."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.admin import cells
from metering.admin.filters import InstantRangeFilter, ProjectFilter
from quotas.models import QuotaChange

from . import file_columns
from .history import HistoryAdmin, changes_in_words

_NAMES = {
    "limit": _("limit"),
    "mode": _("mode"),
    "period": _("period"),
    "anchor": _("anchor"),
    "counting": _("counting"),
}


@admin.register(QuotaChange)
class QuotaChangeAdmin(HistoryAdmin):
    """Newest first, by primary key."""

    intro = _(
        "Every change of a quota, written by the database itself: by whom, when, from what to what, and why. "
        "Changes are kept when a quota is removed, and nobody can alter them."
    )
    empty_title = _("No changes yet")
    empty_text = _("They appear when quotas are set, changed or removed. Check the filters.")
    csv_columns = file_columns.changes(
        "quota",
        "project",
        "metric",
        "limit",
        "mode",
        "period",
        "anchor",
        "counting",
    )
    list_display = ("when", "what", "of_quota", "who", "why", "put_back")
    list_display_links = ("when",)
    list_filter = (("project", ProjectFilter), ("pgh_created_at", InstantRangeFilter))
    search_fields = ("pgh_obj",)
    search_help_text = _("#number of a quota, or the key of its project or metric")
    related = ("project", "metric")
    fieldsets = ((None, {"fields": ("when", "of_quota", "what", "who", "why", "through")}),)

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("what"))
    def what(self, change: Any) -> str:
        return words_on(change, self.before(change))

    @admin.display(description=_("quota"))
    def of_quota(self, change: QuotaChange) -> SafeString:
        url = reverse("admin:quotas_projectquota_standing", args=[change.project_id])
        return cells.two_lines(
            cells.link(url, change.project.key), f"{change.metric.display_name} · #{change.pgh_obj_id}"
        )


def words_on(change: QuotaChange, before: QuotaChange | None) -> str:
    """A change as a sentence: what it is from then on, and what it was."""
    unit = change.metric.unit
    if change.pgh_label == "removed":
        return gettext("Removed; it was %s.") % _in_short(change, unit)
    if change.pgh_label == "set" or before is None:
        return gettext("Set to %s.") % _in_short(change, unit)
    return changes_in_words(_NAMES, before, change, lambda row, name: _value(row, name, unit))


def _in_short(change: QuotaChange, unit: str) -> str:
    each = _value(change, "period", unit)
    return f"{_value(change, 'limit', unit)} · {each} · {_value(change, 'mode', unit)}"


def _value(change: QuotaChange, name: str, unit: str) -> str:
    value = getattr(change, name)
    if name == "limit":
        return numerals.with_unit(cells.grouped(value), unit)
    if value is None:
        return gettext("by the calendar")
    shown = getattr(change, f"get_{name}_display", lambda: str(value))()
    return str(shown).partition(" (")[0]
