"""Many writers, the same events."""

import random
from collections import Counter
from functools import partial

import pytest
from django.db import OperationalError, connection, transaction

from metering.errors import EventsConflict
from metering.models import PendingContribution, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import Held, Rival, backends_waiting_for_a_lock, race, wait_until
from tests.factories import a_metric, a_project, an_event, ledger_rows, outcomes, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric()
    return project


def test_the_same_event_16_times_at_once_is_created_once_and_exists_for_the_others() -> None:
    event = an_event(id="e-1", quantity="5")

    results = [result for [result] in race(*[lambda: recorded(event)] * 16)]

    assert Counter(outcomes(results)) == {"created": 1, "exists": 15}
    assert len({result.id for result in results}) == 1
    assert ledger_rows("id", "event_id") == [(results[0].id, "e-1")]
    assert total_of("tokens") == 5
    [again] = recorded(event)
    assert (again.outcome, again.id) == ("exists", results[0].id)


def test_one_content_wins_and_the_other_is_a_conflict_for_everybody() -> None:
    def record(quantity: str) -> str:
        try:
            return recorded(an_event(id="e-1", quantity=quantity))[0].outcome
        except EventsConflict:
            return "conflict"

    results = race(*(partial(record, quantity) for quantity in ["5", "6"] * 8))

    [(quantity,)] = ledger_rows("quantity")
    winners, losers = results[0::2], results[1::2]
    if quantity == 6:
        winners, losers = losers, winners
    assert Counter(winners) == {"created": 1, "exists": 7}
    assert Counter(losers) == {"conflict": 8}
    assert PendingContribution.objects.count() == 1
    assert total_of("tokens") == quantity


def test_an_event_that_another_writer_has_not_committed_is_waited_for() -> None:
    event = an_event(id="e-1", quantity="5")

    with Held(lambda: recorded(event)) as first:
        second = Rival(lambda: recorded(event, an_event(id="e-2", quantity="7")))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        assert second.is_running
        first.commit()

    assert outcomes(first.answer) == ["created"]
    assert outcomes(second.result) == ["exists", "created"]
    assert second.result[0].id == first.answer[0].id
    assert total_of("tokens") == 12


def test_an_event_that_another_writer_rolls_back_is_created() -> None:
    event = an_event(id="e-1", quantity="5")

    def record_and_roll_back() -> None:
        recorded(event)
        transaction.set_rollback(True)

    with Held(record_and_roll_back) as first:
        second = Rival(lambda: recorded(event))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        first.commit()

    assert outcomes(second.result) == ["created"]
    assert total_of("tokens") == 5


def overlapping_batches() -> list[list[dict]]:
    """Eight batches of 300 out of 600 events; each event in four of them, every second batch backwards."""
    events = [
        an_event(id=f"e-{number:03}", quantity=1, subject_id=f"s-{number % 7}") for number in range(600)
    ]
    batches = [[events[(start + step) % 600] for step in range(300)] for start in range(0, 600, 75)]
    return [batch if number % 2 else batch[::-1] for number, batch in enumerate(batches)]


def test_eight_writers_with_overlapping_batches_in_opposite_order_write_the_exact_set() -> None:
    batches = overlapping_batches()

    results = race(*(partial(recorded, *batch) for batch in batches))

    assert Counter(outcomes([result for batch in results for result in batch])) == {
        "created": 600,
        "exists": 1800,
    }
    assert sorted(ledger_rows("event_id")) == [(f"e-{number:03}",) for number in range(600)]
    by_id = dict(UsageEvent.objects.values_list("event_id", "id"))
    assert all(result.id == by_id[result.event_id] for batch in results for result in batch)
    assert total_of("tokens") == 600
    roll_up()
    assert total_of("tokens") == 600


def test_a_batch_waits_for_a_rival_in_the_order_of_keys_whatever_the_order_sent() -> None:
    one, five, nine = (an_event(id=f"e-{number}", quantity=number) for number in (1, 5, 9))

    with transaction.atomic():
        recorded(five)
        batch = Rival(lambda: recorded(nine, five, one))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        # The batch stands at e-5, so it can't have come to e-9 yet; otherwise we'd wait for each other.
        ours = recorded(nine)

    assert outcomes(ours) == ["created"]
    assert outcomes(batch.result) == ["exists", "exists", "created"]
    assert total_of("tokens") == 15


INSERT_SLOWLY = """
    INSERT INTO metering_usageevent
           (project_id, billing_scope_id, source, event_id, event_name, labels, occurred_at, digest)
    SELECT %(project)s, %(project)s, 'api', e.id, 'tokens', '{}', '2024-05-15T12:00:00Z',
           convert_to(pg_sleep(0.01)::text, 'UTF8')
      FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS e (id, place)
     ORDER BY e.place
    ON CONFLICT DO NOTHING
"""


def insert_in_the_order_given(ids: list[str]) -> str:
    project = Project.objects.get(key="acme")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '50ms'")
            cursor.execute(INSERT_SLOWLY, {"project": project.pk, "ids": ids})
    except OperationalError as error:
        return type(error.__cause__).__name__
    return "written"


def test_without_sorting_two_writers_deadlock() -> None:
    # Negative control: what the ledger's sorting by key is for.
    ids = [f"e-{number:02}" for number in range(40)]

    unsorted = race(partial(insert_in_the_order_given, ids), partial(insert_in_the_order_given, ids[::-1]))
    in_order = race(partial(insert_in_the_order_given, ids), partial(insert_in_the_order_given, ids))

    assert sorted(unsorted) == ["DeadlockDetected", "written"]
    assert in_order == ["written", "written"]


def test_four_writers_send_the_same_file_in_odd_batches_and_random_order() -> None:
    events = [
        an_event(id=f"e-{number}", quantity=number, occurred_at=f"2024-05-{1 + number % 31:02}T12:00:00Z")
        for number in range(1_000)
    ]

    def send(seed: int) -> Counter[str]:
        shuffled, chance = [*events], random.Random(seed)
        chance.shuffle(shuffled)
        counts: Counter[str] = Counter()
        while shuffled:
            size = chance.choice([1, 7, 33, 101])
            counts.update(outcomes(recorded(*shuffled[:size])))
            del shuffled[:size]
        return counts

    counts = race(*(partial(send, seed) for seed in range(4)))

    assert sum(counts, Counter()) == {"created": 1_000, "exists": 3_000}
    assert UsageEvent.objects.count() == 1_000
    assert total_of("tokens") == 499_500
    roll_up()
    assert total_of("tokens") == 499_500
