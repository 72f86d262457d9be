import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotas.periods import PAST_PERIOD_GRACE, Period, period_holding
from tests.factories import at

BERLIN = ZoneInfo("Europe/Berlin")
KINDS = ("hour", "day", "week", "month", "year")


def held(text: str, kind: str, zone: ZoneInfo = BERLIN) -> Period:
    return period_holding(at(text), kind=kind, zone=zone)


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("hour", "2024-05-15T12:00:00Z", "2024-05-15T13:00:00Z"),
        ("day", "2024-05-14T22:00:00Z", "2024-05-15T22:00:00Z"),
        ("week", "2024-05-12T22:00:00Z", "2024-05-19T22:00:00Z"),
        ("month", "2024-04-30T22:00:00Z", "2024-05-31T22:00:00Z"),
        ("year", "2023-12-31T23:00:00Z", "2024-12-31T23:00:00Z"),
    ],
)
def test_period_is_the_calendars_in_the_projects_time_zone(kind, start, end):
    assert held("2024-05-15T12:34:56Z", kind) == Period(at(start), at(end))


def test_never_is_all_of_time():
    assert held("2024-05-15T12:00:00Z", "never") == Period(None, None)


def test_day_on_which_the_clocks_go_forward_has_23_hours():
    day = held("2024-03-31T12:00:00Z", "day")

    assert day == Period(at("2024-03-30T23:00:00Z"), at("2024-03-31T22:00:00Z"))


def test_day_on_which_the_clocks_go_back_has_25_hours():
    day = held("2024-10-27T12:00:00Z", "day")

    assert day == Period(at("2024-10-26T22:00:00Z"), at("2024-10-27T23:00:00Z"))


def test_hour_that_the_clocks_repeat_is_two_periods():
    assert held("2024-10-27T00:30:00Z", "hour").end == at("2024-10-27T01:00:00Z")
    assert held("2024-10-27T01:30:00Z", "hour").start == at("2024-10-27T01:00:00Z")


def test_boundary_instant_belongs_to_the_new_month():
    last = held("2024-02-29T22:59:59.999999Z", "month")
    first = held("2024-02-29T23:00:00Z", "month")

    assert last == Period(at("2024-01-31T23:00:00Z"), at("2024-02-29T23:00:00Z"))
    assert first == Period(at("2024-02-29T23:00:00Z"), at("2024-03-31T22:00:00Z"))


@given(
    instant=st.datetimes(
        min_value=dt.datetime(1970, 1, 2), max_value=dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)
    ),
    kind=st.sampled_from(KINDS),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe"]
    ),
)
def test_periods_tile(instant, kind, zone):
    period = period_holding(instant, kind=kind, zone=ZoneInfo(zone))

    assert period.start is not None
    assert period.end is not None
    assert period.holds(instant)
    assert period.holds(period.start)
    assert not period.holds(period.end)
    assert period_holding(period.end, kind=kind, zone=ZoneInfo(zone)).start == period.end
    before = period.start - dt.timedelta(microseconds=1)
    assert period_holding(before, kind=kind, zone=ZoneInfo(zone)).end == period.start


def test_period_closes_when_its_grace_is_over():
    may = held("2024-05-15T12:00:00Z", "month", ZoneInfo("UTC"))

    assert dt.timedelta(hours=24) == PAST_PERIOD_GRACE
    assert not may.is_closed(at=at("2024-06-01T23:59:59.999999Z"))
    assert may.is_closed(at=at("2024-06-02T00:00:00Z"))


def test_all_of_time_never_closes():
    assert not Period(None, None).is_closed(at=at("2999-01-01T00:00:00Z"))
