"""`manage.py import_events FILE`: usage that has happened, from a file of any size."""

import getpass
import os
import shutil
import signal
import sys
import tempfile
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from metering.errors import MeterbookError
from metering.importing.event_columns import RowOptions, parsed_pairs
from metering.importing.event_files import Content, UnreadableFile, inspect, opened
from metering.importing.event_imports import (
    Chunk,
    begin_import,
    finish_import,
    import_chunks,
    rejects_of,
    stop_import,
    try_chunks,
)
from metering.importing.event_records import EventFile, ImportOptions, completed, readable
from metering.importing.reject_files import RejectFile
from metering.models import NAME_MAX_LENGTH, EventImport
from metering.progress import Progress

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
ALL_RECORDED, SOME_LEFT_OUT, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
EPILOG = """
examples:
  manage.py import_events usage.ndjson
  manage.py import_events usage.csv.gz --project acme --constant event_name=tokens \\
      --map occurred_at=Time --map quantity=Tokens --map labels.region=Region --timezone Europe/Berlin
  zcat old/*.ndjson.gz | manage.py import_events - --dry-run

A file is UTF-8 text, gzip or not: one event a line (native or CloudEvents, told apart line by line), or CSV
with a header. Columns that are named like members of an event (event_name, quantity, labels.region, ...)
need no --map; the CSV export of this product needs none at all. In such an export voided events and their
voids are skipped, and what took an event's place is recorded: usage is what it was. A label from CSV is a
text unless its name says otherwise: labels.size:number, :boolean or :json. An empty cell is absent.

What has happened is recorded whatever limits say. Every event must say when it happened: as RFC 3339 with
an offset; in CSV with --timezone also without one (2026-11-02 10:00:00), or by the day alone (2026-11-02),
which stands for its first instant there. One without an id gets one made of the file's content and its line,
so the same file records nothing twice; a changed file is another one.
What can't be recorded goes to FILE.rejects.ndjson (.csv: as CSV) with line, reason and the line itself; put
right, import it as a file of its own.

Interrupted at any moment, the same command goes on where it was.

exit status:
  0  everything is recorded, now or before        2  the file or the options can't be used
  1  some of it was rejected or conflicts         130  interrupted; run it again
"""


class Command(BaseCommand):
    """Edge."""

    help = "Import usage events from a file: NDJSON, CloudEvents or CSV."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("file", metavar="FILE", help="the file; - reads standard input, to its end, before it begins")
        add("--format", choices=("auto", "ndjson", "csv"), default="auto", help="default: by looking")
        add("--project", metavar="KEY", help="project of events that name none")
        add("--source", metavar="NAME", default="import", help="source of events that name none (import)")
        add("--limit", type=int, metavar="N", help="stop after N events; run again to go on")
        add("--dry-run", action="store_true", help="check everything, record nothing")
        add("--rejects", type=Path, metavar="PATH", help="where rejects go (FILE.rejects.ndjson)")
        csv = parser.add_argument_group("CSV")
        add = csv.add_argument
        add("--map", action="append", default=[], metavar="MEMBER=COLUMN", help="what a column means")
        add("--constant", action="append", default=[], metavar="MEMBER=TEXT", help="the same in each event")
        add("--ignore", action="append", default=[], metavar="COLUMN", help="a column to leave out")
        add("--timezone", metavar="ZONE", help="whose clocks times without offset show (Europe/Berlin)")
        add("--delimiter", choices=DELIMITERS, help="default: by looking at the header")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise _unusable("--limit: at least 1.")
        try:
            with _content(file) as content:
                status = self.import_file(content, file, options)
        except (UnreadableFile, MeterbookError) as error:
            field = getattr(error, "field", None)
            where = f"--{field}: " if field in {"map", "constant", "timezone"} else f"{file}: "
            raise _unusable(f"{where}{error}") from None
        except (OperationalError, InterfaceError) as error:
            raise _unusable(
                f"The database can't be asked: {str(error).strip()}\nWhat was committed stays; run the same"
                " command again to go on."
            ) from error
        if status:
            sys.exit(status)

    def import_file(self, content: BinaryIO, name: str, options: dict[str, Any]) -> int:
        """Look at all of it, say how it is read, import it; the exit status."""
        size = _size_of(content)
        with Progress(self.stdout, "Checking the file, bytes", total=size) as progress:
            facts = inspect(content, on_progress=progress.at)
        told = completed(
            _told_options(options),
            content,
            file_name=name,
            detects_format=options["format"] == "auto",
            detects_delimiter=options["delimiter"] is None,
        )
        given = [f"--{name}" for name in ("map", "constant", "ignore", "timezone") if options[name]]
        if told.format != "csv" and given:
            raise _unusable(f"{', '.join(given)}: for CSV only, and {name} is read as NDJSON (see --format).")
        events = readable(content, facts, told)
        self.say_columns(events)
        path = options["rejects"] or Path(f"{'stdin' if name == '-' else name}.rejects.ndjson")
        if path.exists() and name != "-" and path.samefile(name):
            raise _unusable("--rejects: that is the file itself.")
        try:
            with RejectFile(path) as rejects:
                if options["dry_run"]:
                    return self.try_it(events, facts, told, rejects, limit=options["limit"])
                return self.record(events, facts, told, rejects, name=name, limit=options["limit"])
        except OSError as error:
            raise _unusable(f"{path}: {error.strerror or error}. See --rejects.") from None

    def say_columns(self, events: EventFile) -> None:
        if events.rows is None:
            return
        for member, column in events.rows.column_of.items():
            self.stdout.write(f"  {member} = {column}")
        if events.rows.ignored:
            self.stdout.write(f"  left out: {', '.join(events.rows.ignored)}")

    def record(
        self,
        events: EventFile,
        facts: Content,
        told: ImportOptions,
        rejects: RejectFile,
        *,
        name: str,
        limit: int | None,
    ) -> int:
        job, is_new = begin_import(
            facts, told, file_name="standard input" if name == "-" else Path(name).name, requested_by=_user()
        )
        if not is_new:
            self.stdout.write(f"Going on behind line {job.line_count:,}; {_counted(job)}.")
        rejects.add(rejects_of(job))
        pace = _Pace(job)
        with Progress(self.stdout, "Importing", total=None) as progress, _asked_to_stop() as signals:
            for chunk in import_chunks(job, events, max_events=limit):
                rejects.add(chunk.rejects)
                progress.at(job.done_count, note=pace.note(job))
                if signals:
                    break
            if job.state == EventImport.State.RUNNING:
                finish_import(job) if job.position >= job.size else stop_import(job)
        rejects.settle(rejects_of(job))
        self.stdout.write(f"{job.file_name}: {_counted(job)} ({pace.rate(job):,.0f} events/s).")
        if rejects.count:
            self.stdout.write(f"What was left out, and why: {rejects.path}")
        if job.state == EventImport.State.STOPPED:
            self.stdout.write(
                f"Stopped behind line {job.line_count:,}, everything up to there is committed."
                " Run the same command again to go on."
            )
        elif job.state != EventImport.State.FINISHED:
            self.stdout.write(f"This import is {job.get_state_display().lower()}: somebody else ended it.")
        if signals or job.state not in {EventImport.State.STOPPED, EventImport.State.FINISHED}:
            return INTERRUPTED
        return SOME_LEFT_OUT if job.left_out_count else ALL_RECORDED

    def try_it(
        self,
        events: EventFile,
        facts: Content,
        told: ImportOptions,
        rejects: RejectFile,
        *,
        limit: int | None,
    ) -> int:
        counts = {"new": 0, "there already": 0, "rejected or in conflict": 0}
        cancelled = 0
        done = 0
        with Progress(self.stdout, "Checking", total=None) as progress, _asked_to_stop() as signals:
            for chunk in try_chunks(events, source=told.source, max_events=limit):
                rejects.add(chunk.rejects)
                _add(counts, chunk)
                cancelled += chunk.cancelled_count
                done = chunk.last.end
                progress.at(sum(counts.values()), note=f", {done * 100 // facts.size} %")
                if signals:
                    break
        self.stdout.write(
            f"Nothing was recorded. Checked: {', '.join(f'{n:,} {what}' for what, n in counts.items())}"
            f"{_skipped(cancelled)}."
        )
        if rejects.count:
            self.stdout.write(f"What would be left out, and why: {rejects.path}")
        if signals:
            return INTERRUPTED
        return SOME_LEFT_OUT if rejects.count else ALL_RECORDED


class _Pace:
    """How fast this run is; what earlier runs did doesn't count."""

    def __init__(self, job: EventImport) -> None:
        self._before = job.done_count
        self._since = time.monotonic()

    def rate(self, job: EventImport) -> float:
        return (job.done_count - self._before) / max(time.monotonic() - self._since, 1e-3)

    def note(self, job: EventImport) -> str:
        return f", {job.done_fraction:.0%}, {self.rate(job):,.0f}/s, {job.left_out_count:,} left out"


def _add(counts: dict[str, int], chunk: Chunk) -> None:
    counts["new"] += chunk.created_count
    counts["there already"] += chunk.existing_count
    counts["rejected or in conflict"] += len(chunk.rejects)


def _counted(job: EventImport) -> str:
    return (
        f"{job.created_count:,} recorded, {job.existing_count:,} were there,"
        f" {job.conflict_count:,} in conflict, {job.rejected_count:,} rejected{_skipped(job.cancelled_count)}"
    )


def _skipped(cancelled: int) -> str:
    return f", {cancelled:,} skipped (voided events and their voids)" if cancelled else ""


def _told_options(options: dict[str, Any]) -> ImportOptions:
    """Raises `Invalid` for pairs and members that can't be meant."""
    source = options["source"]
    if not source or len(source) > NAME_MAX_LENGTH:
        raise _unusable(f"--source: 1 to {NAME_MAX_LENGTH} characters.")
    return ImportOptions(
        format="csv" if options["format"] == "csv" else "ndjson",
        delimiter=DELIMITERS.get(options["delimiter"] or "", ","),
        project=options["project"],
        source=source,
        rows=RowOptions(
            columns=parsed_pairs(options["map"], field="map"),
            constants=parsed_pairs(options["constant"], field="constant"),
            ignored=tuple(options["ignore"]),
            timezone=options["timezone"],
        ),
    )


@contextmanager
def _content(name: str) -> Iterator[BinaryIO]:
    """The file's content, decompressed, from anywhere; what can't be read twice is copied first."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as raw:
            if raw.seekable():
                yield opened(cast(BinaryIO, raw))
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(raw, copy)
                yield opened(cast(BinaryIO, copy))
    except OSError as error:
        if error.filename is None:
            raise
        raise _unusable(f"{name}: {error.strerror}.") from None


def _size_of(content: BinaryIO) -> int | None:
    """In bytes; None where it shows only when all is decompressed."""
    try:
        return os.fstat(content.fileno()).st_size if not hasattr(content, "mtime") else None
    except OSError:
        return None


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM, so that the chunk under way is finished. A second one isn't waited for."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        restore()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        restore()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no name
        return str(os.getuid())


def _unusable(message: str) -> CommandError:
    return CommandError(message, returncode=UNUSABLE)
