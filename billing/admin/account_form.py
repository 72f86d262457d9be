"""What is typed of a customer: address lines, e-mail addresses and tax rates, one per line."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextareaWidget

from billing.selling.accounts import LIMITS
from metering.admin.base import VerbForm
from metering.admin.project_forms import time_zone_choices
from metering.texts.numbers import plain

from .plan import currency_choices

_RATE = re.compile(r"(?P<name>.*\S)\s+(?P<percent>[0-9.]+)\s*%?")


class LinesField(forms.CharField):
    """A list of texts, one per line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=5000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]


class AddressesField(LinesField):
    """E-mail addresses, one per line."""

    def validate(self, value: Any) -> None:
        super().validate(value)
        for line in value:
            try:
                validate_email(line)
            except ValidationError:
                words = gettext("“%s” isn't a complete e-mail address, such as invoices@example.com.")
                raise ValidationError(words % line[:100]) from None


class TaxRatesField(LinesField):
    """Named percentages, one per line: “VAT 19”."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(f"{rate['name']} {rate['percent']}" for rate in value)

    def to_python(self, value: Any) -> Any:
        rates = []
        for line in super().to_python(value):
            found = _RATE.fullmatch(line)
            if found is None:
                raise ValidationError(
                    gettext("“%s” isn't a name and a percentage, such as “VAT 19”.") % line[:100]
                )
            rates.append(found.groupdict())
        return rates


class BillingAccountForm(VerbForm):
    address_lines = LinesField(
        label=_("Address"), help_text=_("One line per line, as on an envelope, without name and country.")
    )
    tax_rates = TaxRatesField(
        label=_("Tax rates"),
        help_text=_(
            "One per line, a name and a percentage: VAT 19. Each is taken of the net amount, never of one "
            "another. Empty: no tax."
        ),
    )
    invoice_emails = AddressesField(
        label=_("Invoice e-mails"), help_text=_("Where invoices are sent, one address per line.")
    )
    currency = forms.ChoiceField(
        label=_("Currency"),
        choices=currency_choices,
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Of all its invoices. It can't be changed once there are subscriptions."),
    )
    timezone = forms.ChoiceField(
        label=_("Time zone"),
        choices=time_zone_choices,
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Billing periods begin at its midnight; a change holds from the next period on."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            limit = self.initial.get(name)
            if isinstance(limit, Decimal):  # 200.0000 as it is stored
                self.initial[name] = plain(limit)
        stored = self.instance.timezone
        if "timezone" in self.fields and stored:
            zones = time_zone_choices()
            if (stored, stored) not in zones:
                zones.append((stored, stored))
            self.fields["timezone"].choices = zones  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        """An error of one line, such as `invoice_emails[1]`, belongs to the field with the lines."""
        refusal = self.refusal
        if refusal is not None and getattr(refusal, "field", None):
            refusal.field = refusal.field.split("[")[0]  # type: ignore[attr-defined]
        return super().clean()
