"""Choosing rights: a box for each, in plain words, under the headings of the areas."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group, Permission
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.forms import UserChangeForm

from .areas import all_areas, rights_in


def offered_rights() -> list[tuple[str, list[tuple[int, str]]]]:
    """(area, [(id of the permission, words)]): the rights that some page asks for, and no others."""
    rows = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    ids = {f"{app}.{codename}": pk for app, codename, pk in rows.order_by()}
    return [
        (str(area.title), [(ids[right.name], right.words) for right in rights_in(area) if right.name in ids])
        for area in all_areas()
    ]


class RightsWidget(forms.CheckboxSelectMultiple):
    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return render_to_string("admin/auth/rights.html", self.get_context(name, value, attrs))


class RightsField(forms.ModelMultipleChoiceField):
    """Offers what `offered_rights` does. What was given besides, by a command perhaps, stays given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(queryset=Permission.objects.all(), widget=RightsWidget(), required=False, **kwargs)

    def offer(self) -> None:
        """Ask the database which rights there are; once for each form."""
        self.widget.choices = offered_rights()

    def with_kept(self, chosen: Any, held: Any) -> list[Permission]:
        """The chosen ones, and those held before that weren't offered."""
        offered = {pk for _area, rights in self.widget.choices for pk, _words in rights}
        return [*chosen, *(right for right in held if right.pk not in offered)]


class GroupForm(forms.ModelForm):
    permissions = RightsField(label=_("Rights"), help_text=_("What everybody in this group may do."))

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            self.fields["permissions"].offer()  # type: ignore[attr-defined]

    def clean_permissions(self) -> list[Permission]:
        held = self.instance.permissions.all() if self.instance.pk else []
        return self.fields["permissions"].with_kept(self.cleaned_data["permissions"], held)  # type: ignore[attr-defined]


class StaffForm(UserChangeForm):
    user_permissions = RightsField(
        label=_("Rights of their own"), help_text=_("Besides those of the groups. Most people need none.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "user_permissions" in self.fields:
            self.fields["user_permissions"].offer()

    def clean_user_permissions(self) -> list[Permission]:
        held = self.instance.user_permissions.all()
        chosen = self.cleaned_data["user_permissions"]
        return self.fields["user_permissions"].with_kept(chosen, held)
