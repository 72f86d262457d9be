"""Real local sockets that receive webhooks, well-behaved and otherwise."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

PATIENCE_SECONDS = 30
CERTIFICATE = Path(__file__).with_name("hooks_example.pem")  # of hooks.example, signed by itself
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Request(NamedTuple):
    """What arrived: the first line, headers by lower-case name, the body."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[socket.socket, Request], None]


def answering(answer: bytes) -> Behaviour:
    return lambda connection, _request: connection.sendall(answer)


def an_answer(status: int, text: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(text.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", text]).encode()


class Receiver:
    """A server on a free port of this machine, for the time of a `with` block. `behave` may be exchanged."""

    def __init__(self, behave: Behaviour | None = None, *, tls: bool = False, reads: bool = True) -> None:
        self.behave = behave or answering(NO_CONTENT)
        self.requests: list[Request] = []
        self.connection_count = 0
        self._reads = reads
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        self.is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _start(self, job: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=job, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.is_over.is_set():
            try:
                connection, _address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connection_count += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            request = _read(connection) if self._reads else Request("", {}, b"")
            if request is not None:
                self.requests.append(request)
                self.behave(connection, request)
        except OSError:
            pass  # the sender hung up, as it may
        finally:
            connection.close()


def _read(connection: socket.socket) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Request(first, headers, body)
