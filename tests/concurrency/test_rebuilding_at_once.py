"""Rebuilds beside writers, corrections and ticks, beside each other, and killed."""

import random
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from metering.correcting.corrections import void_events
from metering.errors import RebuildUnderWay
from metering.models import MetricDefinition, PendingContribution, RollupRebuild, UsageEvent
from metering.rolling_up import rebuilding
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import (
    Held,
    Rival,
    backends_waiting_for_a_lock,
    meanwhile,
    race,
    rows,
    start_process,
    wait_until,
)
from tests.concurrency.test_rolling_up_at_once import STORED, some_events
from tests.factories import a_metric, a_project, an_event, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)

# Every bucket by brute force: shares nothing with ticks and rebuilds. `latest` keeps the latest reading,
# `increase` the steps of a counter that restarts from zero, the others their sum.
BRUTE_FORCE = """
    WITH standing AS (
        SELECT e.*
          FROM metering_usageevent e
         WHERE e.kind = 'usage'
           AND NOT EXISTS (SELECT FROM metering_usageevent v WHERE v.voids = e.id)
    ),
    stepped AS (
        SELECT e.*,
               CASE
                   WHEN lag(quantity) OVER s IS NULL THEN 0
                   WHEN quantity < lag(quantity) OVER s THEN quantity
                   ELSE quantity - lag(quantity) OVER s
               END AS step
          FROM standing e
        WINDOW s AS (PARTITION BY project_id, billing_scope_id, subject_id ORDER BY occurred_at, id)
    )
    SELECT m.key, e.project_id, g.granularity, date_trunc(g.granularity, e.occurred_at, 'UTC'),
           CASE WHEN s.is_total THEN '' ELSE e.subject_id END, s.is_total, count(*),
           CASE m.key WHEN 'tokens' THEN sum(e.quantity) WHEN 'increase' THEN sum(e.step) END,
           CASE
               WHEN m.key = 'latest' OR m.key = 'increase' AND g.granularity = 'hour' AND NOT s.is_total
               THEN (array_agg(e.quantity ORDER BY e.occurred_at DESC, e.id DESC))[1]
           END
      FROM stepped e
      JOIN metering_metricdefinition m ON m.event_name = e.event_name
     CROSS JOIN (VALUES ('hour'), ('day'), ('month')) g (granularity)
     CROSS JOIN (VALUES (TRUE), (FALSE)) s (is_total)
     GROUP BY 1, 2, 3, 4, 5, 6
     ORDER BY 1, 2, 3, 4, 5, 6
"""


@pytest.fixture(autouse=True)
def metrics() -> list[MetricDefinition]:
    a_project("acme")
    return [
        a_metric("tokens"),
        a_metric("latest", event_name="tokens", aggregation="LATEST"),
        a_metric("increase", event_name="tokens", is_incremental=False),
    ]


def paused(monkeypatch: pytest.MonkeyPatch, name: str, meanwhile: Callable[[], Any]) -> None:
    """Let something happen before a step of the next rebuild, once."""
    step = getattr(rebuilding, name)
    happened: list[Any] = []

    def delayed(*args: Any, **options: Any) -> Any:
        if not happened:
            happened.append(True)
            meanwhile()
        return step(*args, **options)

    monkeypatch.setattr(rebuilding, name, delayed)


def test_rebuilds_under_load_end_in_what_the_ledger_says(metrics: list[MetricDefinition]) -> None:
    chance = random.Random(2)
    for _ in range(40):
        recorded(*some_events(5, chance=chance))
    commits = [0, 0]

    def write(number: int, over: threading.Event) -> None:
        chance = random.Random(number)
        while not over.is_set():
            outcomes = recorded(*some_events(chance.choice([1, 5, 20]), chance=chance))
            if chance.random() < 0.3:
                void_events([chance.choice(outcomes).id], reason="wrong", actor="tests")
            commits[number] += 1

    def tick(over: threading.Event) -> None:
        while not over.is_set():
            roll_up(chunk=5)

    with meanwhile(partial(write, 0), partial(write, 1), tick, tick):
        for _ in range(3):
            for metric in metrics:
                assert rebuild_rollups(metric).wrong_count == 0
        rows("DELETE FROM metering_usagemeterrollup WHERE id % 4 = 0 RETURNING 1")
        for metric in metrics:
            rebuild_rollups(metric)
    roll_up()

    assert min(commits) > 10
    assert rows(STORED) == rows(BRUTE_FORCE)
    assert not PendingContribution.objects.exists()


def test_recorders_go_on_while_the_swap_is_held_open_and_ticks_wait(metrics: list[MetricDefinition]) -> None:
    recorded(an_event(quantity="5"))
    with Held(lambda: rebuild_rollups(metrics[0])) as rebuild:
        tick = Rival(roll_up)
        wait_until(lambda: backends_waiting_for_a_lock() == 1)

        recorded(*(an_event(quantity="1") for _ in range(20)))

        assert UsageEvent.objects.count() == 21
        assert total_of("tokens") == 25
        assert tick.is_running
        rebuild.commit()
    tick.join()

    assert total_of("tokens") == 25
    assert rows(STORED) == rows(BRUTE_FORCE)


def a_late_event_is_ticked() -> Rival:
    race(lambda: recorded(an_event(quantity="7")))  # on a connection of its own
    tick = Rival(roll_up)
    tick.is_still_waiting_after(1)
    return tick


def test_tick_between_reading_and_swapping_waits_for_the_swap(
    metrics: list[MetricDefinition], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(an_event(quantity="5"))
    ticks: list[Rival] = []
    paused(monkeypatch, "_compare", lambda: ticks.append(a_late_event_is_ticked()))

    rebuild_rollups(metrics[0])

    assert ticks[0].result.merged_count > 0
    assert total_of("tokens") == 12
    assert rows(STORED) == rows(BRUTE_FORCE)


def test_swap_beside_ticks_loses_what_they_merge(
    metrics: list[MetricDefinition], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control: what holding the rollups alone is for.
    recorded(an_event(quantity="5"))
    hold = rebuilding.hold_rollups
    monkeypatch.setattr(rebuilding, "hold_rollups", lambda *, alone: hold())
    paused(monkeypatch, "_compare", lambda: a_late_event_is_ticked().join())

    rebuild_rollups(metrics[0])

    assert total_of("tokens") == 5
    assert rows(STORED) != rows(BRUTE_FORCE)


def late_usage() -> None:
    """Readings between what was read, and a void of what was read."""
    [first, *_] = UsageEvent.objects.order_by("id").values_list("id", flat=True)
    recorded(an_event(quantity="7"), an_event(quantity="9", occurred_at="2024-05-15T14:30:00Z"))
    void_events([first], reason="wrong", actor="tests")


def readings_in_three_hours() -> None:
    recorded(*(an_event(quantity="5", occurred_at=f"2024-05-15T1{hour}:10:00Z") for hour in (2, 3, 5)))
    roll_up()


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("ticks_first", [False, True])
def test_what_comes_after_the_ledger_was_read_is_contained(
    metrics: list[MetricDefinition], monkeypatch: pytest.MonkeyPatch, number: int, ticks_first: bool
) -> None:
    readings_in_three_hours()

    def happens() -> None:
        late_usage()
        if ticks_first:
            race(roll_up)

    paused(monkeypatch, "hold_rollups", lambda: race(happens))
    findings = rebuild_rollups(metrics[number])
    roll_up()

    assert findings.wrong_count == 0
    assert findings.pending_count == (0 if ticks_first else 3)
    assert rows(STORED) == rows(BRUTE_FORCE)


def test_swap_of_what_was_read_before_loses_what_came_since(
    metrics: list[MetricDefinition], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control: what reading the touched hours again is for.
    readings_in_three_hours()

    def forget_what_came_since(meaning: Any, project_ids: Any, position: int) -> tuple[int, int]:
        PendingContribution.objects.filter(metric_id=meaning.metric_id).delete()
        [(version,)] = rows("SELECT version FROM metering_catalogueversion")
        return 0, version

    monkeypatch.setattr(rebuilding, "_catch_up_by", forget_what_came_since)
    paused(monkeypatch, "hold_rollups", lambda: race(late_usage))
    rebuild_rollups(metrics[0])

    assert total_of("tokens") == 15
    assert rows(STORED) != rows(BRUTE_FORCE)


def test_second_rebuild_of_a_metric_is_refused_while_one_runs(metrics: list[MetricDefinition]) -> None:
    recorded(an_event(quantity="5"))
    roll_up()
    with Held(lambda: rebuild_rollups(metrics[0], position=0)) as first:
        # Without ticking first, which would wait for the swap.
        with pytest.raises(RebuildUnderWay, match="'tokens' are being rebuilt already"):
            rebuild_rollups(metrics[0], is_dry_run=True)
        first.commit()

    assert RollupRebuild.objects.count() == 1
    assert rebuild_rollups(metrics[0], is_dry_run=True).wrong_count == 0


def test_rebuilds_of_all_metrics_at_once_are_right(metrics: list[MetricDefinition]) -> None:
    chance = random.Random(4)
    for _ in range(20):
        recorded(*some_events(5, chance=chance))
    roll_up()
    rows("DELETE FROM metering_usagemeterrollup WHERE id % 2 = 0 RETURNING 1")

    race(*(partial(rebuild_rollups, metric) for metric in metrics), roll_up)

    assert rows(STORED) == rows(BRUTE_FORCE)


@pytest.mark.parametrize("step", ["hold_rollups", "_compare", "_drop_tables", "_remember"])
def test_rebuild_killed_at_any_step_leaves_everything_as_it_was(
    metrics: list[MetricDefinition], step: str
) -> None:
    chance = random.Random(3)
    for _ in range(20):
        recorded(*some_events(3, chance=chance))
    roll_up()
    rows("UPDATE metering_usagemeterrollup SET value_sum = 1 WHERE id % 2 = 0 RETURNING 1")
    before = rows("SELECT * FROM metering_usagemeterrollup ORDER BY id")
    worker = start_process(
        "import time\n"
        "from django.db import connection\n"
        "from metering.rolling_up import rebuilding\n"
        "from metering.models import MetricDefinition\n"
        "with connection.cursor() as cursor:\n"
        "    cursor.execute('SELECT pg_backend_pid()')\n"
        "    print(cursor.fetchone()[0], flush=True)\n"
        # The tables are dropped twice: before and after.
        f"step, calls = rebuilding.{step}, []\n"
        "def stop(*args, **options):\n"
        "    step(*args, **options)\n"
        "    calls.append(1)\n"
        f"    if len(calls) == {2 if step == '_drop_tables' else 1}:\n"
        "        print('there', flush=True)\n"
        "        time.sleep(60)\n"
        f"rebuilding.{step} = stop\n"
        "rebuilding.rebuild_rollups(MetricDefinition.objects.get(key='tokens'))\n"
    )
    try:
        pid = int(worker.stdout.readline())
        assert worker.stdout.readline() == "there\n"
        late = recorded(an_event(quantity="7"))
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(20) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.stdout.close()
    wait_until(lambda: rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]) == [])

    assert rows("SELECT * FROM metering_usagemeterrollup ORDER BY id") == before
    assert late[0].outcome == "created"
    assert PendingContribution.objects.count() == 3
    assert not RollupRebuild.objects.exists()
    assert [rebuild_rollups(metric).wrong_count > 0 for metric in metrics] == [True] * 3
    assert rows(STORED) == rows(BRUTE_FORCE)
