"""Keeps a handful of processes running for as long as somebody watches, and ends them together."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from config.embedded import last_lines, log_file, tied_to_parent

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
# A process that ran this long had started well: its next end is a new story, not a series.
GOOD_RUN_SECONDS = 60.0
ENDING_SECONDS = 5.0


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal; not an Exception, so that nothing on the way swallows it."""


class ChildFailed(Exception):
    """A process ended before it was of any use; the message has the end of its log."""


class Supervised(Protocol):
    """What the supervisor needs to know of a process or an embedded server."""

    name: str

    def is_running(self) -> bool: ...

    def start(self) -> None: ...

    def obituary(self) -> str:
        """How it ended, for a message."""


@dataclass
class Child:
    """A program that writes to a log of its own and ends with this process, however this process ends."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C reaches the supervisor alone, which ends all in order."""
        with log_file(self.log) as output:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied_to_parent(signal.SIGTERM),
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def obituary(self) -> str:
        status = self.process.poll() if self.process else None
        how = f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"
        return f"{self.name} ended {how}. The end of {self.log}:{last_lines(self.log, 8)}"

    def signal(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        """Send a signal to it, or to it and everything that it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if whole_group:
                os.killpg(self.process.pid, number)
            elif self.is_running():
                self.process.send_signal(number)


def end_children(children: Sequence[Child], *, seconds: float = ENDING_SECONDS) -> None:
    """Ask all at once to end, wait together, and kill with their own children what is left."""
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    for child in children:
        if child.process is None:
            continue
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
        child.signal(signal.SIGKILL, whole_group=True)
        child.process.wait()


@dataclass
class _Record:
    started_at: float
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Starts again what ended, a little later each time, and says so through `say`."""

    def __init__(self, members: Sequence[Supervised], say: Callable[[str], None]) -> None:
        self.members = members
        self.say = say
        self._records = {member.name: _Record(time.monotonic()) for member in members}

    def watch_forever(self, *, pause: float = 0.5) -> None:
        """Return only by an exception, such as `StopRequested`."""
        while True:
            self.look(time.monotonic())
            time.sleep(pause)

    def look(self, now: float) -> None:
        """Notice who ended, and start whose pause is over. `now` is in seconds of the monotonic clock."""
        for member in self.members:
            record = self._records[member.name]
            if record.restart_at is None:
                if member.is_running():
                    continue
                record.failures = 1 if now - record.started_at > GOOD_RUN_SECONDS else record.failures + 1
                wait = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** (record.failures - 1))
                record.restart_at = now + wait
                self.say(f"{member.obituary()}\nStarting {member.name} again in {wait:.0f} s.")
            elif now >= record.restart_at:
                record.started_at, record.restart_at = now, None
                try:
                    member.start()
                except Exception as error:  # whatever it is, it is told, and the next look tries again
                    self.say(f"{member.name} can't be started: {error}")
                else:
                    self.say(f"{member.name} runs again.")


@contextlib.contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP raise `StopRequested`: the first only, so that cleaning up ends."""

    def raise_once(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise StopRequested

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.signal(each, raise_once) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
