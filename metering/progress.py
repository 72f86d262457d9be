"""A line that tells how far long work has come."""

import time
from types import TracebackType
from typing import Protocol, Self

REDRAW_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[2K"


class Output(Protocol):
    """What a command's `stdout` offers."""

    def write(self, msg: str = "", style_func: None = None, ending: str | None = None) -> None: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class Progress:
    """One line, rewritten in place on a terminal; silent elsewhere, so that logs keep results only.

    As a context manager it leaves no half-drawn line behind, whatever happens.
    """

    def __init__(self, out: Output, title: str, *, total: int | None = None) -> None:
        self._out = out
        self._title = title
        self._total = total
        self._is_terminal = out.isatty()
        self._is_drawn = False
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def at(self, count: int, *, note: str = "") -> None:
        """Say that `count` are done, and what else is known; drawn at most ten times a second."""
        now = time.monotonic()
        if not self._is_terminal or now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        share = f"{count:,} of {self._total:,}" if self._total else f"{count:,}"
        self._out.write(f"{_CLEAR_LINE}{self._title}: {share}{note}", ending="")
        self._out.flush()
        self._is_drawn = True

    def say(self, sentence: str) -> None:
        """Write a line that stays, here and in logs."""
        self._clear()
        self._out.write(sentence)
        self._out.flush()

    def _clear(self) -> None:
        if self._is_drawn:
            self._out.write(_CLEAR_LINE, ending="")
            self._out.flush()
            self._is_drawn = False
