"""Which events are voided: for a page of rows at once, and as a filter."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from metering.models import UsageEvent


def voids_of(events: Iterable[UsageEvent]) -> dict[int, int]:
    """The ids of voids by the ids of the events that they cancel. Index: usage_event_voided_once."""
    shown = list(events)
    voids = UsageEvent.objects.filter(
        project_id__in={event.project_id for event in shown}, voids__in=[event.pk for event in shown]
    )
    return {voided_id: void_id for voided_id, void_id in voids.values_list("voids", "pk") if voided_id}


def void_of_row() -> QuerySet[UsageEvent]:
    """The void that cancels a row of an outer query. Index: usage_event_voided_once."""
    return UsageEvent.objects.filter(project_id=OuterRef("project_id"), voids=OuterRef("pk"))


class CancellationFilter(DropdownFilter):
    """Events that count, events that were cancelled, or the voids that cancel them."""

    title = _("cancellation")
    parameter_name = "cancellation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("none", _("Events that count")),
            ("voided", _("Voided events")),
            ("voids", _("Voids themselves")),
        ]

    def wanted(self) -> dict[str, Any]:
        """What it asks for, as members of `EventFilter`."""
        known: dict[str | None, dict[str, Any]] = {
            "none": {"kind": UsageEvent.Kind.USAGE, "is_voided": False},
            "voided": {"is_voided": True},
            "voids": {"kind": UsageEvent.Kind.VOID},
        }
        return known.get(self.value(), {})

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "none":
            return queryset.filter(~Exists(void_of_row()), kind=UsageEvent.Kind.USAGE)
        if self.value() == "voided":
            return queryset.filter(Exists(void_of_row()))
        if self.value() == "voids":
            return queryset.filter(voids__isnull=False)
        return queryset
