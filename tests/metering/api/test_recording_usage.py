"""`POST /usage-events/`: what becomes of one event, of a batch, of CloudEvents."""

from decimal import Decimal

import pytest

from metering.attributing.scope_tree import attribute, install_surface
from metering.defining.definitions import archive_metric
from metering.models import Project, UsageEvent
from metering.recording.intake import MAX_BODY_BYTES
from tests.factories import NOON, a_metric, a_project, an_event, at, ledger_rows
from tests.metering.api.callers import Caller, assert_problem, fields_of, row_counts

pytestmark = pytest.mark.django_db

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


def a_cloudevent(**overrides):
    return {
        "specversion": "1.0",
        "id": "ce-1",
        "source": "/chat",
        "type": "tokens",
        "subject": "ada",
        "time": NOON,
        "project": "acme",
        "data": {"model": "m1"},
        **overrides,
    }


def results_of(answer):
    assert answer["Content-Type"] == "application/json"
    return answer.json()["results"]


def outcomes_of(answer):
    return [(result["event_id"], result["outcome"], result.get("code")) for result in results_of(answer)]


# -- one event -------------------------------------------------------------------------------------------


def test_event_is_recorded_with_all_its_members(acme, api):
    install_surface(project=acme, key="bot", name="Bot")

    answer = api.post(
        "/usage-events/",
        an_event(
            acme,
            id="e1",
            source="gateway",
            subject_type="user",
            subject_id="ada",
            quantity="12.50",
            labels={"model": "m1", "n": 3},
            surface="bot",
        ),
    )

    event = UsageEvent.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"results": [{"id": event.pk, "event_id": "e1", "outcome": "created"}]}
    shown = api.get(f"/usage-events/{event.pk}/").json()
    assert shown.pop("recorded_at").endswith("Z")
    assert shown == {
        "id": event.pk,
        "project": "acme",
        "billing_scope": "acme",
        "surface": "bot",
        "source": "gateway",
        "event_id": "e1",
        "event_name": "tokens",
        "subject_type": "user",
        "subject_id": "ada",
        "quantity": "12.5",
        "labels": {"model": "m1", "n": 3},
        "occurred_at": NOON,
        "kind": "usage",
        "voids": None,
        "voided_by": None,
    }


def test_event_sent_again_exists(acme, api):
    first = api.post("/usage-events/", an_event(acme, id="e1", quantity="1.50"))

    again = api.post("/usage-events/", an_event(acme, id="e1", quantity=1.5))

    assert again.status_code == 200
    assert outcomes_of(again) == [("e1", "exists", None)]
    assert results_of(again)[0]["id"] == results_of(first)[0]["id"]
    assert ledger_rows("event_id", "quantity") == [("e1", Decimal("1.5"))]


def test_other_content_under_the_same_id_is_a_conflict(acme, api):
    api.post("/usage-events/", an_event(acme, id="e1", quantity=1))

    answer = api.post("/usage-events/", an_event(acme, id="e1", quantity=2))

    document = assert_problem(answer, 409, "conflict")
    assert [(e["index"], e["code"], e["field"]) for e in document["errors"]] == [(0, "conflict", "id")]
    assert ledger_rows("event_id", "quantity") == [("e1", Decimal(1))]


def test_same_id_from_another_source_is_another_event(acme, api):
    api.post("/usage-events/", an_event(acme, id="e1"))

    answer = api.post("/usage-events/", an_event(acme, id="e1", source="other"))

    assert answer.status_code == 201
    assert ledger_rows("source", "event_id") == [("api", "e1"), ("other", "e1")]


def test_event_without_id_gets_one(acme, api):
    body = {"project": "acme", "event_name": "tokens"}

    first, second = (results_of(api.post("/usage-events/", body))[0] for _ in range(2))

    assert (first["outcome"], second["outcome"]) == ("created", "created")
    assert first["event_id"] != second["event_id"]


def test_event_that_does_not_fit_is_rejected_by_name(acme, api):
    answer = api.post("/usage-events/", an_event(acme, event_name="unheard"))

    document = assert_problem(answer, 422, "rejected")
    assert [(e["index"], e["code"], e["field"]) for e in document["errors"]] == [
        (0, "unknown_event_name", "event_name")
    ]
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        {
            "eventId": "e1",
            "projectId": "acme",
            "metricKey": "tokens",
            "occurredAt": NOON,
            "metadata": {"a": 1},
        },
        {"event_id": "e1", "orgId": "acme", "eventName": "tokens", "timestamp": NOON, "labels": {"a": 1}},
        {"id": "e1", "org_id": "acme", "metric_key": "tokens", "occurred_at": NOON, "labels": {"a": 1}},
    ],
)
def test_other_spellings_name_the_same_event(acme, api, body):
    people = {"subjectType": "user", "subjectId": "ada"}
    api.post(
        "/usage-events/",
        {
            "id": "e1",
            "project": "acme",
            "event_name": "tokens",
            "subject_type": "user",
            "subject_id": "ada",
            "occurred_at": NOON,
            "labels": {"a": 1},
        },
    )

    answer = api.post("/usage-events/", {**body, **people})

    assert (answer.status_code, outcomes_of(answer)) == (200, [("e1", "exists", None)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("occurred_at", "timestamp"),
        ("labels", "metadata"),
        ("subject_id", "subjectId"),
        ("project", "orgId"),
        ("id", "eventId"),
    ],
)
def test_two_spellings_of_one_member_are_refused(acme, api, one, other):
    members = an_event(acme, subject_id="ada", labels={})

    answer = api.post("/usage-events/", {**members, other: members[one]})

    assert answer.status_code == 422
    assert fields_of(answer) == [("invalid_field", other)]
    assert row_counts() == (0, 0)


def test_unknown_member_is_refused_by_name(acme, api):
    answer = api.post("/usage-events/", an_event(acme, quantitiy=5))

    assert answer.status_code == 422
    assert fields_of(answer) == [("invalid_field", "quantitiy")]
    assert row_counts() == (0, 0)


def test_project_may_be_left_out_by_a_key_of_a_project_without_descendants(acme, api):
    leaf = Caller(Project.objects.get(key="chat"))

    recorded = leaf.post("/usage-events/", an_event(None, id="e1"))
    refused = api.post("/usage-events/", an_event(None, id="e2"))

    assert recorded.status_code == 201
    assert refused.status_code == 422
    assert fields_of(refused) == [("missing_field", "project")]
    assert ledger_rows("project__key", "event_id") == [("chat", "e1")]


def test_metric_key_that_would_not_count_the_event_rejects_it(acme, api):
    a_metric("eu", event_name="tokens", event_label_filter={"region": "eu"})

    refused = api.post("/usage-events/", an_event(acme, event_name=None, metric_key="eu"))
    recorded = api.post(
        "/usage-events/", an_event(acme, event_name=None, metric_key="eu", labels={"region": "eu"})
    )

    assert fields_of(refused) == [("invalid_field", "metric_key")]
    assert recorded.status_code == 201
    assert ledger_rows("event_name") == [("tokens",)]


def test_archived_metric_takes_no_events(acme, api):
    archive_metric(a_metric("old"))

    answer = api.post("/usage-events/", an_event(acme, event_name="old"))

    assert fields_of(answer) == [("metric_archived", "event_name")]


def test_payer_is_written_on_the_event(acme, api):
    chat = Project.objects.get(key="chat")
    attribute(chat, payer=acme, effective_from=at(NOON))

    api.post(
        "/usage-events/",
        [an_event(chat, id="before", occurred_at="2024-05-15T11:59:59Z"), an_event(chat, id="from then on")],
    )

    assert ledger_rows("event_id", "billing_scope__key") == [("before", "chat"), ("from then on", "acme")]


# -- batches ---------------------------------------------------------------------------------------------


def test_batch_answers_in_the_order_sent(acme, api):
    api.post("/usage-events/", an_event(acme, id="b"))

    answer = api.post("/usage-events/", [an_event(acme, id=name) for name in "cbac"])

    assert answer.status_code == 201
    assert outcomes_of(answer) == [
        ("c", "created", None),
        ("b", "exists", None),
        ("a", "created", None),
        ("c", "exists", None),
    ]
    assert results_of(answer)[3]["id"] == results_of(answer)[0]["id"]


def test_batch_of_known_events_answers_200(acme, api):
    batch = [an_event(acme, id=name) for name in "ab"]
    api.post("/usage-events/", batch)

    answer = api.post("/usage-events/", batch)

    assert (answer.status_code, outcomes_of(answer)) == (200, [("a", "exists", None), ("b", "exists", None)])


@pytest.mark.parametrize("query", ["", "?on_error=skip", "?onError=SKIP"])
def test_empty_batch_records_nothing(api, query):
    answer = api.post(f"/usage-events/{query}", [])

    assert (answer.status_code, answer.json()) == (200, {"results": []})


def test_one_bad_event_among_a_thousand_refuses_all(acme, api):
    batch = [an_event(acme, id=f"e{number}") for number in range(1000)]
    batch[617]["quantity"] = "-1"

    answer = api.post("/usage-events/", batch)

    document = assert_problem(answer, 422, "rejected")
    assert [(e["index"], e["code"], e["field"]) for e in document["errors"]] == [
        (617, "invalid_value", "quantity")
    ]
    assert row_counts() == (0, 0)


def test_every_bad_event_of_a_batch_is_named(acme, api):
    answer = api.post(
        "/usage-events/",
        [
            an_event(acme, quantity="x"),
            an_event(acme),
            5,
            an_event("nowhere"),
            an_event(acme, colour="red"),
            an_event(acme, occurred_at="yesterday"),
            None,
        ],
    )

    assert [(e["index"], e["code"], e["field"]) for e in answer.json()["errors"]] == [
        (0, "invalid_value", "quantity"),
        (2, "invalid_field", None),
        (3, "unknown_project", "project"),
        (4, "invalid_field", "colour"),
        (5, "invalid_timestamp", "occurred_at"),
        (6, "invalid_field", None),
    ]
    assert row_counts() == (0, 0)


def test_batch_with_a_conflict_is_refused_whole(acme, api):
    api.post("/usage-events/", an_event(acme, id="a", quantity=1))

    answer = api.post("/usage-events/", [an_event(acme, id="b"), an_event(acme, id="a", quantity=2)])

    document = assert_problem(answer, 409, "conflict")
    assert [(e["index"], e["field"]) for e in document["errors"]] == [(1, "id")]
    assert ledger_rows("event_id") == [("a",)]


def test_conflict_within_a_batch_is_refused(acme, api):
    answer = api.post(
        "/usage-events/", [an_event(acme, id="a", quantity=1), an_event(acme, id="a", quantity=2)]
    )

    assert [e["index"] for e in assert_problem(answer, 409, "conflict")["errors"]] == [1]
    assert row_counts() == (0, 0)


def test_rejection_goes_before_conflict(acme, api):
    api.post("/usage-events/", an_event(acme, id="a", quantity=1))

    answer = api.post("/usage-events/", [an_event(acme, id="a", quantity=2), an_event(acme, quantity="x")])

    assert assert_problem(answer, 422, "rejected")["errors"][0]["index"] == 1
    assert ledger_rows("event_id", "quantity") == [("a", Decimal(1))]


def test_skip_records_the_good_ones_and_keeps_the_order(acme, api):
    api.post("/usage-events/", [an_event(acme, id="known"), an_event(acme, id="taken", quantity=1)])

    answer = api.post(
        "/usage-events/?on_error=skip",
        [
            an_event(acme, id="new 1"),
            an_event(acme, id="bad", quantity=True),
            an_event(acme, id="known"),
            an_event(acme, id="taken", quantity=2),
            [],
            an_event(acme, id="new 2"),
            an_event(acme, id="new 1"),
            an_event(acme, id="new 2", quantity=9),
        ],
    )

    assert answer.status_code == 201
    assert outcomes_of(answer) == [
        ("new 1", "created", None),
        ("bad", "rejected", "invalid_value"),
        ("known", "exists", None),
        ("taken", "conflict", "conflict"),
        (None, "rejected", "invalid_field"),
        ("new 2", "created", None),
        ("new 1", "exists", None),
        ("new 2", "conflict", "conflict"),
    ]
    assert ledger_rows("event_id") == [("known",), ("taken",), ("new 1",), ("new 2",)]


def test_skip_without_anything_new_answers_200(acme, api):
    answer = api.post("/usage-events/?on_error=skip", [an_event(acme, quantity="x")])

    assert (answer.status_code, results_of(answer)[0]["outcome"]) == (200, "rejected")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    "huge", ['"quantity": 1e400', '"labels": {"n": 1e400}', '"labels": {"n": ' + "9" * 5000 + "}"]
)
@pytest.mark.parametrize("neighbour", ["quantity", "unit"])
def test_skip_survives_one_number_beyond_all_limits(acme, api, huge, neighbour):
    """Whether another event of the batch has an unknown member must not matter either."""
    body = (
        '[{"id": "good", "project": "acme", "event_name": "tokens"},'
        f' {{"id": "huge", "project": "acme", "event_name": "tokens", {huge}}},'
        f' {{"id": "odd", "project": "acme", "event_name": "tokens", "{neighbour}": "x"}}]'
    )

    answer = api.post("/usage-events/?on_error=skip", body)

    assert answer.status_code == 201
    assert [result["outcome"] for result in results_of(answer)] == ["created", "rejected", "rejected"]
    assert ledger_rows("event_id") == [("good",)]


def test_query_of_a_recording_is_read_strictly(acme, api):
    for query, field in [
        ("on_error=ignore", "on_error"),
        ("dry_run=1", "dry_run"),
        ("enforce=maybe", "enforce"),
    ]:
        answer = api.post(f"/usage-events/?{query}", an_event(acme))

        assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])
    assert row_counts() == (0, 0)


def test_recording_without_limits_needs_backfill(acme):
    answer = Caller(acme, "ingest").post("/usage-events/?enforce=false", an_event(acme))

    assert_problem(answer, 403, "permission_denied")
    assert row_counts() == (0, 0)


# -- limits ----------------------------------------------------------------------------------------------


def test_ten_thousand_events_pass_and_one_more_does_not(acme, api):
    batch = [{"id": str(n), "project": "acme", "event_name": "tokens"} for n in range(10_001)]

    refused = api.post("/usage-events/", batch)
    skipped = api.post("/usage-events/?on_error=skip", batch)
    assert row_counts() == (0, 0)
    recorded = api.post("/usage-events/", batch[:-1])

    assert_problem(refused, 413, "batch_too_large")
    assert_problem(skipped, 413, "batch_too_large")
    assert recorded.status_code == 201
    assert UsageEvent.objects.count() == 10_000


def test_announced_length_beyond_the_limit_is_refused_unread(acme, api):
    answer = api.post("/usage-events/", an_event(acme), CONTENT_LENGTH=str(MAX_BODY_BYTES + 1))

    assert_problem(answer, 413, "payload_too_large")
    assert row_counts() == (0, 0)


@pytest.mark.parametrize("extra", [0, 1, 2 * 1024 * 1024])
def test_body_of_ten_megabytes_is_the_largest(acme, api, extra):
    event = b'{"project": "acme", "event_name": "tokens"}'
    body = event + b" " * (MAX_BODY_BYTES + extra - len(event))

    answer = api.post("/usage-events/", body)

    if extra:
        assert_problem(answer, 413, "payload_too_large")
        assert row_counts() == (0, 0)
    else:
        assert answer.status_code == 201


@pytest.mark.parametrize("length", ["-5", "ten", "1e3", "²", "9" * 5000])
def test_announced_length_that_is_no_number_is_refused(acme, api, length):
    answer = api.post("/usage-events/", an_event(acme), CONTENT_LENGTH=length)

    assert 400 <= answer.status_code < 500, answer.content
    assert row_counts() == (0, 0)


def test_labels_end_at_64_kilobytes(acme, api):
    fits = an_event(acme, labels={"a": "x" * (64 * 1024 - len('{"a":""}'))})
    too_large = an_event(acme, labels={"a": "x" * (64 * 1024 - len('{"a":""}') + 1)})

    assert api.post("/usage-events/", fits).status_code == 201
    answer = api.post("/usage-events/", too_large)
    assert (answer.status_code, fields_of(answer)) == (422, [("payload_too_large", "labels")])
    assert UsageEvent.objects.count() == 1


def test_labels_end_at_a_hundred(acme, api):
    hundred = {f"l{number}": number for number in range(100)}

    assert api.post("/usage-events/", an_event(acme, labels=hundred)).status_code == 201
    answer = api.post("/usage-events/", an_event(acme, labels={**hundred, "more": 1}))
    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_label", "labels")])
    assert UsageEvent.objects.count() == 1


def nested(depth):
    """Labels with `depth` objects inside each other, the labels themselves counted."""
    value = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_labels_end_at_depth_eight(acme, api):
    assert api.post("/usage-events/", an_event(acme, labels=nested(8))).status_code == 201
    answer = api.post("/usage-events/", an_event(acme, labels=nested(9)))
    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_label", "labels.a")])
    assert UsageEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "length"),
    [("id", 255), ("source", 255), ("subject_type", 255), ("subject_id", 255)],
)
def test_texts_end_at_their_length(acme, api, name, length):
    fits = api.post("/usage-events/", an_event(acme, **{name: "ü" * length}))
    too_long = api.post("/usage-events/", an_event(acme, **{name: "ü" * (length + 1)}))
    empty = api.post("/usage-events/", an_event(acme, **{name: ""}))

    assert fits.status_code == 201
    assert (too_long.status_code, fields_of(too_long)) == (422, [("invalid_field", name)])
    assert (empty.status_code, fields_of(empty)) == (422, [("invalid_field", name)])
    assert UsageEvent.objects.count() == 1


def test_longest_texts_together_can_be_recorded_and_found(acme, api):
    a_metric("long", event_name="😀" * 200)
    event = an_event(
        acme,
        id="😀" * 255,
        source="😁" * 255,
        event_name="😀" * 200,
        subject_type="😂" * 255,
        subject_id="😃" * 255,
    )

    assert api.post("/usage-events/", event).status_code == 201
    assert api.post("/usage-events/", event).status_code == 200
    assert (
        api.get("/usage/", query={"metric": "long", "subject_id": "😃" * 255}).json()["results"][0]["value"]
        == "1"
    )


def test_event_name_ends_at_200_characters(acme, api):
    answer = api.post("/usage-events/", an_event(acme, event_name="x" * 201))

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", "event_name")])


# -- CloudEvents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [STRUCTURED, STRUCTURED + "; charset=UTF-8"])
def test_structured_cloudevent_is_recorded(acme, api, content_type):
    answer = api.post("/usage-events/", a_cloudevent(), content_type=content_type)

    assert (answer.status_code, outcomes_of(answer)) == (201, [("ce-1", "created", None)])
    columns = ("source", "event_id", "event_name", "subject_id", "labels", "occurred_at")
    assert ledger_rows(*columns) == [("/chat", "ce-1", "tokens", "ada", {"model": "m1"}, at(NOON))]


def test_cloudevent_twin_of_a_native_event_exists(acme, api):
    api.post("/usage-events/", a_cloudevent(), content_type=STRUCTURED)

    answer = api.post(
        "/usage-events/", an_event(acme, id="ce-1", source="/chat", subject_id="ada", labels={"model": "m1"})
    )

    assert (answer.status_code, outcomes_of(answer)) == (200, [("ce-1", "exists", None)])


def test_batch_of_cloudevents_is_recorded(acme, api):
    batch = [a_cloudevent(id="1"), a_cloudevent(id="2", vendorextension="ignored", data=None)]

    answer = api.post("/usage-events/", batch, content_type=BATCHED)

    assert (answer.status_code, outcomes_of(answer)) == (
        201,
        [("1", "created", None), ("2", "created", None)],
    )
    assert ledger_rows("event_id", "labels") == [("1", {"model": "m1"}), ("2", {})]


def test_binary_cloudevent_is_recorded(acme, api):
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "b-1",
        "ce-source": "/chat",
        "ce-type": "tokens",
        "ce-time": NOON,
        "ce-subject": "ada",
        "ce-project": "acme",
    }

    answer = api.post("/usage-events/", {"model": "m1"}, headers=headers)

    assert (answer.status_code, outcomes_of(answer)) == (201, [("b-1", "created", None)])
    columns = ("source", "event_id", "event_name", "subject_id", "labels", "occurred_at")
    assert ledger_rows(*columns) == [("/chat", "b-1", "tokens", "ada", {"model": "m1"}, at(NOON))]


def test_binary_cloudevent_attributes_are_percent_decoded(acme, api):
    """As the HTTP binding of CloudEvents 1.0, section 3.1.3.2, says: the same event in either mode."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "b-1",
        "ce-source": "/chat",
        "ce-type": "tokens",
        "ce-time": NOON,
        "ce-subject": "Euro%20%E2%82%AC",
        "ce-project": "acme",
    }
    api.post("/usage-events/", a_cloudevent(id="b-1", subject="Euro €"), content_type=STRUCTURED)

    answer = api.post("/usage-events/", {"model": "m1"}, headers=headers)

    assert (answer.status_code, outcomes_of(answer) if answer.status_code < 400 else None) == (
        200,
        [("b-1", "exists", None)],
    )


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"specversion": None}, "missing_field", "specversion"),
        ({"specversion": "0.3"}, "invalid_field", "specversion"),
        ({"id": None}, "missing_field", "id"),
        ({"source": None}, "missing_field", "source"),
        ({"type": None}, "missing_field", "type"),
        ({"type": "unheard"}, "unknown_event_name", "type"),
        ({"time": "noon"}, "invalid_timestamp", "time"),
        ({"data": [1]}, "invalid_label", "data"),
        ({"data": "text"}, "invalid_label", "data"),
        ({"data_base64": "AA=="}, "invalid_field", "data_base64"),
        ({"subject": "x" * 256}, "invalid_field", "subject"),
        ({"project": "nowhere"}, "unknown_project", "project"),
    ],
)
def test_cloudevent_that_does_not_fit_is_refused_by_its_own_names(acme, api, wrong, code, field):
    answer = api.post("/usage-events/", a_cloudevent(**wrong), content_type=STRUCTURED)

    assert answer.status_code == 422
    assert fields_of(answer) == [(code, field)]
    assert row_counts() == (0, 0)


def test_cloudevents_batch_must_be_an_array(acme, api):
    assert_problem(api.post("/usage-events/", a_cloudevent(), content_type=BATCHED), 400, "parse_error")
    assert row_counts() == (0, 0)


def test_post_without_the_last_slash_never_looks_like_success(acme, api):
    """A client that follows a 301 asks again with GET, gets 200, and its usage is lost."""
    answer = api.post("/usage-events", an_event(acme))

    assert answer.status_code in {308, 404, 405}
    assert row_counts() == (0, 0)


def test_another_tenant_records_nothing_here(acme):
    stranger = Caller(a_project("globex"))

    answer = stranger.post("/usage-events/", an_event(acme))

    assert fields_of(answer) == [("unknown_project", "project")]
    assert row_counts() == (0, 0)
