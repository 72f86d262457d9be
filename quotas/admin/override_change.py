"""The history of temporary limits: who gave and ended which, when, and why."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering import moments, numerals
from metering.admin import cells
from metering.admin.filters import InstantRangeFilter
from quotas.models import OverrideChange, QuotaChange

from . import file_columns
from .history import HistoryAdmin, changes_in_words

_NAMES = {
    "limit": _("limit"),
    "effective_from": _("beginning"),
    "effective_until": _("end"),
    "reason": _("reason"),
    "ended_by": _("ended by"),
}


@admin.register(OverrideChange)
class OverrideChangeAdmin(HistoryAdmin):
    intro = _(
        "Every temporary limit that was given or ended, written by the database itself: by whom, when, and "
        "why. Kept when its quota is removed, and nobody can alter it."
    )
    empty_title = _("No changes yet")
    empty_text = _("They appear when temporary limits are given or ended. Check the filters.")
    csv_columns = file_columns.changes(
        "override",
        "quota",
        "limit",
        "effective_from",
        "effective_until",
        "reason",
        "ended_by",
    )
    list_display = ("when", "what", "of_quota", "who", "why")
    list_display_links = ("when",)
    list_filter = (("pgh_created_at", InstantRangeFilter),)
    search_fields = ("pgh_obj",)
    search_help_text = _("#number of a temporary limit, or the key of a project or metric")
    fieldsets = ((None, {"fields": ("when", "of_quota", "what", "who", "why", "through")}),)

    def keyed(self, queryset: QuerySet, key: str) -> QuerySet:
        """By the quota, which may be gone: as its own history has it."""
        named = QuotaChange.objects.filter(project__key=key) | QuotaChange.objects.filter(metric__key=key)
        return queryset.filter(quota_id__in=named.values("pgh_obj_id"))

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """What each was before, and of which quota: one query each."""
        super().prepare_rows(request, rows)
        quotas = _quotas_of(rows)
        for row in rows:
            row.quota_then = quotas.get(row.quota_id)

    @staticmethod
    def _quota(change: Any) -> QuotaChange | None:
        if not hasattr(change, "quota_then"):
            change.quota_then = _quotas_of([change]).get(change.quota_id)
        return change.quota_then

    @admin.display(description=_("what"))
    def what(self, change: Any) -> str:
        quota = self._quota(change)
        return words_on(change, self.before(change), unit="" if quota is None else quota.metric.unit)

    @admin.display(description=_("quota"))
    def of_quota(self, change: Any) -> SafeString:
        quota = self._quota(change)
        if quota is None:
            return cells.two_lines(gettext("quota #%s") % change.quota_id, f"#{change.pgh_obj_id}")
        url = reverse("admin:quotas_projectquota_standing", args=[quota.project_id])
        return cells.two_lines(
            cells.link(url, quota.project.key), f"{quota.metric.display_name} · #{change.pgh_obj_id}"
        )


def _quotas_of(changes: Sequence[Any]) -> dict[int, QuotaChange]:
    """The quotas by their latest change, which outlives them."""
    rows = (
        QuotaChange.objects.filter(pgh_obj__in={change.quota_id for change in changes})
        .select_related("project", "metric")
        .order_by("pgh_obj_id", "-pgh_id")
        .distinct("pgh_obj_id")
    )
    return {row.pgh_obj_id: row for row in rows}


def words_on(change: OverrideChange, before: OverrideChange | None, *, unit: str) -> str:
    """A change as a sentence: what it is from then on, and what it was."""
    if change.pgh_label == "removed":
        return gettext("Removed with its quota; it was %s.") % _in_short(change, unit)
    if change.pgh_label == "set" or before is None:
        return gettext("Given: %s.") % _in_short(change, unit)
    if change.effective_until != before.effective_until and change.ended_by != before.ended_by:
        facts = {
            "until": _value(change, "effective_until", unit),
            "was": _value(before, "effective_until", unit),
        }
        return gettext("Ended early, at %(until)s instead of %(was)s.") % facts
    return changes_in_words(_NAMES, before, change, lambda row, name: _value(row, name, unit))


def _in_short(change: OverrideChange, unit: str) -> str:
    facts = {name: _value(change, name, unit) for name in ("limit", "effective_from", "effective_until")}
    return gettext("%(limit)s from %(effective_from)s until %(effective_until)s") % facts


def _value(change: OverrideChange, name: str, unit: str) -> str:
    value = getattr(change, name)
    if name == "limit":
        return numerals.with_unit(cells.grouped(value), unit)
    if name in {"effective_from", "effective_until"}:
        return moments.in_words(value)
    return str(value) or gettext("none")
