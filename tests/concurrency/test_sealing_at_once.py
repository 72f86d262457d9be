"""Sealing beside recorders, beside other sealers, and killed in the middle."""

import random
import signal
import threading
import time
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from metering.clock import ledger_end
from metering.models import Fence, LedgerSeal, Project, SealLeaf, UsageEvent
from metering.sealing import seals
from metering.sealing.seal_checking import seal_breaches, unsealed
from metering.sealing.seals import Sealing, seal_ledger, sealed_head
from tests.concurrency.rivals import Held, Rival, meanwhile, race, rows, start_process, wait_until
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric()
    return project


def everything_sealed() -> list[tuple[int, int, int]]:
    columns = ("number", "after_position", "position")
    return list(LedgerSeal.objects.order_by("number").values_list(*columns))


def assert_tiled(sealed: list[tuple[int, int, int]]) -> None:
    assert [number for number, _, _ in sealed] == list(range(1, len(sealed) + 1))
    assert [after for _, after, _ in sealed] == [0, *(position for _, _, position in sealed[:-1])]


def test_two_sealers_at_once_double_nothing() -> None:
    recorded(*(an_event() for _ in range(200)))

    results = race(*[partial(seal_ledger, segment_rows=10)] * 4)

    sealed = everything_sealed()
    assert_tiled(sealed)
    assert len(sealed) == sum(result.seal_count for result in results) == 20
    assert sum(result.row_count for result in results) == 200
    assert {result.head for result in results} == {sealed_head()}
    assert list(seal_breaches()) == []


def test_sealers_that_do_not_wait_for_each_other_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    # Negative control: the lock taken away. The constraints still refuse a second seal of the same rows.
    recorded(*(an_event() for _ in range(20)))
    monkeypatch.setattr(seals, "hold_seals", lambda: None)

    def seal_slowly() -> Sealing:
        return seal_ledger(on_progress=lambda _count: time.sleep(0.5))

    rivals = [Rival(seal_slowly), Rival(seal_slowly)]

    assert [type(rival.error) for rival in rivals].count(IntegrityError) == 1
    assert len(everything_sealed()) == 1
    assert list(seal_breaches()) == []


def test_what_is_sealed_beside_recorders_stays_what_it_is() -> None:
    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(20):
            with transaction.atomic():
                recorded(*(an_event() for _ in range(chance.randint(1, 4))))
                rows("SELECT pg_sleep(%s)", [chance.choice([0, 0, 0.005, 0.03])])
                if chance.random() < 0.1:
                    transaction.set_rollback(True)

    def seal(over: threading.Event) -> None:
        while not over.is_set():
            seal_ledger(segment_rows=7)

    with meanwhile(seal, seal):
        race(*(partial(write, seed) for seed in range(4)))
    seal_ledger(segment_rows=7)

    sealed = everything_sealed()
    assert_tiled(sealed)
    assert len(sealed) > 10
    assert list(seal_breaches(head=sealed_head())) == []
    assert unsealed().row_count == 0
    assert sum(LedgerSeal.objects.values_list("row_count", flat=True)) == UsageEvent.objects.count()


def test_sealing_waits_for_a_long_recorder_and_holds_up_no_other() -> None:
    with Held(lambda: recorded(an_event())) as slow:
        sealer = Rival(seal_ledger)
        assert sealer.is_still_waiting_after(0.3)
        recorded(an_event())
        assert not LedgerSeal.objects.exists()
        slow.commit()
        assert sealer.result.row_count == 1

    assert unsealed().row_count == 1
    assert list(seal_breaches()) == []


def test_seal_up_to_the_end_at_its_word_misses_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    # Negative control: no fence. The slow recorder's row arrives below the head.
    monkeypatch.setattr(seals, "raise_fence", lambda: Fence(position=ledger_end()))
    with Held(lambda: recorded(an_event())) as slow:
        recorded(an_event())
        seal_ledger()
        assert list(seal_breaches()) == []
        slow.commit()

    [breach] = seal_breaches()
    assert (breach.code, breach.seal, breach.leaf) == ("rows_inserted", 1, 1)


def test_sealer_that_is_killed_leaves_whole_segments_and_the_next_goes_on() -> None:
    recorded(*(an_event() for _ in range(300)))
    process = start_process(
        "import time; from metering.sealing.seals import seal_ledger\n"
        "seal_ledger(segment_rows=10, on_progress=lambda count: time.sleep(0.02))"
    )
    wait_until(lambda: LedgerSeal.objects.count() >= 5, seconds=60)

    process.send_signal(signal.SIGKILL)
    process.wait()

    halfway = LedgerSeal.objects.count()
    assert 5 <= halfway < 30
    assert list(seal_breaches()) == []
    seal_ledger(segment_rows=10)
    sealed = everything_sealed()
    assert_tiled(sealed)
    assert (len(sealed), SealLeaf.objects.count(), sealed[-1][2]) == (30, 30, ledger_end())
    assert list(seal_breaches()) == []
