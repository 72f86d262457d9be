"""Numbers as people type them: 75.50, 75,50, 1,234.50. What could mean two things is refused with a hint."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models.amount import AmountField

_GROUPS = r"[1-9][0-9]{0,2}"
_POINT_LAST = re.compile(rf"-?{_GROUPS}(?:,[0-9]{{3}})+\.[0-9]+")  # 1,234.50
_COMMA_LAST = re.compile(rf"-?{_GROUPS}(?:\.[0-9]{{3}})+,[0-9]+")  # 1.234,50
_ONE_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
_TWO_MEANINGS = re.compile(rf"-?{_GROUPS},[0-9]{{3}}")  # 1,234


def plainly_written(text: str) -> str:
    """`text` with a point before the decimals and nothing between thousands; other texts as they are.

    Raises `ValidationError` for "1,234", a thousand and more to some and a little over one to others, and for
    commas that separate neither thousands nor decimals.
    """
    text = text.strip().replace("\u00a0", "").replace("\u202f", "").replace("−", "-")
    if "," not in text:
        return text
    if _TWO_MEANINGS.fullmatch(text):
        raise ValidationError(
            _("“%(text)s” could mean two numbers. Type %(whole)s or %(fraction)s.")
            % {"text": text, "whole": text.replace(",", ""), "fraction": text.replace(",", ".")}
        )
    if _POINT_LAST.fullmatch(text):
        return text.replace(",", "")
    if _COMMA_LAST.fullmatch(text) or _ONE_COMMA.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    raise ValidationError(_("Type a point before the decimals and no other separators: 1234.50."))


def number_input() -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})


class NumberField(forms.DecimalField):
    """An amount, a quantity or a percentage."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": number_input(), **options})

    def to_python(self, value: Any) -> Any:
        return super().to_python(plainly_written(value) if isinstance(value, str) else value)


# For pages that edit rows: `formfield_overrides` of columns with amounts.
AMOUNTS_AS_TYPED: dict[type[models.Field], dict[str, Any]] = {
    AmountField: {"form_class": NumberField, "widget": number_input()}
}


class NumberTextField(forms.CharField):
    """A number that is passed on as text, exactly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": number_input(), **options})

    def to_python(self, value: Any) -> str:
        return plainly_written(super().to_python(value) or "")
