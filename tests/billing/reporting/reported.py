"""What tests of exports share: a customer with documents of every kind, and files read back."""

import csv
import io
from typing import Any

from metering.exporting.export_kinds import Asked, ExportKind, filters_of


def text_of(kind: ExportKind, /, *, project_path: str | None = None, **filters: Any) -> str:
    """The whole file. `from` is spelled `start`, for Python keeps the word."""
    sent = {"from" if name == "start" else name: value for name, value in filters.items()}
    asked = Asked(project_path, filters_of(kind, sent))
    kind.ensure(asked)
    return b"".join(block.data for block in kind.blocks(asked)).decode()


def rows_of(kind: ExportKind, /, **filters: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(kind, **filters), newline="")))
