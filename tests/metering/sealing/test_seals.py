"""What a seal says, who signs it, and that it stays."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from metering.models import Fence, LedgerSeal, Project, SealLeaf
from metering.sealing import seals
from metering.sealing.seal_checking import seal_breaches, unsealed
from metering.sealing.seals import seal_ledger, sealed_head
from tests.metering.sealing.sealed_ledger import an_empty_ledger, execute, found, three_seals, with_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return an_empty_ledger()


@pytest.fixture
def chain(acme: Project) -> str:
    return three_seals()


def test_nothing_recorded_nothing_sealed(acme: Project) -> None:
    sealing = seal_ledger()

    assert (sealing.seal_count, sealing.row_count, sealing.head) == (0, 0, None)
    assert sealed_head() is None
    assert not LedgerSeal.objects.exists()
    assert (unsealed().row_count, unsealed().first_id) == (0, None)
    assert found() == []


def test_seals_tile_the_ledger_and_leaves_hold_a_thousand_rows(chain: str) -> None:
    columns = ("number", "after_position", "position", "row_count", "leaf_count", "key_number")

    assert list(LedgerSeal.objects.order_by("number").values_list(*columns)) == [
        (1, 0, 2520, 2500, 3, 1),
        (2, 2520, 3730, 1200, 2, 1),
        (3, 3730, 3760, 30, 1, 1),
    ]
    columns = ("seal", "number", "first_id", "last_id", "row_count")
    assert list(SealLeaf.objects.order_by("seal", "number").values_list(*columns)) == [
        (1, 1, 1, 1000, 1000),
        (1, 2, 1001, 2000, 1000),
        (1, 3, 2001, 2500, 500),
        (2, 1, 2521, 3520, 1000),
        (2, 2, 3521, 3720, 200),
        (3, 1, 3731, 3760, 30),
    ]
    assert chain == sealed_head() == LedgerSeal.objects.get(number=3).head
    assert chain.startswith("mbs1:3:3760:")


def test_rows_above_the_last_seal_are_a_fact_and_no_breach(chain: str) -> None:
    assert (unsealed().row_count, unsealed().first_id, unsealed().last_id) == (7, 3761, 3767)
    assert found(head=chain) == []


def test_no_seal_when_nothing_new_was_recorded(chain: str) -> None:
    first = seal_ledger()
    # An id that was drawn and rolled back is nothing new.
    execute("SELECT nextval('metering_usageevent_id_seq')")
    second = seal_ledger()

    assert (first.seal_count, first.row_count) == (1, 7)
    assert (second.seal_count, second.row_count, second.head) == (0, 0, first.head)
    assert LedgerSeal.objects.count() == 4


def test_long_ledger_is_sealed_in_segments_and_progress_is_told(acme: Project) -> None:
    with_rows(1, 2_600)
    execute("SELECT setval('metering_usageevent_id_seq', 2700)")
    told: list[int] = []

    sealing = seal_ledger(segment_rows=1_100, on_progress=told.append)

    columns = ("number", "after_position", "position", "row_count", "leaf_count")
    assert list(LedgerSeal.objects.order_by("number").values_list(*columns)) == [
        (1, 0, 1100, 1100, 2),
        (2, 1100, 2200, 1100, 2),
        (3, 2200, 2700, 400, 1),
    ]
    assert (sealing.seal_count, sealing.row_count) == (3, 2600)
    assert told == [1000, 1100, 2100, 2200, 2600]
    assert found() == []


def test_segment_that_is_just_full_is_one_seal(acme: Project) -> None:
    with_rows(1, 1_000)

    assert seal_ledger(segment_rows=1_000).seal_count == 1
    assert seal_ledger(segment_rows=1_000).seal_count == 0
    assert found() == []


def test_more_rows_than_a_statement_reads(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with_rows(1, 4_500)
    monkeypatch.setattr(seals, "BLOCK_ROWS", 2_000)
    monkeypatch.setattr("metering.sealing.seal_checking.LEAVES_PER_STATEMENT", 2)
    told: list[int] = []

    seal_ledger()

    assert list(SealLeaf.objects.order_by("number").values_list("number", "row_count")) == [
        (1, 1000),
        (2, 1000),
        (3, 1000),
        (4, 1000),
        (5, 500),
    ]
    assert list(seal_breaches(on_progress=told.append)) == []
    assert told == [2000, 4000, 4500]


def test_out_of_patience_no_further_segment_is_begun(acme: Project) -> None:
    with_rows(1, 10)

    assert seal_ledger(segment_rows=3, patience_seconds=0).seal_count == 0
    assert seal_ledger(segment_rows=3).seal_count == 4


def test_seal_stands_on_a_fence(acme: Project) -> None:
    with_rows(1, 3)

    seal_ledger()

    assert Fence.objects.get().position == LedgerSeal.objects.get().position == 3


# -- keys -----------------------------------------------------------------------------------------------


def test_new_key_signs_and_the_old_one_still_verifies(chain: str, settings: Any) -> None:
    settings.SEAL_KEYS = {**settings.SEAL_KEYS, 2: "another-key"}

    seal_ledger()

    assert list(LedgerSeal.objects.order_by("number").values_list("key_number", flat=True)) == [1, 1, 1, 2]
    assert found() == []
    settings.SEAL_KEYS = {2: "another-key"}
    assert found() == [("key_unknown", number, None) for number in (1, 2, 3)]


def test_other_secret_under_the_same_number_fits_no_seal(chain: str, settings: Any) -> None:
    settings.SEAL_KEYS = {1: "a-guess"}

    assert found() == [("seal_changed", number, None) for number in (1, 2, 3)]


# -- guards ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replica", [False, True], ids=["", "as replica"])
@pytest.mark.parametrize(
    "attempt",
    [
        lambda: LedgerSeal.objects.update(row_count=1),
        lambda: LedgerSeal.objects.get(number=1).delete(),
        lambda: SealLeaf.objects.all().delete(),
        lambda: execute("UPDATE metering_ledgerseal SET mac = mac"),
        lambda: execute("UPDATE metering_sealleaf SET digest = digest"),
        lambda: execute("DELETE FROM metering_sealleaf WHERE seal_id = 3"),
        lambda: execute("TRUNCATE metering_sealleaf"),
        lambda: execute("TRUNCATE metering_ledgerseal CASCADE"),
    ],
)
def test_seals_refuse_change(chain: str, attempt: Callable[[], object], replica: bool) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    if replica:
        execute("SET LOCAL session_replication_role = replica")

    # Deleting a seal through Django is refused already for the sake of its leaves.
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        attempt()

    cause = caught.value.__cause__
    assert cause is None or cause.diag.constraint_name == "ledger_seal_is_append_only"
    assert (LedgerSeal.objects.count(), SealLeaf.objects.count()) == (3, 6)
    execute("SET LOCAL session_replication_role = origin")
    assert found(head=chain) == []
