"""Corrections beside each other, beside recorders and beside ticks, and killed in the middle."""

import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
from django.db import connection, transaction

from metering.correcting.corrections import amend_event, void_events
from metering.errors import Conflict
from metering.models import Correction, PendingContribution, Project
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
from tests.factories import a_metric, a_project, an_event, at, ledger_rows, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = (at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z"))
TOTAL = "00000000-0000-0000-0000-000000000000"

# Every bucket by brute force, over the ledger alone: shares nothing with the tick.
BRUTE_FORCE = """
    SELECT m.key, g.granularity, date_trunc(g.granularity, e.occurred_at, 'UTC'),
           CASE WHEN s.is_total THEN '' ELSE e.subject_id END, s.is_total, count(*),
           CASE WHEN m.key = 'tokens' THEN sum(e.quantity) END,
           CASE WHEN m.key = 'peak' THEN max(e.quantity) END,
           CASE WHEN m.key = 'latest'
                THEN (array_agg(e.quantity ORDER BY e.occurred_at DESC, e.id DESC))[1]
           END
      FROM metering_usageevent e
      JOIN metering_metricdefinition m ON m.event_name = e.event_name
     CROSS JOIN (VALUES ('hour'), ('day'), ('month')) g (granularity)
     CROSS JOIN (VALUES (TRUE), (FALSE)) s (is_total)
     WHERE e.kind = 'usage'
       AND NOT EXISTS (SELECT FROM metering_usageevent v WHERE v.voids = e.id)
     GROUP BY 1, 2, 3, 4, 5
     ORDER BY 1, 2, 3, 4, 5
"""
STORED = """
    SELECT m.key, r.granularity, r.bucket_start, r.subject_id,
           r.stream = '00000000-0000-0000-0000-000000000000', r.record_count, r.value_sum, r.value_max,
           r.last_value
      FROM metering_usagemeterrollup r
      JOIN metering_metricdefinition m ON m.id = r.metric_id
     WHERE r.record_count <> 0
     ORDER BY 1, 2, 3, 4, 5
"""


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def metrics() -> None:
    a_metric("tokens")
    a_metric("peak", event_name="tokens", aggregation="MAX")
    a_metric("latest", event_name="tokens", aggregation="LATEST")


def an_id(**overrides: object) -> int:
    [outcome] = recorded(an_event(**overrides))
    assert outcome.id is not None
    return outcome.id


def void(*event_ids: int) -> list[str]:
    return [voided.outcome for voided in void_events(event_ids, reason="wrong", actor="tests")]


# -- corrections at once -----------------------------------------------------------------------------------


def test_an_event_voided_16_times_at_once_is_voided_once(metrics: None) -> None:
    event_id = an_id(quantity=5)
    an_id(quantity=7)

    answers = race(*[lambda: void_events([event_id], reason="wrong", actor="tests")[0]] * 16)

    assert Counter(answer.outcome for answer in answers) == {"created": 1, "exists": 15}
    assert len({answer.id for answer in answers}) == 1
    assert list(Correction.objects.values_list("event", "void")) == [(event_id, answers[0].id)]
    assert (total_of("tokens"), total_of("peak")) == (7, 7)
    roll_up()
    assert (total_of("tokens"), total_of("peak")) == (7, 7)


def test_looking_first_and_taking_back_then_takes_back_twice(metrics: None) -> None:
    # Negative control: what the answer of the INSERT, under its unique key, is for.
    event_id = an_id(quantity=5)
    recorded(an_event(quantity=7), an_event(quantity=7))
    have_looked = threading.Barrier(2)

    def void_after_a_look() -> None:
        assert rows("SELECT FROM metering_usageevent WHERE voids = %s", [event_id]) == []
        have_looked.wait(20)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name,"
                "       labels, occurred_at, kind, voids, digest)"
                " SELECT project_id, billing_scope_id, 'meterbook:void', id::text, event_name, labels,"
                "        occurred_at, 'void', id, digest FROM metering_usageevent WHERE id = %s"
                " ON CONFLICT DO NOTHING",
                [event_id],
            )
            cursor.execute(
                "INSERT INTO metering_pendingcontribution"
                "       (metric_id, project_id, billing_scope_id, hour_start, stream, subject_type,"
                '        subject_id, "group", value_key, record_count, value_sum, drains_whole, is_mark)'
                " SELECT metric_id, project_id, billing_scope_id, hour_start, stream, subject_type,"
                '        subject_id, "group", value_key, -1, -5, FALSE, FALSE'
                "   FROM metering_pendingcontribution WHERE value_sum = 5"
            )

    race(void_after_a_look, void_after_a_look)

    assert total_of("tokens") == 9


def test_batches_in_opposite_order_void_each_event_once_without_a_deadlock(metrics: None) -> None:
    results = recorded(*(an_event(quantity=1, subject_id=f"s-{number}") for number in range(400)))
    ids = [result.id for result in results if result.id is not None]

    def void_shuffled(seed: int) -> int:
        mine = random.Random(seed).sample(ids, 300)
        return void(*mine).count("created")

    created = race(*(partial(void_shuffled, seed) for seed in range(8)))

    assert sum(created) == Correction.objects.count() == 400 - (total_of("tokens") or 0)
    roll_up()
    assert rows(STORED) == rows(BRUTE_FORCE)


def test_an_event_amended_16_times_at_once_is_replaced_once(metrics: None) -> None:
    event_id = an_id(quantity=5)

    answers = race(*[lambda: amend_event(event_id, {"quantity": 6}, reason="wrong", actor="tests")] * 16)

    assert Counter((answer.void.outcome, answer.event.outcome) for answer in answers) == {
        ("created", "created"): 1,
        ("exists", "exists"): 15,
    }
    assert len({(answer.void.id, answer.event.id) for answer in answers}) == 1
    assert (Correction.objects.count(), len(ledger_rows("id"))) == (1, 3)
    assert (total_of("tokens"), total_of("peak")) == (6, 6)


def test_of_amendments_that_differ_one_wins_and_the_others_conflict(metrics: None) -> None:
    event_id = an_id(quantity=5)

    def amend(quantity: int) -> str:
        try:
            return amend_event(event_id, {"quantity": quantity}, reason="wrong", actor="tests").event.outcome
        except Conflict:
            return "conflict"

    answers = race(*(partial(amend, quantity) for quantity in range(6, 14)))

    assert Counter(answers) == {"created": 1, "conflict": 7}
    assert total_of("tokens") == 6 + answers.index("created")
    assert Correction.objects.count() == 1


def test_void_and_amendment_at_once_leave_the_event_corrected_once(metrics: None) -> None:
    for number in range(10):
        event_id = an_id(id=f"e-{number}", quantity=5, occurred_at=f"2024-05-{number + 1:02}T12:00:00Z")

        def amend(event_id: int = event_id) -> str:
            try:
                amended = amend_event(event_id, {"quantity": 6}, reason="wrong", actor="tests")
            except Conflict:
                return "conflict"
            return amended.event.outcome

        [voided], amended = race(partial(void, event_id), amend)

        assert (voided, amended) in {("created", "conflict"), ("exists", "created")}
        day = (at(f"2024-05-{number + 1:02}T00:00:00Z"), at(f"2024-05-{number + 2:02}T00:00:00Z"))
        assert total_of("tokens", *day) == (6 if amended == "created" else None)


# -- beside ticks and recorders ----------------------------------------------------------------------------


def test_every_bucket_equals_brute_force_after_voids_beside_writers_and_ticks(metrics: None) -> None:
    known: list[int] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            results = recorded(
                *(
                    an_event(
                        quantity=chance.randint(0, 99),
                        subject_id=f"s-{chance.randint(0, 2)}",
                        occurred_at=f"2024-05-{chance.choice([1, 15]):02}T12:{chance.randint(0, 59):02}:00Z",
                    )
                    for _ in range(chance.choice([1, 4]))
                )
            )
            known.extend(result.id for result in results if result.id is not None)

    def correct(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            if known and chance.random() < 0.7:
                void(*chance.sample(known[:], min(len(known), 3)))
            elif known:
                changes = {"quantity": chance.randint(0, 99), "id": f"a-{seed}-{chance.random()}"}
                with suppress(Conflict):  # it was voided before
                    amend_event(chance.choice(known[:]), changes, reason="wrong", actor="tests")

    def tick(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            roll_up(chunk=chance.choice([1, 5, 20_000]))

    with meanwhile(partial(correct, 1), partial(correct, 2), partial(tick, 3), partial(tick, 4)):
        race(partial(write, 11), partial(write, 12))
    roll_up()

    assert Correction.objects.filter(kind="void").count() > 20
    assert Correction.objects.filter(kind="amendment").exists()
    assert rows(STORED) == rows(BRUTE_FORCE)
    assert not PendingContribution.objects.exists()


def test_a_void_that_takes_nothing_back_is_seen_by_brute_force(metrics: None) -> None:
    # Negative control: a void whose contributions were to follow in another transaction, and didn't.
    event_id = an_id(quantity=5)
    an_id(quantity=3)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name,"
            "       labels, occurred_at, kind, voids, digest)"
            " SELECT project_id, billing_scope_id, 'meterbook:void', id::text, event_name, labels,"
            "        occurred_at, 'void', id, digest FROM metering_usageevent WHERE id = %s",
            [event_id],
        )

    roll_up()

    assert rows(STORED) != rows(BRUTE_FORCE)


def test_a_void_that_is_not_committed_yet_changes_nothing_for_others(metrics: None) -> None:
    event_id = an_id(quantity=5)
    with Held(lambda: void(event_id)) as correction:
        roll_up()
        assert (total_of("tokens"), total_of("peak")) == (5, 5)
        correction.commit()

    assert (total_of("tokens"), total_of("peak")) == (None, None)
    roll_up()
    assert rows(STORED) == rows(BRUTE_FORCE) == []


# -- a slow worker -----------------------------------------------------------------------------------------


@pytest.fixture
def peak() -> int:
    """A metric of the maximum, its hour stored with 3, and 9 waiting. Returns the ledger id of the 9."""
    a_metric("peak", event_name="tokens", aggregation="MAX")
    an_id(quantity=3)
    roll_up()
    an_id(quantity=7)
    return an_id(quantity=9)


def stored_peak() -> list[int]:
    found = rows(
        "SELECT value_max FROM metering_usagemeterrollup WHERE granularity = 'hour' AND stream = %s", [TOTAL]
    )
    return [value for (value,) in found]


def test_a_slow_worker_does_not_overwrite_the_void_of_its_maximum(peak: int) -> None:
    # The slow worker has read the bucket and hangs where it writes it, because we hold the row.
    with Held(lambda: rows("SELECT id FROM metering_usagemeterrollup FOR UPDATE")) as holder:
        slow = Rival(roll_up)
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        assert void(peak) == ["created"]
        assert total_of("peak", *HOUR) == 7

        quick = roll_up()  # finds the bucket being drained, waits for nobody

        assert (quick.merged_count, slow.is_running, total_of("peak", *HOUR)) == (0, True, 7)
        holder.commit()
    assert slow.result.merged_count > 0

    assert total_of("peak", *HOUR) == 7
    roll_up()
    assert (stored_peak(), total_of("peak", *HOUR)) == ([7], 7)
    assert rows(STORED) == rows(BRUTE_FORCE)
    assert not PendingContribution.objects.exists()


# A drain as it isn't: rows that nobody else holds, no lock of the bucket, and the bucket worked out anew.
TAKE_WHAT_IS_FREE = """
    WITH taken AS (
        DELETE FROM metering_pendingcontribution
         WHERE id IN (SELECT id FROM metering_pendingcontribution FOR UPDATE SKIP LOCKED)
        RETURNING project_id, hour_start
    )
    SELECT t.project_id, t.hour_start, count(e.id), max(e.quantity)
      FROM (SELECT DISTINCT project_id, hour_start FROM taken) t
      LEFT JOIN metering_usageevent e
        ON e.project_id = t.project_id
       AND e.occurred_at >= t.hour_start
       AND e.occurred_at < t.hour_start + interval '1 hour'
       AND e.kind = 'usage'
       AND NOT EXISTS (SELECT FROM metering_usageevent v WHERE v.voids = e.id)
     GROUP BY 1, 2
"""
OVERWRITE = """
    UPDATE metering_usagemeterrollup
       SET record_count = %(count)s, value_max = %(peak)s
     WHERE project_id = %(project)s
       AND granularity = 'hour'
       AND bucket_start = %(hour)s
"""


def drain_what_is_free(may_write: threading.Event, has_read: threading.Event) -> int:
    """How many buckets it wrote."""
    with transaction.atomic():
        found = rows(TAKE_WHAT_IS_FREE)
        has_read.set()
        may_write.wait(20)
        for project_id, hour, count, peak in found:
            with connection.cursor() as cursor:
                cursor.execute(OVERWRITE, {"project": project_id, "hour": hour, "count": count, "peak": peak})
    return len(found)


def test_skipping_locked_rows_and_reading_the_bucket_again_loses_the_void(peak: int) -> None:
    # Negative control: what the bucket's lock, as a statement of its own, is for.
    may_write, has_read, at_once = threading.Event(), threading.Event(), threading.Event()
    at_once.set()
    slow = Rival(partial(drain_what_is_free, may_write, has_read))
    assert has_read.wait(20)
    assert void(peak) == ["created"]

    assert drain_what_is_free(at_once, threading.Event()) == 1
    assert stored_peak() == [7]
    may_write.set()
    assert slow.result == 1

    # Nothing waits any more that could put it right.
    assert not PendingContribution.objects.exists()
    assert (stored_peak(), total_of("peak", *HOUR)) == ([9], 9)
    assert rows(STORED) != rows(BRUTE_FORCE)


# -- killed ------------------------------------------------------------------------------------------------


def test_an_amendment_killed_in_the_middle_never_was_and_can_be_repeated(metrics: None) -> None:
    event_id = an_id(quantity=5)
    roll_up()
    worker = start_process(
        "import time\n"
        "from django.db import connection\n"
        "from metering.correcting import corrections\n"
        "with connection.cursor() as cursor:\n"
        "    cursor.execute('SELECT pg_backend_pid()')\n"
        "    print(cursor.fetchone()[0], flush=True)\n"
        # Voided, recorded anew, and no account of it yet.
        "def hang(*args, **options):\n"
        "    print('recorded', flush=True)\n"
        "    time.sleep(60)\n"
        "corrections._audit = hang\n"
        f"corrections.amend_event({event_id}, {{'quantity': 6}}, reason='wrong', actor='tests')\n"
    )
    try:
        pid = int(worker.stdout.readline())
        assert worker.stdout.readline() == "recorded\n"
        during = total_of("tokens")
        rival = Rival(lambda: amend_event(event_id, {"quantity": 6}, reason="wrong", actor="tests"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        worker.send_signal(signal.SIGKILL)
        assert worker.wait(20) == -signal.SIGKILL
    finally:
        worker.kill()
        worker.stdout.close()
    wait_until(lambda: rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]) == [])

    amended = rival.result
    assert (during, total_of("tokens")) == (5, 6)
    assert (amended.void.outcome, amended.event.outcome) == ("created", "created")
    assert ledger_rows("kind", "quantity") == [("usage", 5), ("void", None), ("usage", 6)]
    assert list(Correction.objects.values_list("event", "replacement")) == [(event_id, amended.event.id)]
