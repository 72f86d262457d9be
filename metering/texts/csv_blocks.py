"""Rows written as CSV, block by block: UTF-8, a header, commas, and lines that end in a line feed. Pure.

Texts go through `neutral`, so that no spreadsheet takes them for formulas; numbers and days, which we write
ourselves, stay as they are.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .csv_cells import neutral
from .timestamps import iso

BLOCK_CHARACTERS = 65_536
_NEEDS_QUOTES = re.compile(r'[,"\r\n]')

Value = str | int | Decimal | dt.date | dt.datetime | None


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of a file, ending where a row ends, and how many rows they hold; a header is none."""

    data: bytes
    row_count: int


def csv_blocks(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> Iterator[Block]:
    """The header, then the rows, in blocks of some 64 kB; without rows the header alone."""
    lines = [_line(header)]
    size, row_count = len(lines[0]), 0
    for row in rows:
        line = _line([cell(value) for value in row])
        lines.append(line)
        size += len(line)
        row_count += 1
        if size >= BLOCK_CHARACTERS:
            yield Block("".join(lines).encode(), row_count)
            lines, size, row_count = [], 0, 0
    if lines:
        yield Block("".join(lines).encode(), row_count)


def _line(cells: Sequence[str]) -> str:
    """The csv module would leave a carriage return without quotes, and so break the row."""
    return ",".join(_quoted(text) if _NEEDS_QUOTES.search(text) else text for text in cells) + "\n"


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def cell(value: Value) -> str:
    """One value as text: numbers with the decimals they have and no exponent, instants in UTC, None as the
    empty cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return neutral(value)
    if isinstance(value, Decimal):
        return format(value if value else abs(value), "f")
    if isinstance(value, dt.datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, dt.date) else str(value)
