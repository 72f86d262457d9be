"""An object that names a member twice is found, wherever it lies and however the name is spelled."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.errors import EventError
from metering.recording.intake import (
    MAX_EVENTS,
    MalformedBody,
    parse_binary_cloudevent,
    parse_cloudevents,
    parse_native,
)
from metering.recording.repeated_members import members_in, most_members_in, repeated_member


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": 1, "b": 2, "a": 3}', "a"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"é": 1, "\\u00e9": 2}', "é"),
        ('{"😀": 1, "\\ud83d\\ude00": 2}', "😀"),
        ('{"": 1, "": 2}', ""),
        ('{"\\"": 1, "\\u0022": 2}', '"'),
        ('{"a": {"b": 1, "b": 2}}', "a.b"),
        ('{"a": [1, {"b": 1}, {"c": {"d": 1, "d": 2}}]}', "a.c.d"),
        ('[{"a": 1}, {"a": 1, "a": 2}]', "a"),
        ('{"a": {"b": 1, "b": 2}, "c": 1, "c": 2}', "c"),
        ('{"a": {"b": 1, "b": 2}, "a": 1}', "a"),
        ('{"\\ud800": 1, "\\ud800": 2}', "?"),
        ('{"a": ' + "9" * 5_000 + ', "a": 1e99999}', "a"),
        ('{"a": 1, "A": 2, "a ": 3}', None),
        ('{"é": 1, "e\\u0301": 2}', None),
        ('{"a": {"a": {"a": 1}}}', None),
        ('[{"a": 1}, {"a": 1}]', None),
        ('{"a": "a", "b": "\\"a\\": 1, \\"a\\": 2"}', None),
        ('"{\\"a\\": 1, \\"a\\": 2}"', None),
        ("{}", None),
        ("5", None),
    ],
)
def test_the_outermost_repetition_is_named_by_its_path(text: str, path: str | None) -> None:
    assert repeated_member(text.encode()) == path


def test_members_are_counted_at_any_depth() -> None:
    assert members_in({"a": 1, "b": {"c": [1, {"d": [{"e": 2}, []]}]}}) == 5
    assert members_in([]) == members_in(5) == members_in(None) == 0
    deep: Any = 1
    for _ in range(5_000):
        deep = [{"a": deep}]
    assert members_in(deep) == 5_000


# -- against a naive reading -------------------------------------------------------------------------------


def naively_repeated(text: str) -> bool:
    """Whether an object of the text repeats a name."""
    found = []

    def hook(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        found.append(any(names.count(name) > 1 for name in names))

    json.loads(text, object_pairs_hook=hook)
    return any(found)


names = st.sampled_from(["a", "b", "ab", 'q"', "c:", '":', '" :', "é", "\\", "\n", ""])
blanks = st.sampled_from(["", "", " ", "\n", "\t ", "\r\n"])
spellings = st.sampled_from(["plain", "ascii", "escaped"])


def spelled(text: str, how: str) -> str:
    if how == "escaped":
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'
    return json.dumps(text, ensure_ascii=how == "ascii")


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON in any spelling, with blanks anywhere, and names that collide often."""
    kind = draw(st.sampled_from(["object", "array", "scalar"] if depth else ["scalar"]))
    if kind == "scalar":
        return draw(
            st.sampled_from(["1", "-2.5e3", "null", "true"])
            | st.builds(spelled, names | st.text(max_size=4), spellings).filter(lambda t: "\\ud" not in t)
        )
    inner = json_texts(depth=depth - 1)
    blank = lambda: draw(blanks)  # noqa: E731
    if kind == "array":
        values = draw(st.lists(inner, max_size=3))
        return "[" + ",".join(f"{blank()}{value}{blank()}" for value in values) + "]"
    pairs = draw(st.lists(st.tuples(st.builds(spelled, names, spellings), inner), max_size=4))
    return (
        "{" + ",".join(f"{blank()}{name}{blank()}:{blank()}{value}{blank()}" for name, value in pairs) + "}"
    )


@hypothesis_settings(max_examples=500)
@given(json_texts())
def test_repetitions_are_those_of_a_naive_reading(text: str) -> None:
    assert (repeated_member(text.encode()) is not None) == naively_repeated(text)


@hypothesis_settings(max_examples=500)
@given(json_texts())
def test_the_quick_count_never_hides_a_repetition(text: str) -> None:
    most, kept = most_members_in(text.encode()), members_in(msgspec.json.decode(text))

    assert most >= kept
    if naively_repeated(text):
        assert most > kept


@hypothesis_settings(max_examples=300)
@given(st.lists(json_texts(), max_size=4), st.booleans(), st.sampled_from(["labels", "metadata"]))
def test_a_batch_refuses_exactly_the_events_that_repeat_a_member(
    labels: list[str], has_blanks: bool, member: str
) -> None:
    blank = " \n" if has_blanks else ""
    objects = [text for text in labels if text.startswith("{")]
    body = ",".join(f'{{"id"{blank}:"e",{blank}"{member}":{text}}}' for text in objects)

    items, _ = parse_native(f"[{body}]".encode())

    assert [isinstance(item, EventError) for item in items] == [naively_repeated(text) for text in objects]


# -- in events ---------------------------------------------------------------------------------------------


def errors_in(text: str) -> list[tuple[int, str, str | None]]:
    items, _ = parse_native(text.encode())
    return [(item.index, item.code, item.field) for item in items if isinstance(item, EventError)]


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        ('{"id": "a", "id": "b"}', "invalid_field", "id"),
        ('{"id": "a", "\\u0069d": "a"}', "invalid_field", "id"),
        ('{"quantity": 1, "quantity": 1}', "invalid_field", "quantity"),
        ('{"quantity": 1, "quantity": null}', "invalid_field", "quantity"),
        ('{"quantity": null, "quantity": null}', "invalid_field", "quantity"),
        ('{"surface": null, "surface": null}', "invalid_field", "surface"),
        ('{"occurred_at": "x", "occurred_at": "y"}', "invalid_field", "occurred_at"),
        ('{"labels": {}, "labels": {}}', "invalid_field", "labels"),
        ('{"labels": {"a": 1, "a": 1}}', "invalid_label", "labels.a"),
        ('{"labels": {"a": 1, "\\u0061": 2}}', "invalid_label", "labels.a"),
        ('{"labels": {"a": {"b": [{"c": 1, "c": 2}]}}}', "invalid_label", "labels.a.b.c"),
        ('{"metadata": {"a": 1, "a": 2}}', "invalid_label", "metadata.a"),
        ('{"eventId": "a", "eventId": "a"}', "invalid_field", "eventId"),
        ('{"unknown": 1, "unknown": 2}', "invalid_field", "unknown"),
        ('{"quantity": {"a": 1, "a": 2}}', "invalid_field", "quantity.a"),
        ('{"metric_key": "m", "metricKey": "m"}', "invalid_field", "metricKey"),
        ('{"eventId": "a", "id": "a"}', "invalid_field", "id"),
        ('{"id": 5, "id": "a"}', "invalid_field", "id"),
    ],
)
def test_a_member_sent_twice_is_named(event: str, code: str, field: str) -> None:
    assert errors_in(event) == [(0, code, field)]
    assert errors_in(f'[{{"id": "x"}}, {event}, {{"labels": {{"a": 1}}}}, {event}]') == [
        (1, code, field),
        (3, code, field),
    ]


@pytest.mark.parametrize(
    "event",
    [
        '{"id": "\\"id\\": 1, \\"id\\": 2"}',
        '{"labels": {"a": "\\":\\":\\" :"}}',
        '{"labels": {"\\":": 1, "a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}}',
        '{"id": null, "surface": null, "quantity": null, "labels": null}',
        '{"id" : "a", "labels"\n:\t{"a" \r\n : 1}}',
        '{"timestamp": null, "occurred_at": "2024-05-15T12:00:00Z"}',
    ],
)
def test_what_only_looks_like_a_repetition_is_taken(event: str) -> None:
    assert errors_in(event) == []
    assert errors_in(f"[{event}, {event}]") == []


def test_a_long_name_is_cut_where_it_is_named() -> None:
    name = "n" * 300

    assert errors_in(f'{{"{name}": 1, "{name}": 2}}') == [(0, "invalid_field", "n" * 255 + "…")]


def test_the_last_of_a_full_batch_is_found() -> None:
    body = "[" + ",".join(['{"id": "a"}'] * (MAX_EVENTS - 1)) + ', {"id": "a", "id": "a"}]'

    assert errors_in(body) == [(MAX_EVENTS - 1, "invalid_field", "id")]


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ('"id": "a", "id": "b"', "invalid_field", "id"),
        ('"id": "a", "data": {"a": 1, "a": 2}', "invalid_label", "data.a"),
        ('"id": "a", "ext": 1, "ext": 2', "invalid_field", "ext"),
        ('"id": "a", "ext": {"x": 1, "x": 2}', "invalid_field", "ext.x"),
    ],
)
def test_a_cloudevent_is_held_to_the_same(members: str, code: str, field: str) -> None:
    event = f'{{"specversion": "1.0", "source": "s", "type": "t", {members}}}'.encode()

    [structured] = parse_cloudevents(event, batch=False)
    [batched] = parse_cloudevents(b"[" + event + b"]", batch=True)

    assert structured == batched
    assert (structured.code, structured.field) == (code, field)


def test_the_data_of_a_binary_cloudevent_is_held_to_the_same() -> None:
    attributes = {"specversion": "1.0", "id": "a", "source": "s", "type": "t"}

    [item] = parse_binary_cloudevent(attributes, b'{"a": {"b": 1, "b": 2}}')

    assert (item.code, item.field) == ("invalid_label", "data.a.b")


@pytest.mark.parametrize("levels", [300, 450, 600, 900, 1_200, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a" :', "}"), ('[{"a":', "}]")])
def test_depth_breaks_nothing(levels: int, opening: str, closing: str) -> None:
    event = '{"labels": {"a": ' + opening * levels + "1" + closing * levels + "}, "
    for body in (event + '"id": "a"}', event + '"surface": null}', event + '"id": "a", "id": "a"}'):
        for text in (body, f"[{body}]"):
            try:
                [item], _ = parse_native(text.encode())
            except MalformedBody:
                continue
            assert ('"id": "a", "id"' in text) == isinstance(item, EventError)
