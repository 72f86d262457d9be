"""Reading files of events of any size, record by record, in flat memory. Pure.

A record is a line of NDJSON or a row of CSV, whose quoted cells may hold line breaks. Each knows its place,
so that reading can go on behind any of them. A record that is too long is passed over and says so; what makes
the whole content unreadable is found by `inspect`, before the first record is used.
"""

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Literal, cast

BLOCK_BYTES = 1024 * 1024
SHOWN_BYTES = 1000  # of a record that is too long, in the list of rejects
DELIMITERS = (",", ";", "\t", "|")

_BOM = codecs.BOM_UTF8
_GZIP = b"\x1f\x8b"
_OPENINGS = (
    (codecs.BOM_UTF16_LE, "It is UTF-16. Save it as UTF-8."),
    (codecs.BOM_UTF16_BE, "It is UTF-16. Save it as UTF-8."),
    (b"PK\x03\x04", "It is a ZIP archive or a spreadsheet. Unpack it, or save the sheet as CSV."),
    (b"%PDF", "It is a PDF."),
    (b"\x28\xb5\x2f\xfd", "It is compressed by zstd; gzip is understood."),
    (b"BZh", "It is compressed by bzip2; gzip is understood."),
    (b"\xfd7zXZ", "It is compressed by xz; gzip is understood."),
)

Format = Literal["ndjson", "csv"]


class UnreadableFile(ValueError):
    """The content as a whole can't be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies a content, decompressed."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """One line or row. `raw` lacks the line ending; of a record that is too long it is the beginning.

    `line` is its first line, counted from 1; `end` and `lines_done` are where the next record begins.
    """

    line: int
    raw: bytes
    end: int
    lines_done: int
    problem: str | None = None


def opened(raw: BinaryIO) -> BinaryIO:
    """The content of a seekable file, decompressed where it begins as gzip does, whatever its name is."""
    raw.seek(0)
    is_compressed = raw.read(2) == _GZIP
    raw.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if is_compressed else raw


def inspect(
    content: BinaryIO, *, max_bytes: int | None = None, on_progress: Callable[[int], None] | None = None
) -> Content:
    """Read all of it once: hash and size. Raises `UnreadableFile` for what is no UTF-8 text, is damaged, has
    nothing in it, or has more than `max_bytes`."""
    digest = sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = newline_count = 0
    try:
        while block := content.read(BLOCK_BYTES):
            if size == 0:
                _refuse_opening(block)
            size += len(block)
            if max_bytes is not None and size > max_bytes:
                raise UnreadableFile(
                    f"Decompressed it has more than {max_bytes // 1_000_000:,} MB; import it in parts."
                )
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                line = newline_count + error.object[: error.start].count(b"\n") + 1
                raise UnreadableFile(f"Line {line:,} isn't UTF-8. Save the file as UTF-8.") from None
            if b"\x00" in block:
                raise UnreadableFile("It isn't text: it holds NUL bytes.")
            newline_count += block.count(b"\n")
            digest.update(block)
            if on_progress is not None:
                on_progress(size)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UnreadableFile("Its last line isn't UTF-8; was it cut off?") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"It can't be decompressed: {error}.") from None
    if not size or (size == len(_BOM) and digest.digest() == sha256(_BOM).digest()):
        raise UnreadableFile("It is empty.")
    return Content(digest.hexdigest(), size)


def _refuse_opening(block: bytes) -> None:
    for opening, complaint in _OPENINGS:
        if block.startswith(opening):
            raise UnreadableFile(complaint)
    if b"\r" in block and b"\n" not in block and len(block) < BLOCK_BYTES:
        raise UnreadableFile("Its lines end in CR alone. Save it with LF or CRLF line endings.")


def format_of(head: bytes, *, file_name: str) -> Format:
    """By the first character, else by the name. Raises `UnreadableFile` for a JSON array."""
    text = head.removeprefix(_BOM).lstrip()
    if text.startswith(b"{"):
        return "ndjson"
    name = file_name.lower().removesuffix(".gz")
    if text.startswith(b"[") and not name.endswith((".csv", ".tsv")):
        raise UnreadableFile(
            "It is a JSON array. Write one event a line: jq -c '.[]' array.json > lines.ndjson"
        )
    return "ndjson" if name.endswith((".ndjson", ".jsonl")) else "csv"


def delimiter_of(header: str) -> str:
    """The one of `DELIMITERS` that the header has most often outside of quotes; without any, the comma."""
    outside = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=lambda each: (outside.count(each), each == ","))


# Where in a row of CSV a piece of it ends.
_AT_CELL, _IN_CELL, _IN_QUOTES, _AFTER_QUOTE = range(4)


class Records:
    """The records of a seekable content, from anywhere on. What is appended behind `end` is left alone."""

    def __init__(self, content: BinaryIO, *, end: int, max_bytes: int, delimiter: str | None = None) -> None:
        """With a delimiter rows of CSV, else lines."""
        self._content = content
        self._end = end
        self._max_bytes = max_bytes
        self._delimiter = delimiter.encode() if delimiter is not None else None
        self._position = self._lines_done = 0

    def go_to(self, position: int, *, lines_done: int) -> None:
        """Go on where an earlier reader stopped."""
        self._content.seek(position)
        self._position, self._lines_done = position, lines_done

    def __iter__(self) -> Iterator[Record]:
        while self._position < self._end:
            record = self._next()
            if record is None:
                return
            yield record

    def _next(self) -> Record | None:
        begins_at, line = self._position, self._lines_done + 1
        kept: list[bytes] = []
        size, state = 0, _AT_CELL
        while True:
            piece = self._content.readline(min(self._max_bytes + 2, self._end - self._position))
            if not piece:
                break
            self._position += len(piece)
            size += len(piece)
            if size <= self._max_bytes + 2 or not kept:
                kept.append(piece)
            is_line = piece.endswith(b"\n")
            self._lines_done += is_line
            if self._delimiter is not None:
                state = _after(piece, state, self._delimiter)
            if is_line and state != _IN_QUOTES:
                break
        if not size:
            return None
        if not kept[-1].endswith(b"\n") and self._position >= self._end:
            self._lines_done += 1  # the last line of a file may lack its ending
        raw = b"".join(kept)
        if begins_at == 0:
            raw = raw.removeprefix(_BOM)
        raw = raw.rstrip(b"\r\n")
        problem = None
        if size > self._max_bytes + 2 or len(raw) > self._max_bytes:
            problem = f"longer than {self._max_bytes:,} bytes"
            if self._lines_done > line:
                problem += f", up to the end of its quotes in line {self._lines_done:,}"
            raw = raw[:SHOWN_BYTES]
        elif state == _IN_QUOTES:
            problem = "the file ends inside of a quoted cell"
        return Record(line, raw, self._position, self._lines_done, problem)


def _after(piece: bytes, state: int, delimiter: bytes) -> int:
    """The place in a row behind `piece`, a line or part of one. A quote opens at the start of a cell only."""
    if state not in {_IN_QUOTES, _AFTER_QUOTE} and b'"' not in piece:
        return _AT_CELL if piece.endswith(delimiter) else _IN_CELL
    at = 0
    while at < len(piece):
        if state == _IN_QUOTES:
            quote = piece.find(b'"', at)
            if quote < 0:
                return _IN_QUOTES
            at, state = quote + 1, _AFTER_QUOTE
        elif state in {_AFTER_QUOTE, _AT_CELL} and piece[at : at + 1] == b'"':
            at, state = at + 1, _IN_QUOTES
        elif state == _AT_CELL and piece[at : at + 1] == delimiter:
            at += 1
        else:
            found = piece.find(delimiter, at)
            if found < 0:
                return _IN_CELL
            at, state = found + 1, _AT_CELL
    return state
