"""System checks of how the whole is set up."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register

from .message_catalogues import is_compiled, languages


@register(Tags.translation)
def translations_are_compiled(*, app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """Warns when the interface would stay in English, or speak an older version's words."""
    return [
        Warning(
            f"The translation '{language}' isn't compiled.",
            hint="Run `manage.py translations compile`.",
            id="config.W001",
        )
        for language in languages()
        if not is_compiled(language)
    ]
