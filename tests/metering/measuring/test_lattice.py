import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.measuring.lattice import UNITS, boundary, number_holding, period_around
from metering.measuring.windows import Window, window_holding
from tests.factories import at

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "America/Havana",
    "Australia/Lord_Howe",
)


def days(text: str) -> list[dt.date]:
    return [dt.date.fromisoformat(day) for day in text.split()]


@pytest.mark.parametrize(
    ("anchor", "unit", "every", "expected"),
    [
        ("2024-01-31", "month", 1, "2023-12-31 2024-01-31 2024-02-29 2024-03-31 2024-04-30 2024-05-31"),
        ("2023-01-31", "month", 1, "2022-12-31 2023-01-31 2023-02-28 2023-03-31 2023-04-30 2023-05-31"),
        ("2023-11-30", "month", 3, "2023-08-30 2023-11-30 2024-02-29 2024-05-30 2024-08-30 2024-11-30"),
        ("2024-02-29", "year", 1, "2023-02-28 2024-02-29 2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        ("2024-05-15", "week", 1, "2024-05-08 2024-05-15 2024-05-22 2024-05-29 2024-06-05 2024-06-12"),
        ("2024-02-28", "day", 2, "2024-02-26 2024-02-28 2024-03-01 2024-03-03 2024-03-05 2024-03-07"),
    ],
)
def test_boundaries_are_counted_from_the_anchor_and_cut_to_the_months_end(anchor, unit, every, expected):
    found = [
        boundary(dt.date.fromisoformat(anchor), number, unit=unit, every=every) for number in range(-1, 5)
    ]

    assert found == days(expected)


@pytest.mark.parametrize(
    ("instant", "start", "end"),
    [
        ("2024-02-28T22:59:59.999999Z", "2024-01-30T23:00:00Z", "2024-02-28T23:00:00Z"),
        ("2024-02-28T23:00:00Z", "2024-02-28T23:00:00Z", "2024-03-30T23:00:00Z"),
        # The clocks went forward at the end of March.
        ("2024-04-15T12:00:00Z", "2024-03-30T23:00:00Z", "2024-04-29T22:00:00Z"),
    ],
)
def test_anchored_month_runs_from_local_midnight_to_local_midnight(instant, start, end):
    period = period_around(
        at(instant), anchor=dt.date(2024, 1, 31), unit="month", zone=ZoneInfo("Europe/Berlin")
    )

    assert period == Window(at(start), at(end))


def test_midnight_that_does_not_exist_becomes_the_first_instant_of_the_day():
    # In Cairo the clocks went from 24:00 to 01:00 when 26 April 2024 began.
    period = period_around(
        at("2024-04-28T12:00:00Z"), anchor=dt.date(2024, 1, 26), unit="month", zone=ZoneInfo("Africa/Cairo")
    )

    assert period.start == at("2024-04-25T22:00:00Z")


def test_midnight_that_is_repeated_is_the_earlier_one():
    # In Havana the clocks went from 01:00 back to 00:00 on 3 November 2024.
    zone, anchor = ZoneInfo("America/Havana"), dt.date(2024, 10, 3)

    earlier, later = at("2024-11-03T04:00:00Z"), at("2024-11-03T05:00:00Z")

    assert period_around(earlier, anchor=anchor, unit="month", zone=zone).start == earlier
    assert period_around(later, anchor=anchor, unit="month", zone=zone).start == earlier


instants = st.datetimes(
    min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)
)
anchors = st.dates(min_value=dt.date(1970, 1, 1), max_value=dt.date(2100, 1, 1))


@given(
    instant=instants,
    anchor=anchors,
    unit=st.sampled_from(UNITS),
    every=st.integers(1, 5),
    zone=st.sampled_from(ZONES),
)
def test_periods_tile_and_every_instant_is_in_exactly_one(instant, anchor, unit, every, zone):
    def around(moment: dt.datetime) -> Window:
        return period_around(moment, anchor=anchor, unit=unit, every=every, zone=ZoneInfo(zone))

    period = around(instant)

    assert period.start <= instant < period.end
    assert around(period.start) == period
    assert around(period.end).start == period.end
    assert around(period.start - dt.timedelta(microseconds=1)).end == period.start


@given(day=anchors, anchor=anchors, unit=st.sampled_from(UNITS), every=st.integers(1, 5))
def test_day_lies_between_the_boundaries_of_its_number(day, anchor, unit, every):
    number = number_holding(day, anchor=anchor, unit=unit, every=every)

    start = boundary(anchor, number, unit=unit, every=every)
    assert start <= day < boundary(anchor, number + 1, unit=unit, every=every)


@given(instant=instants, unit=st.sampled_from(["month", "year"]), zone=st.sampled_from(ZONES))
def test_anchored_on_the_first_day_it_is_the_calendar(instant, unit, zone):
    calendar = window_holding(instant, unit, ZoneInfo(zone))

    assert period_around(instant, anchor=dt.date(2000, 1, 1), unit=unit, zone=ZoneInfo(zone)) == calendar
