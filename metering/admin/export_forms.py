"""What to export: a form made of the filters of a kind."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from metering.errors import MeterbookError
from metering.exporting.export_kinds import Asked, ExportKind, Filter, Shape, filters_of
from metering.moments import plainly_dated

from .refusals import worded


class ExportForm(forms.Form):
    """Fields for the filters of `kind`; what its check refuses is shown beside the field at fault."""

    def __init__(self, *args: Any, kind: ExportKind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        self.offers = {}
        for one in kind.filters:
            offered = list(one.offers())
            self.fields[one.name] = _field(one, has_offers=bool(offered))
            if offered:
                self.offers[one.name] = offered

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        dated = {one.name for one in self.kind.filters if one.shape in {Shape.DAY, Shape.INSTANT}}
        self.sent = {
            name: plainly_dated(value) if name in dated else value for name, value in cleaned.items() if value
        }
        if self.errors:
            return cleaned
        try:
            self.kind.ensure(Asked(filters=filters_of(self.kind, self.sent)))
        except MeterbookError as refusal:
            self.refuse(refusal)
        return cleaned

    def refuse(self, refusal: MeterbookError) -> None:
        """Say it beside the field that it names, if it names one of ours."""
        name = (getattr(refusal, "field", None) or "").removeprefix("filters.")
        self.add_error(name if name in self.fields else None, worded(refusal))


def _field(one: Filter, *, has_offers: bool) -> forms.Field:
    common: dict[str, Any] = {
        "label": one.label,
        "required": one.is_required,
        "help_text": one.help_text,
    }
    if one.shape == Shape.CHOICE:
        choices = [("", _("All") if one.name == "kind" else "–"), *one.choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget(), **common)
    attributes: dict[str, str] = {"autocomplete": "off"}
    if has_offers:
        attributes["list"] = f"offers-{one.name}"
    if one.shape == Shape.DAY:
        attributes["type"] = "date"
    return forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget(attrs=attributes), **common)
