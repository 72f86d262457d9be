"""Uploads: pieces in the database, leases, workers that die, and what is removed."""

import gzip
import io
import json
import random

import pytest
from django.db import OperationalError

from metering.errors import Conflict, Invalid
from metering.importing import event_uploads
from metering.importing.event_records import ImportOptions
from metering.importing.event_uploads import (
    UploadedContent,
    claim_due_import,
    content_of,
    import_due_files,
    remove_old_uploads,
    retry_upload,
    start_upload,
    store_upload,
)
from metering.models import EventImport, EventImportPiece
from tests.factories import a_metric, a_project, an_event

pytestmark = pytest.mark.django_db


def upload(content: bytes | None = None) -> EventImport:
    if content is None:
        a_project("acme")
        a_metric()
        content = json.dumps(an_event(id="e-1")).encode()
    return store_upload([content], file_name="usage.ndjson", requested_by="kim")


def test_pieces_read_like_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_uploads, "PIECE_BYTES", 10)
    content = bytes(random.Random(5).choices(b"abc\n", k=107))
    job = store_upload([content[:33], content[33:35], content[35:]], file_name="x.csv", requested_by="kim")

    assert job.pieces.count() == 11
    assert content_of(job).read() == content
    raw = UploadedContent(job)
    raw.seek(95)
    assert (raw.read(100), raw.tell()) == (content[95:100], 100)
    assert io.BufferedReader(raw).read() == content[100:]


def test_compressed_upload_keeps_the_hash_of_its_content() -> None:
    plain, packed = upload(b"a,b\n1,2\n"), upload(gzip.compress(b"a,b\n1,2\n"))

    assert plain.sha256 == packed.sha256
    assert content_of(packed).read() == b"a,b\n1,2\n"


def test_leased_import_is_left_alone_until_the_lease_is_over() -> None:
    job = start_upload(upload(), ImportOptions())

    claimed = claim_due_import()
    assert claimed is not None
    assert (claimed.pk, claimed.state, claimed.attempt_count) == (job.pk, "running", 1)
    assert claim_due_import() is None

    EventImport.objects.update(leased_until="2020-01-01T00:00:00Z")
    again = claim_due_import()
    assert again is not None
    assert again.attempt_count == 2


def test_import_on_which_workers_die_is_given_up_and_can_be_tried_again() -> None:
    job = start_upload(upload(), ImportOptions())
    for _ in range(event_uploads.MAX_ATTEMPTS):
        assert claim_due_import() is not None
        EventImport.objects.update(leased_until="2020-01-01T00:00:00Z")

    assert claim_due_import() is None
    job.refresh_from_db()
    assert (job.state, job.failure) == ("failed", "5 workers in turn ended unexpectedly behind line 0.")

    retry_upload(job)
    import_due_files()
    job.refresh_from_db()
    assert (job.state, job.created_count) == ("finished", 1)


def test_trouble_of_the_database_is_not_held_against_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    job = start_upload(upload(), ImportOptions())

    def fails(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(event_uploads, "import_chunks", fails)
        with pytest.raises(OperationalError):
            import_due_files()

    job.refresh_from_db()
    assert (job.state, job.failure) == ("running", "")


def test_slice_that_is_over_leaves_the_rest_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    first = start_upload(upload(), ImportOptions())
    second = start_upload(upload(b"{}\n"), ImportOptions())

    assert import_due_files(slice_seconds=0) is True
    assert import_due_files(slice_seconds=60) is False

    for job in (first, second):
        job.refresh_from_db()
        assert (job.state, job.leased_until) == ("finished", None)


def test_started_upload_is_not_started_again() -> None:
    job = start_upload(upload(), ImportOptions())

    with pytest.raises(Conflict, match="waiting"):
        start_upload(job, ImportOptions())
    with pytest.raises(Invalid, match="must name the columns"):
        start_upload(upload(b"\n1,2\n"), ImportOptions(format="csv"))


def test_old_drafts_and_old_failures_lose_their_file() -> None:
    draft, failed, fresh = upload(), upload(b"{}\n"), upload(b"{ }\n")
    long_ago = "2020-01-01T00:00:00Z"
    EventImport.objects.filter(pk=draft.pk).update(requested_at=long_ago)
    EventImport.objects.filter(pk=failed.pk).update(
        requested_at=long_ago, finished_at=long_ago, state="failed"
    )

    assert remove_old_uploads() == 2
    assert remove_old_uploads() == 0

    assert list(EventImport.objects.order_by("id").values_list("pk", flat=True)) == [failed.pk, fresh.pk]
    assert set(EventImportPiece.objects.values_list("event_import", flat=True)) == {fresh.pk}
    with pytest.raises(Conflict, match="removed meanwhile"):
        retry_upload(failed)
