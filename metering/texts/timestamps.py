"""Instants from untrusted text. Pure."""

import datetime as dt
import re

EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FUTURE_TOLERANCE = dt.timedelta(minutes=5)

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,30})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


class NotAnInstant(ValueError):
    """The text names no instant; the message says why."""


class NotRfc3339(NotAnInstant):
    """The text hasn't even the shape."""


def instant_from(text: str) -> dt.datetime:
    """The UTC instant of an RFC 3339 text with offset, cut (not rounded) to microseconds.

    Raises `NotAnInstant` for other shapes, for a missing offset, for times that don't exist (leap seconds
    included) and for times before 1970.
    """
    if not _RFC3339.fullmatch(text):
        raise NotRfc3339("not an RFC 3339 time with an offset, such as 2026-11-01T12:00:00Z")
    try:
        instant = dt.datetime.fromisoformat(text.upper())
        if instant.utcoffset():
            instant = instant.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise NotAnInstant(f"no such time: {error}") from None
    if instant < EARLIEST:
        raise NotAnInstant("before 1970")
    return instant


def iso(instant: dt.datetime) -> str:
    """RFC 3339 in UTC, ending in Z, microseconds only where there are some."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
