"""Servers that Meterbook brings along for one machine: PostgreSQL and Valkey, their data under `var/`."""

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Below this a first start would end half-made: programs, templates, write-ahead log and the demo data.
MINIMUM_FREE_BYTES = 400 * 1024 * 1024
LARGEST_LOG_BYTES = 10 * 1024 * 1024


class EmbeddedServerError(Exception):
    """An embedded server can't start or stop; the message is written for the person at the terminal."""


def prepare_var(var: Path) -> None:
    """Make the directory `var` if it is missing, and prove that it can be written and has room.

    Raises `EmbeddedServerError`. Permissions of directories that exist stay as they are.
    """
    try:
        var.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=var) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        (var / "log").mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise EmbeddedServerError(
            f"{error.filename} is a file, but Meterbook keeps its data in a directory of that name. "
            "Move the file away or choose another place with --var."
        ) from error
    except OSError as error:
        raise EmbeddedServerError(
            f"{var} can't be written ({error.strerror}). Choose another place with --var."
        ) from error
    free = shutil.disk_usage(var).free
    if free < MINIMUM_FREE_BYTES:
        raise EmbeddedServerError(
            f"the disk of {var} has {free // 2**20} MB left, and {MINIMUM_FREE_BYTES // 2**20} are needed. "
            "Make room or choose another place with --var."
        )


def write_private(path: Path, text: str) -> None:
    """Replace the file `path` by `text`, mode 600, whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EmbeddedServerError(f"{path} can't be written ({error.strerror}).") from error


class Keyring:
    """Passwords and ports of one `var` directory: made once, kept in `keyring.json` (mode 600)."""

    def __init__(self, var: Path) -> None:
        self.path = var / "keyring.json"

    def secret(self, name: str) -> str:
        """The secret called `name`; made when it is asked for the first time."""
        entries = self._read()
        if name not in entries:
            entries[name] = secrets.token_urlsafe(32)
            self._write(entries)
        return str(entries[name])

    def port(self, name: str) -> int | None:
        """The port that the server `name` had last time, or None."""
        port = self._read().get(f"{name}_port")
        return port if isinstance(port, int) else None

    def remember_port(self, name: str, port: int) -> None:
        self._write(self._read() | {f"{name}_port": port})

    def _read(self) -> dict[str, object]:
        try:
            entries = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise EmbeddedServerError(
                f"{self.path} can't be read ({error}). It holds the passwords of the servers beside it: "
                "restore it, or move the whole directory away to begin anew."
            ) from error
        if not isinstance(entries, dict):
            raise EmbeddedServerError(f"{self.path} holds no JSON object; restore it.")
        return entries

    def _write(self, entries: dict[str, object]) -> None:
        write_private(self.path, json.dumps(entries, indent=2) + "\n")


def can_bind(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def loopback_port(preferred: int | None) -> int:
    """`preferred` when it is free, so that addresses stay the same over the runs; otherwise any free one."""
    # A server that was killed is gone a moment before its last thread, which still holds the port.
    if preferred and wait_until(lambda: can_bind(preferred), seconds=1):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Whether the process runs. One that has ended and only waits for its parent's look does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # The command's name is in parentheses and may contain anything, the state follows the last one.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()


def works_in(pid: int, directory: Path) -> bool:
    """Whether a running process has `directory` as its working directory, as both servers have their data's.

    The number in an old pid file may belong to a stranger by now. A system that does not tell is believed.
    """
    if not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == directory.resolve()
    except OSError:
        return not Path("/proc/self").exists()


def end(pid: int, *, polite: signal.Signals, firm: signal.Signals, patience: float) -> None:
    """Ask the process to end, insist after `patience` seconds, and return when it is gone."""
    for ask in (polite, firm, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, ask)
        if wait_until(lambda: not is_alive(pid), seconds=patience):
            return
    raise EmbeddedServerError(f"process {pid} does not end.")


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def tied_to_parent(ask: signal.Signals) -> Callable[[], None] | None:
    """What a new process calls to be ended by `ask` when its parent dies, however; None where not Linux."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork, where locks may be held
    parent = os.getpid()

    def tie() -> None:
        prctl(1, int(ask), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return tie


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[int]:
    """A descriptor that appends to the log `path`; a large one is put aside as `.1` first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise EmbeddedServerError(f"{path} can't be written ({error.strerror}).") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, indented for a message; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in lines[-count:])


def reap(process: "subprocess.Popen[bytes] | None") -> None:
    """Take note of a child that has ended, so that it does not stay as a zombie."""
    if process is not None:
        process.poll()
