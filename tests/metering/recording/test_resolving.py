"""What becomes of one event when it is recorded: every reason code, and what counts as the same content."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from metering.attributing.scope_tree import attribute, install_surface
from metering.clock import database_now
from metering.defining.definitions import archive_metric
from metering.errors import EventsConflict, EventsRejected
from metering.ledger import record_items
from metering.models import PendingContribution, Project, UsageEvent
from metering.principal import EVERYBODY_INSIDE, Principal
from metering.recording.intake import parse_native
from metering.texts.timestamps import iso
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


@pytest.fixture
def acme() -> Project:
    project = a_project("acme")
    a_metric()
    return project


def rejection(event: dict[str, Any], **options: Any) -> tuple[str, str | None]:
    """Code and field of the only rejection; nothing was recorded."""
    with pytest.raises(EventsRejected) as caught:
        recorded(event, **options)
    [error] = caught.value.errors
    assert not UsageEvent.objects.exists()
    assert not PendingContribution.objects.exists()
    return error.code, error.field


def raw(body: str | bytes, **options: Any) -> list:
    """Record a body as the API gets it."""
    items, _ = parse_native(body if isinstance(body, bytes) else body.encode())
    return record_items(items, principal=EVERYBODY_INSIDE, **options)


def raw_rejection(body: str) -> tuple[str, str | None]:
    with pytest.raises(EventsRejected) as caught:
        raw(body)
    [error] = caught.value.errors
    assert not UsageEvent.objects.exists()
    return error.code, error.field


def test_an_event_is_written_as_sent(acme: Project) -> None:
    [outcome] = recorded(
        an_event(
            id="e-1",
            source="app",
            subject_type="user",
            subject_id="ada",
            quantity="1.50",
            occurred_at="2024-05-15T14:00:00.1234567+02:00",
            labels={"region": "eu", "n": Decimal("2.50")},
        )
    )

    assert ledger_rows(
        "id", "project__key", "billing_scope__key", "surface", "source", "event_id", "event_name",
        "subject_type", "subject_id", "quantity", "labels", "occurred_at", "kind", "voids",
    ) == [
        (
            outcome.id, "acme", "acme", None, "app", "e-1", "tokens",
            "user", "ada", Decimal("1.5"), {"region": "eu", "n": 2.5},
            dt.datetime(2024, 5, 15, 12, 0, 0, 123_456, tzinfo=dt.UTC), "usage", None,
        )
    ]  # fmt: skip


def test_what_is_left_out_has_its_default(acme: Project) -> None:
    before = database_now()

    [outcome] = recorded({"project": "acme", "event_name": "tokens"})

    [event] = UsageEvent.objects.all()
    assert (event.source, event.subject_type, event.subject_id) == ("api", "", "")
    assert (event.quantity, event.labels, event.surface_id) == (None, {}, None)
    assert before < event.occurred_at < database_now()
    assert (outcome.outcome, outcome.event_id, outcome.id) == ("created", event.event_id, event.pk)
    assert len(event.event_id) == 32


def test_events_without_an_id_are_never_the_same(acme: Project) -> None:
    event = an_event(id=None, quantity="5")

    assert outcomes(recorded(event, event)) == ["created", "created"]
    assert outcomes(recorded(event)) == ["created"]
    assert total_of("tokens") == 15


def test_the_source_of_a_whole_request_can_be_given(acme: Project) -> None:
    recorded(an_event(id="e-1"), source="import")
    recorded(an_event(id="e-1", source="app"), source="import")

    assert ledger_rows("source", "event_id") == [("import", "e-1"), ("app", "e-1")]


def test_awkward_texts_come_back_as_they_were_sent(acme: Project) -> None:
    text = "tab\t nl\n cr\r quote\" apostrophe' backslash\\ \\N \\. 😀 \u2028 \x7f \x01 %s"

    [outcome] = recorded(
        an_event(id=text, source=text, subject_type=text, subject_id=text, labels={text: text, "n": [text]})
    )

    assert outcome.event_id == text
    assert ledger_rows("event_id", "source", "subject_type", "subject_id", "labels") == [
        (text, text, text, text, {text: text, "n": [text]})
    ]
    assert outcomes(
        recorded(
            an_event(
                id=text, source=text, subject_type=text, subject_id=text, labels={"n": [text], text: text}
            )
        )
    ) == ["exists"]


# -- reason codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "code", "field"),
    [
        ({"project": None}, "missing_field", "project"),
        ({"event_name": None}, "missing_field", "event_name"),
        ({"project": "nowhere"}, "unknown_project", "project"),
        ({"event_name": "unheard"}, "unknown_event_name", "event_name"),
        ({"event_name": None, "metric_key": "unheard"}, "unknown_event_name", "metric_key"),
        ({"source": "meterbook:void"}, "invalid_field", "source"),
        ({"surface": "nowhere"}, "invalid_field", "surface"),
        ({"id": ""}, "invalid_field", "id"),
        ({"id": "x" * 256}, "invalid_field", "id"),
        ({"source": "x" * 256}, "invalid_field", "source"),
        ({"subject_id": "x" * 256}, "invalid_field", "subject_id"),
        ({"subject_type": "x" * 256}, "invalid_field", "subject_type"),
        ({"event_name": "x" * 201}, "invalid_field", "event_name"),
        ({"unknown": 1}, "invalid_field", "unknown"),
        ({"id": "a\x00b"}, "invalid_field", "id"),
        ({"subject_id": "a\x00b"}, "invalid_field", "subject_id"),
        ({"labels": {"a": "\x00"}}, "invalid_label", "labels"),
        ({"labels": {"a\x00": 1}}, "invalid_label", "labels"),
        ({"labels": {"a": [{"b": "\x00"}]}}, "invalid_label", "labels"),
        ({"labels": {f"l{n}": 1 for n in range(101)}}, "invalid_label", "labels"),
        ({"labels": {"a": Decimal("1e301")}}, "invalid_label", "labels.a"),
        ({"labels": {"a": Decimal("1e-301")}}, "invalid_label", "labels.a"),
        ({"labels": {"a": "x" * 65_536}}, "payload_too_large", "labels"),
        ({"quantity": "NaN"}, "invalid_value", "quantity"),
        ({"quantity": "Infinity"}, "invalid_value", "quantity"),
        ({"quantity": "-1"}, "invalid_value", "quantity"),
        ({"quantity": -1}, "invalid_value", "quantity"),
        ({"quantity": True}, "invalid_value", "quantity"),
        ({"quantity": [5]}, "invalid_value", "quantity"),
        ({"quantity": {"n": 5}}, "invalid_value", "quantity"),
        ({"quantity": ""}, "invalid_value", "quantity"),
        ({"quantity": "five"}, "invalid_value", "quantity"),
        ({"quantity": "1_000"}, "invalid_value", "quantity"),
        ({"quantity": "1e400"}, "invalid_value", "quantity"),
        ({"quantity": "1e-2000000"}, "invalid_value", "quantity"),
        ({"quantity": "1e" + "9" * 30}, "invalid_value", "quantity"),
        ({"quantity": "٣"}, "invalid_value", "quantity"),
        ({"quantity": "9" * 27}, "invalid_value", "quantity"),
        ({"quantity": "0." + "0" * 12 + "1"}, "invalid_value", "quantity"),
        ({"quantity": "9" * 5_000}, "invalid_value", "quantity"),
        ({"quantity": float("nan")}, "invalid_value", "quantity"),
        ({"quantity": float("inf")}, "invalid_value", "quantity"),
        ({"occurred_at": "2024-05-15T12:00:00"}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": "yesterday"}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": "2016-12-31T23:59:60Z"}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": dt.datetime(2024, 5, 15)}, "invalid_timestamp", "occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59Z"}, "timestamp_in_future", "occurred_at"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_a_bad_event_is_rejected_with_its_reason(
    acme: Project, overrides: dict[str, Any], code: str, field: str
) -> None:
    assert rejection(an_event(**overrides)) == (code, field)


@pytest.mark.parametrize(
    "number",
    ["-1", "true", "1e400", "9" * 27, "9" * 5_000, "1e-13", "1e999999999", '"1_000"', '"NaN"', '" 5"'],
)
def test_a_bad_number_in_a_body_is_rejected(acme: Project, number: str) -> None:
    body = f'{{"project": "acme", "event_name": "tokens", "quantity": {number}}}'

    assert raw_rejection(body) == ("invalid_value", "quantity")


@pytest.mark.parametrize("number", ["7", "7.0", '"7"', '"7.00"', "0.7e1", "70E-1", " 7 "])
def test_a_quantity_may_be_a_number_or_a_text(acme: Project, number: str) -> None:
    raw(f'{{"project": "acme", "event_name": "tokens", "quantity": {number}}}')

    assert ledger_rows("quantity") == [(Decimal(7),)]


def test_the_largest_and_smallest_quantities_are_kept_to_the_last_digit(acme: Project) -> None:
    largest, smallest = "99999999999999999999999999.999999999999", "0.000000000001"

    recorded(an_event(quantity=largest), an_event(quantity=smallest), an_event(quantity=largest))

    assert ledger_rows("quantity") == [(Decimal(largest),), (Decimal(smallest),), (Decimal(largest),)]
    assert total_of("tokens") == Decimal("199999999999999999999999999.999999999999")


def test_labels_are_nested_at_most_8_deep(acme: Project) -> None:
    def nested(depth: int) -> dict[str, Any]:
        labels: dict[str, Any] = {"leaf": 1}
        for _ in range(depth - 1):
            labels = {"inner": labels}
        return labels

    assert rejection(an_event(labels=nested(9))) == ("invalid_label", "labels.inner")
    assert outcomes(recorded(an_event(labels=nested(8)))) == ["created"]


def test_an_event_has_at_most_100_labels_and_64_kilobytes(acme: Project) -> None:
    fits = an_event(labels={f"l{n}": 1 for n in range(100)})
    fits_too = an_event(labels={"a": "x" * (64 * 1024 - len('{"a":""}'))})

    assert outcomes(recorded(fits, fits_too)) == ["created", "created"]


@pytest.mark.parametrize("number", ["9" * 250, "-" + "9" * 250, "1" + "0" * 4_000, "0." + "1" * 99])
def test_a_monstrous_number_in_labels_is_rejected_whoever_reads_it(acme: Project, number: str) -> None:
    a_metric("by-size", event_name="tokens", primary_labels=["size"])

    code, field = raw_rejection(
        f'[{{"project": "acme", "event_name": "tokens", "labels": {{"size": {number}}}}}]'
    )

    assert code == "invalid_label"
    assert field in {"labels", "labels.size"}


def test_five_minutes_ahead_are_tolerated(acme: Project) -> None:
    now = database_now()
    ahead = iso(now + dt.timedelta(minutes=4, seconds=50))
    too_far = iso(now + dt.timedelta(minutes=10))

    assert rejection(an_event(occurred_at=too_far)) == ("timestamp_in_future", "occurred_at")
    assert outcomes(recorded(an_event(occurred_at=ahead))) == ["created"]


def test_any_past_time_since_1970_is_accepted(acme: Project) -> None:
    assert outcomes(recorded(an_event(occurred_at="1970-01-01T00:00:00Z", quantity="5"))) == ["created"]
    assert total_of("tokens", at("1970-01-01T00:00:00Z"), at("1970-01-01T00:00:01Z")) == 5


@pytest.mark.parametrize(
    "text", ["2024-05-15t12:00:00z", "2024-05-15 12:00:00Z", "2024-05-15T12:00:00.0000009Z"]
)
def test_lower_case_and_a_space_are_time_enough(acme: Project, text: str) -> None:
    recorded(an_event(occurred_at=text))

    assert ledger_rows("occurred_at") == [(at(NOON),)]


def test_a_time_just_before_an_hour_stays_there(acme: Project) -> None:
    recorded(an_event(occurred_at="2024-05-15T11:59:59.9999999Z", quantity="5"))

    assert total_of("tokens", at("2024-05-15T11:00:00Z"), at("2024-05-15T12:00:00Z")) == 5
    assert total_of("tokens", at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z")) is None
    assert ledger_rows("occurred_at") == [(at("2024-05-15T11:59:59.999999Z"),)]


# -- which metrics check an event -------------------------------------------------------------------------


def test_every_listening_metric_checks_the_event(acme: Project) -> None:
    a_metric("whole-tokens", event_name="tokens", data_type="INT")
    a_metric("per-region", event_name="tokens", expected_labels=["region"])

    assert rejection(an_event(quantity="1.5", labels={"region": "eu"})) == ("invalid_value", "quantity")
    assert rejection(an_event(quantity="1")) == ("missing_label", "labels.region")
    assert outcomes(recorded(an_event(quantity="1", labels={"region": "eu"}))) == ["created"]
    assert [total_of(key) for key in ("tokens", "whole-tokens", "per-region")] == [1, 1, 1]


def test_a_metric_whose_filter_does_not_match_does_not_check(acme: Project) -> None:
    a_metric("eu", event_name="tokens", data_type="INT", event_label_filter={"region": "eu"})

    recorded(an_event(quantity="1.5", labels={"region": "us"}))

    assert total_of("tokens") == Decimal("1.5")
    assert total_of("eu") is None


def test_an_event_that_no_filter_matches_is_recorded_and_counts_nowhere() -> None:
    a_project("acme")
    a_metric(event_label_filter={"region": "eu"})

    assert outcomes(recorded(an_event(labels={"region": "us"}))) == ["created"]
    assert UsageEvent.objects.count() == 1
    assert not PendingContribution.objects.exists()


def test_a_metric_of_another_branch_neither_hears_nor_checks(acme: Project) -> None:
    other = a_project("other")
    a_metric("strict", project=other, event_name="tokens", expected_labels=["region"])
    a_metric("private", project=other, event_name="secret")

    assert outcomes(recorded(an_event())) == ["created"]
    assert total_of("strict") is None
    with pytest.raises(EventsRejected) as caught:
        recorded(an_event(event_name="secret"))
    assert caught.value.errors[0].code == "unknown_event_name"


def test_a_metric_hears_the_projects_below_its_owner(acme: Project) -> None:
    below = a_project("below", parent=a_project("between", parent=acme))
    a_metric("owned", project=acme, event_name="calls", aggregation="COUNT")

    assert outcomes(recorded(an_event(below, event_name="calls"))) == ["created"]
    assert total_of("owned") == 1


def test_an_archived_metric_neither_counts_nor_checks(acme: Project) -> None:
    strict = a_metric("strict", event_name="tokens", expected_labels=["region"])
    recorded(an_event(labels={"region": "eu"}, quantity="5"))

    archive_metric(strict)

    assert outcomes(recorded(an_event(quantity="7"))) == ["created"]
    assert total_of("strict") == 5
    assert total_of("tokens") == 12


def test_an_event_whose_metrics_are_all_archived_is_rejected(acme: Project) -> None:
    archive_metric(a_metric("calls"))

    assert rejection(an_event(event_name="calls")) == ("metric_archived", "event_name")
    assert rejection(an_event(event_name=None, metric_key="calls")) == ("metric_archived", "metric_key")


def test_metric_key_stands_for_the_metrics_event_name(acme: Project) -> None:
    a_metric("input-tokens", event_name="llm", value_property="input")
    a_metric("output-tokens", event_name="llm", value_property="output")

    recorded(an_event(event_name=None, metric_key="input-tokens", labels={"input": 3, "output": 4}))

    assert ledger_rows("event_name") == [("llm",)]
    assert [total_of("input-tokens"), total_of("output-tokens")] == [3, 4]


def test_metric_key_and_event_name_must_not_contradict_each_other(acme: Project) -> None:
    a_metric("calls", event_name="http")

    assert rejection(an_event(event_name="tokens", metric_key="calls")) == ("invalid_field", "event_name")
    assert outcomes(recorded(an_event(event_name="http", metric_key="calls"))) == ["created"]


def test_metric_key_rejects_what_that_metric_would_not_count(acme: Project) -> None:
    a_metric("eu", event_name="tokens", event_label_filter={"region": "eu"})

    assert rejection(an_event(event_name=None, metric_key="eu", labels={"region": "us"})) == (
        "invalid_field",
        "metric_key",
    )
    assert outcomes(recorded(an_event(event_name=None, metric_key="eu", labels={"region": "eu"}))) == [
        "created"
    ]


def test_a_gauge_may_go_down(acme: Project) -> None:
    a_metric("disk", meter_type="gauge", aggregation="LATEST")

    recorded(an_event(event_name="disk", quantity="-3"))

    assert total_of("disk") == -3


# -- who may name which project ---------------------------------------------------------------------------


def principal_of(project: Project) -> Principal:
    return Principal(
        name="key", permissions=frozenset({"ingest"}), project_id=project.pk, project_path=project.path
    )


def test_a_key_names_its_own_project_by_leaving_it_out(acme: Project) -> None:
    recorded(an_event(project=None), principal=principal_of(acme))

    assert ledger_rows("project__key") == [("acme",)]


def test_a_key_with_projects_below_must_name_one(acme: Project) -> None:
    below = a_project("below", parent=acme)

    assert rejection(an_event(project=None), principal=principal_of(acme)) == ("missing_field", "project")
    assert outcomes(recorded(an_event(below), principal=principal_of(acme))) == ["created"]


def test_what_a_key_does_not_see_does_not_exist(acme: Project) -> None:
    a_project("other")
    below = a_project("below", parent=acme)

    assert rejection(an_event("other"), principal=principal_of(acme)) == ("unknown_project", "project")
    assert rejection(an_event("acme"), principal=principal_of(below)) == ("unknown_project", "project")


def test_a_project_made_a_moment_ago_is_found(acme: Project) -> None:
    recorded(an_event("acme"))
    a_project("new")

    assert outcomes(recorded(an_event("new"))) == ["created"]


def test_a_surface_is_looked_up_in_the_events_project(acme: Project) -> None:
    surface = install_surface(project=acme, key="bot", name="Bot")
    a_project("other")

    assert rejection(an_event("other", surface="bot")) == ("invalid_field", "surface")
    recorded(an_event(surface="bot"))
    assert ledger_rows("surface") == [(surface.pk,)]


# -- the same content -------------------------------------------------------------------------------------

SENT = {
    "id": "e-1",
    "project": "acme",
    "event_name": "tokens",
    "subject_type": "user",
    "subject_id": "ada",
    "quantity": "1.5",
    "occurred_at": "2024-05-15T12:00:00.123456Z",
    "labels": {"region": "eu", "n": 100, "nested": {"a": 1, "b": 2}},
}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"quantity": 1.5},
        {"quantity": "1.50"},
        {"quantity": "15e-1"},
        {"occurred_at": "2024-05-15T14:00:00.123456+02:00"},
        {"occurred_at": "2024-05-15t12:00:00.1234569z"},
        {"occurred_at": dt.datetime(2024, 5, 15, 12, 0, 0, 123_456, tzinfo=dt.UTC)},
        {"labels": {"nested": {"b": 2, "a": 1}, "n": 100, "region": "eu"}},
        {"labels": {**SENT["labels"], "n": Decimal("100.0")}},
        {"labels": {**SENT["labels"], "n": Decimal("1E+2")}},
        {"labels": {**SENT["labels"], "n": 100.0}},
        {"labels": {**SENT["labels"], "nested": {"a": Decimal("1.00"), "b": 2}}},
        {"event_name": None, "metric_key": "tokens"},
        {"metric_key": "tokens"},
        {"source": "api"},
        {"id": None, "eventId": "e-1"},
        {"project": None, "orgId": "acme", "subject_id": None, "subjectId": "ada"},
        {"labels": None, "metadata": SENT["labels"]},
        {"occurred_at": None, "timestamp": "2024-05-15T12:00:00.123456Z"},
    ],
    ids=str,
)
def test_the_same_content_in_other_words_exists(acme: Project, overrides: dict[str, Any]) -> None:
    [created] = recorded(SENT)

    [repeated] = recorded({name: value for name, value in {**SENT, **overrides}.items() if value is not None})

    assert (created.outcome, repeated.outcome) == ("created", "exists")
    assert repeated.id == created.id
    assert UsageEvent.objects.count() == 1
    assert total_of("tokens") == Decimal("1.5")


@pytest.mark.parametrize(
    "overrides",
    [
        {"quantity": "1.6"},
        {"quantity": None},
        {"event_name": "calls"},
        {"subject_type": "team"},
        {"subject_id": "bob"},
        {"subject_id": None},
        {"occurred_at": "2024-05-15T12:00:00.123457Z"},
        {"occurred_at": "2024-05-15T12:00:00.123456+02:00"},
        {"occurred_at": None},
        {"labels": {**SENT["labels"], "region": "us"}},
        {"labels": {**SENT["labels"], "n": "100"}},
        {"labels": {**SENT["labels"], "extra": None}},
        {"labels": {"region": "eu"}},
        {"labels": None},
        {"surface": "bot"},
    ],
    ids=str,
)
def test_other_content_under_the_same_key_is_a_conflict(acme: Project, overrides: dict[str, Any]) -> None:
    a_metric("calls")
    install_surface(project=acme, key="bot", name="Bot")
    [created] = recorded(SENT)
    before = ledger_rows("id", "quantity", "labels", "digest")
    other = {name: value for name, value in {**SENT, **overrides}.items() if value is not None}

    with pytest.raises(EventsConflict) as caught:
        recorded(other)
    [skipped] = recorded(other, on_error="skip")

    assert [(error.index, error.code, error.field) for error in caught.value.errors] == [
        (0, "conflict", "id")
    ]
    assert (skipped.outcome, skipped.id, skipped.code) == ("conflict", created.id, "conflict")
    assert ledger_rows("id", "quantity", "labels", "digest") == before
    assert total_of("tokens") == Decimal("1.5")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"labels": {}}, {"labels": None}),
        ({"quantity": "1"}, {"quantity": None}),
        ({"subject_type": "ab", "subject_id": "c"}, {"subject_type": "a", "subject_id": "bc"}),
        ({"subject_type": "a"}, {"subject_id": "a"}),
        ({"labels": {"a": 1}}, {"labels": {"a": True}}),
        ({"labels": {"a": None}}, {"labels": {"a": "null"}}),
        ({"labels": {"a": []}}, {"labels": {"a": {}}}),
    ],
    ids=str,
)
def test_absent_differs_from_empty_and_each_member_from_the_next(
    acme: Project, one: dict[str, Any], other: dict[str, Any]
) -> None:
    recorded(an_event(id="e-1", **one))

    with pytest.raises(EventsConflict):
        recorded(an_event(id="e-1", **other))


def test_the_key_is_project_source_and_id(acme: Project) -> None:
    a_project("other")
    recorded(an_event("acme", id="e-1", quantity="1"))

    assert outcomes(recorded(an_event("other", id="e-1", quantity="2"))) == ["created"]
    assert outcomes(recorded(an_event("acme", id="e-1", source="app", quantity="3"))) == ["created"]
    assert outcomes(recorded(an_event("acme", id="E-1", quantity="4"))) == ["created"]


def test_a_replay_after_the_attribution_changed_exists(acme: Project) -> None:
    below = a_project("below", parent=acme)
    [created] = recorded(an_event(below, id="e-1"))
    attribute(below, payer=acme)

    [repeated] = recorded(an_event(below, id="e-1"))

    assert (repeated.outcome, repeated.id) == ("exists", created.id)
    assert ledger_rows("billing_scope__key") == [("below",)]


def test_the_stored_digest_is_32_bytes_and_differs_by_content(acme: Project) -> None:
    recorded(an_event(quantity="1"), an_event(quantity="1"), an_event(quantity="2"))

    one, same, other = (bytes(digest) for (digest,) in ledger_rows("digest"))
    assert len(one) == 32
    assert one == same
    assert one != other


def test_labels_are_stored_as_they_are_compared(acme: Project) -> None:
    raw(
        '{"project": "acme", "event_name": "tokens",'
        ' "labels": {"b": 1.50, "a": 1e2, "c": 12345678901234567890.5}}'
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT labels::text FROM metering_usageevent")
        assert json.loads(cursor.fetchone()[0], parse_float=Decimal) == {
            "a": 100,
            "b": Decimal("1.5"),
            "c": Decimal("12345678901234567890.5"),
        }
