"""Bodies that can't be read are refused with the reason, and nothing is written."""

import pytest

from metering.models import MetricDefinition
from tests.factories import an_event
from tests.metering.api.refusing import DEEP, MEDIA_TYPES, raw_event, surprises_among

pytestmark = pytest.mark.django_db


BODIES = {
    "empty": b"",
    "blank": b" \n",
    "word": b"hello",
    "truncated object": b'{"project": "acme", "event_name": "tok',
    "truncated array": b'[{"project": "acme", "event_name": "tokens"},',
    "trailing comma": b'[{"project": "acme", "event_name": "tokens"},]',
    "two documents": b'{"project": "acme", "event_name": "tokens"}{}',
    "comment": b'{"project": "acme", /* x */ "event_name": "tokens"}',
    "single quotes": b"{'project': 'acme'}",
    "invalid UTF-8": b'{"project": "acme", "event_name": "tokens", "id": "\xff"}',
    "invalid UTF-8 in a label": b'{"project": "acme", "event_name": "tokens", "labels": {"\xc3\x28": 1}}',
    "UTF-8 of a surrogate": b'{"project": "acme", "event_name": "tokens", "id": "\xed\xa0\x80"}',
    "UTF-16": '{"project": "acme", "event_name": "tokens"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"project": "acme", "event_name": "tokens"}',
    "NUL byte": b'{"project": "acme", "event_name": "tokens", "id": "\x00"}',
    "control character": b'{"project": "acme", "event_name": "tokens", "id": "\x01"}',
    "null": b"null",
    "number": b"5",
    "text": b'"event"',
    "true": b"true",
    "empty object": b"{}",
    "array of arrays": b"[[]]",
    "array of null": b"[null]",
    "deep array": b"[" * DEEP + b"]" * DEEP,
    "deep array, open": b"[" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep labels": raw_event(labels='{"a": ' + "[" * DEEP + "]" * DEEP + "}").encode(),
    "deep labels, objects": raw_event(labels='{"a":' * DEEP + "1" + "}" * DEEP).encode(),
    "deep labels beside a NUL": raw_event(id='"\\u0000"', labels='{"a":' * 900 + "1" + "}" * 900).encode(),
    "NUL below deep labels": raw_event(labels='{"a":' * 500 + '"\\u0000"' + "}" * 500).encode(),
    "deep quantity": raw_event(quantity="[" * DEEP + "]" * DEEP).encode(),
    "deep id": raw_event(id="[" * DEEP + "]" * DEEP).encode(),
    "deep unknown member": raw_event(unknown="[" * DEEP + "]" * DEEP).encode(),
    "deep in a batch": b"[" + raw_event(labels='{"a":' * DEEP + "1" + "}" * DEEP).encode() + b"]",
    "5,000 digits in a label": raw_event(labels='{"a": ' + "9" * 5000 + "}").encode(),
    "1e400 in a label": raw_event(labels='{"a": 1e400}').encode(),
    "1e-400 in a label": raw_event(labels='{"a": 1e-400}').encode(),
    "labels as array": raw_event(labels="[1]").encode(),
    "labels as text": raw_event(labels='"{}"').encode(),
    "id as number": raw_event(id="5").encode(),
    "project as object": raw_event(project='{"key": "acme"}').encode(),
    "subject as boolean": raw_event(subject_id="true").encode(),
}


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_bad_body_is_refused(api, media_type):
    def post(body):
        return api.post("/usage-events/", body, content_type=media_type)

    assert (
        surprises_among(
            [(name, lambda body=body: post(body), {400, 422}, None) for name, body in BODIES.items()]
        )
        == {}
    )


@pytest.mark.parametrize(
    "path", ["/projects/", "/metrics/", "/quotas/", "/thresholds/", "/projects/chat/attribution/"]
)
def test_bad_body_is_refused_elsewhere(api, path):
    calls = [
        (name, lambda body=body: api.post(path, body), {400, 422}, None) for name, body in BODIES.items()
    ]

    assert surprises_among(calls) == {}


MEDIA_TYPES_OF_OTHERS = [
    "",
    "text/plain",
    "text/csv",
    "application/xml",
    "application/x-www-form-urlencoded",
    "json",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "application/octet-stream",
    "é",
]


@pytest.mark.parametrize(
    "path", ["/usage-events/", "/projects/", "/metrics/", "/quotas/", "/projects/chat/attribution/"]
)
def test_wrong_content_type_is_refused(acme, api, path):
    calls = [
        (
            media_type,
            lambda media_type=media_type: api.post(path, an_event(acme), content_type=media_type),
            {415},
            None,
        )
        for media_type in MEDIA_TYPES_OF_OTHERS
    ]

    assert surprises_among(calls) == {}


def test_too_large_a_definition_is_refused(api):
    answer = api.post("/metrics/", {"key": "x", "description": "x" * (1024 * 1024)})

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert MetricDefinition.objects.count() == 1
