"""Whatever is sent, the answer is a 4xx problem document that says what is wrong, and nothing is written."""

import base64
import datetime as dt
import json

import pytest
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.models import AttributionRule, Fence, MetricDefinition, Project, UsageEvent
from metering.texts.timestamps import iso
from quotas.models import ProjectQuota
from tests.factories import NOON, a_metric, an_event, at
from tests.metering.api.callers import PROBLEM_JSON, Caller, fields_of, nothing_stays, row_counts

pytestmark = pytest.mark.django_db

DEEP = 100_000


def raw_event(**members: str) -> str:
    """An event whose members are JSON already, however odd."""
    sent = {"project": '"acme"', "event_name": '"tokens"', **members}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in sent.items()) + "}"


def assert_refused(answer, *, naming: str | None = None):
    assert 400 <= answer.status_code < 500, answer.content[:300]
    assert answer["Content-Type"] == PROBLEM_JSON
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["detail"]
    if naming is not None:
        assert [error["field"] for error in document["errors"]] == [naming]


def surprises_among(answers) -> dict[str, str]:
    """Of (name, call, statuses, field): what did not end in a problem document of one of the statuses.

    Many calls share one test, for building the tree costs more than asking it.
    """
    surprises = {}
    before = row_counts()
    for name, call, statuses, field in answers:
        with nothing_stays():
            answer = call()
            if answer.status_code < 500 and row_counts() != before:
                surprises[name] = "wrote rows"
                continue
            named = None
            if answer["Content-Type"] == PROBLEM_JSON and answer.status_code in statuses:
                named = [error["field"] for error in answer.json().get("errors", [])]
            if named is None or (field is not None and named != [field]):
                surprises[name] = f"{answer.status_code} {named} {answer.content[:200]!r}"
    return surprises


def in_future(**delta):
    return iso(timezone.now() + dt.timedelta(**delta))


# -- numbers and times of events -------------------------------------------------------------------------

NUMBERS = {
    "not a number, as text": '"NaN"',
    "infinity, as text": '"Infinity"',
    "minus infinity, as text": '"-Infinity"',
    "inf": '"inf"',
    "negative for a counter": "-1",
    "negative for a counter, as text": '"-0.000000000001"',
    "1e400": "1e400",
    "1e400 as text": '"1e400"',
    "1e99999999999999999999": "1e99999999999999999999",
    "1e99999999999999999999 as text": '"1e99999999999999999999"',
    "1e-99999999999999999999 as text": '"1e-99999999999999999999"',
    "27 digits before the point": "1" + "0" * 26,
    "13 digits after the point": "0.0000000000001",
    "5,000 digits": "9" * 5000,
    "5,000 digits as text": '"' + "9" * 5000 + '"',
    "5,000 digits after the point": "0." + "1" * 5000,
    "underscores": '"1_000"',
    "thousands": '"1,000"',
    "Arabic digits": '"١٢٣"',
    "full-width digits": '"１２"',
    "superscript": '"²"',
    "hexadecimal": '"0x10"',
    "plus sign": '"+1"',
    "blanks": '" 1 "',
    "line feed": '"1\\n"',
    "empty": '""',
    "true": "true",
    "false": "false",
    "array": "[1]",
    "empty array": "[]",
    "object": '{"value": 1}',
    "empty object": "{}",
}


@pytest.mark.parametrize("sent_as", ["project", "projectId"], ids=["fast path", "careful path"])
def test_quantity_that_is_no_number_is_refused(api, sent_as):
    calls = [
        (
            name,
            lambda number=number: api.post(
                "/usage-events/", raw_event(quantity=number).replace('"project"', f'"{sent_as}"')
            ),
            {422},
            "quantity",
        )
        for name, number in NUMBERS.items()
    ]

    assert surprises_among(calls) == {}


def test_label_that_a_metric_can_not_read_is_refused(acme, api):
    a_metric("bytes", value_property="size")
    calls = [
        (
            name,
            lambda number=number: api.post(
                "/usage-events/", raw_event(event_name='"bytes"', labels=f'{{"size": {number}}}')
            ),
            {400, 422},
            None,
        )
        for name, number in {**NUMBERS, "null": "null"}.items()
    ]

    assert surprises_among(calls) == {}


LITERALS = ("NaN", "Infinity", "-Infinity", "+1", ".5", "1.", "01", "0x10", "1_000", "١")


@pytest.mark.parametrize("shape", ["quantity", "labels"])
def test_number_that_json_does_not_know_is_malformed(api, shape):
    members = {"quantity": "{}", "labels": '{"n": {}}'}
    calls = [
        (
            literal,
            lambda literal=literal: api.post(
                "/usage-events/", raw_event(**{shape: members[shape].replace("{}", literal)})
            ),
            {400, 422},
            None,
        )
        for literal in LITERALS
    ]

    assert surprises_among(calls) == {}


TIMES = {
    "naive": '"2024-05-15T12:00:00"',
    "date": '"2024-05-15"',
    "blank instead of T and offset": '"2024-05-15 12:00:00"',
    "year 1": '"0001-01-01T00:00:00Z"',
    "year 9999": '"9999-12-31T23:59:59Z"',
    "beyond the calendar": '"9999-12-31T23:59:59-14:00"',
    "before the calendar": '"0001-01-01T00:00:00+14:00"',
    "before 1970": '"1969-12-31T23:59:59.999999Z"',
    "before 1970 by its offset": '"1970-01-01T00:30:00+01:00"',
    "leap second": '"2016-12-31T23:59:60Z"',
    "month 13": '"2024-13-01T00:00:00Z"',
    "29 February": '"2023-02-29T00:00:00Z"',
    "hour 24": '"2024-05-15T24:00:00Z"',
    "offset of 25 hours": '"2024-05-15T12:00:00+25:00"',
    "Arabic digits": '"٢٠٢٤-05-15T12:00:00Z"',
    "week date": '"2024-W20-3T12:00:00Z"',
    "basic format": '"20240515T120000Z"',
    "number": "1715774400",
    "number as text": '"1715774400"',
    "true": "true",
    "object": "{}",
    "empty": '""',
    "word": '"now"',
    "blanks": '" 2024-05-15T12:00:00Z"',
    "line feed": '"2024-05-15T12:00:00Z\\n"',
}


def test_time_that_names_no_instant_is_refused(api):
    calls = [
        (
            name,
            lambda time=time: api.post("/usage-events/", raw_event(occurred_at=time)),
            {422},
            "occurred_at",
        )
        for name, time in TIMES.items()
    ]

    assert surprises_among(calls) == {}


def test_five_minutes_ahead_is_now_and_ten_is_the_future(acme, api):
    soon = api.post("/usage-events/", an_event(acme, id="soon", occurred_at=in_future(minutes=4, seconds=50)))
    later = api.post("/usage-events/", an_event(acme, id="later", occurred_at=in_future(minutes=10)))

    assert soon.status_code == 201
    assert fields_of(later) == [("timestamp_in_future", "occurred_at")]
    assert list(UsageEvent.objects.values_list("event_id", flat=True)) == ["soon"]


@pytest.mark.parametrize(
    "time",
    [
        "1970-01-01T00:00:00Z",
        "2024-03-31T02:30:00+01:00",
        "2024-05-15t12:00:00z",
        "2024-05-15T12:00:00.9999999Z",
        "2024-05-15T23:59:59-12:00",
    ],
)
def test_any_instant_since_1970_is_taken(acme, api, time):
    assert api.post("/usage-events/", an_event(acme, occurred_at=time)).status_code == 201


# -- texts that can't be stored ----------------------------------------------------------------------------

NUL = "\\u0000"
TEXTS = ("id", "source", "project", "event_name", "metric_key", "subject_type", "subject_id", "surface")


@pytest.mark.parametrize("wrapped", ["{}", "[{}]"])
@pytest.mark.parametrize("name", TEXTS)
def test_nul_in_a_text_of_an_event_is_refused(api, name, wrapped):
    answer = api.post("/usage-events/", wrapped.replace("{}", raw_event(**{name: f'"a{NUL}b"'})))

    assert answer.status_code == 422
    assert fields_of(answer) == [("invalid_field", name)]
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    "labels",
    [
        f'{{"a": "{NUL}"}}',
        f'{{"{NUL}": 1}}',
        f'{{"a": {{"b{NUL}": 1}}}}',
        f'{{"a": {{"b": ["x", "y{NUL}"]}}}}',
    ],
)
def test_nul_anywhere_in_labels_is_refused(api, labels):
    answer = api.post("/usage-events/", raw_event(labels=labels))

    assert fields_of(answer) == [("invalid_label", "labels")]
    assert row_counts() == (0, 0)


SURROGATES = [r'"\ud800"', r'"a\udfff"', r'"\udc00\ud800"', r'"\ud83d x"', r'"\ud83d\u0041"']


def test_lone_surrogate_is_refused(api):
    places = {
        "id": "{}",
        "subject_id": "{}",
        "unknown": "{}",
        "labels": '{"a": {}}',
        "labels of labels": '{"a": [{"b": {}}]}',
        "label name": "{{}: 1}",
    }
    calls = [
        (
            f"{text} in {place}",
            lambda text=text, place=place, shape=shape: api.post(
                "/usage-events/",
                raw_event(**{"labels" if "label" in place else place: shape.replace("{}", text)}),
            ),
            {400, 422},
            None,
        )
        for text in SURROGATES
        for place, shape in places.items()
    ]

    assert surprises_among(calls) == {}


def test_surrogate_pair_is_one_character(acme, api):
    assert api.post("/usage-events/", raw_event(id=r'"\ud83d\ude00"')).status_code == 201

    assert UsageEvent.objects.get().event_id == "😀"


# -- bodies ------------------------------------------------------------------------------------------------

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
MEDIA_TYPES = (
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
)


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


# -- definitions -------------------------------------------------------------------------------------------

A_METRIC = {"key": "m"}
A_PROJECT = {"key": "p", "name": "P"}
A_RULE = {"billing_attribution_project": "acme"}
A_QUOTA = {"project": "acme", "metric": "tokens", "limit": "5", "mode": "hard", "period": "month"}
WRONG = [
    ("/metrics/", A_METRIC, {"key": None}, "key"),
    ("/metrics/", A_METRIC, {"key": 5}, "key"),
    ("/metrics/", A_METRIC, {"key": "Not a slug"}, "key"),
    ("/metrics/", A_METRIC, {"key": "x" * 101}, "key"),
    ("/metrics/", A_METRIC, {"key": "٣"}, "key"),
    ("/metrics/", A_METRIC, {"display_name": "x" * 201}, "display_name"),
    ("/metrics/", A_METRIC, {"unit": ["x"]}, "unit"),
    ("/metrics/", A_METRIC, {"event_name": "x" * 201}, "event_name"),
    ("/metrics/", A_METRIC, {"aggregation": "MEDIAN"}, "aggregation"),
    ("/metrics/", A_METRIC, {"aggregation": "UNIQUE_COUNT", "data_type": "STRING"}, "value_property"),
    ("/metrics/", A_METRIC, {"aggregation": "TIME_WEIGHTED_AVG", "meter_type": "counter"}, "meter_type"),
    ("/metrics/", A_METRIC, {"is_incremental": "true"}, "is_incremental"),
    ("/metrics/", A_METRIC, {"reporting_method": "sometimes"}, "reporting_method"),
    ("/metrics/", A_METRIC, {"data_type": "STRING", "aggregation": "SUM"}, "aggregation"),
    ("/metrics/", A_METRIC, {"expected_labels": "region"}, "expected_labels"),
    ("/metrics/", A_METRIC, {"expected_labels": [1]}, "expected_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": ["a", "a"]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": [""]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": [f"l{n}" for n in range(21)]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"event_label_filter": []}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {"$like": "x"}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"$or": []}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {"$in": [[1]]}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"counts_from": 1}, "counts_from"),
    ("/metrics/", A_METRIC, {"counts_from": False}, "counts_from"),
    ("/metrics/", A_METRIC, {"reset_period": "fortnightly"}, "reset_period"),
    ("/metrics/", A_METRIC, {"colour": "red"}, "colour"),
    ("/metrics/", A_METRIC, {"aggregation": "SUM", "aggregationType": "SUM"}, "aggregationType"),
    ("/metrics/", A_METRIC, {"unit": "a\x00"}, "unit"),
    ("/metrics/", A_METRIC, {"key": "a\x00"}, "key"),
    ("/metrics/", A_METRIC, {"expected_labels": ["a\x00"]}, "expected_labels"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": "\x00"}}, "a"),
    ("/projects/", A_PROJECT, {"key": None}, "key"),
    ("/projects/", A_PROJECT, {"key": ""}, "key"),
    ("/projects/", A_PROJECT, {"key": "../etc"}, "key"),
    ("/projects/", A_PROJECT, {"key": "x" * 101}, "key"),
    ("/projects/", A_PROJECT, {"key": 1}, "key"),
    ("/projects/", A_PROJECT, {"name": None}, "name"),
    ("/projects/", A_PROJECT, {"name": "  "}, "name"),
    ("/projects/", A_PROJECT, {"name": "x" * 201}, "name"),
    ("/projects/", A_PROJECT, {"name": "\x00"}, "name"),
    ("/projects/", A_PROJECT, {"kind": "galaxy"}, "kind"),
    ("/projects/", A_PROJECT, {"kind": {}}, "kind"),
    ("/projects/", A_PROJECT, {"timezone": "Mars/Olympus"}, "timezone"),
    ("/projects/", A_PROJECT, {"timezone": "../../etc/passwd"}, "timezone"),
    ("/projects/", A_PROJECT, {"parent": ["acme"]}, "parent"),
    ("/projects/", A_PROJECT, {"colour": "red"}, "colour"),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"billing_attribution_project": None},
        "billing_attribution_project",
    ),
    ("/projects/chat/attribution/", A_RULE, {"effective_from": "2024-05-15T12:00:00"}, "effective_from"),
    ("/projects/chat/attribution/", A_RULE, {"effective_from": 5}, "effective_from"),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"effective_until": "9999-12-31T23:59:59-14:00"},
        "effective_until",
    ),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"effective_from": NOON, "effective_until": NOON},
        "effective_until",
    ),
    ("/projects/chat/attribution/", A_RULE, {"surface": "bot"}, "surface"),
    ("/projects/chat/attribution/", A_RULE, {"surface": "\x00"}, "surface"),
    ("/projects/chat/attribution/", A_RULE, {"colour": "red"}, "colour"),
    ("/quotas/", A_QUOTA, {"limit": "NaN"}, "limit"),
    ("/quotas/", A_QUOTA, {"limit": {}}, "limit"),
    ("/quotas/", A_QUOTA, {"limit": "١"}, "limit"),
    ("/quotas/", A_QUOTA, {"mode": "\x00"}, "mode"),
    ("/quotas/", A_QUOTA, {"period": 5}, "period"),
]


@pytest.mark.parametrize(("path", "valid", "wrong", "field"), WRONG)
def test_definition_that_does_not_fit_is_refused_by_name(api, path, valid, wrong, field):
    answer = api.post(path, {**valid, **wrong})

    assert_refused(answer, naming=field)
    assert answer.status_code == 422
    assert (Project.objects.count(), MetricDefinition.objects.count()) == (4, 1)
    assert not ProjectQuota.objects.exists()
    assert not AttributionRule.objects.exists()


# -- paths and query parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
def test_path_that_names_nothing_is_not_found(api, method):
    body = {"billing_attribution_project": "acme"} if method == "POST" else {}
    paths = [
        "/projects/a%00/",
        "/projects/a%00/attribution/",
        "/metrics/a%00/",
        "/projects/%FF/",
        "/metrics/%ED%A0%80/",
        "/usage-events/" + "9" * 40 + "/",
        "/usage-events/" + "9" * 5000 + "/",
        "/usage-events/-1/",
        "/quotas/" + "9" * 40 + "/",
        "/thresholds/" + "9" * 40 + "/",
        "/quotas/" + "9" * 5000 + "/",
        "/usage-events/abc/",
        "/projects/" + "x" * 5000 + "/",
    ]

    assert (
        surprises_among(
            [(path[:40], lambda path=path: api(method, path, body), {404, 405}, None) for path in paths]
        )
        == {}
    )


READS = {
    "/usage/": {"metric": "tokens"},
    "/usage-summaries/": {"metric": "tokens"},
    "/usage-events/": {},
    "/usage/export/": {},
    "/usage/export/?type=rollups": {"metric": "tokens"},
    "/projects/": {},
    "/metrics/": {},
    "/metrics/tokens/": {},
    "/quotas/": {},
    "/thresholds/": {},
}
PARAMETERS = {
    "/usage/": [
        "metric",
        "project",
        "scope",
        "subject_type",
        "subject_id",
        "from",
        "to",
        "window",
        "timezone",
        "group_by",
        "fill",
        "labels[a]",
    ],
    "/usage-summaries/": [
        "metric",
        "project",
        "subject_type",
        "subject_id",
        "period_type",
        "period_start",
        "limit",
        "cursor",
    ],
    "/usage-events/": [
        "project",
        "scope",
        "kind",
        "voided",
        "as_of",
        "timezone",
        "event_name",
        "source",
        "event_id",
        "subject_type",
        "subject_id",
        "from",
        "to",
        "limit",
        "cursor",
        "labels[a]",
    ],
    "/usage/export/": [
        "type",
        "project",
        "from",
        "to",
        "timezone",
        "scope",
        "kind",
        "voided",
        "as_of",
        "event_name",
        "source",
        "event_id",
        "subject_type",
        "subject_id",
        "labels[a]",
    ],
    "/usage/export/?type=rollups": ["metric", "project", "scope", "from", "to", "timezone", "granularity"],
    "/projects/": ["parent", "kind", "limit", "cursor"],
    "/metrics/": ["project", "event_name", "archived", "limit", "cursor"],
    "/metrics/tokens/": ["project"],
    "/quotas/": ["project", "metric", "mode", "period", "limit", "cursor"],
    "/thresholds/": [
        "project",
        "metric",
        "subject_type",
        "subject_id",
        "action",
        "period",
        "is_enabled",
        "limit",
        "cursor",
    ],
}


def read(api, path, **parameters):
    bare, _, rest = path.partition("?")
    given = dict(pair.split("=") for pair in rest.split("&") if pair)
    return api.get(bare, query={**given, **READS[path], **parameters})


@pytest.mark.parametrize("path", READS)
def test_nul_in_a_parameter_is_refused_by_name(api, path):
    calls = [
        (name, lambda name=name: read(api, path, **{name: "a\x00b"}), {422}, name)
        for name in PARAMETERS[path]
    ]

    assert surprises_among(calls) == {}


@pytest.mark.parametrize("path", READS)
def test_unknown_parameter_is_refused_by_name(api, path):
    assert_refused(read(api, path, colour="red"), naming="colour")


@pytest.mark.parametrize("path", READS)
def test_nul_in_the_name_of_a_parameter_is_refused(api, path):
    assert_refused(read(api, path, **{"a\x00": "red"}))


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/usage/", "scope", "everything"),
        ("/usage/", "window", "year"),
        ("/usage/", "window", "fortnight"),
        ("/usage/", "timezone", "Mars/Olympus"),
        ("/usage/", "timezone", "/etc/passwd"),
        ("/usage/", "from", "yesterday"),
        ("/usage/", "from", "2024-05-15T12:00:00"),
        ("/usage/", "from", "2024-02-30"),
        ("/usage/", "from", "0001-01-01"),
        ("/usage/", "to", "9999-12-31"),
        ("/usage/", "to", "9999-12-31T23:59:59Z"),
        ("/usage/", "to", "٢٠٢٤-05-15"),
        ("/usage/", "group_by", "colour"),
        ("/usage/", "group_by", "labels."),
        ("/usage/", "group_by", "project,project"),
        ("/usage/", "fill", "perhaps"),
        ("/usage-summaries/", "period_type", "weekly"),
        ("/usage-summaries/", "period_start", "soon"),
        ("/usage-summaries/", "limit", "0"),
        ("/usage-summaries/", "limit", "1001"),
        ("/usage-summaries/", "limit", "١"),
        ("/usage-events/", "limit", "-1"),
        ("/usage-events/", "limit", "1e2"),
        ("/usage-events/", "from", "x"),
        ("/usage/export/", "type", "everything"),
        ("/usage/export/", "to", "x"),
        ("/usage/export/?type=rollups", "granularity", "week"),
        ("/projects/", "kind", "galaxy"),
        ("/metrics/", "archived", "perhaps"),
        ("/quotas/", "mode", "strict"),
        ("/projects/", "limit", "abc"),
        ("/projects/", "limit", "0"),
        ("/metrics/", "limit", "-1"),
        ("/quotas/", "limit", "5000"),
    ],
)
def test_parameter_that_does_not_fit_is_refused_by_name(api, path, name, value):
    answer = read(api, path, **{name: value})

    assert_refused(answer, naming=name)
    assert answer.status_code == 422


@pytest.mark.parametrize(("path", "name"), [("/usage/", "metric"), ("/usage-summaries/", "metric")])
def test_needed_parameter_is_asked_for(api, path, name):
    assert fields_of(api.get(path)) == [("missing_field", name)]


def test_parameter_given_twice_is_refused(api):
    assert fields_of(api.get("/usage/?metric=a&metric=b")) == [("invalid_field", "metric")]
    assert fields_of(api.get("/usage/?metric=a&metricKey=b")) == [("invalid_field", "metric")]


def as_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


STREAM = "00000000-0000-0000-0000-000000000001"
PLACE = '"2024-05-15T12:00:00+00:00"'
CURSORS = {
    "word": "garbage",
    "unicode": "é😀",
    "percent": "%%%",
    "one character": "A",
    "not UTF-8": "____",
    "null": as_cursor("null"),
    "object": as_cursor("{}"),
    "array": as_cursor("[]"),
    "deep": as_cursor("[" * 5000),
    "position that is a word": as_cursor("p=abc"),
    "position beyond all": as_cursor("p=" + "9" * 40),
    "position with NUL": as_cursor("p=\x00"),
    "infinite id": as_cursor(f'[{PLACE}, 1e400, 0, "{STREAM}", 0]'),
    "infinite id of an event": as_cursor(f"[{PLACE}, 1e400, 0]"),
    "infinite payer": as_cursor(f'[{PLACE}, 1, Infinity, "{STREAM}", 0]'),
    "huge id": as_cursor(f"[{PLACE}, {'9' * 40}, 0]"),
    "huge id of a row": as_cursor(f'[{PLACE}, {"9" * 40}, 1, "{STREAM}", 0]'),
    "naive": as_cursor('["2024-05-15T12:00:00", 1, 0]'),
    "odd offset of an event": as_cursor('["2024-05-15T12:00:00+00:00:30.5", 1, 0]'),
    "odd offset of a row": as_cursor(f'["2024-05-15T12:00:00+00:00:30.5", 1, 1, "{STREAM}", 0]'),
    "no stream": as_cursor(f"[{PLACE}, 1, 1, 5, 0]"),
}


@pytest.mark.parametrize(
    "path", ["/usage-events/", "/usage-summaries/", "/projects/", "/metrics/", "/quotas/"]
)
def test_cursor_that_is_not_ours_is_refused(api, path):
    calls = [
        (name, lambda cursor=cursor: read(api, path, cursor=cursor), {422}, "cursor")
        for name, cursor in CURSORS.items()
    ]

    assert surprises_among(calls) == {}


def test_too_many_parameters_are_refused(api):
    assert_refused(api.get("/usage/?" + "&".join(f"labels[a{n}]=1" for n in range(1100))))
    assert_refused(api.post("/usage-events/?" + "&".join(f"p{n}=1" for n in range(1100)), []))


def test_too_many_groups_are_refused(api):
    """PostgreSQL knows at most 1,664 columns; whoever asks for more must not hear 'try again'."""
    names = ",".join(f"labels.l{number}" for number in range(1700))

    assert_refused(api.get("/usage/", query={"metric": "tokens", "group_by": names}), naming="group_by")


def test_too_many_windows_are_refused(api):
    answer = api.get(
        "/usage/", query={"metric": "tokens", "window": "hour", "from": "1970-01-01", "to": "8000-01-01"}
    )

    assert_refused(answer, naming="window")


def test_label_that_a_metric_groups_by_may_be_a_large_number(acme, api):
    a_metric("grouped", primary_labels=["n"])

    answers = [
        api.post("/usage-events/", raw_event(event_name='"grouped"', labels=f'{{"n": {"9" * 250}{last}}}'))
        for last in (1, 2)
    ]

    assert {answer.status_code for answer in answers} <= {201, 422}, [a.content for a in answers]


# -- anything at all ---------------------------------------------------------------------------------------

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
    """The negative control of this file: the same caller records what is well-formed."""
    assert Caller(acme).post("/usage-events/", raw_event(quantity="1")).status_code == 201
    assert row_counts() == (1, 1)
