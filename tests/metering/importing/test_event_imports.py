"""Importing files: the same ledger whatever happens on the way, and an account of what was left out."""

import gzip
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.answering.event_listing import EventFilter
from metering.answering.exports import events_csv
from metering.answering.usage import Scope, Slice
from metering.attributing.scope_tree import install_surface
from metering.correcting.corrections import amend_event
from metering.importing import event_imports
from metering.importing.event_columns import RowOptions
from metering.importing.event_files import inspect, opened
from metering.importing.event_imports import (
    begin_import,
    finish_import,
    import_chunks,
    rejects_of,
    stop_import,
    try_chunks,
)
from metering.importing.event_records import EventFile, ImportOptions
from metering.models import (
    EventImport,
    EventImportReject,
    MetricDefinition,
    PendingContribution,
    Project,
    UsageEvent,
)
from quotas.enforcement import set_quota
from quotas.holds import commit, reserve
from tests.factories import (
    NOON,
    a_metric,
    a_project,
    a_void_of,
    an_event,
    ledger_rows,
    outcomes,
    recorded,
    total_of,
)
from tests.metering.api.test_export import NASTY

pytestmark = pytest.mark.django_db

CSV = ImportOptions(format="csv")
NDJSON = ImportOptions()


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def file_of(content: bytes, options: ImportOptions = NDJSON) -> EventFile:
    stream = opened(io.BytesIO(content))
    return EventFile(stream, inspect(stream), options)


def begun(content: bytes, options: ImportOptions = NDJSON) -> tuple[EventImport, bool]:
    facts = inspect(opened(io.BytesIO(content)))
    return begin_import(facts, options, file_name="usage", requested_by="kim")


def imported(content: bytes, options: ImportOptions = NDJSON, **limits: Any) -> EventImport:
    job, _ = begun(content, options)
    for _ in import_chunks(job, file_of(content, options), **limits):
        pass
    return job


def counts(job: EventImport) -> tuple[int, int, int, int]:
    return job.created_count, job.existing_count, job.conflict_count, job.rejected_count


def rejects(job: EventImport) -> list[tuple[int, str, str]]:
    return [(reject.line, reject.code, reject.field) for reject in rejects_of(job)]


def of(key: str) -> Slice:
    return Slice(Scope([Project.objects.get(key=key).pk]))


@pytest.fixture
def acme() -> None:
    a_project("acme")
    a_metric()


def test_native_events_and_cloudevents_share_a_file(acme: None) -> None:
    content = lines(
        an_event(id="n-1", quantity="5", labels={"region": "eu"}),
        {
            "specversion": "1.0",
            "id": "c-1",
            "source": "/edge",
            "type": "tokens",
            "subject": "ada",
            "project": "acme",
            "time": NOON,
            "data": {"specversion": "data has its own"},
        },
        an_event(id="n-2", quantity=None, labels={"specversion": "no CloudEvent"}),
    )

    job = imported(content)

    assert counts(job) == (3, 0, 0, 0)
    assert (job.state, job.position, job.line_count) == ("finished", len(content), 3)
    assert ledger_rows("source", "event_id", "subject_id", "quantity") == [
        ("import", "n-1", "", Decimal(5)),
        ("/edge", "c-1", "ada", None),
        ("import", "n-2", "", None),
    ]


def test_the_same_file_again_records_nothing(acme: None) -> None:
    content = lines(
        an_event(id="a", quantity=1), an_event(id=None, quantity=2), an_event(id=None, quantity=2)
    )

    first, second = imported(content), imported(gzip.compress(content))

    assert counts(first) == (3, 0, 0, 0)
    assert counts(second) == (0, 3, 0, 0)
    assert second.pk != first.pk
    assert total_of("tokens") == 5
    assert [row[0] for row in ledger_rows("event_id")] == [
        "a",
        f"{first.sha256[:32]}:2",
        f"{first.sha256[:32]}:3",
    ]


def test_lines_that_do_not_fit_are_left_out_and_listed(acme: None) -> None:
    recorded(an_event(id="used", quantity=1), source="import")
    content = b"".join(
        [
            lines(an_event(id="used", quantity=2)),
            b"{not json\n",
            b"[1, 2]\n",
            b"\n",
            b'"text"\n',
            lines(an_event(id="x", event_name="unheard")),
            lines(an_event(id="y", project="nobody")),
            lines(an_event(id="z", occurred_at=None)),
            lines(an_event(id="w", quantity="NaN")),
            lines(an_event(id="v", weight=5)),
            b'{"id": "\\u0000", "project": "acme", "event_name": "tokens", "occurred_at": "%s"}\n'
            % NOON.encode(),
            b'{"\\u0000": 1}\n',
            b'{"id": "\\ud800"}\n',
            b'{"id": "long", "labels": {"a": "' + b"a" * 70_000 + b'"}}\n',
            b'{"specversion": "1.0", "id": "1"}\n',
            b"{" + b'"a":{' * 5000 + b"\n",
            lines(an_event(id="good", quantity=3)),
        ]
    )

    job = imported(content)

    assert counts(job) == (1, 0, 1, 14)
    assert rejects(job) == [
        (1, "conflict", "id"),
        (2, "invalid_field", ""),
        (3, "invalid_field", ""),
        (5, "invalid_field", ""),
        (6, "unknown_event_name", "event_name"),
        (7, "unknown_project", "project"),
        (8, "missing_field", "occurred_at"),
        (9, "invalid_value", "quantity"),
        (10, "invalid_field", "weight"),
        (11, "invalid_field", "id"),
        (12, "invalid_field", "\ufffd"),
        (13, "invalid_field", ""),
        (14, "payload_too_large", ""),
        (15, "missing_field", "source"),
        (16, "invalid_field", ""),
    ]
    by_line = {reject.line: reject for reject in rejects_of(job)}
    assert by_line[2].original == "{not json"
    assert len(by_line[14].original) == 1000
    assert total_of("tokens") == 4


def test_rejects_of_csv_name_the_column(acme: None) -> None:
    content = f"When,What,Amount\n{NOON},tokens,5\nnever,tokens,5\n{NOON},tokens,lots\n".encode()
    options = ImportOptions(
        format="csv",
        project="acme",
        rows=RowOptions(columns={"occurred_at": "When", "event_name": "What", "quantity": "Amount"}),
    )

    job = imported(content, options)

    assert counts(job) == (1, 0, 0, 2)
    assert rejects(job) == [
        (3, "invalid_timestamp", "occurred_at (When)"),
        (4, "invalid_value", "quantity (Amount)"),
    ]
    assert [row[0] for row in ledger_rows("event_id")] == [f"{job.sha256[:32]}:2"]


def test_limits_do_not_refuse_what_has_happened(acme: None) -> None:
    set_quota(a_project("limited"), metric=MetricDefinition.objects.get(), limit=1)

    job = imported(lines(an_event("limited", quantity=500)))

    assert counts(job) == (1, 0, 0, 0)


def test_trying_records_nothing_and_says_the_same(acme: None) -> None:
    recorded(an_event(id="there", quantity=1), source="import")
    content = lines(
        an_event(id="there", quantity=1), an_event(id="new"), an_event(id="bad", project="nobody")
    )

    (chunk,) = try_chunks(file_of(content), source="import")

    assert (chunk.created_count, chunk.existing_count) == (1, 1)
    assert [(reject.line, reject.code) for reject in chunk.rejects] == [(3, "unknown_project")]
    assert UsageEvent.objects.count() == 1
    assert PendingContribution.objects.count() == 1
    assert EventImport.objects.count() == 0


def test_interrupted_import_goes_on_behind_its_last_chunk(
    acme: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_imports, "CHUNK_EVENTS", 2)
    content = lines(*(an_event(id=f"e-{n}", project="acme" if n != 1 else "nobody") for n in range(5)))
    job, is_new = begun(content)
    next(import_chunks(job, file_of(content)))
    stop_import(job)
    assert (is_new, job.state, job.line_count, counts(job)) == (True, "stopped", 2, (1, 0, 0, 1))

    again, is_new = begun(content)
    rest = list(import_chunks(again, file_of(content)))

    assert (again.pk, is_new) == (job.pk, False)
    assert [chunk.created_count for chunk in rest] == [2, 1]
    assert (again.state, counts(again), rejects(again)) == (
        "finished",
        (4, 0, 0, 1),
        [(2, "unknown_project", "project")],
    )


def test_other_options_are_another_import(acme: None) -> None:
    content = lines(an_event(id="e-1"))
    job, _ = begun(content)

    other, is_new = begun(content, ImportOptions(source="elsewhere"))

    assert is_new
    assert other.pk != job.pk


def test_import_that_somebody_cancelled_writes_no_more(acme: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_imports, "CHUNK_EVENTS", 1)
    content = lines(*(an_event(id=f"e-{n}") for n in range(3)))
    job, _ = begun(content)
    chunks = import_chunks(job, file_of(content))
    next(chunks)

    EventImport.objects.filter(pk=job.pk).update(state="cancelled")

    assert list(chunks) == []
    assert (job.state, job.created_count) == ("cancelled", 1)
    assert UsageEvent.objects.count() == 1


def test_finishing_twice_changes_nothing(acme: None) -> None:
    job = imported(lines(an_event()))
    finished_at = job.finished_at

    finish_import(job)

    assert job.finished_at == finished_at


def test_export_comes_back_as_the_same_ledger(acme: None) -> None:
    install_surface(project=Project.objects.get(key="acme"), key="bot", name="Bot")
    a_metric("level", meter_type="gauge", aggregation="MAX")
    recorded(
        *(
            an_event(
                event_name="level",
                source=text,
                id=text,
                subject_type=text,
                subject_id=text,
                labels={"note": text, "n": 1.5, "deep": {"x": [None, True]}},
                quantity="-0.000000000001" if number % 2 else None,
                surface="bot",
            )
            for number, text in enumerate(NASTY)
            if text.strip() and not text.startswith("meterbook")
        ),
        an_event(id="bare", quantity="12345678901234567890.5"),
        an_event(id="now", occurred_at=None, labels={}),
        on_error="skip",
    )
    columns = (
        "source",
        "event_id",
        "event_name",
        "subject_type",
        "subject_id",
        "quantity",
        "labels",
        "occurred_at",
        "surface__key",
    )
    before = sorted(ledger_rows(*columns), key=str)
    export = b"".join(events_csv(EventFilter()))

    with transaction.atomic():
        same = imported(export, CSV)
        assert counts(same) == (0, len(before), 0, 0)
        transaction.set_rollback(True)
    a_project("twin")
    install_surface(project=Project.objects.get(key="twin"), key="bot", name="Bot")
    elsewhere = imported(export, ImportOptions(format="csv", rows=RowOptions(constants={"project": "twin"})))

    assert counts(elsewhere) == (len(before), 0, 0, 0)
    copied = UsageEvent.objects.filter(project__key="twin").values_list(*columns)
    assert sorted(copied, key=str) == before
    assert len(before) > 20


def test_export_that_was_edited_conflicts(acme: None) -> None:
    recorded(an_event(id="e-1", quantity=5, labels={"a": "x"}))
    export = b"".join(events_csv(EventFilter()))

    for old, new in ((b",5,", b",6,"), (b"x", b"y"), (b"T12:", b"T13:")):
        job = imported(export.replace(old, new), CSV)
        assert counts(job) == (0, 0, 1, 0)


def a_corrected_ledger() -> bytes:
    """10 stays, 7 is voided, 40 is amended to 20, 5 of a hold are used: 35. Its export."""
    acme = Project.objects.get(key="acme")
    _, seven, forty = recorded(
        an_event(id="ten", quantity=10), an_event(id="seven", quantity=7), an_event(id="forty", quantity=40)
    )
    a_void_of(seven.id)
    amend_event(forty.id, {"quantity": "20"}, reason="counted twice", actor="kim")
    set_quota(acme, metric=MetricDefinition.objects.get(), limit=100)
    commit(reserve(acme, metric_key="tokens", quantity="25", expires_in=60).hold, quantity="5")
    return b"".join(events_csv(EventFilter()))


TWIN = ImportOptions(format="csv", rows=RowOptions(constants={"project": "twin"}))


def test_what_was_voided_or_amended_stays_so_where_an_export_goes(acme: None) -> None:
    export = a_corrected_ledger()
    a_project("twin")

    job, again = imported(export, TWIN), imported(export, TWIN)

    assert total_of("tokens", slice=of("twin")) == total_of("tokens", slice=of("acme")) == 35
    assert (counts(job), job.cancelled_count, job.left_out_count) == ((3, 0, 0, 0), 4, 0)
    assert (counts(again), again.cancelled_count) == ((0, 3, 0, 0), 4)
    sources = UsageEvent.objects.filter(project__key="twin").order_by("id").values_list("source", flat=True)
    assert list(sources) == ["api", "meterbook:import", "meterbook:import"]


def test_an_export_of_an_import_is_the_same_events_again(acme: None) -> None:
    export = a_corrected_ledger()
    a_project("twin")
    a_project("third")
    third = ImportOptions(format="csv", rows=RowOptions(constants={"project": "third"}))
    imported(export, TWIN)
    copied = b"".join(events_csv(EventFilter(project_ids=[Project.objects.get(key="twin").pk])))

    job, by_way_of_the_twin = imported(export, third), imported(copied, third)

    assert (counts(job), counts(by_way_of_the_twin)) == ((3, 0, 0, 0), (0, 3, 0, 0))
    assert total_of("tokens", slice=of("third")) == 35


def test_an_export_adds_nothing_to_the_ledger_that_it_is_of(acme: None) -> None:
    export = a_corrected_ledger()

    job = imported(export, CSV)
    edited = imported(export.replace(b",20,", b",21,"), CSV)

    assert (counts(job), job.cancelled_count) == ((0, 3, 0, 0), 4)
    assert counts(edited) == (0, 2, 1, 0)
    assert total_of("tokens") == 35


def test_a_number_of_another_ledger_is_not_taken_for_one_of_this(acme: None) -> None:
    """Both amended an event 17; what stands in its place there isn't what stands in its place here."""
    export = a_corrected_ledger()
    elsewhere = re.sub(
        rb"(meterbook:(?:amend|hold),.*?,\d{4}-.*?,)\d{4}-[^,]*", rb"\g<1>2020-01-01T00:00:00.000000Z", export
    )
    assert elsewhere != export

    job = imported(elsewhere, CSV)

    assert counts(job) == (2, 1, 0, 0)
    assert total_of("tokens") == 60


EVENTS = [
    an_event(
        id=None if number % 3 == 0 else f"p-{number % 17}", quantity=number % 4, subject_id=f"s{number % 2}"
    )
    if number % 7
    else {"broken": number}
    for number in range(40)
]


STEPS = st.tuples(st.integers(1, 45), st.integers(0, 3), st.booleans(), st.booleans())


@hypothesis_settings(max_examples=25)
@given(steps=st.lists(STEPS, max_size=6))
def test_any_chunks_and_any_crashes_lead_to_the_same_ledger(
    acme: None, steps: list[tuple[int, int, bool, bool]]
) -> None:
    """Each attempt gets through some chunks, may die before the commit of the next, may be forgotten."""
    content = lines(*EVENTS)
    with transaction.atomic():
        whole = imported(content)
        expected = (_content(), rejects(whole))
        transaction.set_rollback(True)
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        for chunk_size, chunk_count, dies, is_forgotten in steps:
            patch.setattr(event_imports, "CHUNK_EVENTS", chunk_size)
            job, _ = begun(content)
            chunks = import_chunks(job, file_of(content))
            for _ in range(chunk_count):
                next(chunks, None)
            if dies and job.position < job.size:
                _die_before_the_commit(job, content)
            if is_forgotten:
                EventImport.objects.filter(pk=job.pk).update(state="cancelled")
        job = imported(content)
        found = (_content(), rejects(job))
        transaction.set_rollback(True)

    assert found == expected
    assert len(found[0]) == 28
    assert [line for line, _, _ in found[1] if line % 7 == 1] == [1, 8, 15, 22, 29, 36]


def _content() -> list[tuple[Any, ...]]:
    return sorted(ledger_rows("event_id", "quantity", "subject_id"), key=str)


def _die_before_the_commit(job: EventImport, content: bytes) -> None:
    class Killed(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_imports, "_move_on", die)
        with pytest.raises(Killed):
            next(import_chunks(job, file_of(content)))


def test_rejects_are_in_step_with_the_commits(acme: None) -> None:
    content = lines(*({"broken": number} for number in range(3)), an_event(id="e-1"))
    job, _ = begun(content)

    _die_before_the_commit(job, content)

    assert EventImportReject.objects.count() == 0
    assert UsageEvent.objects.count() == 0
    assert counts(imported(content)) == (1, 0, 0, 3)
    assert outcomes(recorded(an_event(id="e-1"), source="import")) == ["exists"]
