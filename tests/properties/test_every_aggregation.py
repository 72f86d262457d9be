"""Any sequence of batches, repeats, late arrivals, voids and ticks gives, for every aggregation, window,
zone, grouping and position, what a naive reading of the list of events gives."""

import csv
import datetime as dt
import io
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.answering.exports import rollups_csv
from metering.answering.summaries import SummaryFilter, summaries_page
from metering.answering.usage import PROJECT_COLUMNS, Scope, Slice, usage_in
from metering.attributing.scope_tree import attribute
from metering.correcting.corrections import void_events
from metering.measuring.buckets import bucket_end, bucket_floor
from metering.measuring.meaning import Meaning
from metering.measuring.windows import windows_between
from metering.models import MetricDefinition, PendingContribution, UsageMeterRollup
from metering.rolling_up.draining import drained_whole
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from metering.texts.numbers import plain
from metering.texts.timestamps import iso
from tests.factories import a_metric, a_project, at, recorded

PAID_BY_ACME_FROM = at("2024-04-01T00:00:00Z")
MICROSECOND = dt.timedelta(microseconds=1)
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham", "Europe/Berlin", "Australia/Lord_Howe"]

# -- the oracle -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One event as sent."""

    project: str
    subject_id: str
    quantity: Decimal
    at: dt.datetime
    region: str | None
    size: str | None
    id: int = 0  # of the ledger

    @property
    def payer(self) -> str:
        return "acme" if self.project == "below" and self.at >= PAID_BY_ACME_FROM else self.project

    @property
    def stream(self) -> tuple[Any, ...]:
        return self.project, self.payer, self.subject_id, self.region

    def dimension(self, name: str) -> Any:
        return {
            "project": self.project,
            "billing_scope": self.payer,
            "subject_id": self.subject_id,
            "labels.region": self.region,
            "labels.size": self.size,
        }[name]


Answer = tuple[Decimal | None, int]  # value, number of events


def rounded(value: Fraction) -> Decimal:
    with localcontext(prec=80, rounding=ROUND_HALF_UP):
        return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal("1e-12"))


def latest(events: list[Event]) -> Event:
    return max(events, key=lambda event: (event.at, event.id))


TAKEN_ALONE: dict[str, Callable[[list[Event]], Decimal | int]] = {
    "count": len,
    "sum": lambda events: sum(event.quantity for event in events),
    "avg": lambda events: rounded(Fraction(sum(event.quantity for event in events)) / len(events)),
    "min": lambda events: min(event.quantity for event in events),
    "max": lambda events: max(event.quantity for event in events),
    "latest": lambda events: latest(events).quantity,
    "unique": lambda events: len({event.quantity for event in events}),
    "regions": lambda events: len({event.size for event in events}),
}


def increase(now: Event, before: Event | None) -> Decimal:
    if before is None:
        return Decimal(0)
    return now.quantity - before.quantity if now.quantity >= before.quantity else now.quantity


def change(now: Event, before: Event | None) -> Decimal:
    return now.quantity - before.quantity if before else Decimal(0)


def since(period: Callable[[dt.datetime], Any]) -> Callable[[Event, Event | None], Decimal]:
    def total(now: Event, before: Event | None) -> Decimal:
        if before is None or period(before.at) != period(now.at):
            return now.quantity
        return now.quantity - before.quantity

    return total


STEPPED: dict[str, Callable[[Event, Event | None], Decimal]] = {
    "increase": increase,
    "change": change,
    "total.never": since(lambda instant: 0),
    "total.hourly": since(lambda instant: (instant.date(), instant.hour)),
    "total.weekly": since(lambda instant: instant.isocalendar()[:2]),
    "total.yearly": since(lambda instant: instant.year),
}
LEVELS = ("level", "level.deltas")
DEFINITIONS: dict[str, dict[str, Any]] = {
    "count": {"aggregation": "COUNT"},
    "sum": {"aggregation": "SUM"},
    "avg": {"aggregation": "AVG"},
    "min": {"aggregation": "MIN"},
    "max": {"aggregation": "MAX"},
    "latest": {"aggregation": "LATEST"},
    "unique": {"aggregation": "UNIQUE_COUNT"},
    "regions": {"aggregation": "UNIQUE_COUNT", "data_type": "STRING", "value_property": "size"},
    "increase": {"is_incremental": False, "meter_type": "counter"},
    "change": {"is_incremental": False, "meter_type": "gauge"},
    "total.never": {"reporting_method": "total", "reset_period": "never"},
    "total.hourly": {"reporting_method": "total", "reset_period": "hourly"},
    "total.weekly": {"reporting_method": "total", "reset_period": "weekly"},
    "total.yearly": {"reporting_method": "total", "reset_period": "yearly"},
    "level": {"aggregation": "TIME_WEIGHTED_AVG"},
    "level.deltas": {"aggregation": "TIME_WEIGHTED_AVG", "is_incremental": True},
}


def by_stream(events: list[Event]) -> dict[Any, list[Event]]:
    streams: dict[Any, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.at, event.id)):
        streams[event.stream].append(event)
    return streams


def integral(readings: list[Event], start: dt.datetime, end: dt.datetime, *, deltas: bool) -> Fraction:
    """Level x microseconds of one stream, piece by piece."""
    area, level = Fraction(0), Fraction(0)
    for index, reading in enumerate(readings):
        level = level + Fraction(reading.quantity) if deltas else Fraction(reading.quantity)
        until = readings[index + 1].at if index + 1 < len(readings) else end
        lasted = min(end, until) - max(start, reading.at)
        area += level * max(lasted // MICROSECOND, 0)
    return area


def expected(
    metric: str,
    events: list[Event],
    windows: list[tuple[dt.datetime, dt.datetime]],
    group_by: tuple[str, ...],
    chosen: Callable[[Event], bool],
) -> dict[Any, Answer]:
    answers: dict[Any, Answer] = {}
    streams = by_stream(events)
    steps = {}
    if metric in STEPPED:
        for readings in streams.values():
            for before, now in zip([None, *readings], readings, strict=False):
                steps[now.id] = STEPPED[metric](now, before)

    def group_of(event: Event) -> tuple[Any, ...]:
        return tuple(event.dimension(name) for name in group_by)

    for number, (start, end) in enumerate(windows):
        groups: dict[Any, list[Event]] = defaultdict(list)
        for event in events:
            if start <= event.at < end and chosen(event):
                groups[group_of(event)].append(event)
        if metric not in LEVELS:
            for group, members in groups.items():
                if metric in STEPPED:
                    value: Any = sum(steps[event.id] for event in members)
                else:
                    value = TAKEN_ALONE[metric](members)
                answers[number, group] = (Decimal(value), len(members))
            continue
        areas: dict[Any, Fraction] = defaultdict(Fraction)
        carried: dict[Any, Decimal] = defaultdict(Decimal)
        for readings in streams.values():
            if not chosen(readings[0]):
                continue
            group = group_of(readings[0])
            areas[group] += integral(readings, start, end, deltas=metric == "level.deltas")
            earlier = [reading.quantity for reading in readings if reading.at < start]
            carried[group] += (sum(earlier) if metric == "level.deltas" else earlier[-1]) if earlier else 0
        for group, area in areas.items():
            if carried[group] or groups.get(group):
                mean = rounded(area / ((end - start) // MICROSECOND))
                answers[number, group] = (mean, len(groups.get(group, [])))
    return answers


# -- scenarios --------------------------------------------------------------------------------------------

moments = st.sampled_from(
    [
        at(text) + shift
        for text in (
            "2024-03-31T00:00:00Z",
            "2024-03-31T01:00:00Z",  # Berlin's clocks go forward
            "2024-04-01T00:00:00Z",  # the payer changes; a week, a month begin
            "2024-04-06T15:00:00Z",  # Lord Howe's go back by half an hour
            "2024-04-30T18:15:00Z",  # midnight in Nepal
            "2024-05-01T00:00:00Z",
        )
        for shift in (dt.timedelta(0), -MICROSECOND, dt.timedelta(minutes=20), dt.timedelta(hours=1))
    ]
)
sent_events = st.builds(
    Event,
    project=st.sampled_from(["acme", "below", "below"]),
    subject_id=st.sampled_from(["ada", "bob"]),
    quantity=st.integers(0, 9).map(Decimal) | st.decimals(0, 10, places=3),
    at=moments,
    region=st.sampled_from(["eu", None]),
    size=st.sampled_from(["s", "l", "xl"]),
)


@dataclass(frozen=True)
class Record:
    events: list[Event]


@dataclass(frozen=True)
class Again:
    """Send some of what was sent before."""

    picks: list[int]


@dataclass(frozen=True)
class Void:
    picks: list[int]


@dataclass(frozen=True)
class Tick:
    chunk: int


@dataclass(frozen=True)
class DrainSome:
    """A tick that stops half-way."""


actions = st.lists(
    st.builds(Record, st.lists(sent_events, min_size=1, max_size=5))
    | st.builds(Record, st.lists(sent_events, min_size=1, max_size=5))
    | st.builds(Again, st.lists(st.integers(0, 30), min_size=1, max_size=3))
    | st.builds(Void, st.lists(st.integers(0, 30), min_size=1, max_size=3))
    | st.builds(Tick, st.sampled_from([1, 3, 1000]))
    | st.builds(DrainSome),
    min_size=2,
    max_size=10,
)


@dataclass(frozen=True)
class Question:
    unit: str | None
    zone: str
    start: dt.datetime
    end: dt.datetime
    group_by: tuple[str, ...]
    projects: tuple[str, ...] | None
    payer: str | None
    subject_id: str | None
    labels: dict[str, str] = field(default_factory=dict)

    def windows(self) -> list[tuple[dt.datetime, dt.datetime]]:
        start, end = min(self.start, self.end), max(self.start, self.end) + MICROSECOND
        if self.unit is None:
            return [(start, end)]
        if self.unit == "hour":
            end = min(end, start + dt.timedelta(days=2))
        return [
            (window.start, window.end)
            for window in windows_between(start, end, self.unit, ZoneInfo(self.zone))
        ]

    def chooses(self, event: Event) -> bool:
        return (
            (self.projects is None or event.project in self.projects)
            and (self.payer is None or event.payer == self.payer)
            and (self.subject_id is None or event.subject_id == self.subject_id)
            and all(event.dimension(f"labels.{name}") == text for name, text in self.labels.items())
        )

    @property
    def is_about_streams(self) -> bool:
        return "size" not in self.labels and "labels.size" not in self.group_by


questions = st.builds(
    Question,
    unit=st.sampled_from([None, None, "hour", "day", "week", "month"]),
    zone=st.sampled_from(ZONES),
    start=moments,
    end=moments,
    group_by=st.sampled_from(
        [
            (),
            (),
            ("project",),
            ("billing_scope",),
            ("subject_id",),
            ("labels.region",),
            ("labels.size",),
            ("project", "labels.region"),
        ]
    ),
    projects=st.sampled_from([None, ("acme",), ("below",), ("acme", "below")]),
    payer=st.sampled_from([None, None, "acme"]),
    subject_id=st.sampled_from([None, None, "ada"]),
    labels=st.sampled_from([{}, {}, {"region": "eu"}, {"size": "l"}]),
)


class House:
    """Metrics of every kind on one event name, and the list of what was sent.

    Everything is called `prefix` and its name, so that several houses can stand in one database.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        acme = a_project(f"{prefix}acme")
        below = a_project(f"{prefix}below", parent=acme)
        attribute(below, payer=acme, effective_from=PAID_BY_ACME_FROM)
        self.ids = {"acme": acme.pk, "below": below.pk}
        for key, overrides in DEFINITIONS.items():
            a_metric(f"{prefix}{key}", event_name=f"{prefix}tokens", primary_labels=["region"], **overrides)
        self.meanings: dict[str, Meaning] = {}
        self.start()

    def start(self) -> None:
        catalogue.forget()
        self.meanings = {
            meaning.key.removeprefix(self.prefix): meaning
            for meaning in catalogue.current().meanings.values()
            if meaning.event_name == f"{self.prefix}tokens"
        }
        self.sent: list[tuple[Event, str]] = []
        self.voids: dict[int, int] = {}  # event: its void

    def definition(self, key: str) -> MetricDefinition:
        return MetricDefinition.objects.get(key=f"{self.prefix}{key}")

    def act(self, action: Any) -> None:
        if isinstance(action, Record):
            numbered = [(event, f"e{len(self.sent) + index}") for index, event in enumerate(action.events)]
            for (event, key), outcome in zip(numbered, self._send(numbered), strict=True):
                assert outcome.id is not None
                self.sent.append((Event(**{**event.__dict__, "id": outcome.id}), key))
        elif isinstance(action, Again) and self.sent:
            own = [pair for pair in self.sent if not pair[1].startswith("amended:")]
            repeated = [own[pick % len(own)] for pick in action.picks]
            assert {outcome.outcome for outcome in self._send(repeated)} == {"exists"}
        elif isinstance(action, Void) and self.sent:
            picked = [self.sent[pick % len(self.sent)][0].id for pick in action.picks]
            for voided in void_events(picked, reason="wrong", actor="tests"):
                assert (voided.outcome == "exists") is (voided.voids in self.voids)
                assert self.voids.setdefault(voided.voids, voided.id) == voided.id
        elif isinstance(action, Tick):
            roll_up(chunk=action.chunk)
        elif isinstance(action, DrainSome):
            next(drained_whole(2), None)

    def _send(self, numbered: list[tuple[Event, str]]) -> Any:
        return recorded(
            *(
                {
                    "id": key,
                    "project": f"{self.prefix}{event.project}",
                    "event_name": f"{self.prefix}tokens",
                    "subject_id": event.subject_id,
                    "quantity": str(event.quantity),
                    "occurred_at": event.at.isoformat(),
                    "labels": {
                        name: value
                        for name, value in (("region", event.region), ("size", event.size))
                        if value is not None
                    },
                }
                for event, key in numbered
            )
        )

    def end(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT COALESCE(max(id), 0) FROM metering_usageevent")
            return int(cursor.fetchone()[0])

    def events(self, as_of: int | None = None) -> list[Event]:
        """What stands, now or at a position."""
        return [
            event
            for event, _ in self.sent
            if (as_of is None or event.id <= as_of)
            and (event.id not in self.voids or (as_of is not None and self.voids[event.id] > as_of))
        ]

    def answer(self, metric: str, question: Question, *, as_of: int | None = None) -> dict[Any, Answer]:
        scope = Scope(
            project_ids=None if question.projects is None else [self.ids[key] for key in question.projects],
            payer_id=None if question.payer is None else self.ids[question.payer],
        )
        slice = Slice(
            scope=scope, subject_id=question.subject_id, labels=question.labels, group_by=question.group_by
        )
        found = usage_in(self.meanings[metric], question.windows(), slice=slice, as_of=as_of)
        answers = {
            (
                usage.window,
                tuple(
                    text.removeprefix(self.prefix) if name in PROJECT_COLUMNS and text else text
                    for name, text in usage.group.items()
                ),
            ): (usage.value, usage.aggregate.record_count)
            for usage in found
        }
        assert len(answers) == len(found)
        assert [usage.window for usage in found] == sorted(usage.window for usage in found)
        return answers

    def check(self, question: Question, *, as_of: int | None = None) -> None:
        events = self.events(as_of)
        for metric in DEFINITIONS:
            if metric in LEVELS and not question.is_about_streams:
                continue  # a level is its stream's
            wanted = expected(metric, events, question.windows(), question.group_by, question.chooses)
            assert self.answer(metric, question, as_of=as_of) == wanted, (metric, as_of)


@pytest.mark.django_db
def test_every_answer_is_the_oracles_whatever_happened_before() -> None:
    house = House()

    @settings(max_examples=60)
    @given(actions, st.lists(questions, min_size=2, max_size=2))
    def check(happened: list[Any], asked: list[Question]) -> None:
        with transaction.atomic():
            house.start()
            for action in happened:
                house.act(action)
            for question in asked:
                house.check(question)
            transaction.set_rollback(True)

    check()


def listed_rows(house: House, metric: str, period_type: str, *, as_of: int | None) -> list[tuple[Any, ...]]:
    """Everything that the pages of summaries list, a few rows at a time."""
    wanted = SummaryFilter(period_type=period_type, scope=Scope(), as_of=as_of)
    rows, cursor = [], None
    while True:
        page = summaries_page(house.meanings[metric], wanted, cursor=cursor, limit=3)
        rows += page.rows
        if page.following is None:
            return [
                (
                    row["period_start"],
                    row["project"],
                    row["billing_scope"],
                    row["subject_id"],
                    row["labels"]["region"],
                    row["total_quantity"],
                    row["record_count"],
                )
                for row in rows
            ]
        cursor = page.following


def exported_rows(house: House, metric: str, granularity: str, *, as_of: int | None) -> list[tuple[Any, ...]]:
    stream = rollups_csv(
        house.meanings[metric], scope=Scope(), granularity=granularity, start=None, end=None, as_of=as_of
    )
    text = b"".join(stream).decode()
    return [
        (
            iso(at(row["bucket_start"])),
            row["project"],
            row["billing_scope"],
            row["subject_id"],
            json.loads(row["labels"])["region"],
            row["value"],
            int(row["record_count"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def expected_rows(
    events: list[Event], metric: str, floor: Callable[[dt.datetime], dt.datetime], unit: str
) -> set[tuple[Any, ...]]:
    """One row per stream and bucket that has events."""
    rows = set()
    for start in {floor(event.at) for event in events}:
        window = (start, bucket_end(start, unit))
        answers = expected(
            metric,
            events,
            [window],
            ("project", "billing_scope", "subject_id", "labels.region"),
            lambda event: True,
        )
        for (_, group), (value, count) in answers.items():
            if count:
                rows.add((iso(start), *group, plain(Decimal(value or 0)), count))
    return rows


@pytest.mark.django_db
def test_every_row_listed_and_exported_is_the_oracles() -> None:
    house = House()

    @settings(max_examples=20)
    @given(actions, actions)
    def check(before: list[Any], after: list[Any]) -> None:
        with transaction.atomic():
            house.start()
            for action in before:
                house.act(action)
            position = house.end()
            for action in after:
                house.act(action)
            for as_of in (None, position):
                events = house.events(as_of)
                for period_type, unit in (("hourly", "hour"), ("daily", "day"), ("monthly", "month")):
                    for metric in DEFINITIONS:
                        wanted = expected_rows(events, metric, partial(bucket_floor, granularity=unit), unit)
                        listed = listed_rows(house, metric, period_type, as_of=as_of)
                        exported = exported_rows(house, metric, unit, as_of=as_of)
                        assert sorted(listed, key=repr) == sorted(wanted, key=repr), (metric, unit, as_of)
                        assert sorted(exported, key=repr) == sorted(wanted, key=repr), (metric, unit, as_of)
            transaction.set_rollback(True)

    check()


@pytest.mark.django_db
def test_an_answer_at_a_position_stays_whatever_comes_later() -> None:
    house = House()

    @settings(max_examples=40)
    @given(actions, actions, questions)
    def check(before: list[Any], after: list[Any], question: Question) -> None:
        with transaction.atomic():
            house.start()
            for action in before:
                house.act(action)
            position = house.end()
            house.check(question, as_of=position)
            first = {metric: house.answer(metric, question, as_of=position) for metric in DEFINITIONS}
            for action in [*after, Tick(1000)]:
                house.act(action)

            house.check(question, as_of=position)
            assert first == {metric: house.answer(metric, question, as_of=position) for metric in DEFINITIONS}
            transaction.set_rollback(True)

    check()


def stored_rows() -> set[tuple[Any, ...]]:
    return set(
        UsageMeterRollup.objects.values_list(
            "metric__key", "project__key", "billing_scope__key", "granularity", "bucket_start", "stream",
            "value_key", "subject_id", "record_count", "value_sum", "value_moment", "value_min", "value_max",
            "last_value", "last_at",
        )
    )  # fmt: skip


@pytest.mark.django_db
def test_all_ways_to_the_same_ledger_store_the_same_rows() -> None:
    """Voids, ticks half-way and repeats leave no trace in the rows: as if the rest had come in one batch."""
    house = House()

    @settings(max_examples=50)
    @given(actions)
    def check(happened: list[Any]) -> None:
        with transaction.atomic():
            house.start()
            # Ties at one instant go to the later recorded: the other way round is another ledger.
            for action in happened:
                house.act(action)
            roll_up()
            assert not PendingContribution.objects.exists()
            one_way, left = stored_rows(), house.events()
            transaction.set_rollback(True)
        with transaction.atomic():
            house.start()
            if left:
                house.act(Record(left))
            roll_up()
            assert one_way == stored_rows()
            transaction.set_rollback(True)

    check()


EVERYTHING = Question(
    "month", "UTC", at("2024-03-01T00:00:00Z"), at("2024-05-31T00:00:00Z"), ("project",), None, None, None
)


@pytest.mark.django_db
def test_a_rebuild_at_any_point_stores_what_ticks_would_have() -> None:
    """Whatever is pending, half merged or voided, up to whichever fence the ledger was read beforehand."""
    house = House()
    metrics = list(MetricDefinition.objects.all())

    @settings(max_examples=25)
    @given(actions, actions, st.integers(0, 1000), st.sets(st.sampled_from(metrics), min_size=2, max_size=4))
    def check(before: list[Any], after: list[Any], share: int, damaged: set[MetricDefinition]) -> None:
        with transaction.atomic():
            house.start()
            begin = house.end()
            for action in before:
                house.act(action)
            position = begin + (house.end() - begin) * share // 1000
            with transaction.atomic():
                roll_up()
                ticked = stored_rows()
                transaction.set_rollback(True)
            for metric in metrics:
                assert rebuild_rollups(metric, position=position).wrong_count == 0
            assert not PendingContribution.objects.exists()
            assert stored_rows() == ticked

            rows = UsageMeterRollup.objects.filter(metric__in=damaged).order_by("id")
            rows.filter(id__in=list(rows.values_list("id", flat=True))[::3]).delete()
            for metric in damaged:
                rebuild_rollups(metric, position=position)
            assert stored_rows() == ticked
            for action in after:
                house.act(action)
            house.check(EVERYTHING)
            transaction.set_rollback(True)

    check()
