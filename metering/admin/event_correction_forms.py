"""The forms of corrections: why, and for an amendment what is right."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from metering.correcting.corrections import MAX_REASON_LENGTH
from metering.errors import MeterbookError
from metering.models import KEY_MAX_LENGTH, NAME_MAX_LENGTH
from metering.recording.intake import label_number, labels_text
from metering.recording.repeated_members import repeated_member
from metering.texts.numbers import NotANumber, decimal_from, plain
from metering.texts.timestamps import NotAnInstant, instant_from, iso

from .number_fields import NumberTextField, shown
from .refusals import worded

_decode_labels = msgspec.json.Decoder(dict[str, Any], float_hook=label_number).decode


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("Why, for those who ask later. It stays with the correction and can't be changed."),
    )

    def refuse(self, refusal: MeterbookError) -> None:
        """Show what the verb said, beside the field at fault."""
        name = str(getattr(refusal, "field", None) or "").partition(".")[0]
        self.add_error(name if name in self.fields else None, worded(refusal))


class AmendForm(ReasonForm):
    """What an event should have said, filled in with what it says."""

    project = forms.CharField(
        label=_("Project"),
        max_length=KEY_MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "project-keys", "autocomplete": "off"}),
        help_text=_("Key of the project. Who pays is decided anew, by the rules that hold now."),
    )
    occurred_at = forms.CharField(
        label=_("Occurred at"),
        max_length=64,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("When the use happened, with its offset from UTC: 2024-05-15T12:00:00Z."),
    )
    quantity = NumberTextField(
        label=_("Quantity"),
        required=False,
        max_length=100,
        help_text=_("Empty: none. Then the event counts as 1, or its value is a label."),
    )
    subject_type = forms.CharField(
        label=_("Subject type"),
        required=False,
        max_length=NAME_MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget(),
    )
    subject_id = forms.CharField(
        label=_("Subject"), required=False, max_length=NAME_MAX_LENGTH, widget=UnfoldAdminTextInputWidget()
    )
    labels = forms.CharField(
        label=_("Labels"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false", "class": "mb-code"}),
        help_text=_("A JSON object."),
    )
    ignore_limits = forms.BooleanField(
        label=_("Whatever quotas say"),
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text=_("Records the amended event even where a hard quota would refuse it."),
    )
    # What the page showed the consequences of: nothing else is amended.
    seen = forms.CharField(required=False, widget=forms.HiddenInput())

    field_order = (
        "project", "occurred_at", "quantity", "subject_type", "subject_id", "labels", "reason",
    )  # fmt: skip

    def __init__(self, data: Any = None, *, event: Any, may_ignore_limits: bool) -> None:
        self._event = event
        self._stated = {
            "project": event.project.key,
            "occurred_at": iso(event.occurred_at),
            "quantity": "" if event.quantity is None else plain(event.quantity),
            "subject_type": event.subject_type,
            "subject_id": event.subject_id,
            "labels": event.labels_laid_out,
        }
        super().__init__(data, initial=self._stated)
        if not may_ignore_limits:
            del self.fields["ignore_limits"]

    def clean_labels(self) -> Mapping[str, Any]:
        text = self.cleaned_data["labels"].strip() or "{}"
        try:
            labels = _decode_labels(text.encode())
            repeated = repeated_member(text.encode())
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
            raise forms.ValidationError(gettext("This is no JSON object: %s.") % error) from None
        if repeated is not None:
            raise forms.ValidationError(gettext("“%s” is there twice.") % repeated)
        return labels

    def clean(self) -> dict[str, Any] | None:
        if not self.errors and not self.changes:
            raise forms.ValidationError(gettext("Nothing is changed. To cancel the event, void it."))
        return self.cleaned_data

    @property
    def changes(self) -> dict[str, Any]:
        """The members that differ from the event, as the verb takes them; None where one becomes absent."""
        return {
            name: self.cleaned_data[name] or None
            for name, stated in self._stated.items()
            if _content(name, self.cleaned_data[name]) != _content(name, stated)
        }

    @property
    def differences(self) -> list[tuple[Any, str, str]]:
        """(field, before, after) of what changes, for people."""
        return [
            (self.fields[name].label, _shown(name, self._stated[name]), _shown(name, value))
            for name, value in self.changes.items()
        ]

    @property
    def enforce(self) -> bool:
        return not self.cleaned_data.get("ignore_limits")

    @property
    def fingerprint(self) -> str:
        """Names what would be amended, whatever the reason."""
        facts = [[name, repr(value)] for name, value in sorted(self.changes.items())]
        return hashlib.sha256(msgspec.json.encode([self._event.pk, self.enforce, facts])).hexdigest()


def _content(name: str, value: Any) -> object:
    """What a field says, however it is spelled; its text where it says nothing that recording understands."""
    try:
        if name == "labels":
            return labels_text(_decode_labels(value.encode()) if isinstance(value, str) else value)
        if name == "quantity" and value:
            return decimal_from(value)
        if name == "occurred_at":
            return instant_from(value)
    except (NotANumber, NotAnInstant):
        pass
    return value


def _shown(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return msgspec.json.format(labels_text(value), indent=2).decode()
    if name == "quantity":
        value = shown(value)
    return "" if value is None else str(value)
