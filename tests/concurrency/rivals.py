"""Jobs that run against each other, each in a thread with a database connection of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from django.db import connection, connections, transaction

PATIENCE_SECONDS = 60


class Rival:
    """A job under way in a thread of its own."""

    def __init__(self, job: Callable[[], Any], *, start: threading.Barrier | None = None) -> None:
        self._job = job
        self._start = start
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            if self._start is not None:
                connection.ensure_connection()
                self._start.wait(PATIENCE_SECONDS)
            self._result = self._job()
        except BaseException as error:
            self._error = error
        finally:
            connections.close_all()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def is_still_waiting_after(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return self.is_running

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert not self.is_running, "a rival hangs"

    @property
    def result(self) -> Any:
        """What the job returned, once it has; raises what it raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def error(self) -> BaseException | None:
        self.join()
        return self._error


def race(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs at once, from one starting signal; results in the order given. Raises what a job raised."""
    start = threading.Barrier(len(jobs))
    rivals = [Rival(job, start=start) for job in jobs]
    for rival in rivals:
        rival.join()
    return [rival.result for rival in rivals]


@contextmanager
def meanwhile(*jobs: Callable[[threading.Event], Any]) -> Iterator[list[Rival]]:
    """Run jobs beside the block; each is told by an event when it is over. Raises what one of them raised."""
    over = threading.Event()
    rivals = [Rival(lambda job=job: job(over)) for job in jobs]
    try:
        yield rivals
    finally:
        over.set()
        for rival in rivals:
            rival.join()
    for rival in rivals:
        _ = rival.result


class Held:
    """A job whose transaction stays open, in a thread of its own, until it is told to commit."""

    def __init__(self, job: Callable[[], Any]) -> None:
        self._done, self._may_commit = threading.Event(), threading.Event()
        self._answer: list[Any] = []

        def run() -> None:
            try:
                with transaction.atomic():
                    self._answer.append(job())
                    self._done.set()
                    self._may_commit.wait(PATIENCE_SECONDS)
            finally:
                self._done.set()

        self._rival = Rival(run)
        self._done.wait(PATIENCE_SECONDS)
        if not self._answer:
            _ = self._rival.result

    @property
    def answer(self) -> Any:
        return self._answer[0]

    def commit(self) -> None:
        self._may_commit.set()
        _ = self._rival.result

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self._may_commit.set()
        self._rival.join()


def database_url() -> str:
    """The test's own database, for processes started beside it."""
    parts = connection.settings_dict
    user, password = quote(parts["USER"]), quote(parts["PASSWORD"] or "")
    host, port = quote(parts["HOST"] or "", safe=""), parts["PORT"]
    return f"postgres://{user}:{password}@{host}:{port or 5432}/{parts['NAME']}"


def start_process(script: str) -> subprocess.Popen[str]:
    """Another process of ours, with Django set up against the test's database. Its output can be read."""
    url = database_url()
    return subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{script}"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": url,
            "OWNER_DATABASE_URL": url,
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def backends_waiting_for_a_lock() -> int:
    """How many sessions of the test's database wait for a lock now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the same activity all along
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]


def rows(statement: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()
