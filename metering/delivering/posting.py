"""Posting to an address that somebody else chose, without being led anywhere else, held up or flooded.

The name is resolved once, every address it has must be allowed, and the connection goes to one of those very
addresses, so that a name which changes in between changes nothing. Redirects are answers, not directions. All
of it, a dripping answer included, ends by one deadline. No proxies, no cookies, nothing is inflated.
"""

import datetime as dt
import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from .addresses import BadUrl, Reach, Target, is_allowed, target_of
from .patience import seconds_of_retry_after

RESOLVE_SECONDS = 5.0
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0  # from the first packet to the last that is read
MAX_ADDRESSES = 3  # of one name that are tried
MAX_ANSWER_BYTES = 64 * 1024  # head included; the rest is never read
KEPT_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one post. `status` is None where there was no answer, and then `error` says why."""

    status: int | None
    text: str = ""
    error: str = ""
    retry_after: float | None = None
    milliseconds: int = 0

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def reach() -> Reach:
    """What the settings allow."""
    return Reach(
        ports=frozenset(settings.WEBHOOK_PORTS),
        http=settings.WEBHOOK_ALLOW_HTTP,
        loopback=settings.WEBHOOK_ALLOW_LOOPBACK,
    )


def ensure_postable(url: str, *, resolve_seconds: float = RESOLVE_SECONDS) -> None:
    """Raises `BadUrl` for a URL that can't be posted to, now or ever.

    A name that can't be resolved at this moment passes: it may be new, and each delivery looks again.
    """
    target = target_of(url, reach=reach())
    try:
        _addresses(target, seconds=resolve_seconds)
    except OSError:
        return


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """POST `body`; never raises for what the URL, the network or the receiver does."""
    started = time.monotonic()

    def answer(status: int | None, **facts: Any) -> Answer:
        return Answer(status, milliseconds=int((time.monotonic() - started) * 1000), **facts)

    try:
        target = target_of(url, reach=reach())
        line = _connected(target, _addresses(target, seconds=RESOLVE_SECONDS))
    except BadUrl as error:
        return answer(None, error=f"Not sent. {error}")
    except (OSError, ValueError) as error:
        return answer(None, error=_in_words(error))
    try:
        status, text, retry_after = _exchange(line, target, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return answer(None, error=_in_words(error))
    finally:
        line.hang_up()
    problem = ""
    if 300 <= status < 400:
        problem = f"Answered {status}: a redirect, and those aren't followed. Enter the final URL."
    elif not 200 <= status < 300:
        problem = f"Answered {status}."
    return answer(status, text=text, error=problem, retry_after=retry_after)


# -- resolving -------------------------------------------------------------------------------------------


def _addresses(target: Target, *, seconds: float) -> Sequence[tuple[int, Any]]:
    """(family, socket address) of the target, each of which may be sent to; else raises `BadUrl`.

    Raises `OSError` for a name that isn't found in time.
    """
    found = _resolved(target.host, target.port, seconds=seconds)
    may_be_here = []
    for _family, place in found:
        address = ipaddress.ip_address(place[0])
        if not is_allowed(address, reach=reach()):
            raise BadUrl("Its name doesn't lead to an address on the public internet.")
        may_be_here.append(address.is_loopback)
    if target.port not in settings.WEBHOOK_PORTS and not all(may_be_here):
        raise BadUrl(f"Port {target.port} isn't allowed.")
    return found[:MAX_ADDRESSES]


def _resolved(host: str, port: int, *, seconds: float) -> list[tuple[int, Any]]:
    """What the name resolves to. In a thread of its own, because the resolver knows no time limit."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=resolve, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise socket.gaierror(socket.EAI_AGAIN, "the name wasn't resolved in time") from None
    if isinstance(found, Exception):
        raise found if isinstance(found, OSError) else socket.gaierror(socket.EAI_NONAME, str(found))
    return [(family, place) for family, _type, _protocol, _name, place in found]


# -- connecting ------------------------------------------------------------------------------------------


def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _connected(target: Target, addresses: Sequence[tuple[int, Any]]) -> "Line":
    """A connection to the first address that answers. Raises `OSError`."""
    deadline = time.monotonic() + TOTAL_SECONDS
    failure: OSError = OSError("no address")
    for family, place in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(min(CONNECT_SECONDS, _left(deadline)))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.connect(place)
            plain.settimeout(_left(deadline))
            if target.scheme == "https":
                return Line(_tls_context().wrap_socket(plain, server_hostname=target.host), deadline)
            return Line(plain, deadline)
        except OSError as error:
            plain.close()
            failure = error
            if isinstance(error, ssl.SSLError):
                break  # it was reached, and isn't who it should be
    raise failure


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises `TimeoutError` after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class TooLarge(OSError):
    """More than `MAX_ANSWER_BYTES` came, and what was needed wasn't among them."""


class Line:
    """A socket as `http.client` uses it, with one deadline for all and one size for what is read."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._bytes_left = MAX_ANSWER_BYTES

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_left(self._deadline))
            rest = rest[self._sock.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def receive_into(self, buffer: Any) -> int:
        room = memoryview(buffer)[: self._bytes_left]
        if not room:
            raise TooLarge
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(room)
        self._bytes_left -= count
        return count

    def close(self) -> None:
        """Nothing: `http.client` lets go before the answer is read where the receiver will hang up."""

    def hang_up(self) -> None:
        self._sock.close()


class _Incoming(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(buffer)


# -- speaking --------------------------------------------------------------------------------------------


def _exchange(
    line: Line, target: Target, body: bytes, headers: Mapping[str, str]
) -> tuple[int, str, float | None]:
    """(status, beginning of the text, what Retry-After asks for)."""
    exchange = http.client.HTTPConnection(target.host, target.port)
    exchange.sock = line
    exchange.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
    for name, value in {
        "Host": target.host_header,
        "Content-Length": str(len(body)),
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }.items():
        exchange.putheader(name, value)
    exchange.endheaders(body)
    response = exchange.getresponse()
    retry_after = seconds_of_retry_after(response.headers.get("Retry-After"), now=_now())
    return response.status, _beginning(response), retry_after


def _beginning(response: http.client.HTTPResponse) -> str:
    """The first 1,000 characters, as far as they come: with the status, what matters is known."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        return f"(Compressed with {coding[:20]}; not shown.)"
    read = bytearray()
    try:
        # A character has four bytes at most; piece by piece, so that what came before a stall is kept.
        while len(read) < 4 * KEPT_CHARACTERS:
            piece = response.read1(4 * KEPT_CHARACTERS - len(read))
            if not piece:
                break
            read += piece
    except (OSError, http.client.HTTPException, ValueError):
        pass
    return read.decode("utf-8", "replace").replace("\x00", "\ufffd")[:KEPT_CHARACTERS]


def _now() -> dt.datetime:
    return timezone.now()


def _in_words(error: Exception) -> str:
    """What went wrong, for whoever runs the receiver."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate isn't valid for this host: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"No secure connection could be made: {error.reason or error}."
    if isinstance(error, socket.gaierror):
        return "The name of the host can't be resolved."
    if isinstance(error, TimeoutError):
        return f"No answer within {TOTAL_SECONDS:.0f} seconds."
    if isinstance(error, TooLarge):
        return "The answer's head is too large."
    if isinstance(error, ConnectionRefusedError):
        return "The connection was refused."
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "The connection was closed without an answer."
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"The answer isn't HTTP ({type(error).__name__})."
    return f"The host can't be reached ({getattr(error, 'strerror', None) or type(error).__name__})."
