"""What is measured and how it adds up."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
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
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from metering.answering.answers import answer
from metering.answering.usage_charts import latest_days, points_of, value_in
from metering.catalogue import Catalogue
from metering.defining.cloning import clone_metric
from metering.defining.definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    archive_metric,
    change_metric,
    define_metric,
    has_counted,
    meaning_fields_of,
)
from metering.defining.previews import DEFAULT_DAYS
from metering.errors import MeterbookError, PreviewTooSlow, Unavailable
from metering.models import MetricDefinition, UsageMeterRollup

from . import cells
from .base import EditableAdmin
from .charts import usage_chart
from .filters import ProjectFilter
from .metric_form import MetricForm
from .metric_octane import OctanePages
from .metric_preview import DAY_CHOICES, preview_card
from .metric_ready_made import ReadyMadePages
from .metric_words import meaning_in_words
from .rebuild import RebuildPages, last_rebuild_in_words

CHART_DAYS = 30
CLONE_OF = "clone_of"  # parameter of the add form
PREVIEW = "_preview"  # name of the buttons that look ahead


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
class MetricDefinitionAdmin(OctanePages, ReadyMadePages, RebuildPages, EditableAdmin):
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
        text = request.GET.get(CLONE_OF, "")
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            return None
        return MetricDefinition.objects.select_related("project").filter(pk=text).first()

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
                self.log_change(request, form.original, [{"changed": {"fields": ["archived from"]}}])
        else:
            created = define_metric(
                key=given["key"], project=given["project"], counts_from=counts_from, **fields
            )
        self.adopt(obj, created)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        metric, form = kwargs.get("obj"), context["adminform"].form
        if form.original is not None:
            context["title"] = gettext("Clone “%s”") % form.original.display_name
        is_editable = metric is None or self._may_change(request, metric)
        context |= {"offers_preview": is_editable, "preview_days": DEFAULT_DAYS}
        if form.draft is not None and not form.errors:
            try:
                context["preview"] = preview_card(form.draft, stored=form.stored, days=form.preview_days)
            except PreviewTooSlow as refusal:
                self.message_user(request, str(refusal), level="ERROR")
        elif metric is not None:
            self._add_usage(request, context, metric)
        return super().render_change_form(request, context, *args, **kwargs)

    def _may_change(self, request: HttpRequest, metric: MetricDefinition) -> bool:
        """Whether the meaning is open to this person: else there is nothing to look ahead to."""
        return self.has_change_permission(request, metric) and not self._is_frozen(request, metric)

    def _add_usage(self, request: HttpRequest, context: dict[str, Any], metric: MetricDefinition) -> None:
        context["metric_words"] = meaning_in_words(metric)
        context["rebuild_words"] = last_rebuild_in_words(metric)
        try:
            context["usage"] = answer(lambda catalogue: self._usage(catalogue, metric))
        except Unavailable as refusal:
            self.message_user(request, str(refusal), level="WARNING")

    @staticmethod
    def _usage(catalogue: Catalogue, metric: MetricDefinition) -> dict[str, Any] | None:
        """What the metric came to in its latest days; None before its first usage."""
        meaning = catalogue.meanings[metric.pk]
        interval = latest_days(meaning, days=CHART_DAYS)
        if interval is None:
            return None
        points = points_of(meaning, interval)
        value, record_count = value_in(meaning, interval)
        return {
            "interval": interval,
            "chart": usage_chart(meaning, points, interval, name=metric.display_name, height=200),
            "value": cells.grouped(value),
            "record_count": f"{record_count:,}",
            "unit": metric.unit,
        }

    # -- actions -----------------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions = list(super().get_actions_detail(request, object_id))
        is_archived = str(object_id).isdigit() and (
            MetricDefinition.objects.filter(pk=object_id).exclude(archived_from=None).exists()
        )
        return [one for one in actions if not (is_archived and one.action_name.endswith("_archive"))]

    def has_see_rollups_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.view_usagemeterrollup"))

    @action(description=_("Rollups"), url_path="rollups", icon="table_chart", permissions=["see_rollups"])
    def show_usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        query = urlencode({"metric__id__exact": metric.pk})
        return HttpResponseRedirect(reverse("admin:metering_usagemeterrollup_changelist") + "?" + query)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    @action(description=_("Clone"), url_path="clone", permissions=["clone"], icon="content_copy")
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of a new metric, filled in with this one."""
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        return HttpResponseRedirect(self.page_url("add") + "?" + urlencode({CLONE_OF: metric.pk}))

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
