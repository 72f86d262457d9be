"""The bus between processes, on a real server that is stopped, hung and fed with garbage."""

import contextlib
import os
import queue
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings

from config.embedded import prepare_var, valkey
from metering.rolling_up.tick_observers import Touched
from quotas import bus
from quotas.bus import CHANNEL, Listener, TickNews, announce_change, publish, topics_of
from tests.factories import at

real_start = Listener.start
NOON = at("2024-05-15T12:00:00Z")


@pytest.fixture
def server(
    tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[valkey.ValkeyServer]:
    """A server of our own; nothing is remembered of another."""
    tmp_path.chmod(0o711)
    var = tmp_path / "var"
    prepare_var(var)
    server = valkey.start(var, tied=True, durable=False)
    settings.REDIS_URL = server.url
    monkeypatch.setattr(bus, "_publisher", None)
    monkeypatch.setattr(bus, "_silent_until", 0.0)
    monkeypatch.setattr(bus, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(Listener, "PING_SECONDS", 0.2)
    monkeypatch.setattr(Listener, "PAUSE_SECONDS", (0.1,))
    monkeypatch.setattr(Listener, "start", real_start)
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGCONT)
        server.stop()


class Ear:
    """What a listener was told to forget, in order."""

    def __init__(self) -> None:
        self._heard: queue.Queue[object] = queue.Queue()
        self.listener = Listener(self._heard.put)
        self.listener.start()

    def next(self, *, within: float = 20) -> object:
        return self._heard.get(timeout=within)

    @property
    def is_quiet(self) -> bool:
        time.sleep(0.3)
        return self._heard.empty()


@pytest.fixture
def ear(server: valkey.ValkeyServer) -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.listener.stop()


def test_subscribing_forgets_everything_and_messages_what_they_name(ear):
    assert ear.next() is None

    TickNews().after_commit(
        [
            Touched(1, 10, 10, NOON, NOON),
            Touched(1, 11, 10, NOON, NOON),
            Touched(2, 11, 12, NOON, NOON),
        ]
    )
    assert ear.next() == {(1, 10), (1, 11), (2, 11), (2, 12)}
    announce_change()

    assert ear.next() is None
    assert ear.is_quiet


def test_tick_that_touches_too_much_forgets_everything(ear):
    ear.next()

    TickNews().after_commit([Touched(1, project, project, NOON, NOON) for project in range(2000)])

    assert ear.next() is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"usage"',
        b'{"usage": 5}',
        b'{"usage": [[1]',
        b'{"usage": [["a", 2]]}',
        b"[" * 100_000,
    ],
    ids=lambda garbage: garbage[:20].decode(errors="replace"),
)
def test_what_cannot_be_read_forgets_everything(garbage):
    assert topics_of(garbage) is None


def test_garbage_does_not_end_the_listening(server, ear):
    ear.next()
    client = redis.Redis.from_url(server.url)

    client.publish(CHANNEL, b"\xff{")
    assert ear.next() is None
    client.flushall()
    publish({"usage": [[1, 2, 3]]})

    assert ear.next() == {(1, 2), (1, 3)}


def test_stopped_server_is_found_again_and_what_was_said_meanwhile_does_not_matter(server, ear, tmp_path):
    ear.next()
    server.stop()

    began = time.monotonic()
    publish({"usage": [[1, 2, 2]]})
    assert time.monotonic() - began < 5
    assert ear.is_quiet
    again = valkey.start(tmp_path / "var", tied=True, durable=False)

    try:
        assert again.url == server.url
        assert ear.next() is None
        publish({"usage": [[1, 2, 2]]})
        assert ear.next() == {(1, 2)}
    finally:
        again.stop()


def test_hanging_server_holds_nobody_up_and_is_left(server, ear):
    ear.next()
    publish({"usage": [[1, 2, 2]]})
    assert ear.next() == {(1, 2)}
    os.kill(server.pid, signal.SIGSTOP)

    began = time.monotonic()
    publish({"usage": [[1, 3, 3]]})
    assert time.monotonic() - began < 5
    time.sleep(1)  # the listener gives it up
    os.kill(server.pid, signal.SIGCONT)

    assert ear.next() is None  # it has subscribed anew


def test_after_a_failure_nobody_asks_for_a_while(server, monkeypatch):
    monkeypatch.setattr(bus, "SILENCE_SECONDS", 60.0)
    server.stop()
    publish({"everything": True})

    def never() -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(bus, "_publisher", None)
    monkeypatch.setattr(bus, "_client", lambda timeout: never())

    publish({"everything": True})


def test_address_that_makes_no_sense_is_survived(settings: LazySettings, monkeypatch):
    monkeypatch.setattr(bus, "_publisher", None)
    monkeypatch.setattr(bus, "_silent_until", 0.0)
    settings.REDIS_URL = "nonsense"

    publish({"everything": True})


def test_process_listens_once_and_again_after_a_fork(ear, monkeypatch):
    ear.listener.start()
    assert ear.next() is None
    assert ear.is_quiet

    monkeypatch.setattr(os, "getpid", lambda: -1)
    ear.listener.start()

    assert ear.next() is None
    assert ear.is_quiet
