"""Workers that are killed at an export, and several at once."""

import gc

import pytest
from django.db import connection
from django.utils import timezone

from metering.answering.event_listing import EventFilter
from metering.answering.exports import events_csv
from metering.exporting.export_kinds import Asked, kind_named
from metering.exporting.exports import file_of, run_due_exports
from metering.models import Export, ExportPiece
from tests.concurrency.rivals import Rival, race, start_process, wait_until
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.exporting.asked import asked

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 4000


@pytest.fixture(autouse=True)
def usage() -> None:
    acme = a_project("acme")
    a_metric()
    recorded(*(an_event(acme, id=f"e-{number}", subject_id="x" * 100) for number in range(EVENTS)))


def ids_in(export: Export) -> list[str]:
    export.refresh_from_db()
    text = b"".join(file_of(export, at=timezone.now())).decode()
    return [line.split(",")[5] for line in text.splitlines()[1:]]


def test_worker_that_is_killed_leaves_it_to_the_next_at_once() -> None:
    export = asked()
    process = start_process(
        "import time\n"
        "from metering.exporting import exports\n"
        "exports.PIECE_BYTES = 1\n"
        "exports.run_due_exports(on_progress=lambda export: time.sleep(0.5))"
    )
    wait_until(lambda: ExportPiece.objects.count() >= 2, seconds=60)
    assert run_due_exports() == 0  # somebody is at it
    process.kill()
    process.wait()
    export.refresh_from_db()
    assert (export.state, 0 < export.row_count < EVENTS) == ("running", True)

    wait_until(lambda: run_due_exports() == 1, seconds=20)  # the server notices that it is gone

    assert ids_in(export) == [f"e-{number}" for number in range(EVENTS)]
    assert (export.state, export.row_count, export.attempt_count) == ("finished", EVENTS, 2)


def test_workers_at_once_make_each_file_once() -> None:
    exports = [asked() for _ in range(6)]

    done = race(run_due_exports, run_due_exports, run_due_exports)

    assert sum(done) == 6
    for export in exports:
        assert ids_in(export) == [f"e-{number}" for number in range(EVENTS)]
        assert export.attempt_count == 1


def test_file_is_of_one_instant_while_events_arrive() -> None:
    export = asked()

    def record(at: Export) -> None:
        Rival(lambda: recorded(an_event("acme", id="late"))).join()

    run_due_exports(on_progress=record)

    assert "late" not in ids_in(export)
    assert export.row_count == EVENTS


@pytest.mark.parametrize("kind", ["usage_events", "journal"])
def test_reader_that_goes_away_ends_the_query(kind: str) -> None:
    stream = kind_named(kind).blocks(Asked())
    next(stream)

    stream.close()

    assert not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name <> ''")
        assert cursor.fetchone() == (0,)


def test_direct_stream_ends_with_its_reader_too() -> None:
    stream = events_csv(EventFilter())
    next(stream)

    del stream
    gc.collect()

    assert not connection.in_atomic_block
