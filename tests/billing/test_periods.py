"""Billing periods tile the service, whatever the anchor, the clocks and the changes."""

import datetime as dt
import itertools
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.periods import Cycle, Term, calendar_anchor, period_holding, periods_of
from billing.proration import Days
from tests.factories import at

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def monthly(anchor: dt.date = dt.date(1970, 1, 1), zone: ZoneInfo = UTC, **overrides: object) -> Cycle:
    return Cycle(**{"anchor_on": anchor, "unit": "month", "every": 1, "zone": zone, **overrides})


def first_days(cycles: list[Cycle], start: str, until: str) -> list[str]:
    return [f"{period.service.start}" for period in periods_of(cycles, Term(at(start)), until=at(until))]


def test_end_of_month_is_counted_from_the_original_day():
    cycles = [monthly(dt.date(2024, 1, 31))]

    assert first_days(cycles, "2024-01-31T00:00:00Z", "2024-06-01T00:00:00Z") == [
        "2024-01-31",
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
        "2024-05-31",
    ]


def test_leap_day_is_an_anniversary_on_the_28th():
    cycles = [monthly(dt.date(2024, 2, 29), unit="year")]

    assert first_days(cycles, "2024-02-29T00:00:00Z", "2028-03-01T00:00:00Z") == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]


def test_weeks_begin_on_monday_and_quarters_with_the_year():
    weeks = [monthly(calendar_anchor("week"), unit="week")]
    quarters = [monthly(calendar_anchor("month"), every=3)]

    assert first_days(weeks, "2026-03-04T00:00:00Z", "2026-03-17T00:00:00Z") == [
        "2026-03-04",
        "2026-03-09",
        "2026-03-16",
    ]
    assert first_days(quarters, "2026-02-10T00:00:00Z", "2026-08-01T00:00:00Z") == [
        "2026-02-10",
        "2026-04-01",
        "2026-07-01",
    ]


def test_days_of_clock_changes_have_23_and_25_hours():
    cycles = [monthly(unit="day", zone=BERLIN)]
    term = Term(at("2026-01-01T00:00:00Z"))

    spring = period_holding(at("2026-03-29T12:00:00Z"), cycles=cycles, term=term)
    autumn = period_holding(at("2026-10-25T12:00:00Z"), cycles=cycles, term=term)

    assert spring is not None
    assert autumn is not None
    assert spring.end - spring.start == dt.timedelta(hours=23)
    assert autumn.end - autumn.start == dt.timedelta(hours=25)
    assert (spring.share, autumn.share) == (1, 1)


def test_midnight_that_does_not_exist_is_the_first_instant_of_the_day():
    """Beirut's clocks jump at midnight of the last Sunday of March."""
    cycles = [monthly(unit="day", zone=ZoneInfo("Asia/Beirut"))]

    period = period_holding(at("2024-03-31T12:00:00Z"), cycles=cycles, term=Term(at("2024-01-01T00:00:00Z")))

    assert period is not None
    assert period.start == at("2024-03-30T22:00:00Z")
    assert period.end - period.start == dt.timedelta(hours=23)


def test_stubs_are_shares_of_the_full_period_that_holds_them():
    cycles = [monthly(zone=BERLIN)]
    term = Term(at("2024-02-20T12:00:00Z"), at("2024-03-11T22:59:59Z"))

    periods = list(periods_of(cycles, term, until=at("2025-01-01T00:00:00Z")))

    assert [period.service for period in periods] == [
        Days(dt.date(2024, 2, 20), dt.date(2024, 3, 1)),
        Days(dt.date(2024, 3, 1), dt.date(2024, 3, 11)),  # the day of the end isn't charged
    ]
    assert [period.share for period in periods] == [Fraction(10, 29), Fraction(10, 31)]
    assert all(period.is_partial for period in periods)


def test_boundary_instant_belongs_to_the_later_period_and_nothing_lies_outside_the_service():
    cycles = [monthly()]
    term = Term(at("2026-03-01T00:00:00Z"), at("2026-05-01T00:00:00Z"))
    april = at("2026-04-01T00:00:00Z")

    before = period_holding(april - dt.timedelta(microseconds=1), cycles=cycles, term=term)
    after = period_holding(april, cycles=cycles, term=term)

    assert before is not None
    assert after is not None
    assert (before.end, after.start) == (april, april)
    assert period_holding(at("2026-05-01T00:00:00Z"), cycles=cycles, term=term) is None
    assert period_holding(at("2026-02-28T23:59:59Z"), cycles=cycles, term=term) is None


def test_trial_is_a_period_of_its_own_with_no_share():
    term = Term(at("2026-03-05T00:00:00Z"), trial_until=at("2026-04-10T00:00:00Z"))

    periods = list(periods_of([monthly()], term, until=at("2026-05-02T00:00:00Z")))

    assert [(period.is_trial, f"{period.service.start}", period.share) for period in periods] == [
        (True, "2026-03-05", 0),
        (False, "2026-04-10", Fraction(21, 30)),
        (False, "2026-05-01", 1),
    ]


def test_service_that_ends_within_its_trial_is_all_trial():
    term = Term(at("2026-03-05T00:00:00Z"), at("2026-03-08T00:00:00Z"), at("2026-04-10T00:00:00Z"))

    [period] = periods_of([monthly()], term, until=at("2026-05-02T00:00:00Z"))

    assert period.is_trial
    assert period.end == at("2026-03-08T00:00:00Z")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_change_of_zone_leaves_no_sliver(zone):
    cycles = [monthly(zone=BERLIN), monthly(zone=ZoneInfo(zone), after=dt.date(2026, 6, 1))]

    periods = list(periods_of(cycles, Term(at("2026-04-30T22:00:00Z")), until=at("2026-08-15T00:00:00Z")))

    assert [f"{period.service.start}" for period in periods] == [
        "2026-05-01",
        "2026-06-01",
        "2026-07-01",
        "2026-08-01",
    ]
    assert [period.share for period in periods] == [1, 1, 1, 1]
    assert periods[1].start == at("2026-05-31T22:00:00Z")
    assert periods[2].start == dt.datetime(2026, 7, 1, tzinfo=ZoneInfo(zone))


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kiritimati",
    ]
).map(ZoneInfo)
DAYS = st.dates(dt.date(2009, 1, 1), dt.date(2013, 12, 31))
INSTANTS = st.datetimes(dt.datetime(2010, 1, 1), dt.datetime(2013, 1, 1), timezones=st.just(dt.UTC))
LATTICES = st.tuples(DAYS, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 3), ZONES)


@st.composite
def changing_cycles(draw: st.DrawFn) -> list[Cycle]:
    """A lattice, and up to two changes of anchor and zone, each at a boundary of the one before."""
    anchor, unit, every, zone = draw(LATTICES)
    cycles = [Cycle(anchor, unit, every, zone)]
    floor = dt.date(2010, 1, 1)
    for _ in range(draw(st.integers(0, 2))):
        day = max(draw(st.dates(dt.date(2010, 1, 2), dt.date(2012, 12, 31))), floor)
        last = cycles[-1]
        number = 0
        while last.day(number) <= day:
            number += 1
        while last.day(number - 1) > day:
            number -= 1
        after = last.day(number)
        cycles.append(Cycle(draw(DAYS), unit, every, draw(ZONES), after=after))
        floor = after + dt.timedelta(days=400)
    return cycles


@given(changing_cycles(), INSTANTS, st.integers(1, 500), st.integers(0, 60))
def test_periods_tile_the_service(cycles, start, length, trial_days):
    trial_until = start + dt.timedelta(days=trial_days) if trial_days else None
    term = Term(start, start + dt.timedelta(days=length, hours=7), trial_until)

    periods = list(periods_of(cycles, term, until=at("2100-01-01T00:00:00Z")))

    assert periods[0].start == term.start
    assert periods[-1].end == term.end
    for period, following in itertools.pairwise(periods):
        assert period.end == following.start
    for period in periods:
        assert period.start < period.end
        assert period.service.start <= period.service.end
        assert 0 <= period.share <= 1
        for instant in (period.start, period.end - dt.timedelta(microseconds=1)):
            assert period_holding(instant, cycles=cycles, term=term) == period


@given(
    st.tuples(DAYS, st.sampled_from(["week", "month", "year"]), st.integers(1, 3), ZONES),
    INSTANTS,
    st.integers(1, 500),
)
def test_days_are_charged_once(lattice, start, length):
    """Without changes the days of all periods are the days of the service, each once."""
    cycle = Cycle(*lattice)
    term = Term(start, start + dt.timedelta(days=length))

    periods = list(periods_of([cycle], term, until=at("2100-01-01T00:00:00Z")))

    days = [
        period.service.start + dt.timedelta(days=number)
        for period in periods
        for number in range(period.service.count)
    ]
    assert len(days) == len(set(days))
    assert days == [
        cycle.local_day(start) + dt.timedelta(days=number)
        for number in range((cycle.local_day(term.end) - cycle.local_day(start)).days)
    ]
