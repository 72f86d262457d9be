"""What the columns of somebody's CSV probably mean. Pure: names and a few values in, suggestions out.

A guess is only ever shown to a person who confirms it.
"""

import re
from collections.abc import Sequence

_WORDS = {
    "id": ("id", "event_id", "request_id", "uuid", "guid", "idempotency_key", "transaction_id"),
    "occurred_at": (
        "occurred_at", "timestamp", "time", "datetime", "date_time", "date", "ts", "created_at", "created",
        "started_at", "start_time", "event_time", "when",
    ),
    "event_name": ("event_name", "event", "event_type", "type", "code", "meter", "metric_name"),
    "quantity": ("quantity", "qty", "amount", "value", "count", "units", "usage", "total"),
    "project": ("project", "project_key", "project_id", "org_id", "tenant", "organisation", "organization"),
    "subject_id": (
        "subject_id", "subject", "user_id", "user", "customer_id", "customer", "account_id",
        "external_customer_id",
    ),
    "subject_type": ("subject_type",),
    "metric_key": ("metric_key", "metric"),
    "source": ("source",),
    "surface": ("surface",),
}  # fmt: skip
_TARGET_OF = {word: target for target, words in _WORDS.items() for word in words}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_name(column: str) -> str:
    """`Request Time (UTC)` is `request_time_utc`: a name that a label can have."""
    return re.sub(r"[^\w]+", "_", _CAMEL.sub("_", column)).strip("_").lower()


def guesses(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """For each column a target such as `occurred_at` or `labels.region:number`; no member twice, and nothing
    for a column without values. Numbers with leading zeros are texts: they are codes."""
    found: list[str] = []
    taken: set[str] = set()
    for index, column in enumerate(header):
        values = [row[index].strip() for row in rows if len(row) > index and row[index].strip()]
        name = plain_name(column)
        target = _TARGET_OF.get(name)
        if rows and not values:
            found.append("")
        elif target is not None and target not in taken:
            taken.add(target)
            found.append(target)
        elif name and f"labels.{name}" not in taken:
            taken.add(f"labels.{name}")
            is_number = bool(values) and all(_is_number(value) for value in values)
            found.append(f"labels.{name}:number" if is_number else f"labels.{name}")
        else:
            found.append("")
    return found


def _is_number(value: str) -> bool:
    is_code = len(value) > 1 and value[0] == "0" and value[1].isdigit()
    return bool(_NUMBER.fullmatch(value)) and not is_code
