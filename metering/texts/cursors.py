"""Places in a list as opaque texts, and back: nothing that others made gets through. Pure."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from metering.errors import Invalid

LARGEST_ID = 2**63 - 1
T = TypeVar("T")


def cursor_text(facts: Sequence[object]) -> str:
    """The facts of a place as a text for URLs."""
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")


def place_at(text: str, read: Callable[[list[Any]], T]) -> T:
    """The place that `read` makes of the facts in `text`. Raises `Invalid` for what wasn't made by us."""
    try:
        facts = json.loads(base64.urlsafe_b64decode((text + "=" * (-len(text) % 4)).encode()))
        return read(facts)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, binascii.Error, RecursionError):
        raise Invalid("This is no cursor of ours.", field="cursor") from None


def row_id(value: Any) -> int:
    """A row's id. Raises `ValueError` beyond what a bigint holds."""
    number = int(value)
    if not 0 <= number <= LARGEST_ID:
        raise ValueError(number)
    return number
