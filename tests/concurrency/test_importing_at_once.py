"""Importers that are killed, and two at the same file."""

import json
import time
from pathlib import Path

import pytest

from metering.importing.event_records import ImportOptions
from metering.importing.event_uploads import claim_due_import, import_due_files, start_upload, store_upload
from metering.models import EventImport, EventImportReject, UsageEvent
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import race, start_process, wait_until
from tests.factories import a_metric, a_project, an_event, total_of

pytestmark = pytest.mark.django_db(transaction=True)

LINES = 6000
BAD = LINES // 100


def lines() -> bytes:
    events = (
        an_event(id=None if n % 2 else f"k-{n}", quantity=1, project="nobody" if n % 100 == 7 else "acme")
        for n in range(LINES)
    )
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.fixture(autouse=True)
def acme() -> None:
    a_project("acme")
    a_metric()


def importer(path: Path, *, chunk: int = 100):
    return start_process(
        "from django.core.management import call_command\n"
        "from metering.importing import event_imports\n"
        f"event_imports.CHUNK_EVENTS = {chunk}\n"
        f"call_command('import_events', {str(path)!r})"
    )


def assert_all_is_there_once(path: Path) -> None:
    roll_up()
    assert UsageEvent.objects.count() == LINES - BAD
    assert total_of("tokens") == LINES - BAD
    listed = [json.loads(line)["line"] for line in Path(f"{path}.rejects.ndjson").read_text().splitlines()]
    assert listed == [n + 1 for n in range(LINES) if n % 100 == 7]


def test_importer_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "usage.ndjson"
    path.write_bytes(lines())
    for share in (0.1, 0.4, 0.7):
        process = importer(path)
        wait_until(lambda share=share: UsageEvent.objects.count() > LINES * share, seconds=60)
        process.kill()
        process.wait()
    assert UsageEvent.objects.count() < LINES - BAD

    final = importer(path)
    said, _ = final.communicate(timeout=60)

    assert final.returncode == 1
    assert "Going on behind line" in said
    job = EventImport.objects.get()
    assert (job.state, job.created_count + job.existing_count, job.rejected_count) == (
        "finished",
        LINES - BAD,
        BAD,
    )
    assert_all_is_there_once(path)


def test_two_importers_of_one_file_lead_to_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "usage.ndjson"
    path.write_bytes(lines())

    processes = [importer(path), importer(path)]
    for process in processes:
        process.communicate(timeout=120)

    assert [process.returncode for process in processes] == [1, 1]
    for job in EventImport.objects.all():
        assert job.state == "finished"
        assert job.done_count == LINES
        assert EventImportReject.objects.filter(event_import=job).count() == BAD
    assert_all_is_there_once(path)


def test_upload_of_a_killed_worker_is_gone_on_with_when_its_lease_is_over() -> None:
    job = store_upload([lines()], file_name="usage.ndjson", requested_by="kim")
    start_upload(job, ImportOptions())
    worker = start_process(
        "from metering.importing import event_imports, event_uploads\n"
        "event_imports.CHUNK_EVENTS = 100\n"
        "event_uploads.import_due_files()"
    )
    wait_until(lambda: UsageEvent.objects.count() > LINES * 0.3, seconds=60)
    worker.kill()
    worker.wait()
    time.sleep(0.2)
    assert claim_due_import() is None

    EventImport.objects.update(leased_until="2020-01-01T00:00:00Z")
    race(import_due_files, import_due_files)

    job.refresh_from_db()
    assert (job.state, job.done_count, job.rejected_count) == ("finished", LINES, BAD)
    assert job.pieces.count() == 0
    assert total_of("tokens") == LINES - BAD
