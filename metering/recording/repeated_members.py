"""Members that a JSON object names twice: JSON leaves open which of them counts, so nobody guesses. Pure."""

import json
from typing import Any

_JSON_BLANKS = b" \t\r\n"


class _Repeated(Exception):
    """An object names a member twice."""


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, in the order sent."""


def most_members_in(text: bytes) -> int:
    """As many members as the objects of a JSON text have at most, in a fraction of the time of reading it.

    Each member is a quote, perhaps blanks, and a colon. What looks like one inside a string is counted, too.
    """
    return text.translate(None, _JSON_BLANKS).count(b'":')


def members_in(value: Any) -> int:
    """How many members a decoded JSON value has at all depths, however deep."""
    count = 0
    waiting = [value]
    while waiting:
        outer = waiting.pop()
        inners = outer
        if type(outer) is dict:
            count += len(outer)
            inners = outer.values()
        elif type(outer) is not list:
            continue
        waiting += [inner for inner in inners if type(inner) is dict or type(inner) is list]
    return count


def repeated_member(text: bytes) -> str | None:
    """The path of the first member that an object of this JSON text repeats, such as `labels.region`.

    None where all are told apart. Names are compared as JSON reads them: `"a"` and `"\\u0061"` are one.
    The outermost repetition is named.
    Raises `ValueError` for what isn't JSON, and `RecursionError` where it is nested too deeply.
    """
    sent = text.decode()
    try:
        json.loads(sent, object_pairs_hook=_told_apart, parse_int=_unread, parse_float=_unread, strict=False)
    except _Repeated:
        tree = json.loads(
            sent, object_pairs_hook=_Pairs, parse_int=_unread, parse_float=_unread, strict=False
        )
        return _path_in(tree)
    return None


def _told_apart(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _Repeated


def _unread(_: str) -> None:
    """Numbers of any length are none of our business here."""


def _path_in(value: Any) -> str | None:
    if isinstance(value, _Pairs):
        seen = set()
        for name, _ in value:
            if name in seen:
                return _printable(name)
            seen.add(name)
        for name, inner in value:
            path = _path_in(inner)
            if path is not None:
                return f"{_printable(name)}.{path}"
    elif isinstance(value, list):
        for inner in value:
            path = _path_in(inner)
            if path is not None:
                return path
    return None


def _printable(name: str) -> str:
    """Lone surrogates, which JSON may spell and UTF-8 can't, are replaced."""
    return name.encode("utf-8", "replace").decode()
