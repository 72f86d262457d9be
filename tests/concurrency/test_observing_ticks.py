"""Observers of ticks beside rival ticks, killed between the merge and its commit, and owing at once."""

import random
import threading
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from django.db import InterfaceError, OperationalError, connection

from metering.models import Heartbeat, OwedObservation, PendingContribution, Project
from metering.rolling_up import rollups, tick_observers
from metering.rolling_up.rollups import roll_up
from metering.rolling_up.tick_observers import Touched
from tests.concurrency.rivals import meanwhile, race, rows, wait_until
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 60


class Alarm:
    """Notes once that the total has reached a limit; now and then it fails, or its backend is killed."""

    def __init__(self, *, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.fates: list[str] = []
        self.is_calm = False

    def observe(self, touched: Sequence[Touched]) -> None:
        assert [one.metric_id for one in touched]
        total = total_of("tokens") or 0
        if total >= LIMIT:
            Heartbeat.objects.get_or_create(
                job="crossed", defaults={"finished_at": at("2024-05-15T12:00:00Z")}
            )
        fate = 1 if self.is_calm else self.chance.random()
        if fate < 0.2:
            self.fates.append("failed")
            rows("SELECT 1 / 0")
        elif fate < 0.4:
            self.fates.append("killed")
            rows("SELECT pg_terminate_backend(pg_backend_pid())")

    def after_commit(self, touched: Sequence[Touched]) -> None:
        raise ConnectionError("the bus is down")


@pytest.fixture
def acme() -> Project:
    project = a_project("acme")
    a_metric("tokens")
    return project


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alarm]:
    alarm = Alarm()
    for module in ("tick_observers", "rollups", "draining", "rebuilding"):
        monkeypatch.setattr(f"metering.rolling_up.{module}.tick_observers", lambda: {"tests.Alarm": alarm})
    return alarm


def test_a_crossing_is_noted_whatever_happens_to_observers(acme: Project, alarm: Alarm) -> None:
    def write(over: threading.Event) -> None:
        for number in range(LIMIT):
            recorded(an_event(quantity=1, subject_id=f"s-{number % 3}"))

    def tick(over: threading.Event) -> None:
        while not over.is_set():
            try:
                roll_up(chunk=3)
            except (OperationalError, InterfaceError):
                connection.close()

    with meanwhile(tick, tick, tick):
        race(partial(write, threading.Event()))
        wait_until(lambda: {"failed", "killed"} <= set(alarm.fates))
    alarm.is_calm = True
    OwedObservation.objects.update(tried_at=None)
    roll_up()
    roll_up()

    assert total_of("tokens") == LIMIT
    assert Heartbeat.objects.filter(job="crossed").exists()
    assert not PendingContribution.objects.exists()
    assert not OwedObservation.objects.exists()


def test_an_observation_that_is_passed_over_when_it_fails_is_never_made(
    acme: Project, alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control: what owing is for.
    monkeypatch.setattr(tick_observers, "_owe", lambda *args: None)
    monkeypatch.setattr(alarm.chance, "random", lambda: 0.1)
    recorded(an_event(quantity=LIMIT))
    roll_up()
    alarm.is_calm = True

    roll_up()

    assert total_of("tokens") == LIMIT
    assert not Heartbeat.objects.filter(job="crossed").exists()


def test_what_is_owed_again_while_it_is_made_up_for_stays_owed(
    acme: Project, alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two ticks: one makes up for an observation, and before it commits the other fails at the same hour.
    monkeypatch.setattr(alarm.chance, "random", lambda: 0.1)
    recorded(an_event(quantity=1))
    roll_up()
    assert OwedObservation.objects.count() == 1
    observing, failed = threading.Event(), threading.Event()
    observe = alarm.observe

    def slowly(touched: Sequence[Touched]) -> None:
        if threading.current_thread() is slow[0]:
            observing.set()
            failed.wait(1)  # the other one waits for this commit, so this runs out
            return
        observe(touched)

    slow: list[threading.Thread] = []

    def make_up() -> None:
        slow.append(threading.current_thread())
        tick_observers.observe_owed()

    def fail_again() -> None:
        observing.wait(10)
        recorded(an_event(quantity=2))
        assert rollups._merge(10).taken_count == 1  # a tick, but for making up itself
        failed.set()

    monkeypatch.setattr(alarm, "observe", slowly)
    race(make_up, fail_again)

    assert OwedObservation.objects.count() == 1
    assert total_of("tokens") == 3
