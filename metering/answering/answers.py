"""Answering questions about usage: by one version of the catalogue, and in bounded time.

A definition is read in an earlier statement than the numbers. In the instant in which it changes, or history
that was counted for it is committed, an answer would mix what was with what is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.conf import settings
from django.db import OperationalError, connection, transaction

from metering.catalogue import Catalogue, current
from metering.errors import DefinitionsMoving, Unavailable, UsageTooSlow

ATTEMPTS = 5  # changes of definitions are rare, and one takes longer than most answers
QUERY_CANCELED = "57014"

Answer = TypeVar("Answer")
# The catalogue of the answer that is being made, if one is.
_answering: ContextVar[Catalogue | None] = ContextVar("_answering", default=None)


def answer(read: Callable[[Catalogue], Answer]) -> Answer:
    """What `read` makes of the catalogue, which hasn't moved before it was done; else it is asked again.

    Each statement may take `settings.USAGE_READ_TIMEOUT` seconds. `read` writes nothing. Raises
    `UsageTooSlow`, and `DefinitionsMoving` when the catalogue moved `ATTEMPTS` times.

    An answer within another is a part of that one: by its catalogue, and asked again with it.
    """
    whole = _answering.get()
    if whole is not None:
        return read(whole)
    for _ in range(ATTEMPTS):
        with statements_within(f"{settings.USAGE_READ_TIMEOUT}s", UsageTooSlow):
            catalogue = current()
            token = _answering.set(catalogue)
            try:
                found = read(catalogue)
            finally:
                _answering.reset(token)
            if current().version == catalogue.version:
                return found
    raise DefinitionsMoving


def catalogue_of_answer() -> Catalogue | None:
    """The catalogue of the answer that is being made, if one is."""
    return _answering.get()


def catalogue_now() -> Catalogue:
    """The catalogue of the answer that is being made; else the current one, for a statement."""
    whole = _answering.get()
    return current() if whole is None else whole


@contextmanager
def statements_within(timeout: str, too_slow: Callable[[], Unavailable]) -> Iterator[None]:
    """A transaction none of whose statements takes longer; else `too_slow` is raised. A surrounding
    transaction goes on as it was, and so does the connection."""
    is_outermost = not connection.in_atomic_block
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)",
                [timeout],
            )
            (before, _) = cursor.fetchone()
            yield
            if not is_outermost:  # else it ends with the transaction
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        raise too_slow() from None


@contextmanager
def one_snapshot() -> Iterator[Catalogue]:
    """A transaction all of whose statements see the same: for what is sent while it is read, and so can't be
    read again. Within a transaction that has begun, statements see what that lets them see."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield current()
