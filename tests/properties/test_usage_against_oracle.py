"""Any events in any order, any batching, with repeats, late arrivals and ticks between, give what a naive
count over the list of events gives: in every answer, and in every row of the rollup table."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.answering.usage import Scope, Slice, usage_in
from metering.attributing.scope_tree import attribute
from metering.measuring.meaning import Meaning
from metering.measuring.streams import TOTAL, stream_of
from metering.measuring.windows import windows_between
from metering.models import MetricDefinition, PendingContribution, Project, UsageMeterRollup
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, at, outcomes, recorded

PAID_BY_ACME_FROM = at("2024-04-01T00:00:00Z")
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]
MICROSECOND = dt.timedelta(microseconds=1)

# -- the oracle -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One event that the ledger should hold, in the order recorded."""

    number: int
    project: str
    subject_type: str
    subject_id: str
    quantity: Decimal
    occurred_at: dt.datetime
    labels: tuple[tuple[str, Any], ...]

    def text(self, name: str) -> str | None:
        """What the event falls under when usage is grouped by `name`."""
        if name == "billing_scope":
            return (
                "acme" if self.project == "below" and self.occurred_at >= PAID_BY_ACME_FROM else self.project
            )
        if name.startswith("labels."):
            value = dict(self.labels).get(name.removeprefix("labels."))
            if value is None or isinstance(value, str):
                return value
            return "true" if value is True else f"{Decimal(value).normalize():f}"
        return getattr(self, name)


def exact_average(values: Sequence[Decimal]) -> Decimal:
    with localcontext(prec=60, rounding=ROUND_HALF_UP):
        return (sum(values) / len(values)).quantize(Decimal("1e-12"))


ANSWERS: dict[str, Callable[[list[Event]], Decimal | int]] = {
    "COUNT": len,
    "SUM": lambda events: sum(event.quantity for event in events),
    "AVG": lambda events: exact_average([event.quantity for event in events]),
    "MIN": lambda events: min(event.quantity for event in events),
    "MAX": lambda events: max(event.quantity for event in events),
    "LATEST": lambda events: max(events, key=lambda event: (event.occurred_at, event.number)).quantity,
}
FILTERS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "all": ({}, lambda labels: True),
    "eu": ({"region": "eu"}, lambda labels: labels.get("region") == "eu"),
    "others": (
        {"$or": [{"region": {"$ne": "eu"}}, {"size": {"$gte": 5}}]},
        lambda labels: labels.get("region") != "eu" or labels.get("size") in (10, Decimal("7.5")),
    ),
}
LOCAL: dict[str, Callable[[dt.datetime], Any]] = {
    "hour": lambda local: (local.date(), local.hour, local.utcoffset()),
    "day": lambda local: local.date(),
    "week": lambda local: local.isocalendar()[:2],
    "month": lambda local: (local.year, local.month),
}


def grouped(events: Iterable[Event], key: Callable[[Event], Any]) -> dict[Any, list[Event]]:
    groups: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


# -- scenarios --------------------------------------------------------------------------------------------

moments = st.sampled_from(
    [
        at(text) + shift
        for text in (
            "2024-03-31T00:00:00Z",
            "2024-03-31T01:00:00Z",  # Berlin's clocks go forward
            "2024-04-01T00:00:00Z",
            "2024-04-06T15:00:00Z",  # Lord Howe's go back by half an hour
            "2024-04-30T22:00:00Z",
            "2024-05-01T00:00:00Z",
            "2018-11-04T03:00:00Z",  # Sao Paulo has no midnight
        )
        for shift in (dt.timedelta(0), -MICROSECOND, dt.timedelta(minutes=20), dt.timedelta(hours=1))
    ]
) | st.datetimes(dt.datetime(2024, 3, 30), dt.datetime(2024, 5, 3), timezones=st.just(dt.UTC))
event_fields = st.fixed_dictionaries(
    {
        "project": st.sampled_from(["acme", "below", "other"]),
        "subject_type": st.sampled_from(["", "user"]),
        "subject_id": st.sampled_from(["", "ada", "bób"]),
        "quantity": st.integers(-3, 9).map(Decimal) | st.decimals(-10, 10, places=4),
        "occurred_at": moments,
        "labels": st.fixed_dictionaries(
            {},
            optional={
                "region": st.sampled_from(["eu", "us", ""]),
                "size": st.sampled_from(["s", 3, 10, Decimal("7.5"), True]),
            },
        ).map(lambda labels: tuple(labels.items())),
    }
)


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[list[int]], list[int]]:
    """Events, their deliveries (each at least once, some again, in any order), a tick after each or none."""
    events = draw(st.lists(event_fields, min_size=1, max_size=12))
    numbers = range(len(events))
    sent = draw(st.permutations([*numbers, *draw(st.lists(st.sampled_from(numbers), max_size=5))]))
    cuts = sorted(draw(st.sets(st.integers(1, len(sent)), max_size=5)) | {len(sent)})
    batches = [list(sent[start:end]) for start, end in zip([0, *cuts], cuts, strict=False)]
    ticks = draw(st.lists(st.sampled_from([0, 0, 1, 3, 1000]), min_size=len(batches), max_size=len(batches)))
    return events, batches, ticks


@dataclass(frozen=True)
class Question:
    unit: str | None
    zone: str
    start: dt.datetime
    end: dt.datetime
    group_by: tuple[str, ...]
    scope: tuple[tuple[str, ...] | None, str | None, bool]
    labels: tuple[tuple[str, str], ...]
    subject_id: str | None


questions = st.builds(
    Question,
    unit=st.sampled_from([None, None, *LOCAL]),
    zone=st.sampled_from(ZONES),
    start=moments,
    end=moments,
    group_by=st.lists(
        st.sampled_from(
            ["project", "billing_scope", "subject_type", "subject_id", "labels.region", "labels.size"]
        ),
        max_size=2,
        unique=True,
    ).map(tuple),
    scope=st.sampled_from(
        [
            (None, None, False),
            (("acme",), None, False),
            (("below", "other"), None, False),
            (None, "acme", False),
            (("below",), "acme", False),
            (("below",), "acme", True),
        ]
    ),
    labels=st.sampled_from(
        [(), (), (("region", "eu"),), (("size", "10"),), (("region", ""), ("size", "true"))]
    ),
    subject_id=st.sampled_from([None, None, "ada", ""]),
)


class House:
    """Three projects and eighteen metrics: each aggregation under each filter."""

    def __init__(self) -> None:
        acme = a_project("acme")
        below, other = a_project("below", parent=acme), a_project("other", parent=acme)
        attribute(below, payer=acme, effective_from=PAID_BY_ACME_FROM)
        self.projects: dict[str, Project] = {"acme": acme, "below": below, "other": other}
        self.metrics: dict[tuple[str, str], MetricDefinition] = {
            (aggregation, name): a_metric(
                f"{aggregation.lower()}.{name}",
                event_name="reading",
                aggregation=aggregation,
                meter_type="gauge",
                primary_labels=["region"],
                event_label_filter=spec,
            )
            for aggregation in ANSWERS
            for name, (spec, _) in FILTERS.items()
        }
        held = catalogue.current()
        self.meanings: dict[tuple[str, str], Meaning] = {
            key: held.meanings[metric.pk] for key, metric in self.metrics.items()
        }

    def play(self, events: list[dict[str, Any]], batches: list[list[int]], ticks: list[int]) -> list[Event]:
        """Deliver the batches with ticks between; returns the events in the order recorded."""
        first_ids: dict[int, int] = {}
        for batch, chunk in zip(batches, ticks, strict=True):
            results = recorded(
                *(
                    {
                        **{name: value for name, value in events[number].items() if value != ""},
                        "id": f"e-{number}",
                        "event_name": "reading",
                        "labels": dict(events[number]["labels"]),
                    }
                    for number in batch
                )
            )
            expected = [
                "exists" if number in first_ids or number in batch[:index] else "created"
                for index, number in enumerate(batch)
            ]
            assert outcomes(results) == expected
            for number, result in zip(batch, results, strict=True):
                assert first_ids.setdefault(number, result.id) == result.id
            if chunk:
                roll_up(chunk=chunk)
        self.event_ids = first_ids
        return [Event(number, **events[number]) for number in sorted(first_ids, key=first_ids.__getitem__)]


def matching(events: Iterable[Event], name: str) -> list[Event]:
    return [event for event in events if FILTERS[name][1](dict(event.labels))]


def expected_answer(events: list[Event], question: Question, aggregation: str) -> list[dict[Any, Any]]:
    """For each window with usage, in order: group to value."""
    projects, payer, either = question.scope

    def is_in_scope(event: Event) -> bool:
        tests = [] if projects is None else [event.project in projects]
        tests += [] if payer is None else [event.text("billing_scope") == payer]
        return (any if either else all)(tests) if tests else True

    taken = [
        event
        for event in events
        if question.start <= event.occurred_at < question.end
        and is_in_scope(event)
        and all(event.text(f"labels.{name}") == text for name, text in question.labels)
        and question.subject_id in (None, event.subject_id)
    ]
    zone, local = ZoneInfo(question.zone), LOCAL.get(question.unit or "", lambda _: None)
    in_time = sorted(taken, key=lambda event: event.occurred_at)
    return [
        {
            group: ANSWERS[aggregation](sorted(members, key=events.index))
            for group, members in grouped(
                in_window, lambda event: tuple(map(event.text, question.group_by))
            ).items()
        }
        for in_window in grouped(in_time, lambda event: local(event.occurred_at.astimezone(zone))).values()
    ]


def given_answer(house: House, question: Question, key: tuple[str, str]) -> list[dict[Any, Any]]:
    projects, payer, either = question.scope
    slice = Slice(
        scope=Scope(
            project_ids=None if projects is None else [house.projects[name].pk for name in projects],
            payer_id=None if payer is None else house.projects[payer].pk,
            either=either,
        ),
        subject_id=question.subject_id,
        labels=dict(question.labels),
        group_by=question.group_by,
    )
    windows: list[tuple[dt.datetime, dt.datetime]] = [(question.start, question.end)]
    if question.unit is not None:
        windows = [
            (window.start, window.end)
            for window in windows_between(
                question.start, question.end, question.unit, ZoneInfo(question.zone)
            )
        ]
    answer: dict[int, dict[Any, Any]] = defaultdict(dict)
    for usage in usage_in(house.meanings[key], windows, slice=slice):
        answer[usage.window][tuple(usage.group.values())] = usage.value
    return list(answer.values())


@pytest.mark.django_db
def test_every_answer_is_the_oracles() -> None:
    house = House()

    @settings(max_examples=45)
    @given(scenarios(), st.lists(questions, min_size=3, max_size=3))
    def check(
        scenario: tuple[list[dict[str, Any]], list[list[int]], list[int]], asked: list[Question]
    ) -> None:
        with transaction.atomic():
            events = house.play(*scenario)
            for question in asked:
                for aggregation, name in house.metrics:
                    expected = expected_answer(matching(events, name), question, aggregation)
                    assert given_answer(house, question, (aggregation, name)) == expected, (aggregation, name)
            transaction.set_rollback(True)

    check()


NEEDED = {
    "COUNT": (),
    "SUM": ("value_sum",),
    "AVG": ("value_sum",),
    "MIN": ("value_min",),
    "MAX": ("value_max",),
    "LATEST": ("last_value", "last_at", "last_event_id"),
}
BUCKETS: dict[str, Callable[[dt.datetime], dt.datetime]] = {
    "hour": lambda instant: instant.replace(minute=0, second=0, microsecond=0),
    "day": lambda instant: instant.replace(hour=0, minute=0, second=0, microsecond=0),
    "month": lambda instant: instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
}


def expected_table(house: House, events: list[Event]) -> set[tuple[Any, ...]]:
    """Every row that the rollup table should have, worked out from the list of events."""
    rows = set()
    for aggregation, name in house.metrics:
        for granularity, floor in BUCKETS.items():
            for is_total in (True, False):

                def key(event: Event, is_total: bool = is_total, floor: Any = floor) -> tuple[Any, ...]:
                    stream = stream_of(event.subject_type, event.subject_id, (event.text("labels.region"),))
                    return (
                        event.project,
                        event.text("billing_scope"),
                        floor(event.occurred_at),
                        TOTAL if is_total else stream,
                    )

                for (project, payer, start, stream), members in grouped(matching(events, name), key).items():
                    last = max(members, key=lambda event: (event.occurred_at, events.index(event)))
                    columns = {
                        "value_sum": ANSWERS["SUM"](members),
                        "value_min": ANSWERS["MIN"](members),
                        "value_max": ANSWERS["MAX"](members),
                        "last_value": last.quantity,
                        "last_at": last.occurred_at,
                        "last_event_id": house.event_ids[last.number],
                    }
                    kept = [columns[column] if column in NEEDED[aggregation] else None for column in columns]
                    metric = f"{aggregation.lower()}.{name}"
                    rows.add((metric, project, payer, granularity, start, stream, len(members), *kept))
    return rows


def stored_table() -> list[tuple[Any, ...]]:
    return list(
        UsageMeterRollup.objects.values_list(
            "metric__key", "project__key", "billing_scope__key", "granularity", "bucket_start", "stream",
            "record_count", "value_sum", "value_min", "value_max", "last_value", "last_at", "last_event_id",
        )
    )  # fmt: skip


@pytest.mark.django_db
def test_every_row_of_the_rollups_is_the_oracles() -> None:
    house = House()

    @settings(max_examples=40)
    @given(scenarios())
    def check(scenario: tuple[list[dict[str, Any]], list[list[int]], list[int]]) -> None:
        with transaction.atomic():
            events = house.play(*scenario)
            roll_up(chunk=5)

            rows = stored_table()
            assert len(rows) == len(set(rows))
            assert set(rows) == expected_table(house, events)
            assert not PendingContribution.objects.exists()
            transaction.set_rollback(True)

    check()


@pytest.mark.django_db
def test_the_order_and_the_batches_do_not_matter() -> None:
    house = House()

    @settings(max_examples=30)
    @given(scenarios(), st.randoms(use_true_random=False))
    def check(scenario: tuple[list[dict[str, Any]], list[list[int]], list[int]], random: Any) -> None:
        events, batches, ticks = scenario
        # Which of two events at one instant is the latest depends on the order: keep instants apart.
        apart = [
            {**event, "occurred_at": event["occurred_at"] + 2 * MICROSECOND * number}
            for number, event in enumerate(events)
        ]
        shuffled = [*range(len(events))]
        random.shuffle(shuffled)
        tables = []
        for deliveries, chunks in (
            (batches, ticks),
            ([shuffled], [1000]),
            ([[number] for number in shuffled], [random.choice([0, 1]) for _ in shuffled]),
        ):
            with transaction.atomic():
                house.play(apart, deliveries, chunks)
                roll_up()
                tables.append({row[:-1] for row in stored_table()})  # ids differ
                transaction.set_rollback(True)

        assert tables[0] == tables[1] == tables[2]

    check()
