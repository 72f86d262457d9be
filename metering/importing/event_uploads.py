"""Uploaded files of events: kept in the database in pieces, and imported by whichever worker finds them due.

The database is the queue. A worker takes an import by a lease that it renews with each chunk; one that dies
loses it, and the next sweep goes on behind the last chunk.
"""

import datetime as dt
import io
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

import msgspec
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from metering.errors import Conflict, Invalid, MeterbookError
from metering.models import EventImport, EventImportPiece

from .event_files import Content, UnreadableFile, inspect, opened
from .event_imports import Reject, import_chunks, is_under_way_already, try_chunks
from .event_records import EventFile, ImportOptions, completed, fingerprint_of, readable

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 100 * 1024 * 1024  # as sent; it passes through one web process
MAX_CONTENT_BYTES = 2 * 1000 * 1000 * 1000  # decompressed: what a gzip of that size may unfold to
PIECE_BYTES = 1024 * 1024
LEASE = dt.timedelta(seconds=60)  # far more than a chunk takes
MAX_ATTEMPTS = 5  # a chunk on which so many workers died isn't tried for ever
SLICE_SECONDS = 60.0  # then the worker is free for other jobs, and for other imports
KEPT_FOR = dt.timedelta(days=7)  # pieces of what nobody started, retried or cancelled
TRIED_EVENTS = 200


class UploadedContent(io.RawIOBase):
    """The pieces of one upload as a seekable file."""

    def __init__(self, job: EventImport) -> None:
        self._pieces = EventImportPiece.objects.filter(event_import=job)
        self._position = 0
        self._number = -1
        self._data = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end isn't known")
        self._position = offset
        return offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, start = divmod(self._position, PIECE_BYTES)
        if number != self._number:
            data = self._pieces.filter(number=number).values_list("data", flat=True).first()
            self._number, self._data = number, bytes(data) if data is not None else b""
        found = self._data[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)


def store_upload(pieces: Iterable[bytes], *, file_name: str, requested_by: str) -> EventImport:
    """Keep an uploaded file, not started yet. Raises `Invalid` for one that is too large or can't be read."""
    with transaction.atomic():
        job = EventImport.objects.create(
            file_name=file_name[-255:],
            origin=EventImport.Origin.UPLOAD,
            requested_by=requested_by[:150],
            state=EventImport.State.DRAFT,
            size=0,
        )
        _store_pieces(job, pieces)
        content = content_of(job)
        try:
            facts = inspect(content, max_bytes=MAX_CONTENT_BYTES)
            options = completed(
                ImportOptions(), content, file_name=file_name, detects_format=True, detects_delimiter=True
            )
        except UnreadableFile as error:
            raise Invalid(str(error), field="file") from None
        job.sha256, job.size = facts.sha256, facts.size
        job.options = msgspec.to_builtins(options)
        job.save()
    return job


def _store_pieces(job: EventImport, pieces: Iterable[bytes]) -> None:
    waiting = bytearray()
    number = 0

    def store(data: bytes) -> None:
        nonlocal number
        if number * PIECE_BYTES + len(data) > MAX_UPLOAD_BYTES:
            limit = MAX_UPLOAD_BYTES // (1024 * 1024)
            raise Invalid(
                "The file has more than {limit} MB. Compress it by gzip, import it in parts, or use"
                " manage.py import_events.",
                limit=limit,
                field="file",
            )
        EventImportPiece.objects.create(event_import=job, number=number, data=data)
        number += 1

    for piece in pieces:
        waiting += piece
        while len(waiting) >= PIECE_BYTES:
            store(bytes(waiting[:PIECE_BYTES]))
            del waiting[:PIECE_BYTES]
    if waiting:
        store(bytes(waiting))


def content_of(job: EventImport) -> BinaryIO:
    """What was uploaded, decompressed."""
    return opened(cast(BinaryIO, io.BufferedReader(UploadedContent(job), buffer_size=PIECE_BYTES)))


def options_of(job: EventImport) -> ImportOptions:
    return msgspec.convert(job.options, ImportOptions)


def file_of(job: EventImport, options: ImportOptions | None = None) -> EventFile:
    """The uploaded file, read as `options` say. Raises `Invalid` where that isn't possible."""
    facts = Content(job.sha256, job.size)
    return readable(content_of(job), facts, options_of(job) if options is None else options)


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of the first events of a file. `problems`: how often each occurs, and its first."""

    checked_count: int
    fine_count: int
    cancelled_count: int
    problems: list[tuple[int, Reject]]

    @property
    def is_hopeless(self) -> bool:
        return self.checked_count > 0 and self.fine_count == 0


def try_upload(job: EventImport, options: ImportOptions) -> Trial:
    """Check the first events, record nothing. Raises `Invalid`."""
    fine = checked = cancelled = 0
    problems: dict[tuple[str, str, str], list[Reject]] = {}
    for chunk in try_chunks(file_of(job, options), source=options.source, max_events=TRIED_EVENTS):
        checked += chunk.event_count
        fine += chunk.created_count + chunk.existing_count
        cancelled += chunk.cancelled_count
        for reject in chunk.rejects:
            problems.setdefault((reject.code, reject.field, reject.detail), []).append(reject)
    return Trial(checked, fine, cancelled, [(len(alike), alike[0]) for alike in problems.values()])


def start_upload(job: EventImport, options: ImportOptions) -> EventImport:
    """Queue a draft for import. Raises `Invalid` for options that don't fit the file, `Conflict` where it was
    started already or the same content is under way."""
    file_of(job, options)
    fingerprint = fingerprint_of(Content(job.sha256, job.size), options)
    _queue(
        job,
        from_states=(EventImport.State.DRAFT,),
        options=msgspec.to_builtins(options),
        fingerprint=fingerprint,
    )
    return job


def retry_upload(job: EventImport) -> EventImport:
    """Queue one that failed again; it goes on where it stopped. Raises `Conflict`."""
    if not job.pieces.exists():
        raise Conflict("The uploaded file was removed meanwhile; upload it again.")
    _queue(job, from_states=(EventImport.State.FAILED,), failure="", finished_at=None, attempt_count=0)
    return job


def _queue(job: EventImport, *, from_states: Iterable[str], **changes: object) -> None:
    try:
        with transaction.atomic():
            queued = EventImport.objects.filter(pk=job.pk, state__in=list(from_states)).update(
                state=EventImport.State.QUEUED, leased_until=None, **changes
            )
    except IntegrityError as error:
        if not is_under_way_already(error):
            raise
        raise Conflict("The same content, read the same way, is being imported already.") from None
    job.refresh_from_db()
    if not queued:
        raise Conflict("This import is {state}; it can't be started.", state=job.get_state_display().lower())


def cancel_import(job: EventImport) -> EventImport:
    """End an import that is not over; the chunk under way is rolled back, what is recorded stays. Raises
    `Conflict`."""
    states = EventImport.State
    with transaction.atomic():
        cancelled = EventImport.objects.filter(
            pk=job.pk, state__in=[states.DRAFT, states.QUEUED, states.RUNNING, states.STOPPED, states.FAILED]
        ).update(state=states.CANCELLED, finished_at=Now(), leased_until=None)
        if cancelled:
            job.pieces.all().delete()
    job.refresh_from_db()
    if not cancelled:
        raise Conflict("This import is {state} already.", state=job.get_state_display().lower())
    return job


def import_due_files(*, slice_seconds: float = SLICE_SECONDS) -> bool:
    """Work on due uploads until the slice is over, one after the other; whether any is left to go on with."""
    deadline = time.monotonic() + slice_seconds
    while (job := claim_due_import()) is not None:
        _import_slice(job, deadline=deadline)
        if time.monotonic() >= deadline:
            return _due().exists()
    return False


def _due() -> QuerySet[EventImport]:
    return EventImport.objects.filter(
        Q(leased_until=None) | Q(leased_until__lte=Now()),
        origin=EventImport.Origin.UPLOAD,
        state__in=[EventImport.State.QUEUED, EventImport.State.RUNNING],
    )


def claim_due_import() -> EventImport | None:
    """Lease the upload that has waited longest; None where none is due."""
    with transaction.atomic():
        job = (
            _due()
            .select_for_update(skip_locked=True)
            .order_by(F("leased_until").asc(nulls_first=True), "id")
            .first()
        )
        if job is None:
            return None
        if job.attempt_count >= MAX_ATTEMPTS:
            _fail(job, f"{MAX_ATTEMPTS} workers in turn ended unexpectedly behind line {job.line_count:,}.")
            return claim_due_import()
        EventImport.objects.filter(pk=job.pk).update(
            state=EventImport.State.RUNNING,
            started_at=Coalesce("started_at", Now()),
            leased_until=Now() + LEASE,
            attempt_count=F("attempt_count") + 1,
        )
    job.refresh_from_db()
    return job


def _import_slice(job: EventImport, *, deadline: float) -> None:
    try:
        for _ in import_chunks(job, file_of(job), lease_until=lambda: Now() + LEASE):
            if time.monotonic() >= deadline:
                break
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, not the file's: the next sweep goes on
    except MeterbookError as error:
        _fail(job, str(error))
    except Exception:
        logger.exception("Import %s failed", job.pk)
        _fail(job, "Something failed on our side; it has been logged. Nothing is lost: try again.")
    EventImport.objects.filter(pk=job.pk, state=EventImport.State.RUNNING).update(
        leased_until=Now(), attempt_count=0
    )


def _fail(job: EventImport, failure: str) -> None:
    EventImport.objects.filter(pk=job.pk, state=EventImport.State.RUNNING).update(
        state=EventImport.State.FAILED, failure=failure, finished_at=Now(), leased_until=None
    )


def remove_old_uploads() -> int:
    """Remove what was uploaded and neither started nor retried for days; returns how many files.

    Drafts go; of failed imports the counts and rejects stay.
    """
    old = EventImport.objects.filter(origin=EventImport.Origin.UPLOAD)
    drafts = old.filter(state=EventImport.State.DRAFT, requested_at__lt=Now() - KEPT_FOR)
    failed = old.filter(state=EventImport.State.FAILED, finished_at__lt=Now() - KEPT_FOR)
    removed = EventImportPiece.objects.filter(event_import__in=failed, number=0).count() + drafts.count()
    EventImportPiece.objects.filter(event_import__in=failed).delete()
    drafts.delete()
    return removed
