"""Verifications beside writers, voids and ticks: no false alarm, and what is wrong is still found."""

import random
import threading
import time
from functools import partial

import pytest
from django.db import connection

from metering.correcting.corrections import void_events
from metering.models import UsageEvent, VerificationRun
from metering.rolling_up.rollups import roll_up
from metering.verifying.verification import end_lost_runs, verify
from metering.verifying.verification_rollups import one_snapshot
from tests.concurrency.rivals import meanwhile, race, rows, start_process, wait_until
from tests.concurrency.test_rolling_up_at_once import some_events
from tests.factories import a_metric, a_project, an_event, recorded
from tests.properties.test_every_aggregation import DEFINITIONS

pytestmark = pytest.mark.django_db(transaction=True)

CHECKS = ["rollups", "voids", "payers", "positions", "pending", "seals"]


@pytest.fixture(autouse=True)
def house() -> None:
    a_project("acme")
    for key, overrides in DEFINITIONS.items():
        if key != "regions":
            a_metric(key, event_name="tokens", **overrides)


def test_verifying_beside_writers_voids_and_ticks_raises_no_false_alarm() -> None:
    reports = []

    def write(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            time.sleep(0.02)
            sent = recorded(*some_events(chance.choice([1, 3, 12]), chance=chance))
            if chance.random() < 0.4:
                void_events([chance.choice(sent).id], reason="wrong", actor="tests")  # type: ignore[list-item]

    def tick(seed: int, over: threading.Event) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            roll_up(chunk=chance.choice([200, 20_000]))

    with meanwhile(partial(write, 1), partial(write, 2), partial(tick, 3), partial(tick, 4)) as rivals:
        for _ in range(8):
            reports.append(verify(checks=CHECKS))
        assert all(rival.is_running for rival in rivals)
    roll_up()
    reports.append(verify(checks=CHECKS))

    assert UsageEvent.objects.filter(kind="void").exists()
    assert [breach for report in reports for breach in report.breaches] == []
    rollups = [finding for finding in reports[-1].findings if finding.check == "rollups"]
    assert len(rollups) == len(DEFINITIONS) - 1
    rows(
        "UPDATE metering_usagemeterrollup SET record_count = record_count + 1"
        " WHERE granularity = 'day' RETURNING 1"
    )
    assert verify(checks=["rollups"]).breach_count > len(rollups)


def test_two_snapshots_would_raise_one() -> None:
    # Negative control: what is recorded between two statements is in one of them alone.
    recorded(an_event(quantity="5"))
    roll_up()
    ask = "SELECT count(*) FROM metering_usageevent"

    apart = rows(ask)[0], race(lambda: recorded(an_event(quantity="7"))), rows(ask)[0]
    with one_snapshot():
        together = rows(ask)[0], race(lambda: recorded(an_event(quantity="9"))), rows(ask)[0]

    assert apart[0] != apart[2]
    assert together[0] == together[2]


def test_snapshot_can_write_nothing() -> None:
    with pytest.raises(Exception, match="read-only transaction"), one_snapshot():
        rows("DELETE FROM metering_pendingcontribution RETURNING 1")


def test_killed_verification_is_marked_by_the_next() -> None:
    process = start_process(
        "import time\n"
        "from metering.verifying import verification_checks\n"
        "from metering.verifying.verification import verify\n"
        "from metering.verifying.verification_checks import SimpleCheck\n"
        "def wait(*, limit):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "verification_checks.VOIDS = SimpleCheck('voids', 'Voids', '', wait)\n"
        "verify(checks=['voids'])\n"
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        assert end_lost_runs() == 0
        run = VerificationRun.objects.get()
        assert (run.state, run.current_step) == ("running", "Voids")
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
    wait_until(lambda: end_lost_runs() == 1)

    run.refresh_from_db()
    assert run.state == "interrupted"
    assert verify(checks=["voids"]).has_passed
    assert connection.is_usable()
