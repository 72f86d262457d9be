"""Every way of changing what was sealed is found, and its place is named."""

import pytest

from metering.errors import Invalid
from metering.models import LedgerSeal, Project
from metering.sealing.canonical_rows import row_digest_sql
from metering.sealing.seal_chain import Head
from metering.sealing.seal_checking import SealBreach, seal_breaches, unsealed
from metering.sealing.seals import seal_ledger
from tests.metering.sealing.sealed_ledger import (
    an_empty_ledger,
    behind_the_guards,
    found,
    three_seals,
    with_rows,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return an_empty_ledger()


@pytest.fixture
def chain(acme: Project) -> str:
    return three_seals()


LEAF_2 = "WHERE id BETWEEN 1001 AND 2000"
COLUMNS = """project_id, billing_scope_id, source, 'forged', event_name, subject_type, subject_id, quantity,
             labels, occurred_at, recorded_at, digest"""
FORGED = f"""
    INSERT INTO metering_usageevent (id, project_id, billing_scope_id, source, event_id, event_name,
           subject_type, subject_id, quantity, labels, occurred_at, recorded_at, digest)
    SELECT %s, {COLUMNS} FROM metering_usageevent WHERE id = 1
"""
TAMPERING: dict[str, tuple[str, list[tuple[str, int | None, int | None]]]] = {
    "a quantity": (
        "UPDATE metering_usageevent SET quantity = quantity + 0.000000000001 WHERE id = 1500",
        [("rows_changed", 1, 2)],
    ),
    "a payer": (
        """
        UPDATE metering_usageevent
           SET billing_scope_id = (SELECT id FROM metering_project WHERE key = 'other')
         WHERE id = 2600
        """,
        [("rows_changed", 2, 1)],
    ),
    "a label": (
        """UPDATE metering_usageevent SET labels = labels || '{"model": "small"}' WHERE id = 3731""",
        [("rows_changed", 3, 1)],
    ),
    "a time, by a microsecond": (
        "UPDATE metering_usageevent SET occurred_at = occurred_at + interval '1 microsecond' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "the stamp": (
        "UPDATE metering_usageevent SET recorded_at = 'infinity' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "a quantity that is no number": (
        "UPDATE metering_usageevent SET quantity = 'NaN' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "two rows exchanged": (
        """
        UPDATE metering_usageevent e SET quantity = o.quantity
          FROM metering_usageevent o
         WHERE e.id IN (1, 2) AND o.id = 3 - e.id
        """,
        [("rows_changed", 1, 1)],
    ),
    "an id moved into a gap": (
        "UPDATE metering_usageevent SET id = 2505 WHERE id = 2500",
        [("rows_changed", 1, 3)],
    ),
    "a row deleted": ("DELETE FROM metering_usageevent WHERE id = 1200", [("rows_deleted", 1, 2)]),
    "a leaf of rows deleted": (f"DELETE FROM metering_usageevent {LEAF_2}", [("rows_deleted", 1, 2)]),
    "rows of three leaves deleted": (
        "DELETE FROM metering_usageevent WHERE id IN (1, 2500, 2521)",
        [("rows_deleted", 1, 1), ("rows_deleted", 1, 3), ("rows_deleted", 2, 1)],
    ),
    "all rows deleted": (
        "DELETE FROM metering_usageevent",
        [("rows_deleted", seal, leaf) for seal, leaf in ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1))],
    ),
    "a row put into a gap at a segment's end": (FORGED % 2510, [("rows_inserted", 1, 3)]),
    "a row put before the first": (FORGED % 0, [("rows_inserted", 1, 1)]),
    "a row put far below": (FORGED % -(2**63 - 1), [("rows_inserted", 1, 1)]),
    "many rows put into one place": (
        f"""
        INSERT INTO metering_usageevent (id, project_id, billing_scope_id, source, event_id, event_name,
               subject_type, subject_id, quantity, labels, occurred_at, recorded_at, digest)
        SELECT -n, {COLUMNS.replace("'forged'", "'forged-' || n")}
          FROM metering_usageevent, generate_series(1, 2000) n
         WHERE id = 1
        """,
        [("rows_inserted", 1, 1)],
    ),
    "a seal's position": (
        "UPDATE metering_ledgerseal SET position = 3722 WHERE number = 2",
        [("seal_changed", 2, None), ("chain_broken", 3, None)],
    ),
    "a seal's time": (
        "UPDATE metering_ledgerseal SET sealed_at = 'infinity' WHERE number = 2",
        [("seal_changed", 2, None)],
    ),
    "a seal's signature": (
        r"UPDATE metering_ledgerseal SET mac = '\xff' WHERE number = 2",
        [("seal_changed", 2, None), ("chain_broken", 3, None)],
    ),
    "a seal's key": (
        "UPDATE metering_ledgerseal SET key_number = 9 WHERE number = 2",
        [("key_unknown", 2, None)],
    ),
    "a leaf's digest": (
        "UPDATE metering_sealleaf SET digest = sha256('') WHERE seal_id = 1 AND number = 2",
        [("leaves_changed", 1, None), ("rows_changed", 1, 2)],
    ),
    "a leaf removed": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 1 AND number = 3",
        [("leaves_changed", 1, None), ("rows_inserted", 1, 2)],
    ),
    "seals reordered": (
        """
        UPDATE metering_ledgerseal SET number = 9 WHERE number = 1;
        UPDATE metering_ledgerseal SET number = 1 WHERE number = 2;
        UPDATE metering_ledgerseal SET number = 2 WHERE number = 9
        """,
        [],
    ),
    "a seal removed in the middle": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 2; DELETE FROM metering_ledgerseal WHERE number = 2",
        [("seal_missing", 2, None)],
    ),
    "the first seal removed": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 1; DELETE FROM metering_ledgerseal WHERE number = 1",
        [("seal_missing", 1, None), ("rows_inserted", 2, 1)],
    ),
}


@pytest.mark.parametrize("way", TAMPERING)
def test_tampering_is_found_and_its_place_is_named(chain: str, way: str) -> None:
    statement, expected = TAMPERING[way]
    assert found(head=chain) == []

    behind_the_guards(statement)

    breaches = found()
    if way == "seals reordered":
        assert {("chain_broken", 1), ("seal_changed", 1), ("chain_broken", 2), ("seal_changed", 2)} <= {
            (code, seal) for code, seal, _ in breaches
        }
    else:
        assert breaches == expected


def test_rows_changed_along_with_leaves_and_digest_still_miss_the_signature(chain: str) -> None:
    """Somebody recomputes everything that takes no key."""
    behind_the_guards(
        "UPDATE metering_usageevent SET quantity = 0 WHERE id = 3735",
        f"""
        UPDATE metering_sealleaf SET digest = (
            SELECT sha256(string_agg({row_digest_sql("e")}, ''::bytea ORDER BY e.id))
              FROM metering_usageevent e WHERE e.id BETWEEN 3731 AND 3760
        ) WHERE seal_id = 3
        """,
        """
        UPDATE metering_ledgerseal SET digest = (
            SELECT sha256(convert_to('1|3731|3760|30|' || encode(digest, 'hex') || chr(10), 'UTF8'))
              FROM metering_sealleaf WHERE seal_id = 3
        ) WHERE number = 3
        """,
    )

    assert found() == [("seal_changed", 3, None)]


def test_seal_replayed_as_the_next_is_found(chain: str) -> None:
    behind_the_guards(
        """
        INSERT INTO metering_ledgerseal
        SELECT 4, position, position + 1, row_count, leaf_count, digest, mac, mac, key_number, sealed_at
          FROM metering_ledgerseal WHERE number = 3
        """,
        """
        INSERT INTO metering_sealleaf (seal_id, number, first_id, last_id, row_count, digest)
        SELECT 4, number, first_id, last_id, row_count, digest FROM metering_sealleaf WHERE seal_id = 3
        """,
    )

    assert ("seal_changed", 4, None) in found()


def cut_off(number: int) -> None:
    """The end of the ledger from that seal on, without a trace in the database."""
    behind_the_guards(
        f"""
        DELETE FROM metering_usageevent
         WHERE id > (SELECT after_position FROM metering_ledgerseal WHERE number = {number})
        """,
        f"DELETE FROM metering_sealleaf WHERE seal_id >= {number}",
        f"DELETE FROM metering_ledgerseal WHERE number >= {number}",
    )


def test_end_that_was_cut_off_is_found_by_the_published_head_alone(chain: str) -> None:
    older = LedgerSeal.objects.get(number=2).head

    cut_off(3)

    assert found() == []
    assert found(head=older) == []
    [breach] = seal_breaches(head=chain)
    assert (breach.code, breach.seal) == ("head_missing", 3)
    assert str(breach) == (
        "seal 3: the published head names it, up to id 3,760, but it is missing: the end of the ledger was "
        "cut off, or the head is of another ledger"
    )


def test_end_that_was_cut_off_and_sealed_anew_is_found_by_the_published_head(chain: str) -> None:
    cut_off(3)
    with_rows(5_001, 5_030)
    seal_ledger()

    assert found() == []
    assert found(head=chain) == [("head_differs", 3, None)]


def test_seals_removed_above_rows_leave_them_unsealed(chain: str) -> None:
    behind_the_guards(
        "DELETE FROM metering_sealleaf WHERE seal_id = 3", "DELETE FROM metering_ledgerseal WHERE number = 3"
    )

    assert unsealed().row_count == 37
    assert found(head=chain) == [("head_missing", 3, None)]


@pytest.mark.parametrize("text", ["", "mbs1:1", "mbs2:1:2:" + "0" * 64, "mbs1:-1:2:" + "0" * 64, "x" * 5000])
def test_text_that_is_no_head_is_refused_at_once(acme: Project, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        seal_breaches(head=text)

    assert caught.value.field == "head"


def test_head_is_read_back_from_its_text(chain: str) -> None:
    assert Head.from_text(f"  {chain}\n").text == chain


def test_breach_reads_as_a_sentence_with_its_place() -> None:
    breach = SealBreach("rows_deleted", "1 of 1,000 rows is gone", 4, 7, 12_001, 13_050)

    assert str(breach) == "seal 4, leaf 7, ids 12,001 to 13,050: 1 of 1,000 rows is gone"
