"""What pages say of crossings, in the language of the page; mails stay English."""

from zoneinfo import ZoneInfo

from django.utils.translation import override

from config.message_catalogues import compiled
from quotas import alert_words
from quotas.admin.crossing_words import period_words, subject_words
from tests.factories import at

ZURICH = ZoneInfo("Europe/Zurich")


def test_whose_usage_is_said_in_the_language_of_the_page() -> None:
    compiled("de")

    with override("de"):
        words = [subject_words("", "*"), subject_words("customer", "*"), subject_words("customer", "kim")]
        since = period_words("month", None, None, zone=ZURICH)

    assert words == ["gesamter Verbrauch", "alle der Art customer zusammen", "customer kim"]
    assert since == "von Anfang an"


def test_mail_stays_english() -> None:
    with override("de"):
        assert alert_words.subject_words("", "*") == "all usage together"


def test_period_is_written_as_everywhere_on_pages() -> None:
    month = (at("2026-11-01", "Europe/Zurich"), at("2026-12-01", "Europe/Zurich"))
    hour = (at("2026-11-22T14:00", "Europe/Zurich"), at("2026-11-22T15:00", "Europe/Zurich"))
    week = (at("2026-11-16", "Europe/Zurich"), at("2026-11-23", "Europe/Zurich"))

    assert period_words("month", *month, zone=ZURICH) == "2026-11"
    assert period_words("hour", *hour, zone=ZURICH) == "2026-11-22 14:00 to 15:00"
    assert period_words("week", *week, zone=ZURICH) == "2026-11-16 to 2026-11-22"
