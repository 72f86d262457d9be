"""Importing files of events: from anywhere in a file to its end, chunk by chunk.

One transaction a chunk: its events, how far the import has come, and what couldn't be recorded. Killed at any
second, it goes on behind the last chunk; what was recorded twice over exists, because keys decide. Of two at
the same import one is overtaken: its chunk is rolled back, and it goes on where the other is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psycopg
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from metering.errors import Conflict, EventError
from metering.ledger import CONFLICT, Outcome, record_items
from metering.models import EventImport, EventImportReject
from metering.principal import EVERYBODY_INSIDE
from metering.recording.intake import EventInput, Item
from metering.recording.resolving import RESERVED

from .carried import IMPORT_SOURCE
from .event_columns import Cancelled
from .event_files import Content, Record
from .event_records import Entry, EventFile, ImportOptions, fingerprint_of
from .event_repeats import repeats, rows_carried

# The lock that recorders share is held for a chunk; definitions can change between two.
CHUNK_EVENTS = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
UNDER_WAY_ONCE = "event_import_under_way_once"


@dataclass(frozen=True, slots=True)
class Reject:
    """One event that was not recorded, and why."""

    line: int
    code: str
    field: str
    detail: str
    original: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of some records of a file."""

    created_count: int
    existing_count: int
    cancelled_count: int
    rejects: Sequence[Reject]
    last: Record

    @property
    def conflict_count(self) -> int:
        return sum(1 for reject in self.rejects if reject.code == "conflict")

    @property
    def event_count(self) -> int:
        """Those that can count: what is cancelled within the file aside."""
        return self.created_count + self.existing_count + len(self.rejects)


class _Overtaken(Exception):
    """Another process has committed this chunk, or somebody stopped the import."""


def begin_import(
    content: Content, options: ImportOptions, *, file_name: str, requested_by: str
) -> tuple[EventImport, bool]:
    """The import of this content read this way: one that was interrupted, or a new one. Whether it is new.

    Raises `Conflict` for one that an upload has under way.
    """
    fingerprint = fingerprint_of(content, options)
    for _ in range(3):  # the one found may end, and a rival may begin, between the two statements
        found = EventImport.objects.filter(fingerprint=fingerprint, state__in=EventImport.UNDER_WAY).first()
        if found is None:
            try:
                with transaction.atomic():
                    return EventImport.objects.create(
                        file_name=file_name[:255],
                        origin=EventImport.Origin.COMMAND,
                        requested_by=requested_by[:150],
                        state=EventImport.State.RUNNING,
                        sha256=content.sha256,
                        size=content.size,
                        options=msgspec.to_builtins(options),
                        fingerprint=fingerprint,
                        started_at=Now(),
                    ), True
            except IntegrityError as error:
                if not is_under_way_already(error):
                    raise
                continue
        if found.origin == EventImport.Origin.UPLOAD:
            raise Conflict("The same content was uploaded and is being imported: import {pk}.", pk=found.pk)
        EventImport.objects.filter(pk=found.pk, state=EventImport.State.STOPPED).update(
            state=EventImport.State.RUNNING, finished_at=None
        )
        found.refresh_from_db()
        if found.state == EventImport.State.RUNNING:
            return found, False
    raise Conflict("The same content is being imported by others; try again.")


def is_under_way_already(error: IntegrityError) -> bool:
    """Whether the database refused a second import of the same content at once."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.constraint_name == UNDER_WAY_ONCE


def import_chunks(
    job: EventImport,
    file: EventFile,
    *,
    max_events: int | None = None,
    lease_until: Callable[[], Any] = lambda: None,
) -> Iterator[Chunk]:
    """Import what is left of `file`, yielding each chunk after its commit; `job` is kept up to date.

    Ends when the file is done, which finishes the import, when `max_events` are dealt with, or when somebody
    stopped it. Raises what recording raises for the database's sake (`Unavailable`, `OperationalError`).
    """
    left = max_events
    file.go_to(job.position, lines_done=job.line_count)
    while left is None or left > 0:
        entries, last = file.chunk(
            max_events=CHUNK_EVENTS if left is None else min(CHUNK_EVENTS, left), max_bytes=CHUNK_BYTES
        )
        if last is None:
            finish_import(job)
            return
        try:
            with transaction.atomic():
                chunk = _recorded(entries, last, file, source=_source(job))
                _move_on(job, chunk, leased_until=lease_until())
        except _Overtaken:
            job.refresh_from_db()
            if job.state != EventImport.State.RUNNING:
                return
            file.go_to(job.position, lines_done=job.line_count)
            continue
        job.refresh_from_db()
        if left is not None:
            left -= len(entries)
        yield chunk


def try_chunks(file: EventFile, *, source: str, max_events: int | None = None) -> Iterator[Chunk]:
    """Everything that `import_chunks` does, rolled back chunk by chunk: nothing is recorded.

    An id that comes twice with other content is seen only where both are in one chunk.
    """
    left = max_events
    file.go_to(0, lines_done=0)
    while left is None or left > 0:
        entries, last = file.chunk(
            max_events=CHUNK_EVENTS if left is None else min(CHUNK_EVENTS, left), max_bytes=CHUNK_BYTES
        )
        if last is None:
            return
        with transaction.atomic():
            chunk = _recorded(entries, last, file, source=source)
            transaction.set_rollback(True)
        if left is not None:
            left -= len(entries)
        yield chunk


def finish_import(job: EventImport) -> None:
    """The file is done. What was uploaded for it goes."""
    with transaction.atomic():
        finished = EventImport.objects.filter(pk=job.pk, state=EventImport.State.RUNNING).update(
            state=EventImport.State.FINISHED,
            started_at=Coalesce("started_at", Now()),
            finished_at=Now(),
            leased_until=None,
        )
        if finished:
            job.pieces.all().delete()
    job.refresh_from_db()


def stop_import(job: EventImport) -> None:
    """Leave it to be gone on with. A rival that is still at it goes on."""
    EventImport.objects.filter(pk=job.pk, state=EventImport.State.RUNNING, position=job.position).update(
        state=EventImport.State.STOPPED
    )
    job.refresh_from_db()


def rejects_of(job: EventImport) -> Iterator[Reject]:
    """What it couldn't record so far, in the order of the file, in flat memory."""
    rows = EventImportReject.objects.filter(event_import=job).order_by("line")
    for row in rows.values_list("line", "code", "field", "detail", "original").iterator(chunk_size=2000):
        yield Reject(*row)


def _source(job: EventImport) -> str:
    return str(job.options["source"])


def _recorded(entries: Sequence[Entry], last: Record, file: EventFile, *, source: str) -> Chunk:
    counting = [(entry.record, entry.item) for entry in entries if not isinstance(entry.item, Cancelled)]
    items = [item for _, item in counting]
    at_home = _at_home(items) if file.is_own_export else {}
    recorded = record_items(
        [
            replace(item, index=index) if isinstance(item, EventError) else item
            for index, item in enumerate(item for place, item in enumerate(items) if place not in at_home)
        ],
        principal=EVERYBODY_INSIDE,
        source=source,
        on_error="skip",
        enforce=False,
        may_contain_nul=any(b"\\u0000" in record.raw for record, _ in counting),
        may_reserve=file.is_own_export and not source.startswith(RESERVED),
    )
    others = iter(recorded)
    outcomes = [at_home.get(place) or next(others) for place in range(len(items))]
    if file.is_own_export:
        outcomes = _settled(items, outcomes)
    rejects = [
        Reject(
            record.line,
            outcome.code or outcome.outcome,
            _storable(_field(outcome.field, file)),
            _storable(outcome.detail or ""),
            record.raw.decode(errors="replace"),
        )
        for (record, _), outcome in zip(counting, outcomes, strict=True)
        if outcome.outcome in {"rejected", "conflict"}
    ]
    kinds = [outcome.outcome for outcome in outcomes]
    return Chunk(kinds.count("created"), kinds.count("exists"), len(entries) - len(counting), rejects, last)


def _at_home(items: Sequence[Item]) -> dict[int, Outcome]:
    """Outcomes, by place, of what this very ledger recorded itself and now meets again in an export of it."""
    met = rows_carried(
        (place, item)
        for place, item in enumerate(items)
        if isinstance(item, EventInput) and item.source == IMPORT_SOURCE
    )
    return {
        place: Outcome(row_id, None, "conflict", "conflict", "id", CONFLICT) for place, row_id in met.items()
    }


def _settled(items: Sequence[Item], outcomes: list[Outcome]) -> list[Outcome]:
    """Outcomes of rows of our own export: what the ledger holds as the row says it exists."""
    repeated = repeats(
        (place, outcome.id, item)
        for place, (item, outcome) in enumerate(zip(items, outcomes, strict=True))
        if outcome.outcome == "conflict" and outcome.id is not None and isinstance(item, EventInput)
    )
    return [
        Outcome(outcome.id, outcome.event_id, "exists") if place in repeated else outcome
        for place, outcome in enumerate(outcomes)
    ]


def _field(field: str | None, file: EventFile) -> str:
    """The member at fault, with the column that it comes from."""
    if field is None:
        return ""
    column = file.rows.column_of.get(field) if file.rows is not None else None
    return (f"{field} ({column})" if column is not None and column != field else field)[:300]


def _storable(text: str) -> str:
    """A name that a file made up may hold what PostgreSQL's text can't."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _move_on(job: EventImport, chunk: Chunk, *, leased_until: Any) -> None:
    """Say how far it has come, where nobody else has meanwhile. Raises `_Overtaken`."""
    moved = EventImport.objects.filter(
        pk=job.pk, state=EventImport.State.RUNNING, position=job.position
    ).update(
        position=chunk.last.end,
        line_count=chunk.last.lines_done,
        created_count=F("created_count") + chunk.created_count,
        existing_count=F("existing_count") + chunk.existing_count,
        conflict_count=F("conflict_count") + chunk.conflict_count,
        rejected_count=F("rejected_count") + len(chunk.rejects) - chunk.conflict_count,
        cancelled_count=F("cancelled_count") + chunk.cancelled_count,
        leased_until=leased_until,
        attempt_count=0,
    )
    if not moved:
        raise _Overtaken
    EventImportReject.objects.bulk_create(
        EventImportReject(
            event_import=job,
            line=reject.line,
            code=reject.code,
            field=reject.field,
            detail=reject.detail,
            original=reject.original,
        )
        for reject in chunk.rejects
    )
