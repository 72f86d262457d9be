"""The bus between processes: which quotas changed, whose usage was merged. Redis pub/sub, best effort.

Losing a message, or Redis, costs freshness up to the time to live, never correctness. So nothing here raises,
and nobody waits for Redis longer than a blink.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from metering.rolling_up.tick_observers import Touched

logger = logging.getLogger(__name__)

CHANNEL = "quota-enforcement"
TIMEOUT_SECONDS = 0.25  # for connecting and for each answer
SILENCE_SECONDS = 5.0  # after a failure, until Redis is tried again
MAX_NAMED = 1000  # more than this, and everything is forgotten

Topic = tuple[int, int]  # metric, project

_publisher: redis.Redis | None = None
_silent_until = 0.0


class TickNews:
    """Tells all processes whose usage a tick merged. `METERING_TICK_OBSERVERS` names it."""

    def observe(self, touched: Sequence[Touched]) -> None:
        """Nothing to write."""

    def after_commit(self, touched: Sequence[Touched]) -> None:
        named = sorted({(one.metric_id, one.project_id, one.billing_scope_id) for one in touched})
        publish({"usage": named} if len(named) <= MAX_NAMED else {"everything": True})


def announce_change() -> None:
    """Tell all processes that quotas have changed. Call it after the commit."""
    publish({"everything": True})


def publish(message: dict[str, Any]) -> None:
    """Send it, or don't: without Redis it is lost."""
    global _publisher, _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        if _publisher is None:
            _publisher = _client(TIMEOUT_SECONDS)
        _publisher.publish(CHANNEL, json.dumps(message))
    except (redis.RedisError, OSError, ValueError) as error:
        _silent_until = time.monotonic() + SILENCE_SECONDS
        logger.warning("The quota bus is out of reach, others will know a little later: %s", error)


def topics_of(data: object) -> Collection[Topic] | None:
    """What a message says is stale; None for everything, also where it can't be read."""
    try:
        message = json.loads(data)  # type: ignore[arg-type]
        return {
            (int(metric_id), int(project_id))
            for metric_id, *project_ids in message["usage"]
            for project_id in project_ids
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class Listener:
    """A thread of this process that hears what is published and calls `forget`.

    Also whenever it begins to hear: what was said before is lost.
    """

    PING_SECONDS = 2.0  # a server that says nothing for twice as long is taken for dead
    PAUSE_SECONDS = (0.5, 1.0, 2.0, 5.0)  # between attempts to subscribe

    def __init__(self, forget: Callable[[Collection[Topic] | None], None]) -> None:
        self._forget = forget
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._is_over = threading.Event()

    def start(self) -> None:
        """Listen from now on; once per process, also after a fork."""
        pid = os.getpid()
        if self._pid == pid:
            return
        with self._lock:
            if self._pid != pid:
                self._pid = pid
                threading.Thread(target=self._run, name="quota-bus", daemon=True).start()

    def stop(self) -> None:
        """Hear no more, at the latest after the next silence."""
        self._is_over.set()

    def _run(self) -> None:
        attempt = 0
        while not self._is_over.is_set():
            try:
                self._listen()
            except Exception as error:
                # Whatever it is, the thread must go on; the time to live holds meanwhile.
                level = logging.WARNING if attempt == 0 else logging.DEBUG
                logger.log(level, "The quota bus can't be heard; readings live out their time: %s", error)
            pause = self.PAUSE_SECONDS[min(attempt, len(self.PAUSE_SECONDS) - 1)]
            attempt += 1
            self._is_over.wait(pause)

    def _listen(self) -> None:
        with _client(self.PING_SECONDS) as client, client.pubsub() as subscription:
            subscription.subscribe(CHANNEL)
            heard_at = time.monotonic()
            while not self._is_over.is_set():
                message = subscription.get_message(timeout=self.PING_SECONDS)
                if message is not None:
                    heard_at = time.monotonic()
                    self._hear(message)
                elif time.monotonic() - heard_at > 2 * self.PING_SECONDS:
                    raise TimeoutError("no answer")
                else:
                    subscription.ping()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            logger.info("The quota bus is heard")
            self._forget(None)
        elif message["type"] == "message":
            self._forget(topics_of(message["data"]))


def _client(timeout: float) -> redis.Redis:
    """Without retries of its own: whoever asks has something better to do."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=timeout,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
