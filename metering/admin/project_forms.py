"""Forms of the scope tree: a project, and where to move it."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget

from metering.models import Project

from .base import VerbForm
from .row_ids import RowSelect


def time_zone_choices() -> list[tuple[str, str]]:
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return [(name, name) for name in ("UTC", *names)]


class ProjectForm(VerbForm):
    timezone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zone_choices,
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Quota periods and billing days begin at this zone's midnight."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.timezone
        zones = time_zone_choices()
        if stored and (stored, stored) not in zones:
            zones.append((stored, stored))
        if "timezone" in self.fields:
            self.fields["timezone"].choices = zones  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Only a tenant stands at the top: a key sees its own tree, so nothing else would be reached."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        is_adrift = (
            "parent" in self.fields
            and "parent" not in self.errors
            and given.get("parent") is None
            and given.get("kind") != Project.Kind.TENANT
        )
        if is_adrift:
            self.add_error(
                "parent", _("Say what it belongs to. Only a platform tenant stands at the top of a tree.")
            )
        return given


class ProjectSelect(RowSelect):
    """One project, found by typing: there may be thousands, and a list of them all is slow to make."""

    def __init__(self, field: Any) -> None:
        super().__init__(field, admin.site, attrs={"data-theme": "admin-autocomplete"})
        self.attrs["class"] = "unfold-admin-autocomplete"


class MoveForm(forms.Form):
    parent = forms.ModelChoiceField(
        label=_("New parent"),
        queryset=Project.objects.none(),
        required=False,
        widget=ProjectSelect(Project._meta.get_field("parent")),
        help_text=_("Type a key or a name. Empty: the top of a tree of its own."),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        below = Project.objects.below(project)
        self.fields["parent"].queryset = Project.objects.exclude(pk__in=below)  # type: ignore[attr-defined]
        self.initial.setdefault("parent", project.parent_id)
