"""Exports in the background: asked for, made by whichever worker finds them, kept for some days.

The database is the queue and the disk. A worker reads one snapshot on its usual connection and writes piece
by piece on another, where an advisory lock of the session says that it is at it: one that is killed loses the
lock, and the next begins anew. Each beginning is counted, and who began an earlier one writes no more. So a
file holds every row of one snapshot once, or isn't finished.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Now

from metering.errors import Conflict, Invalid, MeterbookError, NotFound
from metering.locks import EXPORT_LOCKS, alone_at
from metering.models import Export, ExportPiece
from metering.principal import Principal
from metering.texts.csv_blocks import Block

from .export_kinds import Asked, ExportKind, as_stored, filters_of, kind_to_make, registered_kinds

logger = logging.getLogger(__name__)

PIECE_BYTES = 1024 * 1024
MAX_BYTES = 4 * 1000 * 1000 * 1000  # no spreadsheet opens more, and the database keeps it for days
MAX_WAITING = 20  # of one key, or of one member of staff
MAX_ATTEMPTS = 3  # one on which so many workers died isn't tried for ever
LOCK_CLASS = 77_003  # (class, export): beside those of metering/locks.py, waited for by nobody
WRITER = "export_writer"

State = Export.State
OnProgress = Callable[[Export], None]


class _Overtaken(Exception):
    """Somebody cancelled or removed the export, or another worker began it anew."""


def request_export(
    kind: ExportKind, sent: Mapping[str, object], *, principal: Principal, project_path: str | None
) -> Export:
    """Let a worker make a file of what lies at and below the principal's project (`project_path`).

    Raises `Invalid` that names the filter at fault, `NotFound` for filters that name what isn't there, and
    `Conflict` where too many wait already.
    """
    values = filters_of(kind, sent)
    kind.ensure(Asked(project_path, values))
    waiting = Export.objects.filter(
        state__in=Export.UNDER_WAY, project=principal.project_id, requested_by=_name_of(principal)
    )
    if waiting.count() >= MAX_WAITING:
        raise Conflict(
            "{most} exports of yours wait already; wait for them or cancel some.", most=MAX_WAITING
        )
    export = Export.objects.create(
        kind=kind.name,
        filters=as_stored(values),
        project_id=principal.project_id,
        requested_by=_name_of(principal),
    )
    export.refresh_from_db()
    return export


def _name_of(principal: Principal) -> str:
    return principal.signature[:150]


def is_own(export: Export, principal: Principal) -> bool:
    """Whether this very key, or member of staff, asked for it. Keys of a project may share a name."""
    return (export.project_id, export.requested_by) == (principal.project_id, _name_of(principal))


def cancel_export(export: Export) -> Export:
    """End one that is under way; what was written of it goes. Raises `Conflict` where it is over."""
    with transaction.atomic():
        cancelled = Export.objects.filter(pk=export.pk, state__in=Export.UNDER_WAY).update(
            state=State.CANCELLED, finished_at=Now()
        )
        if cancelled:
            export.pieces.all().delete()
    export.refresh_from_db()
    if not cancelled:
        raise Conflict("This export is {state} already.", state=export.get_state_display().lower())
    return export


def remove_export(export: Export) -> None:
    """Remove the file of an export before its time is over; the row stays, and says who took what.

    Raises `Conflict` while it is under way, and where that was done already.
    """
    with transaction.atomic():
        is_over = Export.objects.exclude(state__in=(*Export.UNDER_WAY, State.REMOVED))
        removed = is_over.filter(pk=export.pk).update(state=State.REMOVED)
        if removed:
            export.pieces.all().delete()
    export.refresh_from_db()
    if removed:
        return
    if export.is_active:
        raise Conflict("This export is under way; cancel it first.")
    raise Conflict("This export is {state} already.", state=export.get_state_display().lower())


def file_of(export: Export, *, at: dt.datetime) -> Iterator[bytes]:
    """The finished file, piece by piece.

    Raises `Conflict` where it isn't finished, and `NotFound` once its time is over, removed or not.
    """
    if not export.is_finished:
        raise Conflict("This export is {state}; there is no file.", state=export.get_state_display().lower())
    if not export.has_file(at=at):
        raise NotFound("The days for which this file was kept are over. Ask for it again.")
    return _pieces(export)


def _pieces(export: Export) -> Iterator[bytes]:
    for number in range(export.piece_count):
        # Removed meanwhile: the answer breaks off short of its length, and nobody takes it for whole.
        yield bytes(export.pieces.values_list("data", flat=True).get(number=number))


def visible_exports(principal: Principal) -> QuerySet[Export]:
    """Exports that were asked for at and below the principal's project; staff's are the staff's."""
    exports = Export.objects.select_related("project")
    if principal.project_path is not None:
        exports = exports.filter(project__path__startswith=principal.project_path)
    return exports


def run_due_exports(*, on_progress: OnProgress = lambda export: None) -> int:
    """Make the files that are due, one after the other; returns how many came to an end.

    A few workers at once do so, so that others are left for other jobs.
    """
    for lock in EXPORT_LOCKS:
        with alone_at(lock) as is_alone:
            if is_alone:
                return _drain(on_progress)
    return 0


def _drain(on_progress: OnProgress) -> int:
    done = 0
    with _writing():
        tried: set[int] = set()
        while (export := _claimed(tried)) is not None:
            tried.add(export.pk)
            try:
                _make(export, on_progress)
            finally:
                _let_go(export)
            done += 1
    return done


@contextmanager
def _writing() -> Iterator[None]:
    """A connection beside the usual one, whose snapshot must not hold back what is written."""
    connections[WRITER] = connections["default"].copy(WRITER)
    try:
        yield
    finally:
        connections[WRITER].close()
        del connections[WRITER]


def _claimed(tried: set[int]) -> Export | None:
    """The export that has waited longest and that nobody is at, begun anew; None where none is due."""
    exports = Export.objects.using(WRITER)
    for export in exports.filter(state__in=Export.UNDER_WAY).exclude(pk__in=tried).order_by("id"):
        if not _try_to_hold(export):
            continue
        with transaction.atomic(using=WRITER):
            # What was seen before the lock was ours may be out of date.
            due = exports.select_for_update().filter(pk=export.pk, state__in=Export.UNDER_WAY).first()
            if due is not None and due.attempt_count >= MAX_ATTEMPTS:
                _end(due, failure=f"Given up: {MAX_ATTEMPTS} workers in turn ended unexpectedly at it.")
            elif due is not None:
                ExportPiece.objects.using(WRITER).filter(export=due).delete()
                exports.filter(pk=due.pk).update(
                    state=State.RUNNING,
                    started_at=Coalesce("started_at", Now()),
                    attempt_count=F("attempt_count") + 1,
                    row_count=0,
                    byte_count=0,
                    piece_count=0,
                )
                due.refresh_from_db()
                return due
        _let_go(export)
    return None


def _try_to_hold(export: Export) -> bool:
    with connections[WRITER].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, export.pk])
        (is_held,) = cursor.fetchone()
    return bool(is_held)


def _let_go(export: Export) -> None:
    with connections[WRITER].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, export.pk])


def _make(export: Export, on_progress: OnProgress) -> None:
    try:
        kind = kind_to_make(export.kind)
        path = export.project.path if export.project is not None else None
        asked = Asked(path, filters_of(kind, export.filters))
        export.expected_count = kind.expected_count(asked)
        _own(export).update(expected_count=export.expected_count)
        with closing(kind.blocks(asked)) as blocks:
            _write(export, blocks, on_progress)
        _end(export)
    except _Overtaken:
        return
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, not the export's: it is begun anew
    except MeterbookError as error:
        _end(export, failure=str(error))
    except Exception:
        logger.exception("Export %s failed", export.pk)
        _end(export, failure="Something failed on our side; it has been logged. Ask for the file again.")


def _write(export: Export, blocks: Iterator[Block], on_progress: OnProgress) -> None:
    waiting = bytearray()
    row_count = 0
    for block in blocks:
        waiting += block.data
        row_count += block.row_count
        if len(waiting) >= PIECE_BYTES:
            _store(export, bytes(waiting), row_count)
            on_progress(export)
            waiting.clear()
            row_count = 0
    if waiting:
        _store(export, bytes(waiting), row_count)
        on_progress(export)


def _store(export: Export, data: bytes, row_count: int) -> None:
    """One piece and how far it is, in one transaction. Raises `_Overtaken`, and `Invalid` for too much."""
    if export.byte_count + len(data) > MAX_BYTES:
        raise Invalid("The file would have more than {most} GB; ask for less.", most=MAX_BYTES // 10**9)
    with transaction.atomic(using=WRITER):
        moved = _own(export).update(
            row_count=F("row_count") + row_count,
            byte_count=F("byte_count") + len(data),
            piece_count=F("piece_count") + 1,
        )
        if not moved:
            raise _Overtaken
        ExportPiece.objects.using(WRITER).create(export_id=export.pk, number=export.piece_count, data=data)
    export.row_count += row_count
    export.byte_count += len(data)
    export.piece_count += 1


def _own(export: Export) -> QuerySet[Export]:
    """The row, while it is ours: nobody ended it or began it anew."""
    return Export.objects.using(WRITER).filter(
        pk=export.pk, state=State.RUNNING, attempt_count=export.attempt_count
    )


def _end(export: Export, *, failure: str = "") -> None:
    """It is over, for better or worse. What was written of one that failed goes."""
    own = Export.objects.using(WRITER).filter(
        pk=export.pk, state__in=Export.UNDER_WAY, attempt_count=export.attempt_count
    )
    with transaction.atomic(using=WRITER):
        ended = own.update(
            state=State.FAILED if failure else State.FINISHED, failure=failure, finished_at=Now()
        )
        if ended and failure:
            ExportPiece.objects.using(WRITER).filter(export_id=export.pk).delete()


def remove_old_exports() -> int:
    """Remove exports that were over for EXPORT_KEPT_DAYS, with their files; returns how many."""
    old = Export.objects.filter(finished_at__lt=Now() - Export.kept_for())
    count = old.count()
    ExportPiece.objects.filter(export__in=old).delete()
    old.delete()
    return count


def kinds_staff_may_export(has_right: Callable[[str], bool]) -> list[ExportKind]:
    """The kinds of which somebody may see what is in them."""
    return [kind for kind in registered_kinds() if has_right(kind.right)]
