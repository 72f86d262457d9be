"""Who is told what a tick merged: in its transaction, all of it, and once more where that failed."""

import datetime as dt
import logging
import random
from collections.abc import Iterator, Sequence

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from metering.attributing.scope_tree import attribute
from metering.clock import ledger_end
from metering.correcting.corrections import void_events
from metering.health import ledger_health
from metering.models import Heartbeat, OwedObservation, PendingContribution, Project, UsageMeterRollup
from metering.rolling_up import tick_observers
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from metering.rolling_up.tick_observers import Touched
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of

pytestmark = pytest.mark.django_db

HOUR_12, HOUR_14 = at("2024-05-15T12:00:00Z"), at("2024-05-15T14:00:00Z")


class Witness:
    """Writes down what it is told; fails where it is told to."""

    def __init__(self) -> None:
        self.seen: list[Touched] = []
        self.calls: list[list[Touched]] = []
        self.committed: list[list[Touched]] = []
        self.refused: set[int] = set()  # projects
        self.rolled_up: list[object] = []

    def observe(self, touched: Sequence[Touched]) -> None:
        Heartbeat.objects.update_or_create(job="witness", defaults={"finished_at": Now()})
        if self.refused & {one.project_id for one in touched}:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        self.seen += touched
        self.calls.append(list(touched))
        self.rolled_up.append(UsageMeterRollup.objects.count())

    def after_commit(self, touched: Sequence[Touched]) -> None:
        self.committed.append(list(touched))


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    witness = Witness()
    monkeypatch.setattr(tick_observers, "tick_observers", lambda: {"tests.Witness": witness})
    for module in ("rolling_up.rollups", "rolling_up.draining", "rolling_up.rebuilding", "health"):
        monkeypatch.setattr(f"metering.{module}.tick_observers", lambda: {"tests.Witness": witness})
    return witness


def test_an_observer_is_told_each_day_that_was_touched_once(acme: Project, witness: Witness) -> None:
    metric = a_metric()
    recorded(
        an_event(quantity=1, occurred_at="2024-05-15T14:59:59Z"),
        an_event(quantity=2, occurred_at="2024-05-15T12:00:00Z", subject_id="ada"),
        an_event(quantity=3, occurred_at="2021-01-01T00:30:00Z"),
    )

    roll_up()

    assert witness.calls == [
        [
            Touched(metric.pk, acme.pk, acme.pk, at("2021-01-01T00:00:00Z"), at("2021-01-01T00:00:00Z")),
            Touched(metric.pk, acme.pk, acme.pk, HOUR_12, HOUR_14),
        ]
    ]
    # Six of each stream (hours, days, months), and their totals: it looks at what was merged.
    assert witness.rolled_up == [UsageMeterRollup.objects.count()]


def test_a_tick_that_merges_nothing_tells_nobody(witness: Witness) -> None:
    a_metric()

    roll_up()

    assert witness.calls == []
    assert witness.committed == []


def test_what_was_told_is_not_told_again(witness: Witness) -> None:
    a_metric()
    recorded(an_event(quantity=1))

    roll_up()
    roll_up()

    assert len(witness.calls) == 1


METRICS = {
    "amounts": {},
    "peaks": {"aggregation": "MAX"},
    "latest": {"aggregation": "LATEST"},
    "visitors": {"aggregation": "UNIQUE_COUNT"},
    "meters": {"is_incremental": False},
    "levels": {"aggregation": "TIME_WEIGHTED_AVG"},
}


@pytest.mark.parametrize("seed", range(4))
def test_all_that_was_recorded_is_told_whatever_it_is_made_of(seed: int, witness: Witness) -> None:
    chance = random.Random(seed)
    metrics = {a_metric(key, event_name="tokens", **fields).pk: key for key, fields in METRICS.items()}
    others = [a_project(f"child-{number}", parent=Project.objects.get(key="acme")) for number in range(3)]
    attribute(others[0], payer=Project.objects.get(key="acme"))
    expected: set[tuple[int, int, int, dt.datetime]] = set()
    for _ in range(3):
        events = [
            an_event(
                chance.choice(others),
                quantity=chance.randint(0, 9),
                subject_id=f"s-{chance.randint(0, 2)}",
                occurred_at=at("2024-02-27T00:00:00Z") + dt.timedelta(minutes=chance.randint(0, 6000)),
            )
            for _ in range(chance.randint(1, 12))
        ]
        for event in events:
            [outcome] = recorded(event)
            hour = event["occurred_at"].replace(minute=0)
            project = Project.objects.get(key=event["project"])
            payer = Project.objects.get(key="acme") if project == others[0] else project
            expected |= {(metric_id, project.pk, payer.pk, hour) for metric_id in metrics}
        if chance.random() < 0.5:
            roll_up()  # voided before it was merged, a step never was
            void_events([outcome.id], reason="a mistake", actor="tests")
        roll_up(chunk=chance.choice([1, 3, 20_000]))

    told = {
        (one.metric_id, one.project_id, one.billing_scope_id, hour)
        for one in witness.seen
        for hour in (one.first_hour, one.last_hour)
    }
    by_day: dict[tuple[int, int, int, dt.date], list[dt.datetime]] = {}
    for *ids, hour in expected:
        by_day.setdefault((*ids, hour.date()), []).append(hour)
    # Steps move the hour after a reading, too: those tell more.
    steps = {pk for pk, key in metrics.items() if key in {"meters", "levels"}}
    assert {row for row in told if row[0] not in steps} <= expected
    assert {(*row[:3], row[3].date()) for row in told} == set(by_day)
    for (*ids, _), hours in by_day.items():
        assert {(*ids, min(hours)), (*ids, max(hours))} <= told
    for call in witness.calls:
        assert call == sorted(call)
        days = [(one.metric_id, one.project_id, one.billing_scope_id, one.first_hour.date()) for one in call]
        assert len(days) == len(set(days))
        assert all(one.first_hour.date() == one.last_hour.date() for one in call)


def test_a_failing_observer_does_not_stop_the_roll_up_and_makes_up_for_it(
    acme: Project, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    metric, other = a_metric(), a_project("other")
    witness.refused = {acme.pk}
    recorded(an_event(quantity=5), an_event(other, quantity=7))

    with caplog.at_level(logging.ERROR):
        roll_up()

    assert (total_of(metric), PendingContribution.objects.count()) == (12, 0)
    assert "division by zero" in caplog.text
    assert witness.calls == []
    assert not Heartbeat.objects.filter(job="witness").exists()  # what it did was undone
    assert OwedObservation.objects.count() == ledger_health().owed_count == 2

    # One that can't be observed holds up no other.
    roll_up()
    assert witness.calls == [[Touched(metric.pk, other.pk, other.pk, HOUR_12, HOUR_12)]]
    assert OwedObservation.objects.values_list("project_id", "failure").get() == (acme.pk, "division by zero")

    # It isn't tried in every tick,
    witness.refused = set()
    roll_up()
    assert len(witness.calls) == 1
    # and is made up for in the end.
    OwedObservation.objects.update(tried_at=Now() - tick_observers.RETRY_AFTER)
    roll_up()
    assert witness.calls[1:] == [[Touched(metric.pk, acme.pk, acme.pk, HOUR_12, HOUR_12)]]
    assert ledger_health().owed_count == 0


def test_failing_again_at_the_same_owes_it_once(acme: Project, witness: Witness) -> None:
    a_metric()
    witness.refused = {acme.pk}
    for quantity in (5, 7):
        recorded(an_event(quantity=quantity))
        roll_up()

    assert OwedObservation.objects.count() == 1


class Crash(BaseException):
    pass


def test_a_process_that_dies_in_an_observer_leaves_merge_and_observation_undone(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = a_metric()
    recorded(an_event(quantity=5))

    def die(touched: Sequence[Touched]) -> None:
        Heartbeat.objects.create(job="half done", finished_at=at("2024-05-15T12:00:00Z"))
        raise Crash

    monkeypatch.setattr(witness, "observe", die)
    with pytest.raises(Crash):
        roll_up()

    assert not UsageMeterRollup.objects.exists()
    assert not Heartbeat.objects.filter(job="half done").exists()
    assert PendingContribution.objects.count() == 1
    assert total_of(metric) == 5
    monkeypatch.undo()


def test_after_a_commit_everybody_is_told_once(
    acme: Project,
    witness: Witness,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    metric = a_metric()
    recorded(an_event(quantity=5))

    with django_capture_on_commit_callbacks(execute=True):
        roll_up()
        assert witness.committed == []

    assert witness.committed == [[Touched(metric.pk, acme.pk, acme.pk, HOUR_12, HOUR_12)]]


def test_a_tick_that_is_rolled_back_was_never_committed(
    witness: Witness, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    a_metric()
    recorded(an_event(quantity=5))

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        roll_up()
        transaction.set_rollback(True)

    assert witness.committed == []


def test_failing_after_a_commit_harms_nobody(
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    metric = a_metric()
    recorded(an_event(quantity=5))

    def fail(touched: Sequence[Touched]) -> None:
        raise ConnectionError("the bus is down")

    monkeypatch.setattr(witness, "after_commit", fail)
    with caplog.at_level(logging.ERROR), django_capture_on_commit_callbacks(execute=True):
        roll_up()

    assert "the bus is down" in caplog.text
    assert total_of(metric) == 5
    assert not OwedObservation.objects.exists()


def test_what_a_rebuild_takes_from_the_ticks_is_told_by_it(
    acme: Project, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = a_metric()
    recorded(an_event(quantity=5, occurred_at="2024-05-14T10:00:00Z"))
    roll_up()
    UsageMeterRollup.objects.filter(granularity="hour").update(value_sum=4)
    recorded(an_event(quantity=7))
    monkeypatch.setattr("metering.rolling_up.rebuilding.roll_up", lambda: None)

    rebuild_rollups(metric, position=ledger_end())

    day_before = at("2024-05-14T10:00:00Z")
    assert witness.calls[1:] == [
        [
            Touched(metric.pk, acme.pk, acme.pk, day_before, day_before),
            Touched(metric.pk, acme.pk, acme.pk, HOUR_12, HOUR_12),
        ]
    ]


def test_settings_name_the_observers(settings: Settings) -> None:
    settings.METERING_TICK_OBSERVERS = ["tests.metering.rolling_up.test_tick_observers.Witness"]

    [(path, observer)] = tick_observers.tick_observers().items()

    assert path == "tests.metering.rolling_up.test_tick_observers.Witness"
    assert type(observer).__name__ == "Witness"
    assert tick_observers.tick_observers()[path] is observer
