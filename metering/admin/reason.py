"""Why configuration is changed: asked wherever somebody does, and kept in the history."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from metering.accountability import REASON_MAX_LENGTH

HELP = _("Why, for those who ask later; it is kept in the history with your name.")


def reason_field(*, label: Any, required: bool) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=required,
        max_length=REASON_MAX_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=HELP,
    )


class ReasonForm(forms.Form):
    reason = reason_field(label=_("Reason"), required=True)


CHANGE_REASON = "change_reason"  # on a form of fields, one of which may itself be a reason


def asking_why(form: Any, *, is_required: bool) -> Any:
    """The form with one field more, which is none of its row's."""
    field = reason_field(label=_("Reason for the change"), required=is_required)
    return type(form)(form.__name__, (form,), {CHANGE_REASON: field})
