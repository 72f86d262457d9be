"""Apps and connectors installed into projects."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from metering.models import SurfaceInstallation
from metering.scope_tree import install_surface

from . import cells
from .base import EditableAdmin
from .filters import ProjectFilter


@admin.register(SurfaceInstallation)
class SurfaceInstallationAdmin(EditableAdmin):
    intro = _(
        "An app or connector installed into a project. Events may name it, and it may have a payer of its "
        "own."
    )
    empty_title = _("No surfaces yet")
    empty_text = _("Add one for an app whose usage somebody else than the project pays for.")
    list_display = ("name", "key", "project_key", "installed")
    list_select_related = ("project",)
    list_filter = (("project", ProjectFilter),)
    search_fields = ("key", "name")
    search_help_text = _("Key or name")
    sortable_by = ("name", "key")
    autocomplete_fields = ("project",)
    fields = ("project", "key", "name")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        created = install_surface(project=given["project"], key=given["key"], name=given["name"])
        self.adopt(obj, created)

    @admin.display(description=_("project"))
    def project_key(self, surface: SurfaceInstallation) -> SafeString:
        return cells.project_link(surface.project)

    @admin.display(description=_("installed at"), ordering="installed_at")
    def installed(self, surface: SurfaceInstallation) -> SafeString:
        return cells.moment(surface.installed_at)
