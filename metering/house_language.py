"""The one language of what leaves the house and of what stays on record: `settings.LANGUAGE_CODE`.

Pages speak the language of whoever looks. Documents, letters and texts that verbs store don't follow whoever
happens to press the button.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.translation import override


@contextmanager
def in_house_language() -> Iterator[None]:
    """Within it, and within a function that it decorates, texts and numbers are in the house's language."""
    with override(settings.LANGUAGE_CODE):
        yield
