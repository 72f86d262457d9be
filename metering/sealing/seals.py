"""Sealing the ledger: closing what was recorded since the last seal, and naming the end of the chain."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from metering.answering.fences import raise_fence
from metering.locks import hold_seals
from metering.models import Heartbeat, LedgerSeal, SealLeaf

from .canonical_rows import row_digest_sql
from .seal_chain import BEGINNING, LEAF_ROWS, Leaf, Segment, digest_of, signature_of

HEARTBEAT = "seal_ledger"
SEGMENT_ROWS = 1_000_000  # ten seconds of work: what a kill costs at most
BLOCK_ROWS = 20 * LEAF_ROWS  # rows per statement: its sort stays in memory, and progress is told often

OnProgress = Callable[[int], None]

# Leaves of the next rows after an id, in one pass over the primary key. Reads the ledger up to a final
# position, where nothing is added, and takes no lock on it.
_NEXT_LEAVES = f"""
    SELECT (x.place - 1) / {LEAF_ROWS}, min(x.id), max(x.id), count(*),
           sha256(string_agg(x.digest, ''::bytea ORDER BY x.id))
      FROM (
            SELECT e.id, row_number() OVER (ORDER BY e.id) AS place, {row_digest_sql("e")} AS digest
              FROM (
                    SELECT *
                      FROM metering_usageevent
                     WHERE id > %(after)s
                       AND id <= %(position)s
                     ORDER BY id
                     LIMIT %(rows)s
                   ) e
           ) x
     GROUP BY 1
     ORDER BY 1
"""  # noqa: S608 (the text is ours)

_NOW = """
    SELECT now, trim_scale(extract(epoch FROM now) * 1000000)::text
      FROM (SELECT clock_timestamp() AS now) c
"""


@dataclass(frozen=True, slots=True)
class Sealing:
    """What one call did, and the head of the chain now; None while nothing was ever sealed."""

    seal_count: int
    row_count: int
    head: str | None
    seconds: float


def seal_ledger(
    *,
    segment_rows: int = SEGMENT_ROWS,
    patience_seconds: float | None = None,
    on_progress: OnProgress | None = None,
) -> Sealing:
    """Seal everything recorded since the last seal, up to a fence raised now.

    A transaction per segment of at most `segment_rows` rows: killed anywhere, the next call goes on where the
    last whole segment ended. Of two calls at once one waits and finds the other's work done. Nothing new, no
    seal. After `patience_seconds` no further segment is begun. `on_progress` is told the rows read so far.
    Raises `Unavailable` behind a recorder that doesn't end. Not to be called inside a recorder.
    """
    began = time.monotonic()
    position = raise_fence().position
    seal_count = row_count = 0
    while patience_seconds is None or time.monotonic() - began < patience_seconds:

        def tell(count: int, before: int = row_count) -> None:
            if on_progress is not None:
                on_progress(before + count)

        with transaction.atomic():
            seal = _seal_next(position, segment_rows=segment_rows, tell=tell)
        if seal is None:
            break
        seal_count, row_count = seal_count + 1, row_count + seal.row_count
    sealing = Sealing(seal_count, row_count, sealed_head(), time.monotonic() - began)
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": timezone.now(),
            "facts": {"seals": seal_count, "rows": row_count, "seconds": round(sealing.seconds, 3)},
        },
    )
    return sealing


def sealed_head() -> str | None:
    """The head of the chain, `mbs1:<number>:<position>:<signature>`; None while nothing was ever sealed."""
    last = _last_seal()
    return None if last is None else last.head


def _last_seal() -> LedgerSeal | None:
    return LedgerSeal.objects.order_by("-number").first()


def _seal_next(position: int, *, segment_rows: int, tell: OnProgress) -> LedgerSeal | None:
    """Add the seal that follows; None where no row waits for one at or below `position`."""
    hold_seals()
    last = _last_seal()  # a statement after the lock, so that a rival's seal is seen
    number, after, previous_mac = (
        (1, 0, BEGINNING) if last is None else (last.number + 1, last.position, bytes(last.mac))
    )
    leaves: list[Leaf] = []
    row_count = 0
    for leaf in _leaves_between(after, position, rows=segment_rows):
        leaves.append(leaf)
        row_count += leaf.row_count
        tell(row_count)
    if not leaves:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_NOW)
        sealed_at, sealed_at_text = cursor.fetchone()
    segment = Segment(
        number=number,
        after_position=after,
        position=position if row_count < segment_rows else leaves[-1].last_id,
        row_count=row_count,
        leaf_count=len(leaves),
        digest=digest_of(leaves),
        sealed_at=sealed_at_text,
        key_number=max(settings.SEAL_KEYS),
    )
    key = settings.SEAL_KEYS[segment.key_number]
    seal = LedgerSeal.objects.create(
        number=segment.number,
        after_position=segment.after_position,
        position=segment.position,
        row_count=segment.row_count,
        leaf_count=segment.leaf_count,
        digest=segment.digest,
        previous_mac=previous_mac,
        mac=signature_of(segment, previous_mac=previous_mac, key=key),
        key_number=segment.key_number,
        sealed_at=sealed_at,
    )
    SealLeaf.objects.bulk_create(
        SealLeaf(
            seal=seal,
            number=leaf.number,
            first_id=leaf.first_id,
            last_id=leaf.last_id,
            row_count=leaf.row_count,
            digest=leaf.digest,
        )
        for leaf in leaves
    )
    return seal


def _leaves_between(after: int, position: int, *, rows: int) -> Iterator[Leaf]:
    """Leaves of the first `rows` rows with after < id <= position, numbered from 1."""
    number = 1
    while rows > 0:
        wanted = min(rows, BLOCK_ROWS)
        with connection.cursor() as cursor:
            cursor.execute(_NEXT_LEAVES, {"after": after, "position": position, "rows": wanted})
            found = cursor.fetchall()
        for offset, first_id, last_id, row_count, digest in found:
            yield Leaf(number + offset, first_id, last_id, row_count, bytes(digest))
        read = sum(row_count for _, _, _, row_count, _ in found)
        if read < wanted:
            return
        number, rows, after = number + len(found), rows - read, found[-1][2]
