"""From request bodies to events: shape only."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.errors import EventError
from metering.recording.intake import (
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    MAX_LABEL_DEPTH,
    MAX_LABELS,
    BatchTooLarge,
    EventInput,
    MalformedBody,
    events_from,
    labels_text,
    parse_binary_cloudevent,
    parse_cloudevents,
    parse_native,
)


def parsed(text: str | dict | list) -> list[EventInput | EventError]:
    body = text if isinstance(text, str) else json.dumps(text)
    return parse_native(body.encode())[0]


def only(text: str | dict) -> EventInput:
    [item] = parsed(text)
    assert isinstance(item, EventInput), item
    return item


def error(text: str | dict) -> tuple[str, str | None]:
    [item] = parsed(text)
    assert isinstance(item, EventError), item
    return item.code, item.field


def test_the_limits_are_those_of_the_contract() -> None:
    assert MAX_EVENTS == 10_000
    assert MAX_BODY_BYTES == 10 * 1024 * 1024
    assert MAX_EVENT_BYTES == 64 * 1024
    assert MAX_LABELS == 100
    assert MAX_LABEL_DEPTH == 8


def test_every_member_of_an_event_is_read() -> None:
    event = only(
        {
            "id": "e-1",
            "source": "app",
            "project": "acme",
            "event_name": "tokens",
            "metric_key": "tokens",
            "subject_type": "user",
            "subject_id": "ada",
            "quantity": "1.50",
            "occurred_at": "2024-05-15T12:00:00Z",
            "labels": {"region": "eu"},
            "surface": "bot",
        }
    )

    assert (event.id, event.source, event.project, event.event_name) == ("e-1", "app", "acme", "tokens")
    assert (event.metric_key, event.subject_type, event.subject_id) == ("tokens", "user", "ada")
    assert (event.occurred_at, event.labels, event.surface) == (
        "2024-05-15T12:00:00Z",
        {"region": "eu"},
        "bot",
    )


def test_one_object_and_an_array_are_told_apart() -> None:
    assert parse_native(b' \n {"id": "e-1"}')[1] is True
    assert parse_native(b' \n [{"id": "e-1"}]')[1] is False
    assert parse_native(b"[]") == ([], False)


@pytest.mark.parametrize(
    ("alias", "member", "value"),
    [
        ("event_id", "id", "e-1"),
        ("eventId", "id", "e-1"),
        ("eventName", "event_name", "tokens"),
        ("metricKey", "metric_key", "tokens"),
        ("projectId", "project", "acme"),
        ("orgId", "project", "acme"),
        ("subjectType", "subject_type", "user"),
        ("subjectId", "subject_id", "ada"),
        ("occurredAt", "occurred_at", "2024-05-15T12:00:00Z"),
        ("timestamp", "occurred_at", "2024-05-15T12:00:00Z"),
        ("metadata", "labels", {"region": "eu"}),
    ],
)
def test_an_alias_means_its_member(alias: str, member: str, value: Any) -> None:
    assert only({alias: value}) == only({member: value})


def test_two_spellings_of_one_member_are_refused() -> None:
    assert error({"timestamp": "2024-05-15T12:00:00Z", "occurred_at": "2024-05-15T12:00:00Z"}) == (
        "invalid_field",
        "occurred_at",
    )


def test_null_means_absent() -> None:
    nothing = only({})

    assert only({"id": None, "labels": None, "quantity": None, "eventId": None}) == nothing


def test_an_unknown_member_is_named() -> None:
    assert error({"quantitty": 5}) == ("invalid_field", "quantitty")
    assert error({"q" * 300: 5}) == ("invalid_field", "q" * 255 + "…")


@pytest.mark.parametrize(
    ("member", "longest"),
    [
        ("id", 255),
        ("source", 255),
        ("subject_type", 255),
        ("subject_id", 255),
        ("event_name", 200),
        ("metric_key", 100),
        ("project", 100),
        ("surface", 100),
    ],
)
def test_names_have_their_limits(member: str, longest: int) -> None:
    assert getattr(only({member: "é" * longest}), member) == "é" * longest
    assert error({member: "é" * (longest + 1)}) == ("invalid_field", member)
    assert error({member: ""}) == ("invalid_field", member)
    assert error({member: 5}) == ("invalid_field", member)
    assert error({member: ["a"]}) == ("invalid_field", member)


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("occurred_at", 1715774400, "invalid_timestamp"),
        ("timestamp", {"s": 1}, "invalid_timestamp"),
        ("labels", ["region"], "invalid_label"),
        ("metadata", "region", "invalid_label"),
        ("labels", 5, "invalid_label"),
    ],
)
def test_a_member_of_the_wrong_type_is_named_as_it_was_sent(member: str, value: Any, code: str) -> None:
    assert error({member: value}) == (code, member)


def test_an_error_in_one_event_hides_none_in_the_others() -> None:
    items = parsed([{"id": "good"}, {"id": 5}, {"bad": 1}, "text", {"event_id": "good too"}, None])

    assert [(item.code, item.field) if isinstance(item, EventError) else item.id for item in items] == [
        "good",
        ("invalid_field", "id"),
        ("invalid_field", "bad"),
        ("invalid_field", None),
        "good too",
        ("invalid_field", None),
    ]
    assert [item.index for item in items if isinstance(item, EventError)] == [1, 2, 3, 5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"[{]",
        b"{'id': 1}",
        b'{"id": "a"} trailing',
        b'{"id": NaN}',
        b'{"quantity": NaN}',
        b'[{"quantity": Infinity}]',
        b'{"quantity": 1_000}',
        b'{"quantity": 0x10}',
        b'{"quantity": 01}',
        '{"quantity": ٣}'.encode(),
        b"\xff\xfe",
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b'[{"labels": {"a": "\\ud800"}}]',
        b"[" * 100_000,
        b'{"labels": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'[{"labels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_native(body)


@pytest.mark.parametrize("body", ["5", '"text"', "null", "true"])
def test_json_that_is_no_object_is_an_invalid_event(body: str) -> None:
    assert error(body) == ("invalid_field", None)


def test_ten_thousand_events_are_taken_and_one_more_is_not() -> None:
    assert len(parse_native(b"[" + b",".join([b"{}"] * 10_000) + b"]")[0]) == 10_000
    with pytest.raises(BatchTooLarge):
        parse_native(b"[" + b",".join([b"{}"] * 10_001) + b"]")
    with pytest.raises(BatchTooLarge):
        parse_native(b"[" + b",".join([b'{"bad": 1}'] * 10_001) + b"]")
    with pytest.raises(BatchTooLarge):
        events_from([{}] * 10_001)
    with pytest.raises(BatchTooLarge):
        parse_cloudevents(b"[" + b",".join([b"{}"] * 10_001) + b"]", batch=True)


def test_label_numbers_are_exact() -> None:
    event = only('{"labels": {"a": 0.1, "b": 12345678901234567890123, "c": 1.0, "d": 1e2, "e": 7}}')

    assert event.labels == {
        "a": Decimal("0.1"),
        "b": Decimal("12345678901234567890123"),
        "c": Decimal(1),
        "d": Decimal(100),
        "e": 7,
    }


@pytest.mark.parametrize("number", ["9" * 5_000, "0." + "1" * 200, "1e" + "9" * 30])
@pytest.mark.parametrize("body", ['{{"labels": {{"a": {}}}}}', '[{{"labels": {{"a": {{"b": {}}}}}}}]'])
def test_a_monstrous_number_in_labels_is_refused(number: str, body: str) -> None:
    try:
        [item] = parsed(body.format(number))
    except MalformedBody:
        return  # beyond what the decoder itself takes for a number

    assert isinstance(item, EventError)
    assert (item.code, item.field) == ("invalid_label", "labels")


def test_labels_are_spelt_in_one_way() -> None:
    one = only('{"labels": {"b": 1.50, "a": {"y": 1, "x": "é"}}}').labels
    other = only('{"labels": {"a": {"x": "\\u00e9", "y": 1}, "b": 1.50}}').labels

    assert labels_text(one) == labels_text(other) == '{"a":{"x":"é","y":1},"b":1.50}'.encode()


# -- in process -------------------------------------------------------------------------------------------


def test_events_in_process_may_hold_decimals_and_datetimes() -> None:
    instant = dt.datetime(2024, 5, 15, 14, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    [event] = events_from(
        [{"quantity": Decimal("0.10"), "occurred_at": instant, "labels": {"n": Decimal("0.1")}}]
    )

    assert bytes(event.quantity) == b"0.10"
    assert event.occurred_at == "2024-05-15T14:30:00+02:00"
    assert event.labels == {"n": Decimal("0.1")}


# -- CloudEvents ------------------------------------------------------------------------------------------

CLOUDEVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/app",
    "type": "tokens",
    "subject": "ada",
    "time": "2024-05-15T12:00:00Z",
    "project": "acme",
    "data": {"region": "eu"},
}


def cloudevent(**overrides: Any) -> EventInput | EventError:
    members = {name: value for name, value in {**CLOUDEVENT, **overrides}.items() if value is not None}
    [item] = parse_cloudevents(json.dumps(members).encode(), batch=False)
    return item


def test_a_cloudevent_becomes_the_event_that_it_spells() -> None:
    assert cloudevent() == only(
        {
            "id": "e-1",
            "source": "/app",
            "project": "acme",
            "event_name": "tokens",
            "subject_id": "ada",
            "occurred_at": "2024-05-15T12:00:00Z",
            "labels": {"region": "eu"},
        }
    )


def test_the_three_modes_of_cloudevents_read_alike() -> None:
    body = json.dumps(CLOUDEVENT).encode()
    attributes = {name: value for name, value in CLOUDEVENT.items() if name != "data"}

    structured = parse_cloudevents(body, batch=False)
    batched = parse_cloudevents(b"[" + body + b"]", batch=True)
    binary = parse_binary_cloudevent(attributes, b'{"region": "eu"}')

    assert structured == batched == binary == [cloudevent()]


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_a_cloudevent_needs_its_required_attributes(name: str) -> None:
    item = cloudevent(**{name: None})

    assert (item.code, item.field) == ("missing_field", name)


@pytest.mark.parametrize(
    ("overrides", "code", "field"),
    [
        ({"specversion": "0.3"}, "invalid_field", "specversion"),
        ({"data_base64": "e30="}, "invalid_field", "data_base64"),
        ({"data": "text"}, "invalid_label", "data"),
        ({"data": [1]}, "invalid_label", "data"),
        ({"time": 5}, "invalid_timestamp", "time"),
        ({"type": ""}, "invalid_field", "type"),
        ({"subject": "x" * 256}, "invalid_field", "subject"),
        ({"id": 5}, "invalid_field", "id"),
    ],
)
def test_an_error_in_a_cloudevent_is_named_in_its_words(
    overrides: dict[str, Any], code: str, field: str
) -> None:
    item = cloudevent(**overrides)

    assert (item.code, item.field) == (code, field)


def test_unknown_extension_attributes_are_ignored() -> None:
    assert cloudevent(traceparent="00-abc", dataschema="https://example.com", whatever=5) == cloudevent()


def test_a_binary_cloudevent_without_a_body_has_no_labels() -> None:
    attributes = {name: value for name, value in CLOUDEVENT.items() if name != "data"}

    [item] = parse_binary_cloudevent(attributes, b"")

    assert item.labels is None
    with pytest.raises(MalformedBody):
        parse_binary_cloudevent(attributes, b"{")


def test_a_batch_of_cloudevents_is_an_array() -> None:
    with pytest.raises(MalformedBody, match="JSON array"):
        parse_cloudevents(b"{}", batch=True)
    with pytest.raises(MalformedBody):
        parse_cloudevents(b"[{]", batch=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from([*EventInput.__struct_fields__, "eventId", "metadata", "timestamp", "other"])


@hypothesis_settings(max_examples=300)
@given(st.binary(max_size=60) | st.lists(st.dictionaries(members, json_values, max_size=4), max_size=3))
def test_no_body_breaks_the_parser(content: bytes | list) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    for parse in (parse_native, lambda raw: (parse_cloudevents(raw, batch=True), False)):
        try:
            items, _ = parse(body)
        except (MalformedBody, BatchTooLarge):
            continue
        assert all(isinstance(item, EventInput | EventError) for item in items)
        assert len(items) == (len(content) if isinstance(content, list) else len(items))
