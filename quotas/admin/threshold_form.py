"""The form that sets a threshold, or several steps of one, and changes one. People say percent here."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from metering import numerals
from metering.admin.base import VerbForm
from metering.admin.reason import ReasonForm
from metering.admin.refusals import worded
from metering.texts.numbers import NotANumber, decimal_from, plain
from quotas.models import DEFAULT_APPROACH_FRACTION, UsageThreshold

# By what the verbs call a field, where the form calls it otherwise.
FIELD_OF_VERB = {
    "threshold": "amount",
    "quota_fraction": "percent_of_quota",
    "approach_fraction": "approach_percent",
}


def percent_from(text: str) -> Decimal:
    """A percentage as a fraction: "80" or "80 %" is 0.8. Raises `ValidationError`."""
    try:
        return decimal_from(numerals.plainly_written(text.strip().removesuffix("%"))).scaleb(-2)
    except (NotANumber, numerals.NoNumber):
        raise ValidationError(gettext("“%s” is no percentage; 80 is 80 %%.") % text[:50]) from None


def steps_in(text: str) -> list[str]:
    """The percentages of a list: "50, 80, 100", "50; 62,5 %".

    Commas separate them. Where decimals follow a comma, those before a space do: "62,5" is one there.
    """
    between = r"[,;\s]+" if numerals.signs().decimals == "." else r"(?:[;\s]|,(?=\s|$))+"
    return [found for found in re.split(between, text) if found not in {"", "%"}]


class ThresholdForm(ReasonForm, VerbForm):
    percent_of_quota = forms.CharField(
        label=_("Percent of the quota"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "80", "autocomplete": "off"}),
    )
    approach_percent = forms.CharField(
        label=_("Early warning at (percent)"),
        required=False,
        max_length=50,
        initial=plain(DEFAULT_APPROACH_FRACTION * 100),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_(
            "People are told once when usage is near: at this share of the level. 80 is usual. Empty: no "
            "early warning; several steps such as 50, 80, 100 have none unless you change this."
        ),
    )
    notify_emails = forms.CharField(
        label=_("Tell by mail"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "placeholder": "finance@example.com"}),
        help_text=_(
            "Addresses, at most 20, one a line or separated by commas. Each gets one mail when the level is "
            "near and one when it is reached; many at once come as one mail."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threshold: UsageThreshold = self.instance
        is_new = threshold.pk is None
        self.fields["reason"].required = not is_new
        steps = _(
            "Instead of an amount: follows the project's quota on this metric and period. Several steps at "
            "once, such as 50, 80, 100, become a threshold each."
        )
        follows = _("Instead of an amount: follows the project's quota on this metric and period.")
        self.fields["percent_of_quota"].help_text = steps if is_new else follows
        if "period" in self.fields:
            self.fields["period"].required = False
            self.fields["period"].choices = [  # type: ignore[attr-defined]
                ("", _("The metric's own")),
                *UsageThreshold.Period.choices,
            ]
            self.initial.setdefault("period", "")
        if is_new:
            return
        if threshold.amount is not None:
            self.initial["amount"] = plain(threshold.amount)
        if threshold.quota_fraction is not None:
            self.initial["percent_of_quota"] = numerals.as_typed(plain(threshold.quota_fraction * 100))
        self.initial["approach_percent"] = (
            ""
            if threshold.approach_fraction is None
            else numerals.as_typed(plain(threshold.approach_fraction * 100))
        )
        self.initial["notify_emails"] = "\n".join(threshold.notify_emails)

    def clean_percent_of_quota(self) -> list[Decimal]:
        fractions = [percent_from(text) for text in steps_in(self.cleaned_data["percent_of_quota"])]
        if self.instance.pk is not None and len(fractions) > 1:
            raise ValidationError(gettext("One step only; add further ones as thresholds of their own."))
        return fractions

    def clean_approach_percent(self) -> Decimal | None:
        """Steps warn each other; none of several warns early unless somebody says so."""
        text = self.cleaned_data["approach_percent"].strip()
        is_step = len(self.cleaned_data.get("percent_of_quota") or ()) > 1
        if is_step and "approach_percent" not in self.changed_data:
            return None
        return percent_from(text) if text else None

    def clean_notify_emails(self) -> list[str]:
        return [text for text in re.split(r"[,;\s]+", self.cleaned_data["notify_emails"]) if text]

    def clean(self) -> dict[str, Any] | None:
        refusal = self.refusal
        field = getattr(refusal, "field", None)
        if refusal is not None and field in FIELD_OF_VERB:
            self.add_error(FIELD_OF_VERB[field], worded(refusal))
            return self.cleaned_data
        return super().clean()
