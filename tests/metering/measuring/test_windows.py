"""Local windows, by the clocks of zones whose clocks do strange things."""

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metering.measuring.windows import (
    UNITS,
    UnknownTimeZone,
    Window,
    first_instant,
    window_holding,
    windows_between,
    zone_named,
)
from tests.factories import at

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
HOUR = dt.timedelta(hours=1)
MICROSECOND = dt.timedelta(microseconds=1)
# Whole, half and quarter hours, changes at midnight, by half an hour, of a whole day, just after midnight.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",
    "America/St_Johns",
    "America/Havana",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Tehran",
    "Antarctica/Troll",
)
instants = st.datetimes(
    min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(2040, 1, 1), timezones=st.just(dt.UTC)
)


def hours_of(day: str, zone: ZoneInfo) -> float:
    """Length of the local day in hours."""
    window = window_holding(dt.datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone), "day", zone)
    return (window.end - window.start) / HOUR


def hours_between(start: str, end: str, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    for window in windows_between(at(start), at(end), "hour", zone):
        yield tuple(f"{edge.astimezone(zone):%H:%M%z}" for edge in (window.start, window.end))


def test_windows_by_utc_are_the_calendars() -> None:
    instant = at("2024-05-15T12:34:56.789Z")

    found = {unit: window_holding(instant, unit, UTC) for unit in UNITS}

    assert found == {
        "hour": Window(at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z")),
        "day": Window(at("2024-05-15T00:00:00Z"), at("2024-05-16T00:00:00Z")),
        "week": Window(at("2024-05-13T00:00:00Z"), at("2024-05-20T00:00:00Z")),
        "month": Window(at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z")),
        "year": Window(at("2024-01-01T00:00:00Z"), at("2025-01-01T00:00:00Z")),
    }


@pytest.mark.parametrize("unit", UNITS)
def test_the_boundary_instant_belongs_to_the_later_window(unit: str) -> None:
    boundary = window_holding(at("2024-05-15T12:00:00Z"), unit, BERLIN).start

    assert window_holding(boundary, unit, BERLIN).start == boundary
    assert window_holding(boundary - MICROSECOND, unit, BERLIN).end == boundary


def test_a_week_begins_on_monday_across_the_turn_of_the_year() -> None:
    assert window_holding(at("2025-01-01T12:00:00Z"), "week", BERLIN) == Window(
        at("2024-12-30T00:00", "Europe/Berlin"), at("2025-01-06T00:00", "Europe/Berlin")
    )


def test_days_in_berlin_have_23_and_25_hours_when_the_clocks_change() -> None:
    assert hours_of("2024-03-30", BERLIN) == 24
    assert hours_of("2024-03-31", BERLIN) == 23
    assert hours_of("2024-10-26", BERLIN) == 24
    assert hours_of("2024-10-27", BERLIN) == 25
    assert window_holding(at("2024-10-27T12:00:00Z"), "day", BERLIN) == Window(
        at("2024-10-26T22:00:00Z"), at("2024-10-27T23:00:00Z")
    )


def test_a_month_in_berlin_loses_and_gains_the_hour() -> None:
    march = window_holding(at("2024-03-15T00:00:00Z"), "month", BERLIN)
    october = window_holding(at("2024-10-15T00:00:00Z"), "month", BERLIN)

    assert march == Window(at("2024-02-29T23:00:00Z"), at("2024-03-31T22:00:00Z"))
    assert october == Window(at("2024-09-30T22:00:00Z"), at("2024-10-31T23:00:00Z"))


def test_the_hour_that_berlin_skips_has_no_window_and_the_repeated_one_has_two() -> None:
    assert list(hours_between("2024-03-31T00:00:00Z", "2024-03-31T03:00:00Z", BERLIN)) == [
        ("01:00+0100", "03:00+0200"),
        ("03:00+0200", "04:00+0200"),
        ("04:00+0200", "05:00+0200"),
    ]
    assert list(hours_between("2024-10-27T00:00:00Z", "2024-10-27T03:00:00Z", BERLIN)) == [
        ("02:00+0200", "02:00+0100"),
        ("02:00+0100", "03:00+0100"),
        ("03:00+0100", "04:00+0100"),
    ]


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", 23),
        ("Asia/Beirut", "2024-03-31", "2024-03-30T22:00:00Z", 23),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z", 23),
        ("America/Havana", "2024-03-10", "2024-03-10T05:00:00Z", 23),
    ],
)
def test_a_midnight_that_does_not_exist_becomes_the_first_instant_of_the_day(
    zone: str, day: str, start: str, hours: int
) -> None:
    assert first_instant(dt.date.fromisoformat(day), ZoneInfo(zone)) == at(start)
    assert f"{at(start).astimezone(ZoneInfo(zone)):%F %T}" == f"{day} 01:00:00"
    assert hours_of(day, ZoneInfo(zone)) == hours


def test_a_midnight_in_the_middle_of_a_gap_becomes_the_end_of_the_gap() -> None:
    # Half an hour before midnight, Toronto's clocks went forward to half past midnight.
    toronto = ZoneInfo("America/Toronto")

    start = first_instant(dt.date(1919, 3, 31), toronto)

    assert start == dt.datetime(1919, 3, 31, 4, 30, tzinfo=dt.UTC)
    assert f"{start.astimezone(toronto):%F %T}" == "1919-03-31 00:30:00"


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z", 25),
        ("Atlantic/Azores", "2024-10-27", "2024-10-27T00:00:00Z", 25),
    ],
)
def test_a_repeated_midnight_means_the_earlier_one(zone: str, day: str, start: str, hours: int) -> None:
    assert first_instant(dt.date.fromisoformat(day), ZoneInfo(zone)) == at(start)
    assert hours_of(day, ZoneInfo(zone)) == hours


def test_the_day_that_apia_left_out_is_empty() -> None:
    apia = ZoneInfo("Pacific/Apia")
    jump = at("2011-12-30T10:00:00Z")

    assert first_instant(dt.date(2011, 12, 30), apia) == jump
    assert first_instant(dt.date(2011, 12, 31), apia) == jump
    assert window_holding(jump - MICROSECOND, "day", apia) == Window(at("2011-12-29T10:00:00Z"), jump)
    assert window_holding(jump, "day", apia) == Window(jump, at("2011-12-31T10:00:00Z"))


def test_an_hour_on_lord_howe_loses_half_of_itself_and_gains_it_again() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")

    assert list(hours_between("2024-10-05T14:30:00Z", "2024-10-05T17:00:00Z", lord_howe)) == [
        ("01:00+1030", "02:30+1100"),
        ("02:30+1100", "03:00+1100"),
        ("03:00+1100", "04:00+1100"),
    ]
    assert list(hours_between("2024-04-06T14:00:00Z", "2024-04-06T16:30:00Z", lord_howe)) == [
        ("01:00+1100", "01:30+1030"),
        ("01:30+1030", "02:00+1030"),
        ("02:00+1030", "03:00+1030"),
    ]
    repeated = at("2024-04-06T15:10:00Z")
    assert window_holding(repeated, "hour", lord_howe) == Window(
        at("2024-04-06T15:00:00Z"), at("2024-04-06T15:30:00Z")
    )
    assert hours_of("2024-10-06", lord_howe) == 23.5
    assert hours_of("2024-04-07", lord_howe) == 24.5


@pytest.mark.parametrize(
    ("zone", "hour_start", "day_start"),
    [
        ("Asia/Kolkata", "2024-05-15T12:30:00Z", "2024-05-14T18:30:00Z"),
        ("Asia/Kathmandu", "2024-05-15T12:15:00Z", "2024-05-14T18:15:00Z"),
        ("Pacific/Chatham", "2024-05-15T12:15:00Z", "2024-05-15T11:15:00Z"),
    ],
)
def test_hours_and_days_follow_half_and_quarter_hour_offsets(
    zone: str, hour_start: str, day_start: str
) -> None:
    instant = at("2024-05-15T12:59:00Z")

    hour = window_holding(instant, "hour", ZoneInfo(zone))
    day = window_holding(instant, "day", ZoneInfo(zone))

    assert hour == Window(at(hour_start), at(hour_start) + HOUR)
    assert day == Window(at(day_start), at(day_start) + 24 * HOUR)


def test_every_instant_of_the_night_when_newfoundland_repeats_a_midnight_is_in_one_day() -> None:
    # At 00:01 the clocks went back to 23:01 of the day before: that day has two ends.
    st_johns = ZoneInfo("America/St_Johns")
    first_midnight, in_between = at("2010-11-07T02:30:00Z"), at("2010-11-07T02:45:00Z")

    assert first_instant(dt.date(2010, 11, 7), st_johns) == first_midnight
    window = window_holding(in_between, "day", st_johns)
    assert window == Window(first_midnight, at("2010-11-08T03:30:00Z"))


def test_windows_between_are_cut_to_the_interval() -> None:
    found = list(windows_between(at("2024-05-15T22:15:00Z"), at("2024-05-17T00:00:00Z"), "day", BERLIN))

    assert found == [
        Window(at("2024-05-15T22:15:00Z"), at("2024-05-16T22:00:00Z")),
        Window(at("2024-05-16T22:00:00Z"), at("2024-05-17T00:00:00Z")),
    ]


def test_there_are_no_windows_in_an_empty_interval() -> None:
    assert list(windows_between(at("2024-05-15T12:00:00Z"), at("2024-05-15T12:00:00Z"), "day", UTC)) == []


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../../etc/passwd", "Europe/Berlin\x00", "europe/berlin", "x" * 999]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimeZone):
        zone_named(name)


def test_a_known_zone_is_found() -> None:
    assert zone_named("Europe/Berlin").key == "Europe/Berlin"
    assert zone_named("UTC").key == "UTC"


@given(instants, st.sampled_from(UNITS), st.sampled_from(ZONES))
@example(at("2010-11-07T02:45:00Z"), "day", "America/St_Johns")
@example(at("2010-11-07T02:45:00Z"), "hour", "America/St_Johns")
def test_every_instant_is_in_the_window_that_holds_it(instant: dt.datetime, unit: str, zone: str) -> None:
    window = window_holding(instant, unit, ZoneInfo(zone))

    assert window.start <= instant < window.end


@given(
    instants,
    st.timedeltas(min_value=dt.timedelta(0), max_value=dt.timedelta(days=40)),
    st.sampled_from(UNITS),
    st.sampled_from(ZONES),
)
@example(at("2010-11-07T02:45:00Z"), dt.timedelta(days=2), "day", "America/St_Johns")
def test_windows_tile_the_interval(start: dt.datetime, length: dt.timedelta, unit: str, zone: str) -> None:
    end = start + length

    found = list(windows_between(start, end, unit, ZoneInfo(zone)))

    assert all(window.start < window.end for window in found)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert [(found[0].start, found[-1].end)] == [(start, end)] if length else found == []


@given(instants, st.sampled_from(UNITS), st.sampled_from(ZONES))
@example(at("2010-11-07T02:45:00Z"), "day", "America/St_Johns")
def test_all_instants_of_a_window_are_in_the_same_window(instant: dt.datetime, unit: str, zone: str) -> None:
    window = window_holding(instant, unit, ZoneInfo(zone))

    assert window_holding(window.start, unit, ZoneInfo(zone)) == window
    assert window_holding(window.end - MICROSECOND, unit, ZoneInfo(zone)) == window
    assert window_holding(window.end, unit, ZoneInfo(zone)).start == window.end
