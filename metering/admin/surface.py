"""Apps and connectors installed into projects."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.attributing.scope_tree import install_surface, rename_surface, uninstall_surface
from metering.errors import MeterbookError
from metering.models import SurfaceInstallation

from . import cells
from .base import EditableAdmin
from .filters import ProjectFilter
from .refusals import worded


@admin.register(SurfaceInstallation)
class SurfaceInstallationAdmin(EditableAdmin):
    intro = _(
        "An app or connector installed into a project. Events may name it, and it may have a payer of its "
        "own."
    )
    empty_title = _("No surfaces yet")
    empty_text = _("Add one for an app whose usage somebody else than the project pays for.")
    csv_key = "key"
    list_display = ("name", "key", "project_key", "installed")
    list_select_related = ("project",)
    list_filter = (("project", ProjectFilter),)
    search_fields = ("key", "name")
    search_help_text = _("Key or name")
    sortable_by = ("name", "key")
    autocomplete_fields = ("project",)
    add_fieldsets = ((None, {"fields": ("project", "key", "name")}),)
    fieldsets = ((None, {"fields": ("project_key", "key_fixed", "name", "installed")}),)
    readonly_fields = ("project_key", "key_fixed", "installed")
    actions_detail = ("uninstall",)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_uninstall_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.delete_surfaceinstallation"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        if change:
            rename_surface(SurfaceInstallation.objects.get(pk=obj.pk), name=given["name"])
            return
        created = install_surface(project=given["project"], key=given["key"], name=given["name"])
        self.adopt(obj, created)

    @admin.display(description=_("key"))
    def key_fixed(self, surface: SurfaceInstallation) -> SafeString:
        return cells.two_lines(cells.code(surface.key), gettext("Events name it; it can't be changed."))

    @action(
        description=_("Uninstall"),
        url_path="uninstall",
        permissions=["uninstall"],
        icon="extension_off",
        variant=ActionVariant.DANGER,
    )
    def uninstall(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Gone for good, while it has neither usage nor rules."""
        surface = get_object_or_404(SurfaceInstallation, pk=object_id)
        sentences: list[Any] = [
            _("Events can't name it any more."),
            _(
                "Only a surface without usage and attribution rules can be uninstalled; one that has stays, "
                "because both keep naming it."
            ),
        ]
        if request.method == "POST":
            try:
                uninstall_surface(surface)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_removal(request, surface)
                return self.done(
                    request, gettext("“%s” is uninstalled.") % surface.name, url=self.page_url("changelist")
                )
        return self.confirmation(
            request,
            title=_("Uninstall a surface"),
            subtitle=surface.name,
            sentences=sentences,
            button=_("Uninstall"),
            back_url=self.page_url("change", surface.pk),
            original=surface,
        )

    @admin.display(description=_("project"))
    def project_key(self, surface: SurfaceInstallation) -> SafeString:
        return cells.project_link(surface.project)

    @admin.display(description=_("installed at"), ordering="installed_at")
    def installed(self, surface: SurfaceInstallation) -> SafeString:
        return cells.moment(surface.installed_at)
