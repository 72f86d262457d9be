"""Instants on the clocks of whoever looks: what is shown, and what is understood."""

import datetime as dt

import pytest
from django.utils import timezone, translation

from metering.moments import UTC, in_words, instant_from, moment, plainly_dated, typed_in, zone_name


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_without_a_zone_of_ones_own_it_is_utc() -> None:
    assert moment(at("2026-03-01T10:00:00+02:00")) == (
        '<time class="mb-instant" datetime="2026-03-01T08:00:00+00:00" title="2026-03-01 08:00:00 UTC">'
        '2026-03-01 08:00:00 <span class="mb-quiet">UTC</span></time>'
    )
    assert (zone_name(), typed_in()) == ("UTC", "The time is UTC.")


@pytest.mark.parametrize(
    ("zone", "instant", "shown"),
    [
        ("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29 01:59:59 CET"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 03:00:00 CEST"),  # an hour is skipped
        ("Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25 02:30:00 CEST"),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25 02:30:00 CET"),  # an hour comes twice
        ("Asia/Kolkata", "2026-06-30T18:45:00Z", "2026-07-01 00:15:00 IST"),
        ("Asia/Kathmandu", "2026-06-30T18:45:00Z", "2026-07-01 00:30:00 UTC+05:45"),
        ("America/Sao_Paulo", "2026-01-01T01:00:00Z", "2025-12-31 22:00:00 UTC-03:00"),
    ],
)
def test_zones_with_summer_time_and_with_half_hours(zone: str, instant: str, shown: str) -> None:
    with timezone.override(zone):
        assert in_words(at(instant)) == shown
        assert shown.rpartition(" ")[0] in moment(at(instant))


@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        ("Europe/Berlin", "2026-07-01", "2026-06-30T22:00:00+00:00"),
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00+00:00"),  # the first of the two
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:30:00+00:00"),  # shown by no clock
        ("Asia/Kolkata", "2026-07-01 00:00", "2026-06-30T18:30:00+00:00"),
        ("Europe/Berlin", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00+00:00"),  # an offset decides
    ],
)
def test_typed_times_are_read_on_the_same_clocks(zone: str, text: str, instant: str) -> None:
    with timezone.override(zone):
        assert instant_from(text).isoformat() == instant


def test_bucket_bounds_are_read_as_utc_whoever_looks() -> None:
    with timezone.override("Europe/Berlin"):
        assert instant_from("2026-07-01", zone=UTC).isoformat() == "2026-07-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("language", "text", "plain"),
    [
        ("de", " 23.11.2026", "2026-11-23"),
        ("de", "3.1.2026 08:00", "2026-01-03 08:00"),
        ("fr", "23/11/2026 08:00:30", "2026-11-23 08:00:30"),
        ("de", "2026-11-23T08:00Z", "2026-11-23T08:00Z"),
        ("de", "23/11/2026", "23/11/2026"),  # French
        ("en", "23.11.2026", "23.11.2026"),
        ("de", "31.02.2026", "31.02.2026"),
        ("de", "", ""),
    ],
)
def test_days_are_read_as_the_language_writes_them(language: str, text: str, plain: str) -> None:
    with translation.override(language):
        assert plainly_dated(text) == plain


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01", "9999-12-31T23:59:59-05:00"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with timezone.override("Asia/Kolkata"), pytest.raises(ValueError):
        instant_from(text)
