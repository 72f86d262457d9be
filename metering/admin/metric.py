"""What is measured and how it adds up."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from metering.aggregations import AGGREGATIONS
from metering.catalogue import current
from metering.definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    archive_metric,
    change_metric,
    define_metric,
    has_counted,
)
from metering.errors import MeterbookError
from metering.models import MetricDefinition, UsageMeterRollup
from metering.usage_charts import latest_days, points_of, value_in

from . import cells
from .base import EditableAdmin, VerbForm
from .charts import usage_chart
from .filters import ProjectFilter
from .metric_words import meaning_in_words

CHART_DAYS = 30


class StateFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("counting", _("Counting")), ("archived", _("Archived"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "counting":
            return queryset.filter(archived_from=None)
        if self.value() == "archived":
            return queryset.exclude(archived_from=None)
        return queryset


class MetricForm(VerbForm):
    counts_history = forms.BooleanField(
        label=_("Count all history too"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_(
            "Off: events recorded from now on count. On: matching events that are in the ledger already "
            "count as well; adding them up may take a while."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("event_name", "display_name"):
            if name in self.fields:
                self.fields[name].required = False
        if "event_name" in self.fields:
            self.fields["event_name"].help_text = _(
                "The events that it listens to; empty: the key. Several metrics may listen to one event name."
            )
        if "aggregation" in self.fields:
            self.fields["aggregation"].choices = [  # type: ignore[attr-defined]
                choice for choice in MetricDefinition.Aggregation.choices if choice[0] in AGGREGATIONS
            ]
        if "event_label_filter" in self.fields:
            self.fields["event_label_filter"].required = False

    def clean_event_label_filter(self) -> Any:
        return self.cleaned_data["event_label_filter"] or {}


@admin.register(MetricDefinition)
class MetricDefinitionAdmin(EditableAdmin):
    form = MetricForm
    intro = _(
        "What is measured: which events a metric listens to, what it takes from them, and how that adds up. "
        "Once a metric has counted, its meaning is frozen, so that numbers never change behind an invoice."
    )
    empty_title = _("No metrics yet")
    empty_text = _("Define the first one; events are refused until a metric listens to their name.")
    list_display = ("name", "words", "unit", "owner", "state")
    list_display_links = ("name",)
    list_select_related = ("project",)
    list_filter = (
        StateFilter,
        ("aggregation", ChoicesDropdownFilter),
        ("project", ProjectFilter),
    )
    search_fields = ("key", "display_name", "event_name")
    search_help_text = _("Key, name or event name")
    sortable_by = ("name", "unit")
    autocomplete_fields = ("project",)
    formfield_overrides = {
        ArrayField: {"widget": UnfoldAdminTextInputWidget},
        models.JSONField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "font-mono"})},
        models.TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 3})},
    }
    actions_detail = ("show_usage", "archive")
    change_form_outer_before_template = "admin/metering/metricdefinition/usage.html"

    _naming = ("display_name", "description", "unit", "reset_period")
    _events = ("event_name", "expected_labels", "event_label_filter")
    _values = (
        "aggregation",
        "value_property",
        "data_type",
        "meter_type",
        "is_incremental",
        "reporting_method",
        "primary_labels",
    )
    add_fieldsets = (
        (None, {"fields": ("key", *_naming, "project")}),
        (_("Which events"), {"fields": (*_events, "counts_history")}),
        (_("What it takes from them"), {"fields": _values}),
    )

    # -- list --------------------------------------------------------------------------------------------

    @admin.display(description=_("metric"), ordering="display_name")
    def name(self, metric: MetricDefinition) -> SafeString:
        return cells.two_lines(metric.display_name, metric.key)

    @admin.display(description=_("meaning"))
    def words(self, metric: MetricDefinition) -> str:
        return meaning_in_words(metric)

    @admin.display(description=_("of"))
    def owner(self, metric: MetricDefinition) -> Any:
        return cells.project_link(metric.project) if metric.project else gettext("all projects")

    @admin.display(description=_("state"))
    def state(self, metric: MetricDefinition) -> SafeString:
        if metric.is_archived:
            return cells.badge(gettext("Archived"))
        return cells.badge(gettext("Counting"), "success")

    # -- form --------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        frozen = self._is_frozen(request, obj)
        note = (
            _(
                "Frozen: the metric has counted events or is archived. To measure something else, define a "
                "new metric and archive this."
            )
            if frozen
            else _("Free to change until the first event counts.")
        )
        return (
            (None, {"fields": ("key", *self._naming)}),
            (_("Which events"), {"fields": (*self._events, "positions"), "description": note}),
            (_("What it takes from them"), {"fields": self._values}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        frozen = MEANING_FIELDS if self._is_frozen(request, obj) else ()
        return ("key", "positions", *frozen)

    @staticmethod
    def _is_frozen(request: HttpRequest, metric: MetricDefinition) -> bool:
        answers = request.__dict__.setdefault("frozen_metrics", {})
        if metric.pk not in answers:
            # A rollup is proof enough, and found faster than the first event.
            answers[metric.pk] = (
                metric.is_archived
                or UsageMeterRollup.objects.filter(metric=metric).exists()
                or has_counted(metric)
            )
        return bool(answers[metric.pk])

    @admin.display(description=_("counts events"))
    def positions(self, metric: MetricDefinition) -> str:
        facts = {"first": cells.grouped(metric.counts_from + 1), "last": cells.grouped(metric.archived_from)}
        if metric.archived_from is None:
            return gettext("from ledger id %(first)s on") % facts
        return gettext("from ledger id %(first)s to %(last)s") % facts

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        fields = {name: given[name] for name in (*MEANING_FIELDS, *WORDING_FIELDS) if name in given}
        if change:
            change_metric(MetricDefinition.objects.get(pk=obj.pk), fields)
            return
        created = define_metric(
            key=given["key"],
            project=given["project"],
            counts_from=0 if given["counts_history"] else None,
            **fields,
        )
        self.adopt(obj, created)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        metric = kwargs.get("obj")
        meaning = current().meanings.get(metric.pk) if metric is not None else None
        if metric is not None and meaning is not None:
            interval = latest_days(meaning, days=CHART_DAYS)
            context["metric_words"] = meaning_in_words(metric)
            if interval is not None:
                points = points_of(meaning, interval)
                value, record_count = value_in(meaning, interval)
                context["usage"] = {
                    "interval": interval,
                    "chart": usage_chart(meaning, points, interval, name=metric.display_name, height=200),
                    "value": cells.grouped(value),
                    "record_count": f"{record_count:,}",
                    "unit": metric.unit,
                }
        return super().render_change_form(request, context, *args, **kwargs)

    # -- actions -----------------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions = list(super().get_actions_detail(request, object_id))
        is_archived = str(object_id).isdigit() and (
            MetricDefinition.objects.filter(pk=object_id).exclude(archived_from=None).exists()
        )
        return [one for one in actions if not (is_archived and one.action_name.endswith("_archive"))]

    @action(description=_("Rollups"), url_path="rollups", icon="table_chart")
    def show_usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        query = urlencode({"metric__id__exact": metric.pk})
        return HttpResponseRedirect(reverse("admin:metering_usagemeterrollup_changelist") + "?" + query)

    @action(
        description=_("Archive"),
        url_path="archive",
        permissions=["change"],
        icon="archive",
        variant=ActionVariant.DANGER,
    )
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        back_url = self.page_url("change", metric.pk)
        sentences = [
            meaning_in_words(metric),
            _("From now on it counts nothing more, and it can't be taken up again."),
            _(
                "What it counted stays: history, rollups, invoices. Events that no other metric listens to "
                "are refused."
            ),
        ]
        if request.method == "POST":
            try:
                archive_metric(metric)
            except MeterbookError as refusal:
                sentences.append(str(refusal))
            else:
                self.log_change(request, metric, [{"changed": {"fields": ["archived from"]}}])
                return self.done(request, gettext("“%s” is archived.") % metric.display_name, url=back_url)
        return self.confirmation(
            request,
            title=_("Archive a metric"),
            subtitle=metric.display_name,
            sentences=sentences,
            button=_("Archive the metric"),
            back_url=back_url,
            original=metric,
        )
