"""Countries by name. Data and interfaces keep the two letters of ISO 3166."""

from babel import Locale, UnknownLocaleError
from django.utils.translation import get_language


def country_name(code: str) -> str:
    """“Germany” for DE, in the language of the page; a code that nobody knows as it is."""
    try:
        territories = Locale.parse(get_language() or "en", sep="-").territories
    except (UnknownLocaleError, ValueError):
        territories = Locale("en").territories
    return str(territories.get(code.upper(), code)) if code else ""
