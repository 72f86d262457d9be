"""How digests of rows become one chain of seals, and how its end is published. Pure.

A leaf is SHA-256 over the digests of its rows in the order of their ids (`canonical_rows.py`), a segment's
digest SHA-256 over its leaves, and a seal's signature HMAC-SHA256 over the segment and the signature before.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from metering.errors import Invalid

LAYOUT = "mbs1"  # begins each signed text and each head; another layout of either gets another name
LEAF_ROWS = 1_000
BEGINNING = bytes(32)  # what the first seal follows

_HEAD = re.compile(r"mbs1:([0-9]{1,18}):([0-9]{1,18}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Leaf:
    """At most `LEAF_ROWS` rows that follow each other."""

    number: int
    first_id: int
    last_id: int
    row_count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """What a seal signs. `sealed_at` is in microseconds since 1970, UTC, as text."""

    number: int
    after_position: int
    position: int
    row_count: int
    leaf_count: int
    digest: bytes
    sealed_at: str
    key_number: int


def digest_of(leaves: Iterable[Leaf]) -> bytes:
    """The digest of a segment: over each leaf's number, id range, row count and digest, in order."""
    running = hashlib.sha256()
    for leaf in leaves:
        line = f"{leaf.number}|{leaf.first_id}|{leaf.last_id}|{leaf.row_count}|{leaf.digest.hex()}\n"
        running.update(line.encode())
    return running.digest()


def signature_of(segment: Segment, *, previous_mac: bytes, key: str) -> bytes:
    """HMAC-SHA256 of the segment's facts and the signature before. Numbers and hex hold no separator."""
    text = "|".join(
        (
            LAYOUT,
            str(segment.number),
            str(segment.after_position),
            str(segment.position),
            str(segment.row_count),
            str(segment.leaf_count),
            segment.digest.hex(),
            segment.sealed_at,
            str(segment.key_number),
            previous_mac.hex(),
        )
    )
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal, as it is published: whoever kept it can tell that a later ledger still contains it."""

    number: int
    position: int
    mac: bytes

    @property
    def text(self) -> str:
        return f"{LAYOUT}:{self.number}:{self.position}:{self.mac.hex()}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises `Invalid` (field "head") for what is no head of ours. Blanks around it don't matter."""
        match = _HEAD.fullmatch(text.strip())
        if match is None:
            raise Invalid(
                "A head reads mbs1:<number>:<position>:<64 hexadecimal digits>, as it was mailed.",
                field="head",
            )
        number, position, mac = match.groups()
        return cls(int(number), int(position), bytes.fromhex(mac))
