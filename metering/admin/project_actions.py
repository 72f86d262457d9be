"""What can be done with a project from its page: say who pays, move, re-attribute, remove."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.attributing.scope_tree import move_project, remove_project
from metering.errors import MeterbookError
from metering.models import Project

from .base import EditableAdmin
from .links import listed
from .project_forms import MoveForm
from .reattribution import reattribution_page
from .refusals import worded


class ProjectActions(EditableAdmin):
    """The buttons of a project's page, each with a page that asks before anything changes."""

    actions_detail = (
        "show_usage",
        "add_rule",
        {
            "title": _("More"),
            "icon": "more_horiz",
            "items": ["add_key", "move", "reattribute", "remove"],
        },
    )

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_add_rule_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.add_attributionrule")

    def has_add_key_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.add_apikey")

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.delete_project")

    def has_see_events_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.view_usageevent")

    @action(description=_("Events"), url_path="events", icon="receipt_long", permissions=["see_events"])
    def show_usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        project = get_object_or_404(Project, pk=object_id)
        return HttpResponseRedirect(listed("usageevent", project__id__exact=project.pk))

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
                form.add_error("parent", worded(refusal))
            else:
                self.log_change(request, moved, [{"changed": {"fields": [gettext_noop("parent")]}}])
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
                sentences.append(worded(refusal))
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
