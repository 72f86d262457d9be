"""The scope tree: its list, and the form of a project below the page about it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, DateTimeField, Func, QuerySet
from django.db.models.functions import Collate
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.answering.answers import answer
from metering.attributing.scope_tree import change_project, create_project
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import Unavailable
from metering.models import ApiKey, MetricDefinition, Project

from . import cells, file_columns
from .panels import remember_instant
from .project_actions import ProjectActions
from .project_cards import project_cards
from .project_forms import ProjectForm
from .project_page import page_without_usage, project_page
from .project_usage import usage_csv
from .refusals import worded

INDENT_REM = 1.5
KIND_COLOURS = {
    Project.Kind.TENANT: "primary",
    Project.Kind.ORGANISATION: "info",
    Project.Kind.PROJECT: "",
}


class ClockNow(Func):
    """The instant by the database's clock, also within a transaction."""

    function = "clock_timestamp"
    output_field = DateTimeField()


@admin.register(Project)
class ProjectAdmin(ProjectActions):
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
    list_per_page = 100
    csv_columns = file_columns.PROJECTS
    csv_key = "key"
    list_display = ("tree", "kind_badge", "payer_now", "key_count", "metric_count", "zone")
    list_display_links = ("tree",)
    list_filter = ("kind",)
    linked_lookups = ("parent__id__exact",)
    search_fields = ("key", "name")
    search_help_text = _("Key or name")
    list_select_related = ("parent",)
    autocomplete_fields = ("parent",)
    readonly_fields = ("key_fixed", "created")
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
    fieldsets = ((None, {"fields": ("key_fixed", "name", "kind", "timezone", "created")}),)

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

    @admin.display(description=_("created at"))
    def created(self, project: Project) -> SafeString:
        return cells.moment(project.created_at)

    # -- page --------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        name = "metering_project_usage_csv"
        file = path("<int:project_id>/usage.csv", self.admin_site.admin_view(self.usage_file), name=name)
        cards = path(
            "<int:project_id>/cards/",
            self.admin_site.admin_view(self.cards),
            name="metering_project_cards",
        )
        return [file, cards, *super().get_urls()]

    def usage_file(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """The numbers of the chart."""
        return usage_csv(request, project_id)

    def cards(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """What other apps know of the project: loaded by its page, or without scripts a page itself."""
        project = self.get_object(request, str(project_id))
        if project is None:
            raise Http404
        if not self.has_view_or_change_permission(request, project):
            raise PermissionDenied
        return project_cards(request, project, context=lambda: self.admin_site.each_context(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With the instant by the database's clock: the page is about it, and needn't ask again."""
        project = super().get_object(request, object_id, from_field)
        if project is not None:
            remember_instant(request, project.asked_at)
        return project

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(asked_at=ClockNow())

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """The facts above the form; with errors in it, the form alone."""
        project = kwargs.get("obj")
        if project is not None:
            context["title"] = context["content_title"] = project.name
            context |= {"subtitle": None, "show_save_and_add_another": False}
            if not context["errors"]:
                context["page"] = self._page(request, project)
        return super().render_change_form(request, context, *args, **kwargs)

    def _page(self, request: HttpRequest, project: Project) -> dict[str, Any]:
        try:
            return answer(lambda catalogue: project_page(request, catalogue, project))
        except Unavailable as refusal:
            self.message_user(request, worded(refusal), level="WARNING")
            return page_without_usage(request, current(), project)


def _counts(queryset: QuerySet, rows: Sequence[Any]) -> dict[int, int]:
    """How many of a related table's rows belong to each project of a page."""
    found = queryset.filter(project__in=[row.pk for row in rows]).values_list("project_id")
    return dict(found.annotate(count=Count("pk")).order_by())
