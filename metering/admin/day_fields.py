"""Fields for days: shown in ISO, read as the language writes them, too."""

from typing import Any, ClassVar

from django import forms
from unfold.widgets import UnfoldAdminSingleDateWidget

from metering import moments


class DayField(forms.DateField):
    """With the theme's calendar: the browser's own wouldn't be ISO."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": moments.no_day_lazy()}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminSingleDateWidget(), **options})


def says_how_days_are_written(field: Any) -> None:
    """Let a field that Django made for a day, or for a day and a time, refuse as ours do."""
    if isinstance(field, forms.SplitDateTimeField):
        says_how_days_are_written(field.fields[0])
    elif isinstance(field, forms.DateField):
        field.error_messages["invalid"] = moments.no_day_lazy()
