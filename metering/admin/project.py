"""The scope tree."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.db.models.functions import Collate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.attributing.scope_tree import change_project, create_project, move_project, remove_project
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.models import ApiKey, MetricDefinition, Project, SurfaceInstallation

from . import cells
from .attribution_rule import rules_of
from .base import EditableAdmin
from .project_forms import MoveForm, ProjectForm
from .reattribution import reattribution_page

INDENT_REM = 1.5
KIND_COLOURS = {
    Project.Kind.TENANT: "primary",
    Project.Kind.ORGANISATION: "info",
    Project.Kind.PROJECT: "",
}


@admin.register(Project)
class ProjectAdmin(EditableAdmin):
    form = ProjectForm
    intro = _(
        "The scope tree: platform tenants, the organisations below them, and their projects. Usage is "
        "recorded on a project; who pays for it is decided by attribution rules."
    )
    empty_title = _("No projects yet")
    empty_text = _("Add the platform tenant first, then organisations and projects below it.")
    # Ids of ancestors, compared byte by byte: parents directly before their children in any collation.
    ordering = (Collate("path", "C"),)
    sortable_by = ()
    list_per_page = 200
    list_display = ("tree", "kind_badge", "payer_now", "key_count", "metric_count", "zone")
    list_display_links = ("tree",)
    list_filter = ("kind",)
    search_fields = ("key", "name")
    search_help_text = _("Key or name")
    list_select_related = ("parent",)
    autocomplete_fields = ("parent",)
    readonly_fields = ("key_fixed", "place", "payer_fixed", "created")
    add_fieldsets = (
        (
            None,
            {
                "fields": ("key", "name", "kind", "parent", "timezone"),
                "description": _(
                    "A project without attribution rules pays for itself. The key can't be changed later, "
                    "and a project with usage stays where it is in the tree."
                ),
            },
        ),
    )
    fieldsets = (
        (None, {"fields": ("key_fixed", "name", "kind", "timezone")}),
        (_("Place and payer"), {"fields": ("place", "payer_fixed", "created")}),
    )
    actions_detail = (
        "show_usage",
        "add_rule",
        {
            "title": _("More"),
            "icon": "more_horiz",
            "items": ["add_key", "move", "reattribute", "remove"],
        },
    )

    # -- list --------------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        catalogue, now = current(), database_now()
        keys = _counts(ApiKey.objects.filter(revoked_at=None), rows)
        metrics = _counts(MetricDefinition.objects.filter(archived_from=None), rows)
        payer_ids = {row.pk: catalogue.payer_at(row.pk, now) for row in rows}
        payers = Project.objects.in_bulk(set(payer_ids.values()))
        for row in rows:
            row.payer = payers[payer_ids[row.pk]]
            row.active_key_count = keys.get(row.pk, 0)
            row.may_see_keys = request.user.has_perm("metering.view_apikey")
            row.own_metric_count = metrics.get(row.pk, 0)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if request.path.endswith("/autocomplete/"):
            found = found.order_by("key")
        return found, may_have_duplicates

    @admin.display(description=_("project"))
    def tree(self, project: Project) -> SafeString:
        twig = format_html('<span class="mb-twig">{}</span>', "└") if project.depth else ""
        return format_html(
            '<div class="mb-tree" style="padding-inline-start: {}rem">{}<div><div>{}</div>'
            '<div class="mb-quiet mb-small">{}</div></div></div>',
            max(0, project.depth - 1) * INDENT_REM,
            twig,
            project.name,
            project.key,
        )

    @admin.display(description=_("kind"))
    def kind_badge(self, project: Project) -> SafeString:
        return cells.badge(project.get_kind_display(), KIND_COLOURS.get(Project.Kind(project.kind), ""))

    @admin.display(description=_("who pays now"))
    def payer_now(self, project: Any) -> SafeString:
        if project.payer.pk == project.pk:
            return format_html('<span class="mb-quiet">{}</span>', gettext("itself"))
        return cells.project_link(project.payer)

    @admin.display(description=_("API keys"))
    def key_count(self, project: Any) -> SafeString:
        if not project.active_key_count or not project.may_see_keys:
            return cells.number(project.active_key_count or None)
        url = reverse("admin:metering_apikey_changelist") + f"?project__id__exact={project.pk}"
        return format_html('<span class="mb-number">{}</span>', cells.link(url, project.active_key_count))

    @admin.display(description=_("own metrics"))
    def metric_count(self, project: Any) -> SafeString:
        if not project.own_metric_count:
            return cells.number(None)
        return cells.number(project.own_metric_count)

    @admin.display(description=_("time zone"))
    def zone(self, project: Project) -> str:
        return project.timezone

    # -- form --------------------------------------------------------------------------------------------

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Where there is one tree, a new project most likely belongs to it."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        tops = list(Project.objects.filter(parent=None).values_list("pk", flat=True)[:2])
        if len(tops) == 1:
            initial.setdefault("parent", tops[0])
        return initial

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        if change:
            stored = Project.objects.get(pk=obj.pk)
            change_project(stored, name=given["name"], kind=given["kind"], timezone=given["timezone"])
            return
        created = create_project(
            key=given["key"],
            name=given["name"],
            kind=given["kind"],
            parent=given["parent"],
            timezone=given["timezone"],
        )
        self.adopt(obj, created)

    @admin.display(description=_("key"))
    def key_fixed(self, project: Project) -> SafeString:
        return cells.two_lines(
            cells.code(project.key), gettext("Used in the API and in files; it can't be changed.")
        )

    @admin.display(description=_("place in the tree"))
    def place(self, project: Project) -> SafeString:
        ids = [int(part) for part in project.path.strip("/").split("/") if part]
        by_id = Project.objects.in_bulk(ids)
        links = [
            cells.project_link(by_id[one]) if one != project.pk else cells.code(project.key) for one in ids
        ]
        return format_html_join(
            format_html(' <span class="mb-quiet">{}</span> ', "›"), "{}", ((one,) for one in links)
        )

    @admin.display(description=_("who pays now"))
    def payer_fixed(self, project: Project) -> SafeString:
        payer_id = current().payer_at(project.pk, database_now())
        if payer_id == project.pk:
            return cells.two_lines(gettext("itself"), gettext("No rule names another at this moment."))
        payer = Project.objects.get(pk=payer_id)
        return cells.two_lines(cells.project_link(payer), payer.name)

    @admin.display(description=_("created at"))
    def created(self, project: Project) -> SafeString:
        return cells.moment(project.created_at)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        project = kwargs.get("obj")
        if project is not None:
            now = database_now()
            context["related"] = {
                "rules": rules_of(project, now=now),
                "keys": [_key_line(key, now=now) for key in project.api_keys.all()[:50]],
                "metrics": list(project.metrics.order_by("archived_from", "key")[:50]),
                "surfaces": list(SurfaceInstallation.objects.filter(project=project).order_by("key")[:50]),
                "children": list(project.children.order_by("key")[:50]),
                "query": urlencode({"project": project.pk}),
                "tree_url": _tree_url(project),
                "events_url": _filtered("usageevent", project),
                "rollups_url": _filtered("usagemeterrollup", project),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    # -- actions -----------------------------------------------------------------------------------------

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_see_events_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.view_usageevent")

    def has_add_rule_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.add_attributionrule")

    def has_add_key_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.add_apikey")

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.delete_project")

    @action(description=_("Events"), url_path="events", icon="receipt_long", permissions=["see_events"])
    def show_usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        project = get_object_or_404(Project, pk=object_id)
        return HttpResponseRedirect(_filtered("usageevent", project))

    @action(
        description=_("Say who pays"),
        url_path="say-who-pays",
        icon="payments",
        permissions=["add_rule"],
    )
    def add_rule(self, request: HttpRequest, object_id: str) -> HttpResponse:
        project = get_object_or_404(Project, pk=object_id)
        return HttpResponseRedirect(
            reverse("admin:metering_attributionrule_add") + "?" + urlencode({"project": project.pk})
        )

    @action(description=_("New API key"), url_path="new-key", icon="key", permissions=["add_key"])
    def add_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        project = get_object_or_404(Project, pk=object_id)
        return HttpResponseRedirect(
            reverse("admin:metering_apikey_add") + "?" + urlencode({"project": project.pk})
        )

    @action(description=_("Move"), url_path="move", permissions=["change"], icon="drive_file_move")
    def move(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another parent, while the project and everything below it have no usage."""
        project = get_object_or_404(Project, pk=object_id)
        back_url = self.page_url("change", project.pk)
        form = MoveForm(request.POST if request.method == "POST" else None, project=project)
        if request.method == "POST" and form.is_valid():
            try:
                moved = move_project(project, parent=form.cleaned_data["parent"])
            except MeterbookError as refusal:
                form.add_error("parent", str(refusal))
            else:
                self.log_change(request, moved, [{"changed": {"fields": ["parent"]}}])
                return self.done(request, gettext("“%s” was moved.") % moved.name, url=back_url)
        return self.confirmation(
            request,
            title=_("Move a project"),
            subtitle=project.name,
            sentences=[
                _("Everything below it moves along."),
                _(
                    "Only a project without usage, attribution rules and metrics of its own can move, "
                    "because recorded usage keeps its place and its payer."
                ),
            ],
            button=_("Move"),
            back_url=back_url,
            original=project,
            form=form,
        )

    def has_reattribute_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(["metering.add_correction", "metering.view_usageevent"])

    @action(
        description=_("Re-attribute"), url_path="reattribute", permissions=["reattribute"], icon="history"
    )
    def reattribute(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Past usage to the payers of today's rules."""
        request.current_app = self.admin_site.name
        project = get_object_or_404(Project, pk=object_id)
        return reattribution_page(
            request,
            project,
            context={**self.admin_site.each_context(request), "opts": self.opts},
            back_url=self.page_url("change", project.pk),
        )

    @action(
        description=_("Remove"),
        url_path="remove",
        permissions=["remove"],
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """For one that was added by mistake."""
        project = get_object_or_404(Project, pk=object_id)
        sentences: list[Any] = [
            _("The project disappears, as if it had never been added; its key is free again."),
            _(
                "Only a project that nothing refers to can be removed: without usage, projects below it, "
                "metrics, API keys, attribution rules, surfaces and quotas."
            ),
        ]
        if request.method == "POST":
            try:
                remove_project(project)
            except MeterbookError as refusal:
                sentences.append(str(refusal))
            else:
                self.log_removal(request, project)
                return self.done(
                    request, gettext("“%s” was removed.") % project.name, url=self.page_url("changelist")
                )
        return self.confirmation(
            request,
            title=_("Remove a project"),
            subtitle=project.name,
            sentences=sentences,
            button=_("Remove the project"),
            back_url=self.page_url("change", project.pk),
            original=project,
        )


def _tree_url(project: Project) -> str:
    """Its place among those who pay."""
    return reverse("admin:metering_attributionrule_tree") + f"?tree={project.root_id}#project-{project.pk}"


def _counts(queryset: QuerySet, rows: Sequence[Any]) -> dict[int, int]:
    """How many of a related table's rows belong to each project of a page."""
    found = queryset.filter(project__in=[row.pk for row in rows]).values_list("project_id")
    return dict(found.annotate(count=Count("pk")).order_by())


def _filtered(model_name: str, project: Project) -> str:
    query = urlencode({"project__id__exact": project.pk})
    return reverse(f"admin:metering_{model_name}_changelist") + "?" + query


def _key_line(key: ApiKey, *, now: dt.datetime) -> dict[str, Any]:
    state = key.state(at=now)
    return {"key": key, "state": state.label, "is_active": state == ApiKey.State.ACTIVE}
