"""Questions whose metric changes between what they read of it and what they read of its usage."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from metering.answering import exports
from metering.answering.event_listing import EventFilter
from metering.answering.exports import events_csv
from metering.answering.usage import usage_in
from metering.catalogue import current
from metering.defining.definitions import define_metric
from metering.models import MetricDefinition
from metering.rolling_up.history import enqueue_history
from tests.concurrency.rivals import Rival
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.api.callers import Caller

pytestmark = pytest.mark.django_db(transaction=True)

# A whole hour, which is read from what is pending, and a part of one, which is read from the ledger.
ASKED = "/usage/?metric=all&from=2024-05-15T10:00:00Z&to=2024-05-15T12:30:00Z"


def overtaking(question: Callable[..., Any], rival: Callable[[], Any]) -> Callable[..., Any]:
    """The question, before whose first asking a rival runs in a thread of its own."""
    waiting = [rival]

    def overtaken(*args: Any, **options: Any) -> Any:
        while waiting:
            _ = Rival(waiting.pop()).result
        return question(*args, **options)

    return overtaken


def asked_while_history_is_counted(monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is answered when history is committed after the definition was read, before the usage is."""
    acme = a_project("acme")
    a_metric()
    recorded(an_event(quantity=3, occurred_at="2024-05-15T10:00:00Z"))
    recorded(an_event(quantity=4, occurred_at="2024-05-15T12:15:00Z"))
    with monkeypatch.context() as patch:
        patch.setattr("metering.defining.definitions.count_history", lambda metric: None)
        metric = define_metric(key="all", event_name="tokens", counts_from=0, aggregation="SUM")
    monkeypatch.setattr("metering.api.usage.usage_in", overtaking(usage_in, lambda: enqueue_history(metric)))

    response = Caller(acme).get(ASKED)

    assert MetricDefinition.objects.get(key="all").counts_from == 0
    [result] = response.json()["results"]
    return result["value"]  # type: ignore[no-any-return]


def test_an_answer_that_history_overtakes_counts_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_while_history_is_counted(monkeypatch) == "7"


def test_without_reading_again_it_would_count_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.api.usage.answer", lambda read: read(current()))

    assert asked_while_history_is_counted(monkeypatch) == "3"


def exported_while_a_metric_is_defined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the exported events, when a batch of an old and a new name comes after names were read."""
    acme = a_project("acme")
    a_metric()

    def rival() -> None:
        a_metric("fresh")
        recorded(an_event(acme), an_event(acme, event_name="fresh"))

    monkeypatch.setattr(exports, "_events_sql", overtaking(exports._events_sql, rival))
    text = b"".join(events_csv(EventFilter())).decode()
    return [row["event_name"] for row in csv.DictReader(io.StringIO(text))]


def test_an_export_that_a_definition_overtakes_has_nothing_of_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert exported_while_a_metric_is_defined(monkeypatch) == []


def test_without_one_snapshot_it_would_have_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def several_snapshots() -> Iterator[Any]:
        with transaction.atomic():
            yield current()

    monkeypatch.setattr(exports, "one_snapshot", several_snapshots)

    assert exported_while_a_metric_is_defined(monkeypatch) == ["tokens"]
