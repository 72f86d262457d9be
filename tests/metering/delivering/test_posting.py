"""Posting to addresses that others chose: real sockets, and what they may try."""

import contextlib
import gzip
import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from metering.delivering import posting
from metering.delivering.addresses import BadUrl
from metering.delivering.posting import ensure_postable, post

from .receivers import CERTIFICATE, Receiver, Request, an_answer, answering

BODY = b'{"type":"endpoint.tested"}'
HEADERS = {"Content-Type": "application/json", "webhook-id": "evt_1"}
_real_getaddrinfo = socket.getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, call by call: the first of a name's entries, as long as there are several."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host not in known:
            return _real_getaddrinfo(host, port, *args, **kwargs)
        if not known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in found.split()
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate of hooks.example is good."""
    monkeypatch.setattr(posting, "_tls_context", lambda: ssl.create_default_context(cafile=str(CERTIFICATE)))


def test_message_arrives_and_the_answer_is_kept(local_receivers: None) -> None:
    with Receiver(answering(an_answer(202, "thanks"))) as receiver:
        answer = post(receiver.url("/hook?a=1"), BODY, HEADERS)

    assert (answer.status, answer.text, answer.error, answer.is_success) == (202, "thanks", "", True)
    [request] = receiver.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "content-length": str(len(BODY)),
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "webhook-id": "evt_1",
    }


def test_nothing_is_sent_without_tls_or_to_this_machine_unless_allowed(settings: Any) -> None:
    with Receiver() as receiver:
        plain = post(receiver.url(), BODY, {})
        settings.WEBHOOK_ALLOW_HTTP = True
        inner = post(receiver.url(), BODY, {})
        named = post(receiver.url(host="localhost"), BODY, {})
        settings.WEBHOOK_PORTS = [receiver.port]
        with_port = post(receiver.url(), BODY, {})
        named_with_port = post(receiver.url(host="localhost"), BODY, {})

    assert receiver.connection_count == 0
    assert plain.error == "Not sent. Must begin with https://."
    assert inner.error == with_port.error == "Not sent. Isn't an address on the public internet."
    assert "Port" in named.error
    assert named_with_port.error == "Not sent. Its name doesn't lead to an address on the public internet."
    assert {plain.status, inner.status, named.status} == {None}


def test_control_receiver_is_reached_once_it_is_allowed(local_receivers: None) -> None:
    # Negative control: what the test above refuses would otherwise arrive.
    with Receiver() as receiver:
        assert post(receiver.url(host="localhost"), BODY, {}).status == 204

    assert receiver.connection_count == 1


@pytest.mark.parametrize(
    "addresses", ["10.0.0.1", "::1", "8.8.8.8 127.0.0.1", "8.8.8.8 64:ff9b::a00:1", "169.254.169.254"]
)
def test_name_that_leads_inside_is_refused(names: dict[str, list[str]], addresses: str) -> None:
    names["hooks.example"] = [addresses]

    with pytest.raises(BadUrl, match="public internet"):
        ensure_postable("https://hooks.example/")
    assert "public internet" in post("https://hooks.example/", BODY, {}).error


def test_name_is_resolved_once_and_that_very_address_connected_to(
    names: dict[str, list[str]], local_receivers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever asks a second time is led elsewhere.
    names["hooks.example"] = ["127.0.0.1", "127.0.0.2", "10.0.0.1"]
    peers = []
    connect = socket.socket.connect

    def noted(self: socket.socket, place: Any) -> None:
        peers.append(place[0])
        connect(self, place)

    monkeypatch.setattr(socket.socket, "connect", noted)
    with Receiver() as receiver:
        answer = post(receiver.url(host="hooks.example"), BODY, {})

    assert answer.status == 204
    assert peers == ["127.0.0.1"]
    assert names["hooks.example"] == ["127.0.0.2", "10.0.0.1"]
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_name_at_another_port_must_lead_to_this_machine(
    names: dict[str, list[str]], local_receivers: None
) -> None:
    names["hooks.example"] = ["8.8.8.8"]

    assert post("http://hooks.example:5000/", BODY, {}).error == "Not sent. Port 5000 isn't allowed."


def test_second_address_is_tried_when_the_first_does_not_answer(
    names: dict[str, list[str]], local_receivers: None
) -> None:
    names["hooks.example"] = ["127.0.0.9 127.0.0.1"]
    with Receiver() as receiver:
        assert post(receiver.url(host="hooks.example"), BODY, {}).status == 204


def test_unknown_name_may_be_saved_and_fails_when_sent(names: dict[str, list[str]]) -> None:
    names["hooks.example"] = []

    ensure_postable("https://hooks.example/")

    assert post("https://hooks.example/", BODY, {}).error == "The name of the host can't be resolved."


def test_resolver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as clock:  # its event ends the resolver's wait with the test
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: clock.is_over.wait(30))
        monkeypatch.setattr(posting, "RESOLVE_SECONDS", 0.1)

        ensure_postable("https://hooks.example/", resolve_seconds=0.1)

        assert post("https://hooks.example/", BODY, {}).error == "The name of the host can't be resolved."


def test_tls_is_verified_by_name_at_the_pinned_address(
    names: dict[str, list[str]], local_receivers: None, trusted: None
) -> None:
    names["hooks.example"] = names["other.example"] = ["127.0.0.1"]
    with Receiver(tls=True) as receiver:
        right = post(receiver.url(host="hooks.example", scheme="https"), BODY, {})
        wrong = post(receiver.url(host="other.example", scheme="https"), BODY, {})
        by_address = post(receiver.url(scheme="https"), BODY, {})

    assert (right.status, len(receiver.requests)) == (204, 1)
    assert "certificate isn't valid" in wrong.error
    assert "certificate isn't valid" in by_address.error


def test_certificate_that_nobody_signed_is_refused(
    names: dict[str, list[str]], local_receivers: None
) -> None:
    names["hooks.example"] = ["127.0.0.1"]
    with Receiver(tls=True) as receiver:
        answer = post(receiver.url(host="hooks.example", scheme="https"), BODY, {})

    assert "certificate isn't valid" in answer.error
    assert receiver.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(local_receivers: None, status: int) -> None:
    with Receiver() as inside, Receiver(answering(an_answer(status, Location=inside.url()))) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, answer.is_success) == (status, False)
    assert "redirect" in answer.error
    assert inside.connection_count == 0


def test_proxies_of_the_environment_are_not_asked(
    local_receivers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert post(receiver.url(), BODY, {}).status == 204

    assert proxy.connection_count == 0


# -- answers that don't end ------------------------------------------------------------------------------


def dripping(first: bytes, pieces: Iterator[bytes], over: Any) -> Any:
    def behave(connection: socket.socket, _request: Request) -> None:
        connection.sendall(first)
        for piece in pieces:
            if over().is_set():
                return
            connection.sendall(piece)
            over().wait(0.05)

    return behave


def test_head_that_drips_is_cut_by_the_deadline(local_receivers: None, impatient: None) -> None:
    drip = dripping(b"HTTP/1.1 200 OK\r\n", itertools.cycle([b"X", b": ", b"y"]), lambda: receiver.is_over)
    with Receiver(drip) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert answer.status is None
    assert "No answer within" in answer.error


def test_body_that_drips_is_cut_and_the_status_counts(local_receivers: None, impatient: None) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with Receiver(dripping(head, itertools.repeat(b"x"), lambda: receiver.is_over)) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert answer.is_success
    assert set(answer.text) == {"x"}
    assert len(answer.text) < 1000


def test_interim_answers_without_end_are_cut(local_receivers: None, impatient: None) -> None:
    drip = dripping(b"", itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), lambda: receiver.is_over)
    with Receiver(drip) as receiver:
        assert post(receiver.url(), BODY, {}).status is None


def test_silence_is_cut(local_receivers: None, impatient: None) -> None:
    with Receiver(lambda *_: receiver.is_over.wait(30) and None) as receiver:
        assert "No answer within" in post(receiver.url(), BODY, {}).error


def test_silence_in_the_handshake_is_cut(local_receivers: None, impatient: None) -> None:
    with Receiver(lambda *_: receiver.is_over.wait(30) and None, reads=False) as receiver:
        answer = post(receiver.url(scheme="https"), BODY, {})

    assert (answer.status, answer.error.startswith("No ")) == (None, True)


def test_receiver_that_never_reads_is_cut(local_receivers: None, impatient: None) -> None:
    with Receiver(lambda *_: receiver.is_over.wait(30) and None, reads=False) as receiver:
        answer = post(receiver.url(), b"x" * 30_000_000, {})

    assert "No answer within" in answer.error


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",  # until it hangs up
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3b9aca00\r\n",
    ],
)
def test_endless_answer_is_read_only_at_its_beginning(local_receivers: None, head: bytes) -> None:
    sent = 0

    def behave(connection: socket.socket, _request: Request) -> None:
        nonlocal sent
        connection.sendall(head)
        with contextlib.suppress(OSError):
            while sent < 1_000_000_000 and not receiver.is_over.is_set():
                connection.sendall(b"x" * 65536)
                sent += 65536

    with Receiver(behave) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, answer.text) == (200, "x" * 1000)
    assert sent < 50_000_000  # what the sockets' buffers took


def test_head_without_end_is_cut_by_its_size(local_receivers: None) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 60_000) for n in range(50))
    with Receiver(answering(head)) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, answer.error) == (None, "The answer's head is too large.")


def test_compressed_answer_is_not_inflated(local_receivers: None) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with Receiver(answering(head + bomb)) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, answer.text) == (200, "(Compressed with gzip; not shown.)")


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "isn't HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "isn't HTTP"),
        (b"\x00\xff" * 100, "isn't HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", "isn't HTTP"),
    ],
)
def test_answer_that_is_no_http(local_receivers: None, sent: bytes, error: str) -> None:
    with Receiver(answering(sent)) as receiver:
        assert error in post(receiver.url(), BODY, {}).error


def test_answer_of_any_bytes_can_be_stored(local_receivers: None) -> None:
    with Receiver(answering(b"HTTP/1.1 500 \xff\r\nContent-Length: 4\r\n\r\n\x00\xff\xc3(")) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, "\x00" in answer.text, answer.error) == (500, False, "Answered 500.")


def test_nobody_listens(local_receivers: None) -> None:
    with Receiver() as receiver:
        url = receiver.url()

    assert post(url, BODY, {}).error == "The connection was refused."


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("-5", None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("1e9", None)],
)
def test_retry_after_is_read(local_receivers: None, header: str, seconds: float | None) -> None:
    with Receiver(answering(an_answer(503, Retry_After=header))) as receiver:
        assert post(receiver.url(), BODY, {}).retry_after == seconds


def test_text_that_comes_after_the_head_of_an_answer_that_ends_with_the_connection_is_read(
    local_receivers: None,
) -> None:
    def behave(connection: socket.socket, _request: Request) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)  # the head has been read by then
        connection.sendall(b"taken")

    with Receiver(behave) as receiver:
        answer = post(receiver.url(), BODY, {})

    assert (answer.status, answer.text) == (200, "taken")
