"""Compressed bodies back to what was sent, never more of it than asked for. Pure."""

import zlib

# Names of codings (RFC 9110, section 8.4.1) and how zlib calls their formats; `deflate` is the zlib format.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class UnknownCoding(ValueError):
    """The body is coded in a way that isn't taken, or in several."""


class Damaged(ValueError):
    """The compressed data doesn't end as its format says."""


class TooLarge(ValueError):
    """There is more inside than the limit."""


def is_compressed(coding: str) -> bool:
    """Whether a Content-Encoding calls for `inflated`. Raises `UnknownCoding`."""
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return False
    if name not in _WINDOW_BITS:
        raise UnknownCoding(name)
    return True


def inflated(body: bytes, coding: str, *, limit: int) -> bytes:
    """What `body` holds, `limit` bytes at most; no more than that is ever in memory.

    Raises `Damaged` for what is no such format, is cut off, fails its checksum or goes on after its end (a
    second member of gzip included), and `TooLarge`.
    """
    inflater = zlib.decompressobj(wbits=_WINDOW_BITS[coding.strip().lower()])
    try:
        data = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise Damaged("it isn't of that format, or was damaged on its way") from None
    if len(data) > limit:
        raise TooLarge
    if not inflater.eof:
        raise Damaged("it is cut off")
    if inflater.unused_data:
        raise Damaged("there is more after its end")
    return data
