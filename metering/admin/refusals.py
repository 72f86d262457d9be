"""What a verb objects to, in the language of the page. Verbs and the API speak English."""

from django.utils.translation import gettext

from metering import moments, numerals
from metering.errors import Figure, Moment, Worded


def worded(refusal: Exception) -> str:
    """The sentence for people. The words of the database and of other libraries stay as they are."""
    if not isinstance(refusal, Worded):
        return str(refusal)
    sentence = gettext(refusal.template) if refusal.template else ""
    values = {name: _worded_value(value) for name, value in refusal.values.items()}
    return sentence.format(**values) if values else sentence


def _worded_value(value: object) -> object:
    if isinstance(value, Figure):
        return numerals.with_unit(numerals.written(value.number), value.unit)
    if isinstance(value, Moment):
        return moments.in_words(value.instant)
    return worded(value) if isinstance(value, Worded) else value
