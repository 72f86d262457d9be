"""Positions found while recorders come and go."""

import datetime as dt
import random
import threading
import time
from functools import partial

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from metering.answering import positions
from metering.answering.fences import raise_fence
from metering.answering.positions import position_at
from metering.clock import database_now, ledger_end
from metering.errors import Unavailable
from metering.locks import LOCK_CLASS, RECORDING_LOCK
from metering.models import Fence, Project, UsageEvent
from metering.texts.timestamps import iso
from tests.concurrency.rivals import Held, Rival, backends_waiting_for_a_lock, meanwhile, race, rows
from tests.factories import a_metric, a_project, an_event, outcomes, recorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric()
    return project


def test_a_fence_waits_for_a_long_recorder_and_holds_up_no_other() -> None:
    with Held(lambda: recorded(an_event())) as slow:
        [slow_event] = slow.answer
        fence = Rival(raise_fence)
        assert fence.is_still_waiting_after(0.3)

        began = time.monotonic()
        [fast_event] = recorded(an_event())
        took = time.monotonic() - began

        assert took < 1
        assert backends_waiting_for_a_lock() == 0
        assert fence.is_running
        assert not Fence.objects.exists()
        slow.commit()
        position = fence.result.position

    assert slow_event.id <= position < fast_event.id


def test_a_recorder_that_begins_after_the_fence_is_not_waited_for() -> None:
    with Held(lambda: recorded(an_event())) as first:
        fence = Rival(raise_fence)
        assert fence.is_still_waiting_after(0.1)
        with Held(lambda: recorded(an_event())) as second:
            first.commit()
            position = fence.result.position
            assert position < second.answer[0].id
            assert position == first.answer[0].id


def test_everything_up_to_a_position_is_final() -> None:
    seen: list[tuple[int, int]] = []

    def count_up_to(position: int) -> int:
        return UsageEvent.objects.filter(id__lte=position).count()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            with transaction.atomic():
                recorded(*(an_event() for _ in range(chance.randint(1, 3))))
                rows("SELECT pg_sleep(%s)", [chance.choice([0, 0, 0.005, 0.03])])
                if chance.random() < 0.1:
                    transaction.set_rollback(True)

    def fence(over: threading.Event) -> None:
        while not over.is_set():
            position = raise_fence().position
            seen.append((position, count_up_to(position)))

    with meanwhile(fence):
        race(*(partial(write, seed) for seed in range(6)))

    assert len(seen) > 5
    assert len({position for position, _ in seen}) > 3
    assert [(position, count_up_to(position)) for position, _ in seen] == seen
    assert [position for position, _ in seen] == sorted(position for position, _ in seen)


def test_a_position_that_waits_for_nobody_is_not_final() -> None:
    # Negative control: the end of the ledger, taken at its word.
    with Held(lambda: recorded(an_event())) as slow:
        recorded(an_event())
        position = ledger_end()
        before = UsageEvent.objects.filter(id__lte=position).count()
        slow.commit()

    assert (before, UsageEvent.objects.filter(id__lte=position).count()) == (1, 2)


def test_a_fence_that_asks_for_the_lock_stops_ingest() -> None:
    # Negative control: what reading `pg_locks` instead is for.
    def ask_for_the_lock() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, RECORDING_LOCK])

    def record_impatiently() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '200ms'")
            recorded(an_event())

    with Held(lambda: recorded(an_event())):
        fence = Rival(ask_for_the_lock)
        assert fence.is_still_waiting_after(0.2)
        recorder = Rival(record_impatiently)
        assert isinstance(recorder.error, OperationalError)

    _ = fence.result
    assert outcomes(recorded(an_event())) == ["created"]


def test_a_fence_gives_up_behind_a_recorder_that_never_ends() -> None:
    with Held(lambda: recorded(an_event())):
        with pytest.raises(Unavailable):
            raise_fence(patience_seconds=0.1)
        assert not Fence.objects.exists()

    assert raise_fence().position == UsageEvent.objects.get().id


def test_a_recorder_of_another_database_is_not_waited_for() -> None:
    # Advisory locks are listed for the whole cluster.
    ours = connection.settings_dict
    with psycopg.connect(
        dbname="postgres", user=ours["USER"], password=ours["PASSWORD"], host=ours["HOST"], port=ours["PORT"]
    ) as elsewhere:
        elsewhere.execute("SELECT pg_advisory_lock_shared(%s, %s)", [LOCK_CLASS, RECORDING_LOCK])
        recorded(an_event())

        assert raise_fence(patience_seconds=1).position == UsageEvent.objects.get().id


def test_a_position_beside_an_open_recorder_waits_until_it_is_final() -> None:
    with Held(lambda: recorded(an_event())) as slow:
        [slow_event] = slow.answer
        [fast_event] = recorded(an_event())
        by_id = Rival(lambda: position_at(str(fast_event.id)))
        by_time = Rival(lambda: position_at(iso(database_now())))
        assert by_id.is_still_waiting_after(0.3)
        assert by_time.is_still_waiting_after(0)

        slow.commit()

        assert (by_id.result, by_time.result) == (fast_event.id, fast_event.id)
    assert UsageEvent.objects.filter(id__lte=fast_event.id).count() == 2
    assert slow_event.id < fast_event.id


def test_a_position_below_the_last_fence_waits_for_nobody() -> None:
    [event] = recorded(an_event())
    fence = raise_fence()
    with Held(lambda: recorded(an_event())):
        assert position_at(str(event.id)) == event.id
        assert position_at(iso(fence.fenced_at - dt.timedelta(seconds=1))) == 0


def test_a_position_that_is_not_final_in_time_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "PATIENCE_SECONDS", 0.1)
    with Held(lambda: recorded(an_event())) as slow:
        with pytest.raises(Unavailable):
            position_at(str(slow.answer[0].id))
        assert not Fence.objects.exists()

    assert position_at(str(slow.answer[0].id)) == slow.answer[0].id
