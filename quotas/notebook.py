"""What this process has decided and not written down yet.

Noting costs no round trip: a thread with a connection of its own writes what has come together, at once
and then once a second, so that a storm of equal denials is one row written a second. It ends when there is
nothing to write. A process that is killed loses the counts of its last second, never an answer.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable

from django.db import DataError, IntegrityError, connection, transaction

from .decisions import Decision, write_decisions
from .models import QuotaDecision

logger = logging.getLogger(__name__)

PACE_SECONDS = 1.0
IDLE_SECONDS = 10.0  # then the thread ends and its connection is closed
MAX_WAITING = 10_000  # different decisions; more than that is a database that can't be written to
MAX_ATTEMPTS = 60
WRITTEN_AT_ONCE = 500


class Notebook:
    """Waiting decisions by reference, equal ones added up, and the thread that writes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Decision] = {}
        self._lost = 0
        self._writer: threading.Thread | None = None
        self._wake = threading.Event()
        os.register_at_fork(after_in_child=self._begin_anew)

    def note(self, decisions: Iterable[Decision]) -> None:
        """Take decisions to be written. Never waits for the database."""
        with self._lock:
            for decision in decisions:
                self._add(decision)
            if self._waiting:
                self._start()
        self._wake.set()

    def _add(self, decision: Decision) -> None:
        known = self._waiting.get(decision.reference)
        if known is not None:
            self._waiting[decision.reference] = known.and_again(decision)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[decision.reference] = decision
        else:
            self._lost += decision.count

    def flush(self) -> None:
        """Write what waits, on the caller's connection. Raises as the database does; then it waits on."""
        while True:
            with self._lock:
                references = sorted(self._waiting)[:WRITTEN_AT_ONCE]
                taken = [self._waiting.pop(reference) for reference in references]
            if not taken:
                return
            try:
                self._write_down(taken)
            except BaseException:
                with self._lock:
                    for decision in taken:
                        self._add(decision)
                raise

    def _write_down(self, decisions: list[Decision]) -> None:
        """Write all; where one of them can't be stored at all, each on its own without that one."""
        try:
            write_decisions(decisions)
        except (DataError, IntegrityError):
            if len(decisions) == 1:
                logger.exception("A decision of a quota can't be written down: %s", decisions[0].reference)
                with self._lock:
                    self._lost += decisions[0].count
                return
            for decision in decisions:
                self._write_down([decision])

    def forget(self) -> None:
        """Drop what waits: for tests, whose decisions nobody will read."""
        with self._lock:
            self._waiting, self._lost = {}, 0

    def _begin_anew(self) -> None:
        """What a parent process noted is the parent's to write, and its thread isn't here."""
        self._lock = threading.Lock()
        self._waiting, self._lost, self._writer = {}, 0, None

    def _start(self) -> None:
        if self._writer is None or not self._writer.is_alive():
            self._writer = threading.Thread(target=self._write, name="quota-decisions", daemon=True)
            self._writer.start()

    def _write(self) -> None:
        attempts, last_at = 0, time.monotonic()
        try:
            while True:
                self._wake.wait(PACE_SECONDS)
                self._wake.clear()
                with self._lock:
                    is_idle = not self._waiting
                    if is_idle and time.monotonic() - last_at > IDLE_SECONDS:
                        self._writer = None
                        return
                if is_idle:
                    continue
                last_at = time.monotonic()
                attempts = attempts + 1 if self._failed() else 0
                if attempts >= MAX_ATTEMPTS:
                    with self._lock:
                        self._lost += sum(decision.count for decision in self._waiting.values())
                        self._waiting.clear()
                    attempts = 0
                self._tell_of_losses()
                time.sleep(PACE_SECONDS)
        finally:
            connection.close()

    def _failed(self) -> bool:
        try:
            self.flush()
        except Exception:
            logger.exception("Decisions of quotas can't be written now")
            connection.close()
            return True
        return False

    def _tell_of_losses(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            logger.error("%d decisions of quotas were not written down", lost)


NOTEBOOK = Notebook()


def note_decisions(decisions: Iterable[Decision]) -> None:
    """Let the account have them. Warnings of what is committed with a caller's transaction wait for that."""
    taken = list(decisions)
    recorded = [each for each in taken if each.outcome == QuotaDecision.Outcome.SOFT_BREACH]
    if recorded and connection.in_atomic_block:
        taken = [each for each in taken if each.outcome != QuotaDecision.Outcome.SOFT_BREACH]
        transaction.on_commit(lambda: NOTEBOOK.note(recorded), robust=True)
    if taken:
        NOTEBOOK.note(taken)


@atexit.register
def _write_the_rest() -> None:
    """A process that ends in good order leaves nothing unwritten, if the database lets it."""
    try:
        NOTEBOOK.flush()
    except Exception:
        logger.exception("Decisions of quotas were not written down")
