"""What charts of quotas ask: how the last periods ended, and how the running one came to where it is.

One statement per metric, whatever the number of quotas.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from metering.clock import database_now

from .models import ProjectQuota
from .periods import Period
from .utilisation import Asked, Utilisation, period_of, utilisations_in

PERIODS_SHOWN = 12
POINTS_SHOWN = 31
_YEAR = dt.timedelta(days=365)
_TICK = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PastPeriod:
    """How much was used in one period, the running one included."""

    period: Period
    used: Decimal | None


@dataclass(frozen=True, slots=True)
class Point:
    """What the period's value was at an instant."""

    at: dt.datetime
    used: Decimal | None


@dataclass(frozen=True, slots=True)
class Course:
    """A quota now, its last periods, oldest first, and the running period's value over time."""

    quota: ProjectQuota
    standing: Utilisation
    periods: Sequence[PastPeriod]
    points: Sequence[Point]


def courses_of(quotas: Sequence[ProjectQuota], *, now: dt.datetime | None = None) -> list[Course]:
    """In the order given. A quota that never starts anew has one period, whose last year is shown."""
    now = database_now() if now is None else now
    standings_asked = [Asked(quota, period_of(quota, at=now)) for quota in quotas]
    periods = [_last_periods(one, now=now) for one in standings_asked]
    instants = [_instants(one.period, now=now) for one in standings_asked]
    asked = [
        *standings_asked,
        *(
            Asked(one.quota, period)
            for one, past in zip(standings_asked, periods, strict=True)
            for period in past
        ),
        *(
            Asked(one.quota, Period(one.period.start, at))
            for one, ats in zip(standings_asked, instants, strict=True)
            for at in ats
        ),
    ]
    found = iter(utilisations_in(asked, now=now))
    standings = [next(found) for _ in quotas]
    past = [[PastPeriod(period, next(found).used) for period in of_quota] for of_quota in periods]
    points = [[Point(at, next(found).used) for at in of_quota] for of_quota in instants]
    return [
        Course(quota, standing, of_periods, of_points)
        for quota, standing, of_periods, of_points in zip(quotas, standings, past, points, strict=True)
    ]


def _last_periods(asked: Asked, *, now: dt.datetime) -> list[Period]:
    """The running period and those before it, oldest first; none where all of time is one."""
    periods: list[Period] = []
    period = asked.period
    while len(periods) < PERIODS_SHOWN and period.start is not None:
        periods.append(period)
        period = period_of(asked.quota, at=period.start - _TICK)
    return periods[::-1]


def _instants(period: Period, *, now: dt.datetime) -> list[dt.datetime]:
    """Evenly spaced instants from the period's start until now, on whole hours where it is long enough."""
    start = now - _YEAR if period.start is None else period.start
    end = start + _YEAR if period.end is None else period.end
    hour = dt.timedelta(hours=1)
    if end - start <= hour:
        step = dt.timedelta(minutes=5)
    else:
        step = max(hour, -(-(end - start) // (hour * POINTS_SHOWN)) * hour)
        if period.start is None:
            start = start.replace(minute=0, second=0, microsecond=0)
    instants = []
    at = start + step
    while at < now:
        instants.append(at)
        at += step
    return [*instants, now]
