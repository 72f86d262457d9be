"""What an import couldn't record, as a file for people and programs."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec

from metering.texts.csv_cells import neutral

from .event_imports import Reject

COLUMNS = ("line", "code", "field", "detail", "original")
RejectFormat = Literal["ndjson", "csv"]
_encode = msgspec.json.Encoder().encode


def written(rejects: Iterable[Reject], form: RejectFormat, *, header: bool = True) -> Iterator[bytes]:
    """One line or row each. Cells of CSV can't act as formulas."""
    if form == "csv" and header:
        yield _row(COLUMNS)
    for reject in rejects:
        if form == "csv":
            texts = (reject.code, reject.field, reject.detail, reject.original)
            yield _row((str(reject.line), *map(neutral, texts)))
        else:
            yield _encode(reject) + b"\n"


def _row(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


class RejectFile:
    """A file kept in step with an import: begun with what is known already, then added to chunk by chunk.

    CSV where its name ends so, else NDJSON. A file without rejects is removed at the end. Raises `OSError`.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            raise OSError(f"'{path}' isn't a regular file")
        self.path = path
        self.count = 0
        self._form: RejectFormat = "csv" if path.suffix == ".csv" else "ndjson"
        self._file = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.count:
            self.path.unlink(missing_ok=True)

    def add(self, rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            for line in written([reject], self._form, header=self.count == 0):
                self._file.write(line)
            self.count += 1
        self._file.flush()

    def settle(self, rejects: Iterable[Reject]) -> None:
        """Replace all of it, at once: another importer of the same file may have written here, too."""
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        self._file.close()
        self._file, self.count = fresh.open("wb"), 0
        self.add(rejects)
        fresh.replace(self.path)
