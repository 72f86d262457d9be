"""Whatever is sent, the answer is no server error, and nothing is written by halves."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.models import Fence, UsageEvent
from tests.factories import NOON, a_metric, an_event, at
from tests.metering.api.callers import Caller, nothing_stays, row_counts
from tests.metering.api.refusing import MEDIA_TYPES, PARAMETERS, READS, assert_refused, raw_event, read

pytestmark = pytest.mark.django_db


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
members = st.sampled_from(
    [
        "id",
        "source",
        "project",
        "event_name",
        "metric_key",
        "subject_type",
        "subject_id",
        "quantity",
        "occurred_at",
        "labels",
        "surface",
        "timestamp",
        "metadata",
        "eventId",
        "projectId",
        "colour",
    ]
)
plausible = st.sampled_from(
    [
        "acme",
        "chat",
        "tenant",
        "tokens",
        "1",
        "-1",
        1,
        0.5,
        NOON,
        "2099-01-01T00:00:00Z",
        "e1",
        {"a": 1},
        {},
        None,
        "",
    ]
)
mutated = st.dictionaries(members, plausible | json_values, max_size=5).map(
    lambda changes: {"id": "e1", "project": "acme", "event_name": "tokens", **changes}
)
cloudevents = st.dictionaries(
    st.sampled_from(
        ["specversion", "id", "source", "type", "subject", "time", "data", "project", "data_base64"]
    ),
    plausible | json_values,
    max_size=5,
).map(
    lambda changes: {
        "specversion": "1.0",
        "id": "e1",
        "source": "s",
        "type": "tokens",
        "project": "acme",
        **changes,
    }
)


@pytest.fixture
def fuzzed(acme, api):
    a_metric(
        "grouped", event_name="tokens", primary_labels=["a"], event_label_filter={"a": {"$exists": True}}
    )
    a_metric("valued", event_name="tokens", value_property="a", event_label_filter={"a": {"$gte": 1}})
    # Beyond whatever `as_of` asks for: a new fence would wait for this test's own transaction.
    Fence.objects.create(position=10**18, fenced_at=at("2100-01-01T00:00:00Z"))
    return api


@settings(max_examples=200)
@given(
    body=json_values
    | mutated
    | st.lists(mutated | json_values, max_size=4)
    | cloudevents
    | st.lists(cloudevents, max_size=3),
    media_type=st.sampled_from(MEDIA_TYPES),
    query=st.sampled_from(["", "?on_error=skip", "?enforce=false"]),
)
@example(
    body={"id": "e1", "project": "acme", "event_name": "tokens", "labels": {"a": 10**250 + 1}},
    media_type="application/json",
    query="",
)
def test_no_body_makes_the_server_fail_or_write_half(fuzzed, body, media_type, query):
    with nothing_stays():
        answer = fuzzed.post(f"/usage-events/{query}", json.dumps(body), content_type=media_type)

        created = 0
        if answer.status_code < 300:
            created = sum(result["outcome"] == "created" for result in answer.json()["results"])
            assert answer.status_code == (201 if created else 200)
        else:
            assert_refused(answer)
        assert UsageEvent.objects.count() == created


@settings(max_examples=100)
@example(cut=15, noise=b"\x80", media_type="application/json")
@given(cut=st.integers(0, 200), noise=st.binary(max_size=6), media_type=st.sampled_from(MEDIA_TYPES))
def test_no_damage_to_a_body_makes_the_server_fail(fuzzed, cut, noise, media_type):
    body = json.dumps(
        [an_event("acme", id="e1", labels={"a": "ü\t", "b": [1.5, None]}, quantity="1.5")]
    ).encode()

    with nothing_stays():
        answer = fuzzed.post("/usage-events/", body[:cut] + noise + body[cut + 1 :], content_type=media_type)

        if answer.status_code == 201:
            assert UsageEvent.objects.count() == 1
        else:
            assert_refused(answer)
            assert row_counts() == (0, 0)


@settings(max_examples=100)
@given(
    path=st.sampled_from([path for path in READS if "?" not in path]),
    parameters=st.dictionaries(
        st.sampled_from(sorted({name for names in PARAMETERS.values() for name in names})),
        st.text(max_size=12) | plausible.filter(lambda value: isinstance(value, str)),
        max_size=3,
    ),
)
def test_no_question_makes_the_server_fail(fuzzed, path, parameters):
    with nothing_stays():
        answer = read(
            fuzzed, path, **{name: text.encode("utf-8", "replace") for name, text in parameters.items()}
        )

        assert answer.status_code < 500, (answer.content, parameters)


def test_key_of_a_test_is_not_what_refuses(acme):
    """The negative control of the tests of bad input: the same caller records what is well-formed."""
    assert Caller(acme).post("/usage-events/", raw_event(quantity="1")).status_code == 201
    assert row_counts() == (1, 1)
