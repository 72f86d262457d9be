"""Instants from untrusted text."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.texts.timestamps import NotAnInstant, instant_from, iso


def utc(*fields: int) -> dt.datetime:
    return dt.datetime(*fields, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-15T12:00:00Z", utc(2024, 5, 15, 12)),
        ("2024-05-15t12:00:00z", utc(2024, 5, 15, 12)),
        ("2024-05-15 12:00:00Z", utc(2024, 5, 15, 12)),
        ("2024-05-15T12:00:00+02:00", utc(2024, 5, 15, 10)),
        ("2024-05-15T12:00:00-05:30", utc(2024, 5, 15, 17, 30)),
        ("2024-05-15T12:00:00-00:00", utc(2024, 5, 15, 12)),
        ("2024-05-15T12:00:00.5Z", utc(2024, 5, 15, 12, 0, 0, 500_000)),
        ("2024-02-29T23:59:59.999999Z", utc(2024, 2, 29, 23, 59, 59, 999_999)),
        ("1970-01-01T00:00:00Z", utc(1970, 1, 1)),
        ("1970-01-01T01:00:00+01:00", utc(1970, 1, 1)),
        ("9999-12-31T23:59:59Z", utc(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_an_instant_with_offset_is_read(text: str, instant: dt.datetime) -> None:
    assert instant_from(text) == instant
    assert instant_from(text).utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2024-05-15T12:00:59.9999999Z", 999_999),
        ("2024-05-15T12:00:59.123456999999Z", 123_456),
        ("2024-05-15T12:00:59.0000009Z", 0),
    ],
)
def test_a_seventh_decimal_is_cut_and_not_rounded(text: str, microsecond: int) -> None:
    assert instant_from(text) == utc(2024, 5, 15, 12, 0, 59, microsecond)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-05-15",
        "2024-05-15T12:00:00",
        "2024-05-15T12:00Z",
        "2024-05-15T12:00:00.Z",
        "2024-05-15T12:00:00,5Z",
        "2024-05-15T12:00:00+0200",
        "2024-05-15T12:00:00+02",
        "2024-05-15T12:00:00 Z",
        "20240515T120000Z",
        "2024-W20-3T12:00:00Z",
        "2024-05-15T12:00:00Z\n",
        "٢٠٢٤-05-15T12:00:00Z",
        "1715774400",
        "+2024-05-15T12:00:00Z",
        "2024-05-15T12:00:00[Europe/Berlin]",
        "2024-05-15T12:00:00." + "1" * 31 + "Z",
    ],
)
def test_other_shapes_and_naive_times_are_refused(text: str) -> None:
    with pytest.raises(NotAnInstant, match="RFC 3339 time with an offset"):
        instant_from(text)


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:59:60Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-05-15T24:00:00Z",
        "2024-05-15T12:60:00Z",
        "2024-05-15T12:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_times_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(NotAnInstant, match="no such time"):
        instant_from(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:59:59+01:00"]
)
def test_times_before_1970_are_refused(text: str) -> None:
    with pytest.raises(NotAnInstant, match="before 1970"):
        instant_from(text)


def test_iso_ends_in_z_and_shows_microseconds_only_where_there_are_some() -> None:
    berlin_summer = dt.timezone(dt.timedelta(hours=2))

    assert iso(dt.datetime(2024, 5, 15, 12, tzinfo=berlin_summer)) == "2024-05-15T10:00:00Z"
    assert iso(utc(2024, 5, 15, 12, 0, 0, 120)) == "2024-05-15T12:00:00.000120Z"


@given(
    st.datetimes(
        min_value=dt.datetime(1971, 1, 1),
        max_value=dt.datetime(9998, 1, 1),
        timezones=st.timezones(),
    )
)
def test_iso_reads_back_as_the_same_instant(instant: dt.datetime) -> None:
    assert instant_from(iso(instant)) == instant.astimezone(dt.UTC)


@given(st.text(max_size=50) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}[Zz+-].{0,6}"))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        instant = instant_from(text)
    except NotAnInstant:
        return

    assert instant >= utc(1970, 1, 1)
