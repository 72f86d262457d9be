"""From the records of a file to what the ledger records: native events, CloudEvents, rows of CSV."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from metering.errors import EventError, Invalid
from metering.recording.intake import (
    MAX_EVENT_BYTES,
    EventInput,
    Item,
    MalformedBody,
    events_from,
    parse_cloudevents,
    parse_native,
)

from .event_columns import Cancelled, RowOptions, Rows, cells_of, header_of
from .event_files import Content, Format, Record, Records, UnreadableFile, delimiter_of, format_of

HEAD_BYTES = 64 * 1024
ID_HASH_LENGTH = 32  # hex digits of the content's hash in the ids given to events without one

_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_canonical = msgspec.json.Encoder(order="deterministic").encode


class ImportOptions(msgspec.Struct, frozen=True):
    """How one file is read. `project` and `source` stand for events that name none."""

    format: Format = "ndjson"
    delimiter: str = ","
    project: str | None = None
    source: str = "import"
    rows: RowOptions = RowOptions()


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that holds something, and the item that it is."""

    record: Record
    item: Item | Cancelled


def completed(
    options: ImportOptions,
    content: BinaryIO,
    *,
    file_name: str,
    detects_format: bool,
    detects_delimiter: bool,
) -> ImportOptions:
    """The options with format and delimiter found by looking. Raises `UnreadableFile`."""
    content.seek(0)
    head = content.read(HEAD_BYTES)
    if detects_format:
        options = msgspec.structs.replace(options, format=format_of(head, file_name=file_name))
    if options.format == "csv" and detects_delimiter:
        first_line = head.decode(errors="replace").removeprefix("\ufeff").partition("\n")[0]
        options = msgspec.structs.replace(options, delimiter=delimiter_of(first_line))
    return options


def fingerprint_of(content: Content, options: ImportOptions) -> str:
    """What an interrupted import is found again by: the same content, read the same way."""
    return sha256(content.sha256.encode() + _canonical(options)).hexdigest()


class EventFile:
    """The entries of one content. Raises `Invalid` or `UnreadableFile` where it can't be read as told."""

    def __init__(self, content: BinaryIO, facts: Content, options: ImportOptions) -> None:
        is_csv = options.format == "csv"
        self._facts = facts
        self._options = options
        self._records = Records(
            content,
            end=facts.size,
            max_bytes=MAX_EVENT_BYTES,
            delimiter=options.delimiter if is_csv else None,
        )
        self.header: list[str] = []
        self.rows: Rows | None = None
        self._records.go_to(0, lines_done=0)
        self.begins_at = self.begins_after_line = 0
        if is_csv:
            first = next(iter(self._records), None)
            if first is None or first.problem:
                problem = first.problem if first is not None else "missing"
                raise UnreadableFile(f"Its header, the first line, is {problem}.")
            self.header = header_of(first.raw, options.delimiter)
            self.rows = Rows(self.header, options.rows)
            self.begins_at, self.begins_after_line = first.end, first.lines_done

    @property
    def is_own_export(self) -> bool:
        return self.rows is not None and self.rows.is_own_export

    def go_to(self, position: int, *, lines_done: int) -> None:
        """Go on behind what is done; 0 is the first entry."""
        if position <= self.begins_at:
            position, lines_done = self.begins_at, self.begins_after_line
        self._records.go_to(position, lines_done=lines_done)

    def samples(self, count: int) -> list[list[str]]:
        """The cells of the first rows, for people to look at."""
        self.go_to(0, lines_done=0)
        found = []
        for record in islice(self._records, count):
            try:
                found.append(cells_of(record.raw.decode(), self._options.delimiter))
            except csv.Error:
                continue
        return found

    def first_lines(self, count: int) -> list[str]:
        """The first lines as they are."""
        self.go_to(0, lines_done=0)
        return [record.raw.decode() for record in islice(self._records, count)]

    def chunk(self, *, max_events: int, max_bytes: int) -> tuple[list[Entry], Record | None]:
        """The next entries, and the last record read: None at the end. Empty lines are no entries."""
        records: list[Record] = []
        size = 0
        last: Record | None = None
        for record in self._records:
            last = record
            size += len(record.raw)
            if record.raw.strip() or record.problem:
                records.append(record)
            if len(records) >= max_events or size >= max_bytes:
                break
        return list(self._entries(records)), last

    def _entries(self, records: list[Record]) -> Iterator[Entry]:
        items: list[Item | Cancelled | None]
        items = self._of_rows(records) if self.rows is not None else [_of_line(record) for record in records]
        entries = [(record, item) for record, item in zip(records, items, strict=True) if item is not None]
        for record, item in entries:
            if isinstance(item, EventError | Cancelled):
                yield Entry(record, item)
                continue
            if item.id is None:
                item.id = f"{self._facts.sha256[:ID_HASH_LENGTH]}:{record.line}"
            if item.project is None:
                item.project = self._options.project
            yield Entry(record, _timed(item))

    def _of_rows(self, records: list[Record]) -> list[Item | Cancelled | None]:
        """Rows are read on their own, then as events all at once."""
        read = [self._of_row(record) for record in records]
        events = [each for each in read if isinstance(each, Mapping)]
        items = iter(events_from(events))
        return [next(items) if isinstance(each, Mapping) else each for each in read]

    def _of_row(self, record: Record) -> Mapping[str, Any] | EventError | Cancelled | None:
        assert self.rows is not None
        if record.problem:
            return _too_long(record)
        try:
            cells = cells_of(record.raw.decode(), self._options.delimiter)
        except csv.Error as error:
            return EventError(0, "invalid_field", None, f"the row can't be read: {error}")
        return self.rows.event(cells)


def _of_line(record: Record) -> Item:
    """One line of NDJSON: a CloudEvent where it says which version of them it is."""
    if record.problem:
        return _too_long(record)
    try:
        if b'"specversion"' in record.raw and "specversion" in _decode_names(record.raw):
            return parse_cloudevents(record.raw, batch=False)[0]
        if not record.raw.lstrip().startswith(b"{"):
            return EventError(0, "invalid_field", None, "the line isn't a JSON object")
        return parse_native(record.raw)[0][0]
    except (MalformedBody, msgspec.MsgspecError, RecursionError) as error:
        detail = str(error).removeprefix("The body isn't valid JSON: ").rstrip(".")
        return EventError(0, "invalid_field", None, f"the line isn't valid JSON: {detail}")


def _timed(item: EventInput) -> Item:
    """Without a time an event would be recorded as used now, and again at another time after a crash."""
    if item.occurred_at is None:
        return EventError(0, "missing_field", "occurred_at", "an imported event must say when it happened")
    return item


def _too_long(record: Record) -> EventError:
    assert record.problem is not None
    code = "payload_too_large" if record.problem.startswith("longer") else "invalid_field"
    return EventError(0, code, None, record.problem)


def readable(content: BinaryIO, facts: Content, options: ImportOptions) -> EventFile:
    """`EventFile`, with one kind of refusal: raises `Invalid`."""
    try:
        return EventFile(content, facts, options)
    except UnreadableFile as error:
        raise Invalid(str(error), field="file") from None
