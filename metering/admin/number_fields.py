"""Fields for numbers as people type them, in the language of the page or plainly; filled in so that they read
back exactly what is stored."""

from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from metering import numerals


class Typed(str):
    """What somebody typed: shown again as it is."""

    __slots__ = ()


def shown(value: Any) -> Any:
    """A stored number in the language of the page; what was typed, and what is no number, as it is."""
    if isinstance(value, Typed) or value is None:
        return value
    if isinstance(value, Decimal):
        value = format(value, "f")
    return numerals.as_typed(str(value))


class NumberInput(UnfoldAdminTextInputWidget):
    """Says on hover how decimals are typed, where the language differs from plain numbers."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"inputmode": "decimal", "autocomplete": "off", **(attrs or {})})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        hint = numerals.typing_hint()
        return super().get_context(name, value, {**(attrs or {}), **({"title": hint} if hint else {})})


class NumberField(forms.DecimalField):
    """An amount, a quantity or a percentage."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": NumberInput(), **options})

    def to_python(self, value: Any) -> Any:
        return super().to_python(numerals.plainly_written(value) if isinstance(value, str) else value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        return _typed(super().bound_data(data, initial), initial)

    def prepare_value(self, value: Any) -> Any:
        return shown(value)


class NumberTextField(forms.CharField):
    """A number that is passed on as text, exactly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": NumberInput(), **options})

    def to_python(self, value: Any) -> str:
        return numerals.plainly_written(super().to_python(value) or "")

    def bound_data(self, data: Any, initial: Any) -> Any:
        return _typed(super().bound_data(data, initial), initial)

    def prepare_value(self, value: Any) -> Any:
        return shown(value)


def _typed(data: Any, initial: Any) -> Any:
    """A disabled field has its initial value for data, which nobody typed."""
    return Typed(data) if isinstance(data, str) and data is not initial else data
