"""Saying who changes configuration and why: what the histories are told with each change.

pghistory's triggers keep what they find in a setting of the transaction. It is told here and not by
pghistory's own hook, which goes before every statement, usage being recorded included, and can't read
composed ones.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import pghistory.core
from django.db import connection
from psycopg.sql import Composable

from .errors import Invalid

REASON_MAX_LENGTH = 1000
ACTOR_MAX_LENGTH = 300

_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "WITH")
_SETTING = "SELECT set_config('pghistory.context_metadata', {}, true); "
_told: ContextVar[dict[str, str] | None] = ContextVar("told", default=None)


@contextmanager
def changed_by(actor: str, *, reason: str | None = None, through: str) -> Iterator[None]:
    """Changes within are this person's or key's, for that reason. `through`: the admin, the API, a command.

    Inside another one it holds instead of that; a reason that was given there stands where none is given
    here, and so does what is taken back. Raises `Invalid` for a reason that is too long.
    """
    around = _told.get() or {}
    facts = {
        **around,
        "actor": actor[:ACTOR_MAX_LENGTH],
        "reason": reason_from(reason) or around.get("reason", ""),
        "through": through,
    }
    token = _told.set(facts)
    try:
        if _tell in connection.execute_wrappers:
            yield
        else:
            with connection.execute_wrapper(_tell):
                yield
    finally:
        _told.reset(token)


def named(actor: str) -> None:
    """Who makes the changes of the surrounding `changed_by`, now that it is known."""
    facts = _told.get()
    if facts is not None:
        facts["actor"] = actor[:ACTOR_MAX_LENGTH]


def because(reason: str | None) -> None:
    """Why the changes of the surrounding `changed_by` are made, where somebody says so.

    Raises `Invalid` for a reason that is too long.
    """
    facts, given = _told.get(), reason_from(reason)
    if facts is not None and given:
        facts["reason"] = given


def taking_back(change: str) -> None:
    """Which change, as "metering.project:17", the changes of the surrounding `changed_by` take back."""
    facts = _told.get()
    if facts is not None:
        facts["takes_back"] = change


def reason_from(text: str | None) -> str:
    """A reason as it is kept, empty for none. Raises `Invalid` for one that is too long, or no text."""
    reason = (text or "").strip()
    if len(reason) > REASON_MAX_LENGTH or any(
        char == "\x00" or "\ud800" <= char <= "\udfff" for char in reason
    ):
        raise Invalid(
            "A reason is a text of at most {most} characters.", most=REASON_MAX_LENGTH, field="reason"
        )
    return reason


@cache
def _writes_configuration() -> re.Pattern[str]:
    histories: Any = pghistory.core.event_models()
    tables = {model.pgh_tracked_model._meta.db_table for model in histories}
    names = "|".join(sorted(tables))
    return re.compile(
        rf'\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+(?:ONLY\s+)?"?(?:{names})(?![\w])',
        re.IGNORECASE,
    )


def _tell(execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:
    """Before a statement that writes configuration, in the same round trip; all others pass as they are."""
    facts = _told.get()
    text = statement.as_string(None) if isinstance(statement, Composable) else statement
    is_told = facts is not None and isinstance(text, str) and not many
    if not is_told or not text.lstrip()[:6].upper().startswith(_WRITES):
        return execute(statement, params, many, context)
    if not _writes_configuration().search(text):
        return execute(statement, params, many, context)
    words = json.dumps(facts)
    if isinstance(params, dict):
        told = execute(_SETTING.format("%(told)s") + text, {**params, "told": words}, many, context)
    elif params is None:
        literal = words.replace("'", "''")
        told = execute(_SETTING.format(f"'{literal}'") + text, None, many, context)
    else:
        told = execute(_SETTING.format("%s") + text, [words, *params], many, context)
    # Two statements, two results: what the caller asked is the last.
    while told is not None and told.nextset():
        pass
    return told
