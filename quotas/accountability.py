"""Saying who changes a limit and why: what the histories of limits are told with each change."""

from collections.abc import Iterator
from contextlib import contextmanager

import pghistory

from metering.errors import Invalid

from .models import REASON_MAX_LENGTH


@contextmanager
def changed_by(actor: str, *, reason: str | None = None, through: str) -> Iterator[None]:
    """Changes within are this person's or key's, for that reason. `through`: the admin, the API, a command.

    Raises `Invalid` for a reason that is too long.
    """
    reason = (reason or "").strip()
    if len(reason) > REASON_MAX_LENGTH or any(
        char == "\x00" or "\ud800" <= char <= "\udfff" for char in reason
    ):
        raise Invalid(f"A reason is a text of at most {REASON_MAX_LENGTH} characters.", field="reason")
    with pghistory.context(actor=actor[:300], reason=reason, through=through):
        yield
