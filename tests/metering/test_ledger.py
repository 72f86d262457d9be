"""Recording batches: one outcome per event, all or nothing unless told otherwise."""

from collections import Counter
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from metering.errors import EventsConflict, EventsRejected, Invalid
from metering.ledger import record_events
from metering.models import PendingContribution, Project, UsageEvent
from tests.factories import (
    NOON,
    a_metric,
    a_project,
    an_event,
    at,
    ledger_rows,
    outcomes,
    recorded,
    total_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric()
    return project


def nothing_was_written() -> bool:
    return not UsageEvent.objects.exists() and not PendingContribution.objects.exists()


def pending_rows() -> list[tuple[Any, ...]]:
    return sorted(
        PendingContribution.objects.values_list(
            "metric__key", "project__key", "subject_id", "hour_start", "record_count", "value_sum"
        )
    )


def test_no_events_give_no_outcomes() -> None:
    assert record_events([]) == []
    assert nothing_was_written()


def test_outcomes_come_in_the_order_sent() -> None:
    results = recorded(*(an_event(id=event_id, quantity="1") for event_id in ("c", "a", "b")))

    assert [(result.outcome, result.event_id) for result in results] == [
        ("created", "c"),
        ("created", "a"),
        ("created", "b"),
    ]
    assert {result.id: result.event_id for result in results} == dict(ledger_rows("id", "event_id"))


def test_the_same_event_twice_is_recorded_once() -> None:
    event = an_event(id="e-1", quantity="5")

    [created] = recorded(event)
    [repeated] = recorded(event)

    assert (created.outcome, repeated.outcome) == ("created", "exists")
    assert repeated.id == created.id
    assert ledger_rows("event_id") == [("e-1",)]
    assert total_of("tokens") == 5


def test_a_batch_sent_twice_in_another_order_exists() -> None:
    events = [an_event(id=f"e-{number}", quantity=number) for number in range(20)]

    first = recorded(*events)
    again = recorded(*reversed(events))

    assert Counter(outcomes(first)) == {"created": 20}
    assert Counter(outcomes(again)) == {"exists": 20}
    assert [result.id for result in again] == [result.id for result in reversed(first)]
    assert total_of("tokens") == 190


def test_known_and_new_events_may_come_together() -> None:
    recorded(an_event(id="a", quantity="1"), an_event(id="c", quantity="3"))

    results = recorded(
        an_event(id="b", quantity="2"), an_event(id="a", quantity="1"), an_event(id="d", quantity="4")
    )

    assert outcomes(results) == ["created", "exists", "created"]
    assert total_of("tokens") == 10


def test_a_repeat_within_a_batch_exists_with_the_id_of_the_first() -> None:
    event = an_event(id="e-1", quantity="5")

    results = recorded(event, an_event(id="e-2", quantity="7"), event, event)

    assert outcomes(results) == ["created", "created", "exists", "exists"]
    assert results[0].id == results[2].id == results[3].id
    assert total_of("tokens") == 12


def test_other_content_within_a_batch_is_a_conflict_and_nothing_is_recorded() -> None:
    with pytest.raises(EventsConflict) as caught:
        recorded(an_event(id="e-1", quantity="5"), an_event(), an_event(id="e-1", quantity="6"))

    assert [(error.index, error.code, error.field) for error in caught.value.errors] == [
        (2, "conflict", "id")
    ]
    assert nothing_was_written()


def test_one_bad_event_among_a_thousand_stops_them_all() -> None:
    events = [an_event(quantity=1) for _ in range(1_000)]
    events[437] = an_event(quantity="NaN")

    with pytest.raises(EventsRejected) as caught:
        recorded(*events)

    assert [(error.index, error.code) for error in caught.value.errors] == [(437, "invalid_value")]
    assert str(caught.value) == "1 event can't be recorded, and nothing was: not a decimal number."
    assert nothing_was_written()


def test_every_bad_event_is_named_in_order() -> None:
    with pytest.raises(EventsRejected) as caught:
        recorded(
            an_event(quantity="five"),
            an_event(),
            an_event("nowhere"),
            an_event(bad=1),
            an_event(occurred_at="x"),
        )

    assert [(error.index, error.code) for error in caught.value.errors] == [
        (0, "invalid_value"),
        (2, "unknown_project"),
        (3, "invalid_field"),
        (4, "invalid_timestamp"),
    ]
    assert str(caught.value) == (
        "4 events can't be recorded, and nothing was; the first: not a decimal number."
    )
    assert nothing_was_written()


def test_one_reason_of_all_bad_events_is_said_once() -> None:
    with pytest.raises(EventsRejected) as caught:
        recorded(an_event(quantity="five"), an_event(quantity="six"))

    assert str(caught.value) == "2 events can't be recorded, and nothing was: not a decimal number."


def test_a_rejection_comes_before_a_conflict() -> None:
    recorded(an_event(id="e-1", quantity="5"))

    with pytest.raises(EventsRejected):
        recorded(an_event(id="e-1", quantity="6"), an_event(quantity="five"))

    assert ledger_rows("event_id") == [("e-1",)]


def test_skipping_records_the_good_ones_and_says_what_is_wrong_with_the_others() -> None:
    recorded(an_event(id="known", quantity="1"), an_event(id="clash", quantity="1"))

    results = recorded(
        an_event(id="new", quantity="10"),
        an_event(id="bad", quantity="five"),
        an_event(id="known", quantity="1"),
        an_event(id="clash", quantity="2"),
        an_event(quantity="100", colour="red"),
        an_event(id="new", quantity="10"),
        an_event(id="new", quantity="11"),
        an_event(id="newer", quantity="20"),
        on_error="skip",
    )

    assert [(result.outcome, result.event_id, result.code, result.field) for result in results] == [
        ("created", "new", None, None),
        ("rejected", "bad", "invalid_value", "quantity"),
        ("exists", "known", None, None),
        ("conflict", "clash", "conflict", "id"),
        ("rejected", None, "invalid_field", "colour"),
        ("exists", "new", None, None),
        ("conflict", "new", "conflict", "id"),
        ("created", "newer", None, None),
    ]
    assert sorted(ledger_rows("event_id")) == [("clash",), ("known",), ("new",), ("newer",)]
    assert total_of("tokens") == 32


def test_skipping_a_batch_of_bad_events_records_nothing() -> None:
    results = recorded(an_event(quantity="five"), an_event("nowhere"), on_error="skip")

    assert outcomes(results) == ["rejected", "rejected"]
    assert nothing_was_written()


def test_a_rejected_first_of_a_key_does_not_hide_its_good_repeat() -> None:
    results = recorded(an_event(id="e-1", quantity="five"), an_event(id="e-1", quantity="5"), on_error="skip")

    assert outcomes(results) == ["rejected", "created"]
    assert total_of("tokens") == 5


def test_ten_thousand_events_are_recorded_and_one_more_is_refused() -> None:
    events = [an_event(quantity=1) for _ in range(10_001)]

    with pytest.raises(Invalid, match="At most 10000 events at a time"):
        recorded(*events)
    assert nothing_was_written()

    assert len(recorded(*events[:10_000])) == 10_000
    assert UsageEvent.objects.count() == 10_000
    assert total_of("tokens") == 10_000


def test_the_event_commits_with_the_surrounding_transaction() -> None:
    with transaction.atomic():
        recorded(an_event(quantity="5"))
        transaction.set_rollback(True)

    assert nothing_was_written()
    assert total_of("tokens") is None


def test_a_refused_batch_leaves_the_surrounding_transaction_usable() -> None:
    recorded(an_event(id="e-1", quantity="5"))

    with pytest.raises(EventsConflict):
        recorded(an_event(id="new"), an_event(id="e-1", quantity="6"))

    assert outcomes(recorded(an_event(id="e-2", quantity="7"))) == ["created"]
    assert total_of("tokens") == 12


def test_events_in_the_same_stream_and_hour_are_one_contribution() -> None:
    recorded(
        an_event(subject_id="ada", quantity="1", occurred_at="2024-05-15T12:00:00Z"),
        an_event(subject_id="ada", quantity="2", occurred_at="2024-05-15T12:59:59.999999Z"),
        an_event(subject_id="ada", quantity="4", occurred_at="2024-05-15T13:00:00Z"),
        an_event(subject_id="bob", quantity="8", occurred_at="2024-05-15T12:30:00Z"),
    )

    assert pending_rows() == [
        ("tokens", "acme", "ada", at("2024-05-15T12:00:00Z"), 2, 3),
        ("tokens", "acme", "ada", at("2024-05-15T13:00:00Z"), 1, 4),
        ("tokens", "acme", "bob", at("2024-05-15T12:00:00Z"), 1, 8),
    ]


def test_what_exists_already_contributes_nothing() -> None:
    event = an_event(id="e-1", subject_id="ada", quantity="5")
    recorded(event)

    recorded(event, an_event(subject_id="ada", quantity="7"))

    assert pending_rows() == [
        ("tokens", "acme", "ada", at(NOON), 1, 5),
        ("tokens", "acme", "ada", at(NOON), 1, 7),
    ]


def test_each_listening_metric_gets_its_own_contribution() -> None:
    a_metric("calls", event_name="tokens", aggregation="COUNT")
    a_metric("eu", event_name="tokens", event_label_filter={"region": "eu"})

    recorded(
        an_event(quantity="5", labels={"region": "eu"}),
        an_event(quantity="7", labels={"region": "us"}),
    )

    assert pending_rows() == [
        ("calls", "acme", "", at(NOON), 2, None),
        ("eu", "acme", "", at(NOON), 1, 5),
        ("tokens", "acme", "", at(NOON), 2, 12),
    ]


def test_ids_grow_and_a_failed_batch_uses_none_twice() -> None:
    [first] = recorded(an_event())
    with pytest.raises(EventsRejected):
        recorded(an_event(), an_event(quantity="five"))

    [second] = recorded(an_event())

    assert second.id > first.id


def test_a_constraint_of_somebody_else_is_not_taken_for_a_known_key() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_usageevent ADD CONSTRAINT no_thirteen CHECK (quantity <> 13)")

    with pytest.raises(IntegrityError, match="no_thirteen"):
        recorded(an_event(quantity="13"))

    assert nothing_was_written()
