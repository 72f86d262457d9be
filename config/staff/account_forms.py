"""What staff say about themselves: zone and language, and the codes that prove who they are."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget

from metering.admin.project_forms import time_zone_choices

from .preferences import Wishes


class PreferencesForm(forms.Form):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        widget=UnfoldAdminSelect2Widget(),
        help_text=_(
            "Times on pages are shown in it, with UTC on hover, and times that you type are read in it. "
            "Billing periods, due days and quota periods keep their own zones; hours, days and months of "
            "rollups stay UTC."
        ),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("Of these pages. Letters and invoices are in English, whatever is chosen here."),
    )

    def __init__(self, *args: Any, stored: Wishes, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = [("", _("UTC (as nothing is chosen)")), *time_zone_choices()]
        if stored.zone is not None and (stored.time_zone, stored.time_zone) not in zones:
            zones.append((stored.time_zone, stored.time_zone))
        self.fields["time_zone"].choices = zones  # type: ignore[attr-defined]
        self.fields["language"].choices = [("", _("As the browser asks")), *settings.LANGUAGES]  # type: ignore[attr-defined]

    def wishes(self) -> Wishes:
        return Wishes(self.cleaned_data["time_zone"], self.cleaned_data["language"])
