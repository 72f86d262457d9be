"""A change of definitions or rules, and recorders under way: one waits for the other."""

import threading
import time
from functools import partial

import pytest
from django.db import connection, transaction

from metering import locks
from metering.attributing.scope_tree import attribute
from metering.catalogue import move_version
from metering.clock import ledger_end
from metering.defining.definitions import archive_metric, change_metric
from metering.errors import Conflict, DefinitionsBusy
from metering.models import CatalogueVersion, MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import (
    Held,
    Rival,
    backends_waiting_for_a_lock,
    meanwhile,
    race,
    rows,
    start_process,
    wait_until,
)
from tests.factories import (
    a_metric,
    a_project,
    an_event,
    at,
    ledger_rows,
    outcomes,
    recorded,
    total_of,
    usages_of,
)

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = (at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z"))
EDGE = (at("2024-05-15T12:00:00Z"), at("2024-05-15T12:59:59Z"))


@pytest.fixture(autouse=True)
def acme() -> Project:
    project = a_project("acme")
    a_metric("listener", event_name="tokens")
    return project


def both_answers(metric: MetricDefinition) -> tuple:
    """An hour of usage by what recorders contributed, and by the ledger alone."""
    return total_of(metric, *HOUR), total_of(metric, *EDGE)


def test_a_new_metric_waits_for_recorders_and_counts_from_after_them() -> None:
    with Held(lambda: recorded(an_event(quantity="5"))) as recorder:
        definition = Rival(lambda: a_metric("tokens"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        assert definition.is_still_waiting_after(0.2)
        recorder.commit()
        metric = definition.result

    recorded(an_event(quantity="7"))
    assert metric.counts_from >= recorder.answer[0].id
    assert both_answers(metric) == (7, 7)


def test_a_recorder_that_begins_during_a_change_waits_and_sees_all_of_it() -> None:
    entered, may_commit = threading.Event(), threading.Event()

    def change_slowly() -> None:
        with locks.no_recorder_running():
            MetricDefinition.objects.update(expected_labels=["region"])
            entered.set()
            may_commit.wait(20)
            move_version()

    recorded(an_event())  # warms the catalogue of this process
    with meanwhile(lambda over: change_slowly()):
        assert entered.wait(20)
        recorder = Rival(lambda: recorded(an_event(), on_error="skip"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        assert recorder.is_still_waiting_after(0.1)
        may_commit.set()

    assert [(result.outcome, result.code) for result in recorder.result] == [("rejected", "missing_label")]


def test_no_recorder_ever_uses_a_stale_meaning() -> None:
    written = [0, 0, 0, 0]

    def write(number: int, over: threading.Event) -> None:
        while not over.is_set():
            recorded(*(an_event(quantity=1) for _ in range(3)))
            written[number] += 3

    metrics = []
    with meanwhile(*(partial(write, number) for number in range(4))):
        for number in range(6):
            metric = a_metric(f"m-{number}", event_name="tokens")
            metrics.append(metric)
            if number % 2:
                target = written[0] + 3
                wait_until(lambda target=target: written[0] >= target)
                archive_metric(metric)

    for metric in metrics:
        contributed, in_the_ledger = both_answers(metric)
        assert contributed == in_the_ledger
    assert both_answers(MetricDefinition.objects.get(key="listener")) == (sum(written), sum(written))
    assert both_answers(metrics[1])[0] > 0
    roll_up()
    assert [both_answers(metric)[0] for metric in metrics] == [both_answers(metric)[1] for metric in metrics]


def test_a_meaning_cannot_change_under_a_recorder_whose_event_it_counts() -> None:
    metric = a_metric("tokens", event_label_filter={"region": "eu"})

    with Held(lambda: recorded(an_event(quantity="5", labels={"region": "eu"}))) as recorder:
        change = Rival(lambda: change_metric(metric, {"event_label_filter": {"region": "us"}}))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        recorder.commit()
        error = change.error

    assert isinstance(error, Conflict)
    assert MetricDefinition.objects.get(key="tokens").event_label_filter == {"region": "eu"}
    assert both_answers(MetricDefinition.objects.get(key="tokens")) == (5, 5)


def test_without_the_lock_a_meaning_changes_under_a_recorder() -> None:
    # Negative control: the same change, asking the ledger without waiting for recorders first.
    metric = a_metric("tokens", event_label_filter={"region": "eu"})

    with Held(lambda: recorded(an_event(quantity="5", labels={"region": "eu"}))) as recorder:
        with transaction.atomic():
            assert rows("SELECT count(*) FROM metering_usageevent") == [(0,)]
            MetricDefinition.objects.filter(pk=metric.pk).update(event_label_filter={"region": "us"})
            move_version()
        recorder.commit()

    contributed, in_the_ledger = both_answers(metric)
    assert (contributed, in_the_ledger) == (5, None)


def test_a_change_gives_up_behind_a_long_recorder_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(locks, "LOCK_ATTEMPTS", 2)
    version = CatalogueVersion.objects.get().version

    with Held(lambda: recorded(an_event())):
        began = time.monotonic()
        with pytest.raises(DefinitionsBusy):
            a_metric("tokens")
        assert time.monotonic() - began < 5
        # Ingest goes on: nobody queues behind a request that was given up.
        assert outcomes(recorded(an_event())) == ["created"]

    assert not MetricDefinition.objects.filter(key="tokens").exists()
    assert CatalogueVersion.objects.get().version == version
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_new_attribution_waits_for_recorders_and_holds_for_the_next() -> None:
    acme = Project.objects.get(key="acme")
    below = a_project("below", parent=acme)

    with Held(lambda: recorded(an_event(below))) as recorder:
        rule = Rival(lambda: attribute(below, payer=acme))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        recorder.commit()
        _ = rule.result

    recorded(an_event(below))
    assert ledger_rows("billing_scope__key") == [("below",), ("acme",)]


def test_a_change_by_another_process_is_seen_by_the_next_event() -> None:
    assert outcomes(recorded(an_event(event_name="tokens", quantity="5"))) == ["created"]

    process = start_process(
        "from metering.defining.definitions import define_metric\n"
        "define_metric(key='strict', event_name='tokens', expected_labels=['region'])\n"
    )
    assert process.wait(30) == 0
    process.stdout.close()

    assert [result.code for result in recorded(an_event(), on_error="skip")] == ["missing_label"]
    recorded(an_event(quantity="7", labels={"region": "eu"}))
    assert both_answers(MetricDefinition.objects.get(key="strict")) == (7, 7)


def test_two_definitions_of_one_key_at_once_are_one_metric() -> None:
    def define(project: Project | None) -> str:
        try:
            a_metric("tokens", project=project)
        except Conflict:
            return "conflict"
        return "defined"

    acme = Project.objects.get(key="acme")

    results = race(*(partial(define, owner) for owner in (None, acme, None, acme)))

    assert sorted(results) == ["conflict", "conflict", "conflict", "defined"]
    assert MetricDefinition.objects.filter(key="tokens").count() == 1


def test_history_is_counted_exactly_once_while_writers_go_on() -> None:
    written = [0, 0, 0]

    def write(number: int, over: threading.Event) -> None:
        while not over.is_set():
            recorded(*(an_event(quantity=1) for _ in range(5)))
            written[number] += 5

    def tick(over: threading.Event) -> None:
        while not over.is_set():
            roll_up(chunk=3)

    with meanwhile(*(partial(write, number) for number in range(3)), tick):
        wait_until(lambda: min(written) > 10)
        metrics = [a_metric(f"m-{number}", event_name="tokens", counts_from=0) for number in range(8)]
        end = ledger_end()
        wait_until(lambda: ledger_end() > end + 20)
    roll_up()

    total = sum(written)
    assert [both_answers(metric) for metric in metrics] == [(total, total)] * 8
    assert [usage.value for metric in metrics for usage in usages_of(metric)] == [total] * 8
