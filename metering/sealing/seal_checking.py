"""Whether the ledger still is what was sealed, and where it isn't.

Reads the seals by statements of its own and the ledger by the id ranges that the leaves name, gaps included,
where sealing reads it row by row: what was put between two rows is met here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import connection

from .canonical_rows import row_digest_sql
from .seal_chain import BEGINNING, LEAF_ROWS, Head, Leaf, Segment, digest_of, signature_of

LEAVES_PER_STATEMENT = 20
_SEALS_PER_STATEMENT = 100
_LOWEST_ID = -(2**63)

OnProgress = Callable[[int], None]

# sealed_at as text: 'infinity' in a seal that somebody changed shall be a breach, not an error.
_SEALS = """
    SELECT number, after_position, position, row_count, leaf_count, digest,
           trim_scale(extract(epoch FROM sealed_at) * 1000000)::text, key_number, previous_mac, mac
      FROM metering_ledgerseal
     WHERE number > %s
     ORDER BY number
     LIMIT %s
"""
_LEAVES = """
    SELECT number, first_id, last_id, row_count, digest
      FROM metering_sealleaf
     WHERE seal_id = %s
     ORDER BY number
"""
# What the ledger holds in each range (after, until]. One row more than a leaf can have is enough to know that
# there are too many, so that no range fills the memory. Index: the primary key.
_HELD = f"""
    SELECT x.row_count, x.first_id, x.last_id, x.digest
      FROM unnest(%(after)s::bigint[], %(until)s::bigint[]) WITH ORDINALITY AS r (after, until, place)
     CROSS JOIN LATERAL (
           SELECT count(*) AS row_count, min(e.id) AS first_id, max(e.id) AS last_id,
                  sha256(string_agg({row_digest_sql("e")}, ''::bytea ORDER BY e.id)) AS digest
             FROM (
                   SELECT *
                     FROM metering_usageevent
                    WHERE id > r.after
                      AND id <= r.until
                    ORDER BY id
                    LIMIT {LEAF_ROWS + 1}
                  ) e
           ) x
     ORDER BY r.place
"""  # noqa: S608 (the text is ours)
_UNSEALED = """
    SELECT count(*), min(id), max(id)
      FROM metering_usageevent
     WHERE id > (SELECT COALESCE(max(position), 0) FROM metering_ledgerseal)
"""


@dataclass(frozen=True, slots=True)
class SealBreach:
    """One place where ledger, seals and published head contradict each other.

    `code` is stable. `seal`, `leaf` and the ids (first_id to last_id, both included) are None where the
    breach has no such place.
    """

    code: str
    what: str
    seal: int | None = None
    leaf: int | None = None
    first_id: int | None = None
    last_id: int | None = None

    def __str__(self) -> str:
        place = [] if self.seal is None else [f"seal {self.seal}"]
        if self.leaf is not None:
            place.append(f"leaf {self.leaf}")
        if self.first_id is not None:
            place.append(f"ids {self.first_id:,} to {self.last_id:,}")
        return f"{', '.join(place)}: {self.what}" if place else self.what


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Rows above the last seal: nobody answers for them yet. Ids are None where there are none."""

    row_count: int
    first_id: int | None
    last_id: int | None


@dataclass(frozen=True, slots=True)
class _Seal:
    """A seal as it is stored, which need not be as it was made."""

    segment: Segment
    previous_mac: bytes
    mac: bytes

    def breach(self, code: str, what: str) -> SealBreach:
        first_id = self.segment.after_position + 1
        return SealBreach(
            code, what, seal=self.segment.number, first_id=first_id, last_id=self.segment.position
        )


def unsealed() -> Unsealed:
    """What was recorded since the last seal: a fact, not a breach."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSEALED)
        return Unsealed(*cursor.fetchone())


def seal_breaches(*, head: str | None = None, on_progress: OnProgress | None = None) -> Iterator[SealBreach]:
    """Everything sealed that no longer is what it was, in the order of the ledger; nothing where all is well.

    Recomputes each leaf from the ledger, each seal from its leaves, and the chain. That the end of the ledger
    was cut off together with its seals only a `head` shows that was published before. Flat memory at any
    size; what is sealed meanwhile is checked too. `on_progress` is told the rows checked so far.
    Raises `Invalid` (field "head") for a text that is no head.
    """
    published = None if head is None else Head.from_text(head)
    return _breaches(published, on_progress or (lambda _count: None))


def _breaches(published: Head | None, tell: OnProgress) -> Iterator[SealBreach]:
    before: _Seal | None = None
    row_count = 0
    published_seal: _Seal | None = None
    for seal in _stored_seals():
        yield from _chain_breaches(seal, before)
        leaves = _stored_leaves(seal)
        yield from _leaf_list_breaches(seal, leaves)
        for counted, breaches in _row_breaches(seal, leaves, is_first=before is None):
            yield from breaches
            row_count += counted
            tell(row_count)
        if published is not None and seal.segment.number == published.number:
            published_seal = seal
        before = seal
    if published is not None:
        yield from _head_breaches(published, published_seal)


def _stored_seals() -> Iterator[_Seal]:
    number = _LOWEST_ID
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_SEALS, [number, _SEALS_PER_STATEMENT])
            rows = cursor.fetchall()
        for *facts, previous_mac, mac in rows:
            segment = Segment(*facts)
            yield _Seal(replace(segment, digest=bytes(segment.digest)), bytes(previous_mac), bytes(mac))
        if len(rows) < _SEALS_PER_STATEMENT:
            return
        number = rows[-1][0]


def _chain_breaches(seal: _Seal, before: _Seal | None) -> Iterator[SealBreach]:
    """What is wrong with the seal itself and with its place behind the one before."""
    segment = seal.segment
    number, position, mac = (
        (0, 0, BEGINNING) if before is None else (before.segment.number, before.segment.position, before.mac)
    )
    if segment.number > number + 1:
        missing = (
            f"seal {number + 1} is missing"
            if segment.number == number + 2
            else f"seals {number + 1} to {segment.number - 1} are missing"
        )
        yield SealBreach(
            "seal_missing",
            f"{missing}; nothing answers for these ids",
            seal=number + 1,
            first_id=position + 1,
            last_id=segment.after_position,
        )
    else:
        if seal.previous_mac != mac:
            yield seal.breach("chain_broken", "the seal doesn't follow the one before it")
        if segment.after_position != position:
            yield seal.breach(
                "chain_broken",
                f"the seal begins after {segment.after_position:,}, the one before it ends at {position:,}",
            )
    key = settings.SEAL_KEYS.get(segment.key_number)
    if key is None:
        yield seal.breach("key_unknown", f"SEAL_KEYS has no key {segment.key_number}, which signed it")
    elif signature_of(segment, previous_mac=seal.previous_mac, key=key) != seal.mac:
        yield seal.breach(
            "seal_changed", "the seal was changed, or was not made by us: its signature is wrong"
        )


def _stored_leaves(seal: _Seal) -> list[Leaf]:
    with connection.cursor() as cursor:
        cursor.execute(_LEAVES, [seal.segment.number])
        return [
            Leaf(number, first_id, last_id, row_count, bytes(digest))
            for number, first_id, last_id, row_count, digest in cursor.fetchall()
        ]


def _leaf_list_breaches(seal: _Seal, leaves: list[Leaf]) -> Iterator[SealBreach]:
    """Whether these are the leaves that were sealed."""
    if len(leaves) != seal.segment.leaf_count:
        yield seal.breach(
            "leaves_changed",
            f"the seal has {len(leaves):,} leaves where it was made of {seal.segment.leaf_count:,}",
        )
    elif digest_of(leaves) != seal.segment.digest:
        yield seal.breach("leaves_changed", "the leaves of the seal were changed, or its digest was")


def _row_breaches(
    seal: _Seal, leaves: list[Leaf], *, is_first: bool
) -> Iterator[tuple[int, list[SealBreach]]]:
    """Rows checked and breaches found, a few leaves at a time."""
    # A leaf answers for the ids from the leaf before on: what is put into a gap is too many there.
    starts = [_LOWEST_ID if is_first else seal.segment.after_position, *(leaf.last_id for leaf in leaves)]
    ends = [*(leaf.last_id for leaf in leaves[:-1]), max(seal.segment.position, starts[-1])]
    for place in range(0, len(leaves), LEAVES_PER_STATEMENT):
        some = slice(place, place + LEAVES_PER_STATEMENT)
        with connection.cursor() as cursor:
            cursor.execute(_HELD, {"after": starts[:-1][some], "until": ends[some]})
            held = cursor.fetchall()
        breaches = [
            SealBreach(
                *difference,
                seal=seal.segment.number,
                leaf=leaf.number,
                first_id=leaf.first_id,
                last_id=leaf.last_id,
            )
            for leaf, found in zip(leaves[some], held, strict=True)
            if (difference := _difference(leaf, *found)) is not None
        ]
        yield sum(found[0] for found in held), breaches


def _difference(
    leaf: Leaf, row_count: int, first_id: int | None, last_id: int | None, digest: bytes | None
) -> tuple[str, str] | None:
    """Code and words for how the rows found differ from those sealed; None where they don't."""
    if row_count < leaf.row_count:
        missing = leaf.row_count - row_count
        return (
            "rows_deleted",
            f"{missing:,} of {leaf.row_count:,} rows {'is' if missing == 1 else 'are'} gone",
        )
    if row_count > leaf.row_count:
        added = row_count - leaf.row_count
        count = f"{added:,}" if row_count <= LEAF_ROWS else f"at least {added:,}"
        verb = "row was" if added == 1 else "rows were"
        return "rows_inserted", f"{count} {verb} put among the {leaf.row_count:,} sealed"
    is_same = digest is not None and bytes(digest) == leaf.digest
    if not is_same or (first_id, last_id) != (leaf.first_id, leaf.last_id):
        return "rows_changed", f"at least one of the {leaf.row_count:,} rows was changed or replaced"
    return None


def _head_breaches(published: Head, seal: _Seal | None) -> Iterator[SealBreach]:
    if seal is None:
        yield SealBreach(
            "head_missing",
            f"the published head names it, up to id {published.position:,}, but it is missing: the end of "
            "the ledger was cut off, or the head is of another ledger",
            seal=published.number,
        )
    elif (seal.segment.position, seal.mac) != (published.position, published.mac):
        yield seal.breach(
            "head_differs", "the seal is not the one that was published: the chain was made anew"
        )
