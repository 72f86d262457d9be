"""Filters of changelists that our own tables need."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from metering import moments
from metering.catalogue import current


class InstantRangeForm(forms.Form):
    """Two instants as text: ISO, in the zone that the title names unless an offset says otherwise."""

    def __init__(self, *args: Any, name: str, title: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for suffix, placeholder, label in (
            ("from", gettext("from, such as 2026-01-31 08:00:00"), gettext("from")),
            ("until", gettext("until (not included)"), gettext("until")),
        ):
            attrs = {"placeholder": placeholder, "aria-label": f"{title}, {label}"}
            self.fields[f"{name}_{suffix}"] = forms.CharField(
                required=False, widget=UnfoldAdminTextInputWidget(attrs=attrs)
            )


class InstantRangeFilter(admin.FieldListFilter):
    """Half-open interval of a timestamp, on the clocks of whoever looks (unfold's is naive)."""

    template = "unfold/filters/filters_datetime_range.html"
    form_class = InstantRangeForm
    zone: ClassVar[ZoneInfo | None] = None  # None: the zone of whoever looks

    def __init__(self, field: Any, request: HttpRequest, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, request, params, *args, **kwargs)
        self.title = _("%(field)s (%(zone)s)") % {
            "field": field.verbose_name,
            "zone": self.zone.key if self.zone else moments.zone_name(),
        }
        self.start = self._bound(request, "from")
        self.end = self._bound(request, "until")

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}_from", f"{self.field_path}_until"]

    def _text(self, suffix: str) -> str:
        value: Any = self.used_parameters.get(f"{self.field_path}_{suffix}", "")
        return str(value[-1] if isinstance(value, list) else value).strip()

    def _bound(self, request: HttpRequest, suffix: str) -> dt.datetime | None:
        text = self._text(suffix)
        if not text:
            return None
        try:
            return moments.instant_from(moments.plainly_dated(text), zone=self.zone)
        except ValueError:
            messages.error(
                request,
                gettext("“%(text)s” is no date or time; write it like %(day)s or %(day)s 08:00:00.")
                % {"text": text[:40], "day": moments.example_day()},
            )
            return None

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.start is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": self.start})
        if self.end is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lt": self.end})
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {
            "form": self.form_class(
                {f"{self.field_path}_{suffix}": self._text(suffix) for suffix in ("from", "until")},
                name=self.field_path,
                title=str(self.title),
            )
        }


class BucketRangeFilter(InstantRangeFilter):
    """Of buckets, which begin with hours, days and months of UTC, whoever looks."""

    zone = moments.UTC


class ProjectFilter(AutocompleteSelectFilter):
    """One project, found by typing: there may be thousands."""


class EventNameFilter(DropdownFilter):
    """The names that metrics listen to; asking the ledger for its names would read all of it."""

    title = _("event name")
    parameter_name = "event_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in current().event_names()]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(event_name=self.value()) if self.value() else queryset
