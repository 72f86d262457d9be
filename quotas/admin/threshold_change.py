"""The history of thresholds: who changed what, when, from what to what, and why."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.admin import cells
from metering.admin.filters import InstantRangeFilter, ProjectFilter
from quotas.models import ThresholdChange

from . import file_columns
from .crossing_words import subject_words
from .history import HistoryAdmin, changes_in_words

_NAMES = {
    "amount": _("amount"),
    "quota_fraction": _("share of the quota"),
    "action": _("action"),
    "notify_emails": _("addresses"),
    "approach_fraction": _("early warning"),
    "is_enabled": _("state"),
    "subject_type": _("subject type"),
    "subject_id": _("subject"),
    "period": _("period"),
}


@admin.register(ThresholdChange)
class ThresholdChangeAdmin(HistoryAdmin):
    intro = _(
        "Every change of a threshold, written by the database itself: by whom, when, from what to what, and "
        "why. A level that follows a quota moves with it: see the history of quotas."
    )
    empty_title = _("No changes yet")
    empty_text = _("They appear when thresholds are set, changed or removed. Check the filters.")
    csv_columns = file_columns.changes(
        "threshold",
        "project",
        "metric",
        "subject_type",
        "subject_id",
        "amount",
        "quota_fraction",
        "action",
        "notify_emails",
        "period",
        "approach_fraction",
        "is_enabled",
        "removed_at",
    )
    list_display = ("when", "what", "of_threshold", "who", "why", "put_back")
    list_display_links = ("when",)
    list_filter = (("project", ProjectFilter), ("pgh_created_at", InstantRangeFilter))
    search_fields = ("pgh_obj",)
    search_help_text = _("#number of a threshold, or the key of its project or metric")
    related = ("project", "metric")
    fieldsets = ((None, {"fields": ("when", "of_threshold", "what", "who", "why", "through")}),)

    @admin.display(description=_("what"))
    def what(self, change: Any) -> str:
        return words_on(change, self.before(change))

    @admin.display(description=_("threshold"))
    def of_threshold(self, change: ThresholdChange) -> SafeString:
        url = reverse("admin:quotas_usagethreshold_change", args=[change.pgh_obj_id])
        whose = gettext("each subject on its own")
        if change.subject_id:
            whose = subject_words(change.subject_type, change.subject_id)
        words = f"{change.metric.display_name} · {whose} · #{change.pgh_obj_id}"
        is_there = change.pgh_label != "removed" and change.removed_at is None
        project = cells.link(url, change.project.key) if is_there else change.project.key
        return cells.two_lines(project, words)


def words_on(change: ThresholdChange, before: ThresholdChange | None) -> str:
    """A change as a sentence: what it is from then on, and what it was."""
    if change.pgh_label == "removed" or change.removed_at is not None:
        return gettext("Removed; it was %s.") % _in_short(change)
    if change.pgh_label == "set" or before is None:
        return gettext("Set to %s.") % _in_short(change)
    unit = change.metric.unit
    return changes_in_words(_NAMES, before, change, lambda row, name: _value(row, name, unit))


def _in_short(change: ThresholdChange) -> str:
    level = "amount" if change.amount is not None else "quota_fraction"
    return " · ".join(_value(change, name, change.metric.unit) for name in (level, "period", "action"))


def _value(change: ThresholdChange, name: str, unit: str) -> str:
    value = getattr(change, name)
    if name == "is_enabled":
        return gettext("on") if value else gettext("off")
    if name == "notify_emails":
        return ", ".join(value) or gettext("nobody")
    if value is None or value == "":
        return gettext("none")
    if name == "amount":
        return numerals.with_unit(cells.grouped(value), unit)
    if name == "quota_fraction":
        return gettext("%s of the quota") % numerals.exact_percent(value)
    if name == "approach_fraction":
        return numerals.exact_percent(value)
    shown = getattr(change, f"get_{name}_display", lambda: str(value))()
    return str(shown).partition(" (")[0]
