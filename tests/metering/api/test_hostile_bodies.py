"""Bodies that say two things at once, or more than they seem to: refused by name, nothing written."""

import gzip
import json
import zlib

import pytest

from metering.models import MetricDefinition, Project, UsageEvent
from metering.recording.intake import MAX_BODY_BYTES
from quotas.models import ProjectQuota
from tests.factories import NOON, a_metric, an_event
from tests.metering.api.callers import Caller, assert_problem, fields_of, row_counts

pytestmark = pytest.mark.django_db

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
GOOD = '{"id": "good", "project": "acme", "event_name": "tokens"}'


# -- members sent twice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ('"quantity": 1, "quantity": 2', "invalid_field", "quantity"),
        ('"quantity": 1, "quantity": 1', "invalid_field", "quantity"),
        ('"quantity": 1, "\\u0071uantity": 2', "invalid_field", "quantity"),
        ('"labels": {"a": 1, "a": 2}', "invalid_label", "labels.a"),
        ('"labels": {"a": 1, "\\u0061": 2}', "invalid_label", "labels.a"),
        ('"labels": {"a": [{"b": 1, "b": 2}]}', "invalid_label", "labels.a.b"),
        ('"metadata": {"a": 1, "a": 2}', "invalid_label", "metadata.a"),
        ('"subjectId": "x", "subject_id": "x"', "invalid_field", "subject_id"),
        ('"timestamp": "2024-05-15T12:00:00Z", "timestamp": null', "invalid_field", "timestamp"),
    ],
)
def test_member_sent_twice_is_refused_by_event_and_name(api, members, code, field):
    bad = f'{{"id": "bad", "project": "acme", "event_name": "tokens", {members}}}'

    alone = api.post("/usage-events/", bad)
    batch = api.post("/usage-events/", f"[{GOOD}, {bad}]")

    assert (alone.status_code, fields_of(alone)) == (422, [(code, field)])
    assert (batch.status_code, fields_of(batch)) == (422, [(code, field)])
    assert [error["index"] for error in batch.json()["errors"]] == [1]
    assert row_counts() == (0, 0)

    skipped = api.post("/usage-events/?on_error=skip", f"[{GOOD}, {bad}]")
    assert skipped.status_code == 201
    assert [result["outcome"] for result in skipped.json()["results"]] == ["created", "rejected"]
    assert list(UsageEvent.objects.values_list("event_id", flat=True)) == ["good"]


@pytest.mark.parametrize("media_type", [STRUCTURED, BATCHED])
def test_member_sent_twice_in_a_cloudevent_is_refused_by_its_name(api, media_type):
    event = (
        '{"specversion": "1.0", "id": "1", "source": "s", "type": "tokens", "project": "acme",'
        ' "data": {"a": 1, "a": 2}}'
    )

    answer = api.post(
        "/usage-events/", f"[{event}]" if media_type == BATCHED else event, content_type=media_type
    )

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_label", "data.a")])
    assert row_counts() == (0, 0)


def test_member_sent_twice_in_binary_cloudevent_data_is_refused(api):
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "b-1",
        "ce-source": "/chat",
        "ce-type": "tokens",
        "ce-project": "acme",
    }

    answer = api.post("/usage-events/", '{"a": 1, "a": 2}', headers=headers)

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_label", "data.a")])
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/projects/", '{"key": "a", "name": "A", "key": "b"}', "key"),
        ("/metrics/", '{"key": "m", "unit": "x", "\\u0075nit": "y"}', "unit"),
        (
            "/metrics/",
            '{"key": "m", "event_label_filter": {"a": 1, "a": 2}}',
            "event_label_filter.a",
        ),
        (
            "/quotas/",
            '{"project": "acme", "metric": "tokens", "limit": "5", "mode": "hard", "period": "month",'
            ' "limit": "5000"}',
            "limit",
        ),
        (
            "/projects/chat/attribution/",
            '{"billing_attribution_project": "acme", "billing_attribution_project": "chat"}',
            "billing_attribution_project",
        ),
    ],
)
def test_member_sent_twice_is_refused_everywhere(api, path, body, field):
    before = Project.objects.count(), MetricDefinition.objects.count(), ProjectQuota.objects.count()

    answer = api.post(path, body)

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])
    assert before == (
        Project.objects.count(),
        MetricDefinition.objects.count(),
        ProjectQuota.objects.count(),
    )


# -- compressed bodies -------------------------------------------------------------------------------------

COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


def sent(api, body, coding, **options):
    return api.post("/usage-events/", body, headers={"content-encoding": coding}, **options)


@pytest.mark.parametrize("coding", COMPRESS)
def test_compressed_body_is_recorded_as_what_is_inside(acme, api, coding):
    event = an_event(acme, id="e1", quantity="1.5", labels={"region": "eu", "nul": "x"})

    answer = sent(api, COMPRESS[coding](json.dumps([event]).encode()), coding)

    assert answer.status_code == 201, answer.content
    assert api.post("/usage-events/", event).json()["results"][0]["outcome"] == "exists"


def test_compressed_cloudevent_is_recorded(api):
    body = json.dumps(
        {"specversion": "1.0", "id": "1", "source": "s", "type": "tokens", "project": "acme", "time": NOON}
    ).encode()

    assert sent(api, gzip.compress(body), "gzip", content_type=STRUCTURED).status_code == 201


def test_what_is_inside_is_held_to_the_same_rules(api):
    nul = gzip.compress(
        b'[{"project": "acme", "event_name": "tokens", "labels": {"a": "\\u0000"}}, ' + GOOD.encode() + b"]"
    )
    twice = gzip.compress(b'{"project": "acme", "event_name": "tokens", "id": "a", "id": "a"}')

    assert fields_of(sent(api, nul, "gzip")) == [("invalid_label", "labels")]
    assert fields_of(sent(api, twice, "gzip")) == [("invalid_field", "id")]
    assert_problem(sent(api, gzip.compress(b"[{]"), "gzip"), 400, "parse_error")
    assert_problem(sent(api, gzip.compress(b""), "gzip"), 400, "parse_error")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 11 * 1024 * 1024, 300 * 1024 * 1024])
def test_bomb_is_too_large(api, coding, size):
    answer = sent(api, COMPRESS[coding](GOOD.encode() + b" " * (size - len(GOOD))), coding)

    assert_problem(answer, 413, "payload_too_large")
    assert row_counts() == (0, 0)


def test_ten_megabytes_inside_are_the_most(api):
    answer = sent(api, gzip.compress(GOOD.encode() + b" " * (MAX_BODY_BYTES - len(GOOD))), "gzip")

    assert answer.status_code == 201


def test_bomb_in_a_bomb_is_no_json(api):
    bomb = gzip.compress(bytes(300 * 1024 * 1024))

    assert_problem(sent(api, gzip.compress(bomb), "gzip"), 400, "parse_error")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (GOOD.encode(), "gzip"),
        (GOOD.encode(), "deflate"),
        (b"", "gzip"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-1], "gzip"),
        (gzip.compress(GOOD.encode(), mtime=0) + b"x", "gzip"),
        (gzip.compress(b"[", mtime=0) + gzip.compress(GOOD.encode() + b"]", mtime=0), "gzip"),
        (gzip.compress(GOOD.encode(), mtime=0), "deflate"),
        (gzip.compress(GOOD.encode(), mtime=0), "identity"),
    ],
    ids=["plain", "plain as deflate", "empty", "cut off", "trailing", "two members", "other", "unsaid"],
)
def test_compressed_body_that_can_not_be_read_is_malformed(api, body, coding):
    assert_problem(sent(api, body, coding), 400, "parse_error")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "utf-8", "x" * 1000])
def test_other_codings_are_not_taken(api, coding):
    assert_problem(sent(api, gzip.compress(GOOD.encode(), mtime=0), coding), 415, "unsupported_media_type")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize("path", ["/projects/", "/metrics/", "/quotas/", "/projects/chat/attribution/"])
def test_compressed_body_elsewhere_is_not_taken(api, path):
    answer = api.post(path, gzip.compress(b"{}"), headers={"content-encoding": "gzip"})

    assert_problem(answer, 415, "unsupported_media_type")


def test_compressed_body_of_a_stranger_is_not_looked_at(acme):
    stranger = Caller(acme, key="mb_unknown")

    answer = sent(stranger, gzip.compress(bytes(300 * 1024 * 1024)), "gzip")

    assert answer.status_code == 401


# -- hours that clocks skip or repeat ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "instant"),
    [
        ("2024-03-31T02:30:00+01:00", "2024-03-31T01:30:00+00:00"),  # no clock in Berlin showed it
        ("2024-10-27T02:30:00+02:00", "2024-10-27T00:30:00+00:00"),  # the first of two in Berlin
        ("2024-10-27T02:30:00+01:00", "2024-10-27T01:30:00+00:00"),  # the second
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_offset_decides_in_hours_that_clocks_skip_or_repeat(acme, api, time, instant):
    assert api.post("/usage-events/", an_event(acme, occurred_at=time)).status_code == 201

    assert UsageEvent.objects.get().occurred_at.isoformat() == instant


# -- readings that are labels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reading",
    ['"NaN"', '"Infinity"', "-1", '"1e400"', '"1_000"', '"١٢٣"', "true", "[1]", '"' + "9" * 5000 + '"'],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("member", ["labels", "metadata"])
def test_label_that_is_no_reading_is_named(acme, api, member, reading):
    a_metric("bytes", value_property="size")

    answer = api.post(
        "/usage-events/", f'{{"project": "acme", "event_name": "bytes", "{member}": {{"size": {reading}}}}}'
    )

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_value", "labels.size")])
    assert row_counts() == (0, 0)
