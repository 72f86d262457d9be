"""Ticks beside writers, beside readers, beside each other, and killed anywhere."""

import datetime as dt
import random
import signal
import threading
from functools import partial

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from metering.answering.usage import Slice, usage_in
from metering.models import PendingContribution, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import Held, meanwhile, race, rows, start_process, wait_until
from tests.factories import a_metric, a_project, an_event, at, meaning_of, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_12, HOUR_13 = at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z")

# Every bucket by brute force, over the ledger alone: shares nothing with the tick. Metric `latest` keeps the
# latest reading, the other its sum.
BRUTE_FORCE = """
    SELECT m.key, e.project_id, g.granularity, date_trunc(g.granularity, e.occurred_at, 'UTC'),
           CASE WHEN s.is_total THEN '' ELSE e.subject_id END, s.is_total, count(*),
           CASE WHEN m.key <> 'latest' THEN sum(e.quantity) END,
           CASE WHEN m.key = 'latest'
                THEN (array_agg(e.quantity ORDER BY e.occurred_at DESC, e.id DESC))[1]
           END
      FROM metering_usageevent e
      JOIN metering_metricdefinition m ON m.event_name = e.event_name
     CROSS JOIN (VALUES ('hour'), ('day'), ('month')) g (granularity)
     CROSS JOIN (VALUES (TRUE), (FALSE)) s (is_total)
     GROUP BY 1, 2, 3, 4, 5, 6
     ORDER BY 1, 2, 3, 4, 5, 6
"""
STORED = """
    SELECT m.key, r.project_id, r.granularity, r.bucket_start, r.subject_id,
           r.stream = '00000000-0000-0000-0000-000000000000', r.record_count, r.value_sum, r.last_value
      FROM metering_usagemeterrollup r
      JOIN metering_metricdefinition m ON m.id = r.metric_id
     ORDER BY 1, 2, 3, 4, 5, 6
"""


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric("tokens")
    a_metric("latest", event_name="tokens", aggregation="LATEST")
    return project


def some_events(count: int, *, chance: random.Random) -> list[dict]:
    return [
        an_event(
            quantity=chance.randint(0, 9),
            subject_id=f"s-{chance.randint(0, 3)}",
            occurred_at=at(f"2024-05-{chance.choice([1, 15, 31]):02}T00:00:00Z")
            + dt.timedelta(seconds=chance.randint(0, 10_000)),
        )
        for _ in range(count)
    ]


class Crash(Exception):
    pass


def test_every_bucket_equals_brute_force_after_crashes_beside_writers() -> None:
    crashes: list[str] = []

    def write(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            recorded(*some_events(chance.choice([1, 5, 20]), chance=chance))

    def tick(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            fate = chance.random()
            try:
                if fate < 0.85:
                    roll_up(chunk=chance.choice([1, 3, 10, 20_000]))
                    continue
                with transaction.atomic():
                    roll_up()
                    crashes.append("raised" if fate < 0.925 else "terminated")
                    if fate < 0.925:
                        raise Crash
                    rows("SELECT pg_terminate_backend(pg_backend_pid())")
            except Crash:
                pass
            except (OperationalError, InterfaceError):
                connection.close()

    with meanwhile(*(partial(tick, seed) for seed in range(3))) as ticks:
        race(*(partial(write, seed, threading.Event()) for seed in (11, 12, 13)))
        wait_until(lambda: {"raised", "terminated"} <= set(crashes))
        assert all(rival.is_running for rival in ticks)
    roll_up()

    assert len(crashes) > 2
    assert UsageEvent.objects.count() > 500
    assert rows(STORED) == rows(BRUTE_FORCE)
    assert not PendingContribution.objects.exists()


def test_ticks_terminated_from_outside_at_any_moment_lose_and_double_nothing() -> None:
    chance = random.Random(7)
    for _ in range(300):
        recorded(*some_events(2, chance=chance))
    expected = total_of("tokens")
    pids: dict[int, int] = {}
    kills = 0

    def tick(number: int, over: threading.Event) -> None:
        while not over.is_set():
            try:
                pids[number] = rows("SELECT pg_backend_pid()")[0][0]
                if not PendingContribution.objects.exists():
                    return
                roll_up(chunk=2)
            except (OperationalError, InterfaceError):
                connection.close()

    with meanwhile(*(partial(tick, number) for number in range(3))) as ticks:
        while any(rival.is_running for rival in ticks):
            victim = pids.get(chance.randrange(3))
            if victim is not None:
                [(was_alive,)] = rows(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = %s", [victim]
                )
                kills += was_alive
            assert total_of("tokens") == expected
    roll_up()

    assert kills > 3
    assert rows(STORED) == rows(BRUTE_FORCE)
    assert total_of("tokens") == expected


MERGE_HOURS = """
    INSERT INTO metering_usagemeterrollup AS r
           (project_id, metric_id, billing_scope_id, granularity, bucket_start,
            stream, subject_type, subject_id, "group", record_count, value_sum)
    SELECT project_id, metric_id, billing_scope_id, 'hour', hour_start,
           '00000000-0000-0000-0000-000000000000', '', '', '{}', sum(record_count), sum(value_sum)
      FROM metering_pendingcontribution
     GROUP BY 1, 2, 3, 5
    ON CONFLICT ON CONSTRAINT rollup_natural_key
    DO UPDATE SET record_count = r.record_count + EXCLUDED.record_count,
                  value_sum = r.value_sum + EXCLUDED.value_sum
"""


@pytest.mark.parametrize(("in_between", "wrong"), [("a crash", 10), ("a writer", 5)])
def test_merging_and_deleting_in_two_transactions_doubles_or_loses(in_between: str, wrong: int) -> None:
    # Negative control: what merging and deleting in one statement is for.
    recorded(an_event(quantity="5"))

    with connection.cursor() as cursor:
        cursor.execute(MERGE_HOURS)
    if in_between == "a writer":
        recorded(an_event(quantity="7"))
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM metering_pendingcontribution")

    assert total_of("tokens", HOUR_12, HOUR_13) == wrong


def test_a_writer_that_holds_its_transaction_open_is_counted_exactly_once() -> None:
    with Held(lambda: recorded(an_event(quantity="5"))) as writer:
        [slow] = writer.answer
        recorded(an_event(quantity="7"))
        roll_up()
        [fast] = recorded(an_event(quantity="11"))
        roll_up()
        watermark = UsageEvent.objects.latest("id").id
        assert total_of("tokens") == 18
        writer.commit()

    assert total_of("tokens") == 23
    for _ in range(3):
        roll_up()
        assert total_of("tokens") == 23
    assert rows(STORED) == rows(BRUTE_FORCE)
    # Negative control: a roll-up that remembers the highest id it has seen never comes back for the slow one.
    assert slow.id < fast.id == watermark
    assert not UsageEvent.objects.filter(id__gt=watermark).exists()


def test_many_writers_with_transactions_of_any_length_are_counted_exactly_once() -> None:
    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            with transaction.atomic():
                recorded(*some_events(3, chance=chance))
                rows("SELECT pg_sleep(%s)", [chance.choice([0, 0, 0.01, 0.08])])
                recorded(*some_events(2, chance=chance))

    def tick(over: threading.Event) -> None:
        while not over.is_set():
            roll_up(chunk=5)

    with meanwhile(tick, tick):
        race(*(partial(write, seed) for seed in range(6)))
    roll_up()

    assert UsageEvent.objects.count() == 360
    assert rows(STORED) == rows(BRUTE_FORCE)


def test_a_worker_killed_in_the_middle_of_a_tick_changes_no_total() -> None:
    chance = random.Random(3)
    for _ in range(150):
        recorded(*some_events(3, chance=chance))
    expected, pending = total_of("tokens"), PendingContribution.objects.count()
    worker = start_process(
        "import time\n"
        "from django.db import connection, transaction\n"
        "from metering.rolling_up.rollups import roll_up\n"
        "with connection.cursor() as cursor:\n"
        "    cursor.execute('SELECT pg_backend_pid()')\n"
        "    print(cursor.fetchone()[0], flush=True)\n"
        # Some chunks are committed, then one is merged and never is.
        "class Enough(Exception): pass\n"
        "def stop_at_ten(merged):\n"
        "    if merged >= 10: raise Enough\n"
        "try: roll_up(chunk=2, on_progress=stop_at_ten)\n"
        "except Enough: pass\n"
        "with transaction.atomic():\n"
        "    roll_up(chunk=1000)\n"
        "    print('merged', flush=True)\n"
        "    time.sleep(60)\n"
    )
    try:
        pid = int(worker.stdout.readline())
        assert worker.stdout.readline() == "merged\n"
        during = total_of("tokens")
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(20) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.stdout.close()
    wait_until(lambda: rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]) == [])

    assert during == total_of("tokens") == expected
    assert PendingContribution.objects.count() == pending - 10
    roll_up()
    assert total_of("tokens") == expected
    assert rows(STORED) == rows(BRUTE_FORCE)


QUESTIONS = {
    "all": ((None, None), Slice()),
    "by subject": ((None, None), Slice(group_by=("subject_id",))),
    "a day": ((at("2024-05-15T00:00:00Z"), at("2024-05-16T00:00:00Z")), Slice()),
    "hours and edges": ((at("2024-05-15T00:10:00Z"), at("2024-05-15T02:10:00Z")), Slice()),
}


def test_readers_see_exact_totals_while_ticks_run() -> None:
    chance = random.Random(5)
    for _ in range(200):
        recorded(*some_events(3, chance=chance))
    meanings = [meaning_of("tokens"), meaning_of("latest")]

    def ask() -> list:
        return [
            usage_in(meaning, [interval], slice=slice)
            for meaning in meanings
            for interval, slice in QUESTIONS.values()
        ]

    expected = ask()
    readings = [0, 0]

    def read(number: int, over: threading.Event) -> None:
        while not over.is_set():
            assert ask() == expected
            readings[number] += 1

    with meanwhile(partial(read, 0), partial(read, 1)):
        race(*[lambda: roll_up(chunk=3)] * 2)
        assert not PendingContribution.objects.exists()

    assert min(readings) > 3
    assert ask() == expected


def test_reading_rollups_and_pending_in_two_statements_sees_neither_or_both() -> None:
    # Negative control: what asking in one statement is for.
    recorded(an_event(quantity="5"))
    rolled_up = (
        "SELECT COALESCE(sum(value_sum), 0) FROM metering_usagemeterrollup WHERE granularity = 'month'"
    )
    pending = "SELECT COALESCE(sum(value_sum), 0) FROM metering_pendingcontribution"

    [(before,)] = rows(rolled_up)
    roll_up()
    [(after,)] = rows(pending)

    assert before + after == 0
    assert total_of("tokens") == 5


def test_workers_at_once_merge_each_contribution_once() -> None:
    chance = random.Random(9)
    for _ in range(100):
        recorded(*some_events(2, chance=chance))
    count = PendingContribution.objects.count()

    ticks = race(*[lambda: roll_up(chunk=3)] * 4)

    assert sum(tick.merged_count for tick in ticks) == count
    assert rows(STORED) == rows(BRUTE_FORCE)


def test_a_tick_passes_over_what_another_holds_and_waits_for_nobody() -> None:
    recorded(an_event(quantity="5", occurred_at="2024-05-15T12:00:00Z"))
    with Held(roll_up) as slow:
        assert slow.answer.merged_count == 2
        recorded(an_event(quantity="7", occurred_at="2023-05-15T12:00:00Z"))

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM metering_pendingcontribution FOR UPDATE SKIP LOCKED) p"
            )
            assert cursor.fetchone() == (2,)
        slow.commit()

    roll_up()
    assert total_of("tokens") == 12
    assert rows(STORED) == rows(BRUTE_FORCE)
