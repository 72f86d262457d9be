"""What is measured and how it adds up."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from metering.answering.answers import answer
from metering.defining.cloning import clone_metric
from metering.defining.definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    change_metric,
    define_metric,
    has_counted,
    meaning_fields_of,
)
from metering.defining.previews import DEFAULT_DAYS
from metering.errors import PreviewTooSlow, Unavailable
from metering.models import MetricDefinition, UsageMeterRollup

from . import cells
from .filters import ProjectFilter
from .metric_actions import CLONE_OF, MetricActions
from .metric_form import MetricForm
from .metric_octane import OctanePages
from .metric_page import metric_facts, metric_usage
from .metric_preview import DAY_CHOICES, LIVE, PREVIEW, live_preview, preview_card
from .metric_ready_made import ReadyMadePages
from .metric_words import meaning_in_words
from .rebuild import RebuildPages
from .refusals import worded
from .row_ids import id_from


def following_key(key: str) -> str:
    """A key to begin with for a clone: "calls" is followed by "calls-2", and that by "calls-3"."""
    stem, dash, number = key.rpartition("-")
    if dash and number.isascii() and number.isdigit() and len(number) < 5:
        return f"{stem}-{int(number) + 1}"
    return f"{key}-2"


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


@admin.register(MetricDefinition)
class MetricDefinitionAdmin(OctanePages, ReadyMadePages, RebuildPages, MetricActions):
    form = MetricForm
    intro = _(
        "What is measured: which events a metric listens to, what it takes from them, and how that adds up. "
        "Once a metric has counted, its meaning is frozen, so that numbers never change behind an invoice."
    )
    empty_title = _("No metrics yet")
    empty_text = _("Define the first one; events are refused until a metric listens to their name.")
    csv_key = "key"
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
        models.TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 3})},
    }
    actions = ("export_to_octane",)  # type: ignore[assignment]
    actions_list = ("add_ready_made_metrics", "import_from_octane")
    actions_detail = ("show_usage", "export_one_to_octane", "rebuild", "clone", "archive")
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

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        if self.has_add_permission(request):
            changelist.empty_links = [  # type: ignore[attr-defined]
                (self.page_url("add_ready_made_metrics"), _("Add ready-made metrics"), "playlist_add"),
                (self.page_url("import_from_octane"), _("Import from Octane"), "upload_file"),
            ]
        return changelist

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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """With the owner, whom page and list name."""
        return super().get_queryset(request).select_related("project")

    # -- form --------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            original = self._original(request)
            return self.add_fieldsets if original is None else self._clone_fieldsets(request, original)
        frozen = self._is_frozen(request, obj)
        note = (
            _(
                "Frozen: the metric has counted events or is archived. To measure something else, clone the "
                "metric with your change and archive this."
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
        frozen = meaning_fields_of(obj) if self._is_frozen(request, obj) else ()
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
            words = gettext("from ledger id %(first)s on") % facts
            if metric.is_history_due:
                return gettext("%s; what came before it is being counted") % words
            return words
        return gettext("from ledger id %(first)s to %(last)s") % facts

    # -- clones ------------------------------------------------------------------------------------------

    @staticmethod
    def _original(request: HttpRequest) -> MetricDefinition | None:
        """The metric that the add form clones."""
        stored = MetricDefinition.objects.select_related("project")
        return stored.filter(pk=id_from(request.GET.get(CLONE_OF)) or 0).first()

    def _archives(self, request: HttpRequest, original: MetricDefinition) -> bool:
        """Whether this person may archive the original, and there is something to archive."""
        return not original.is_archived and self.has_change_permission(request, original)

    def _clone_fieldsets(self, request: HttpRequest, original: MetricDefinition) -> Any:
        owner = original.project.key if original.project else gettext("all projects")
        note = _("A new metric beside “%(key)s”, of the same owner (%(owner)s). Change what should differ.")
        switches = ("archives_original",) if self._archives(request, original) else ()
        return (
            (
                None,
                {
                    "fields": ("key", *self._naming, *switches, "counts_history"),
                    "description": note % {"key": original.key, "owner": owner},
                },
            ),
            (_("Which events"), {"fields": self._events}),
            (_("What it takes from them"), {"fields": self._values}),
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        original = self._original(request)
        if original is not None:
            initial |= {name: getattr(original, name) for name in (*MEANING_FIELDS, *WORDING_FIELDS)}
            initial |= {
                "key": following_key(original.key),
                "archives_original": not original.is_archived,
            }
            if original.display_name == original.key:
                initial["display_name"] = ""
        return initial

    # -- saving, or looking ahead ------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        form_class.original = None if change else self._original(request)
        asked = request.POST.get(PREVIEW, "")
        if PREVIEW in request.POST:
            form_class.preview_days = int(asked) if asked in map(str, DAY_CHOICES) else DEFAULT_DAYS
        return form_class

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given, fields = form.cleaned_data, form.definition()
        if change:
            change_metric(MetricDefinition.objects.get(pk=obj.pk), fields)
            return
        counts_from = 0 if given["counts_history"] else None
        if form.original is not None:
            archives = given["archives_original"] and self._archives(request, form.original)
            created = clone_metric(
                form.original, key=given["key"], counts_from=counts_from, archives=archives, **fields
            )
            if archives:
                self.log_change(
                    request, form.original, [{"changed": {"fields": [gettext_noop("archived from")]}}]
                )
        else:
            created = define_metric(
                key=given["key"], project=given["project"], counts_from=counts_from, **fields
            )
        self.adopt(obj, created)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        metric, form = kwargs.get("obj"), context["adminform"].form
        if LIVE in request.POST:
            return live_preview(request, form)
        if form.original is not None:
            context["title"] = gettext("Clone “%s”") % form.original.display_name
        is_editable = metric is None or self._may_change(request, metric)
        context |= {"offers_preview": is_editable, "preview_days": DEFAULT_DAYS}
        if form.draft is not None and not form.errors:
            try:
                context["preview"] = preview_card(form.draft, stored=form.stored, days=form.preview_days)
            except PreviewTooSlow as refusal:
                self.message_user(request, worded(refusal), level="ERROR")
        elif metric is not None and not form.errors:
            context["page"] = self._page(request, metric)
        return super().render_change_form(request, context, *args, **kwargs)

    def _may_change(self, request: HttpRequest, metric: MetricDefinition) -> bool:
        """Whether the meaning is open to this person: else there is nothing to look ahead to."""
        return self.has_change_permission(request, metric) and not self._is_frozen(request, metric)

    def _page(self, request: HttpRequest, metric: MetricDefinition) -> dict[str, Any]:
        is_frozen = self._is_frozen(request, metric)
        facts = metric_facts(
            request,
            metric,
            is_frozen=is_frozen,
            may_add=self.has_add_permission(request),
            may_change=self.has_change_permission(request, metric),
        )
        try:
            return facts | answer(
                lambda catalogue: metric_usage(request, catalogue, metric, is_frozen=is_frozen)
            )
        except Unavailable as refusal:
            self.message_user(request, worded(refusal), level="WARNING")
            return facts
