"""What charts ask: usage of a metric by local windows, its latest days that have any, who used most.

Everything comes from rollups and pending contributions; windows fall on whole hours, so nothing reads the
ledger.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal
from zoneinfo import ZoneInfo

from metering.measuring.meaning import Meaning
from metering.measuring.windows import Window, windows_between
from metering.texts.numbers import EXACT

from .several_usages import Question, usages_in
from .usage import Scope, Slice, Usage, usage_in, usage_span, usage_spans

UTC_ZONE = ZoneInfo("UTC")
HOURLY_UP_TO = dt.timedelta(days=3)  # 72 bars at most; longer intervals are shown by days
MAX_CHART_DAYS = 400
Unit = Literal["hour", "day", "week", "month"]
_ADDING = frozenset({"COUNT", "SUM"})  # steps between readings, too: each belongs to its later reading
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open [start, end) in UTC, on whole days; shown by `window`, or by what its length suggests."""

    start: dt.datetime
    end: dt.datetime
    window: Unit | None = None

    @property
    def first_day(self) -> dt.date:
        return self.start.date()

    @property
    def last_day(self) -> dt.date:
        """The last day inside."""
        return (self.end - _DAY).date()

    @property
    def day_count(self) -> int:
        return (self.end - self.start) // _DAY

    @property
    def unit(self) -> Unit:
        if self.window is not None:
            return self.window
        return "hour" if self.end - self.start <= HOURLY_UP_TO else "day"


@dataclass(frozen=True, slots=True)
class Point:
    """Usage in one window; `value` is None where the aggregation has nothing to say."""

    window: Window
    value: Decimal | None
    record_count: int


@dataclass(frozen=True, slots=True)
class Course:
    """Usage in each window of an interval, and over the whole of it."""

    points: Sequence[Point]
    value: Decimal | None
    record_count: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one project used."""

    project: str
    value: Decimal | None
    record_count: int


def days_interval(first_day: dt.date, last_day: dt.date) -> Interval:
    """The UTC days from the first to the last, both included."""
    midnight = dt.time(tzinfo=dt.UTC)
    return Interval(dt.datetime.combine(first_day, midnight), dt.datetime.combine(last_day, midnight) + _DAY)


def latest_days(meaning: Meaning, *, days: int, scope: Scope = Scope()) -> Interval | None:
    """The last `days` UTC days that end with the latest one that has usage; None without any usage."""
    span = usage_span(meaning, slice=Slice(scope=scope))
    if span is None:
        return None
    return days_until(span[1], days=days)


def days_until(end: dt.datetime, *, days: int) -> Interval:
    """The last `days` UTC days up to the one in which an hour of usage ends."""
    last_hour = end - dt.timedelta(hours=1)
    return days_interval(last_hour.date() - (days - 1) * _DAY, last_hour.date())


def last_used_first(meanings: Iterable[Meaning]) -> list[tuple[Meaning, dt.datetime | None]]:
    """The metrics with the end of their last hour of usage, latest first; unused ones last, by key. One
    statement."""
    known = list(meanings)
    spans = usage_spans(known)
    with_ends = [
        (meaning, spans[meaning.metric_id][1] if meaning.metric_id in spans else None) for meaning in known
    ]
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(with_ends, key=lambda pair: (-((pair[1] or never) - never), pair[0].key))


def points_of(meaning: Meaning, interval: Interval, *, scope: Scope = Scope()) -> list[Point]:
    """Usage in each window of the interval, in order, windows without usage included."""
    windows = list(windows_between(interval.start, interval.end, interval.unit, UTC_ZONE))
    asked = [(window.start, window.end) for window in windows]
    found = {usage.window: usage for usage in usage_in(meaning, asked, slice=Slice(scope=scope))}
    return [_point(window, found.get(number)) for number, window in enumerate(windows)]


def course_of(meaning: Meaning, interval: Interval, *, scope: Scope = Scope()) -> Course:
    """`points_of` and `value_in` in one statement, hence of one snapshot.

    What adds up is added up; of other metrics the whole is read beside its windows.
    """
    if meaning.aggregation.name in _ADDING:
        points = points_of(meaning, interval, scope=scope)
        values = [point.value for point in points if point.value is not None]
        with localcontext(EXACT):
            whole_value = sum(values, Decimal(0)) if values else None
        return Course(points, whole_value, sum(point.record_count for point in points))
    windows = list(windows_between(interval.start, interval.end, interval.unit, UTC_ZONE))
    asked = [(interval.start, interval.end), *((window.start, window.end) for window in windows)]
    found = {usage.window: usage for usage in usage_in(meaning, asked, slice=Slice(scope=scope))}
    whole = found.get(0)
    return Course(
        [_point(window, found.get(number)) for number, window in enumerate(windows, start=1)],
        whole.value if whole else None,
        whole.aggregate.record_count if whole else 0,
    )


def _point(window: Window, usage: Usage | None) -> Point:
    return (
        Point(window, None, 0) if usage is None else Point(window, usage.value, usage.aggregate.record_count)
    )


def courses_of(asked: Sequence[tuple[Meaning, Interval]]) -> list[Course]:
    """What `value_in` and `points_of` say of several metrics, in their order; few statements."""
    windows = [
        list(windows_between(interval.start, interval.end, interval.unit, UTC_ZONE)) for _, interval in asked
    ]
    answers = usages_in(
        [
            Question(
                meaning,
                [(interval.start, interval.end), *((window.start, window.end) for window in of_one)],
            )
            for (meaning, interval), of_one in zip(asked, windows, strict=True)
        ]
    )
    courses = []
    for of_one, answer in zip(windows, answers, strict=True):
        found = {usage.window: usage for usage in answer}
        courses.append(
            Course(
                points=[
                    Point(window, found[number].value, found[number].aggregate.record_count)
                    if number in found
                    else Point(window, None, 0)
                    for number, window in enumerate(of_one, start=1)
                ],
                value=found[0].value if 0 in found else None,
                record_count=found[0].aggregate.record_count if 0 in found else 0,
            )
        )
    return courses


def value_in(meaning: Meaning, interval: Interval, *, scope: Scope = Scope()) -> tuple[Decimal | None, int]:
    """The metric's value over the whole interval, and how many events it was read from."""
    found = usage_in(meaning, [(interval.start, interval.end)], slice=Slice(scope=scope))
    return (found[0].value, found[0].aggregate.record_count) if found else (None, 0)


def largest_shares(meaning: Meaning, interval: Interval, *, count: int) -> Sequence[Share]:
    """The projects that used most, largest first."""
    shares = [
        Share(str(usage.group["project"]), usage.value, usage.aggregate.record_count)
        for usage in usage_in(meaning, [(interval.start, interval.end)], slice=Slice(group_by=("project",)))
    ]
    shares.sort(key=lambda share: (share.value is None, -(share.value or 0), share.project))
    return shares[:count]
