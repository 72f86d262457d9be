"""What packages say in German is said politely, as the house says everything."""

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import override

from config.message_catalogues import compiled


def test_wrong_address_is_refused_politely() -> None:
    compiled("de")

    with override("de"):
        try:
            validate_email("nobody")
        except ValidationError as refusal:
            told = refusal.messages

    assert told == ["Geben Sie eine gültige E-Mail-Adresse ein."]
