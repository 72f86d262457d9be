"""How a stream is named: the hash of its subject and primary labels. Pure, with the same law in SQL."""

import uuid
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

TOTAL = uuid.UUID(int=0)  # the "stream" of a (metric, project, billing scope) total
NO_VALUE = uuid.UUID(int=0)  # where values aren't told apart


def _component(text: str | None) -> str:
    # Length-prefixed, so that no two different tuples of texts spell the same name.
    return "-" if text is None else f"{len(text)}:{text}"


@lru_cache(maxsize=65_536)
def stream_of(subject_type: str, subject_id: str, group: Sequence[str | None]) -> uuid.UUID:
    """The name of a stream; `group` holds the values of the metric's primary labels as text, in order."""
    name = "".join(map(_component, (subject_type, subject_id, *group)))
    return uuid.UUID(bytes=sha256(name.encode()).digest()[:16])


def stream_sql(subject_type: str, subject_id: str, group: Sequence[str]) -> str:
    """The same name, computed by PostgreSQL from column expressions."""
    parts = " || ".join(
        f"COALESCE(char_length({text})::text || ':' || {text}, '-')"
        for text in (subject_type, subject_id, *group)
    )
    return f"encode(substr(sha256(convert_to({parts}, 'UTF8')), 1, 16), 'hex')::uuid"


@lru_cache(maxsize=65_536)
def value_key_of(text: str) -> uuid.UUID:
    """The name under which a distinct value is counted: a text of 64 KB fits no index row."""
    return uuid.UUID(bytes=sha256(text.encode()).digest()[:16])


def value_key_sql(text: str) -> str:
    """The same name, computed by PostgreSQL from a text expression."""
    return f"encode(substr(sha256(convert_to({text}, 'UTF8')), 1, 16), 'hex')::uuid"
