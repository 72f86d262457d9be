"""`/quotas/holds/` and `/quotas/check/` over HTTP."""

import pytest

from metering.attributing.scope_tree import attribute
from metering.models import PendingContribution, Project, UsageEvent
from quotas.models import QuotaDecision, QuotaHold
from quotas.notebook import NOTEBOOK
from quotas.overrides import override_quota
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.metering.api.callers import Caller, assert_problem, fields_of

from .factories import a_quota

pytestmark = pytest.mark.django_db

NOON = "2024-05-15T12:00:00Z"


@pytest.fixture
def acme() -> Project:
    acme = a_project("acme", parent=a_project("tenant"))
    attribute(a_project("chat", parent=acme), payer=acme)
    return acme


def a_body(**overrides) -> dict:
    return {
        "project": "acme",
        "metric": "tokens",
        "quantity": "30",
        "expires_in": 600,
        "on_exceed": "reject",
        "occurred_at": NOON,
        **overrides,
    }


# Holds


def test_hold_is_made_used_and_shown(acme):
    a_quota(acme, a_metric(), limit="100")
    call = Caller(acme)

    made = call.post("/quotas/holds/", a_body())

    assert made.status_code == 201
    shown = made.json()
    assert shown["id"].startswith("hold_")
    assert (shown["granted"], shown["state"], shown["quantity"]) == ("30", "open", None)
    assert call.get(f"/quotas/holds/{shown['id']}/").json() == shown

    used = call.post(f"/quotas/holds/{shown['id']}/commit/", {"quantity": "12.5"})
    again = call.post(f"/quotas/holds/{shown['id']}/commit/", {"quantity": "12.50"})

    assert (used.status_code, again.status_code) == (201, 200)
    assert (used.json()["state"], used.json()["quantity"]) == ("committed", "12.5")
    assert used.json()["event"] == UsageEvent.objects.get().pk
    assert again.json() == used.json()


def test_hold_is_given_back(acme):
    a_metric()
    call = Caller(acme)
    hold_id = call.post("/quotas/holds/", a_body()).json()["id"]

    answers = [call.post(f"/quotas/holds/{hold_id}/release/", {}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["state"] == "released"
    assert_problem(call.post(f"/quotas/holds/{hold_id}/commit/", {}), 409, "conflict")


def test_refused_hold_is_a_quota_exceeded_with_its_decision(acme):
    a_quota(acme, a_metric(), limit="100")
    call = Caller(acme)
    call.post("/quotas/holds/", a_body(quantity=80))

    answer = call.post("/quotas/holds/", a_body(quantity=21))
    NOTEBOOK.flush()

    document = assert_problem(answer, 429, "quota_exceeded")
    assert (document["used"], document["held"], document["remaining"]) == ("0", "80", "20")
    assert document["decision"] == QuotaDecision.objects.get().reference
    assert not answer.has_header("Retry-After")
    assert call.post("/quotas/holds/", a_body(quantity=21, on_exceed="CAP")).json()["granted"] == "20"


def test_same_key_by_member_or_header_makes_one_hold(acme):
    a_metric()
    call = Caller(acme)

    first = call.post("/quotas/holds/", a_body(id="job-1"))
    second = call.post("/quotas/holds/", a_body(), headers={"idempotency-key": "job-1"})
    other = call.post("/quotas/holds/", a_body(id="job-1"), headers={"idempotency-key": "job-2"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert fields_of(other) == [("invalid_field", "idempotency_key")]
    assert call.get("/quotas/holds/job-1/").json() == first.json()
    assert call.post("/quotas/holds/job-1/commit/", {}).status_code == 201


def test_holds_are_listed_by_state(acme):
    a_metric()
    call = Caller(acme)
    ids = [call.post("/quotas/holds/", a_body(quantity=n)).json()["id"] for n in (1, 2, 3)]
    call.post(f"/quotas/holds/{ids[0]}/commit/", {})
    call.post(f"/quotas/holds/{ids[1]}/release/", {})

    def found(query):
        return [hold["id"] for hold in call.get(f"/quotas/holds/?{query}").json()["results"]]

    assert found("") == ids[::-1]
    assert (found("state=open"), found("state=COMMITTED")) == ([ids[2]], [ids[0]])
    assert (found("state=released"), found("state=expired")) == ([ids[1]], [])
    assert found("project=acme&metric=tokens&limit=2") == [ids[2], ids[1]]
    assert found("metric=other") == []


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"metric": None}, "missing_field", "metric"),
        ({"quantity": None}, "missing_field", "quantity"),
        ({"expires_in": None}, "missing_field", "expires_in"),
        ({"expires_in": 10**9}, "invalid_field", "expires_in"),
        ({"expires_in": 1.5}, "invalid_field", "expires_in"),
        ({"quantity": [1]}, "invalid_field", "quantity"),
        ({"quantity": "1e40"}, "invalid_field", "quantity"),
        ({"metric": "peak"}, "invalid_field", "metric"),
        ({"labels": [1]}, "invalid_label", "labels"),
        ({"subject_id": 5}, "invalid_field", "subject_id"),
        ({"on_exceed": "queue"}, "invalid_field", "on_exceed"),
        ({"colour": "red"}, "invalid_field", "colour"),
    ],
)
def test_wrong_hold_is_refused_by_name(acme, wrong, code, field):
    a_metric()
    a_metric("peak", aggregation="MAX", meter_type="gauge")

    answer = Caller(acme).post("/quotas/holds/", a_body(**wrong))

    assert answer.status_code == 422
    assert fields_of(answer) == [(code, field)]
    assert not QuotaHold.objects.exists()


def test_hold_of_another_tenant_is_not_found(acme):
    a_metric()
    hold_id = Caller(acme).post("/quotas/holds/", a_body()).json()["id"]
    stranger = Caller(Project.objects.get(key="chat"))

    assert stranger.get(f"/quotas/holds/{hold_id}/").status_code == 404
    assert stranger.post(f"/quotas/holds/{hold_id}/commit/", {}).status_code == 404
    assert stranger.post(f"/quotas/holds/{hold_id}/release/", {}).status_code == 404
    assert stranger.get("/quotas/holds/").json()["results"] == []
    assert stranger.post("/quotas/holds/", a_body()).status_code == 404


# Check


def test_check_says_what_every_quota_would_say_and_writes_nothing(acme):
    tokens = a_metric()
    hard = a_quota(acme, tokens, limit="100")
    soft = a_quota(acme, tokens, limit="50", mode="soft", period="day")
    monitor = a_quota(acme, tokens, limit="1", mode="monitor", period="hour")
    recorded(an_event("chat", quantity=40))
    pending = PendingContribution.objects.count()
    body = {"project": "chat", "metric": "tokens", "value": "20", "occurred_at": NOON}

    answer = Caller(acme, "read", "backfill").post("/quotas/check/", body)

    assert answer.status_code == 200
    document = answer.json()
    assert (document["allowed"], document["code"], document["billing_scope"]) == (True, None, "acme")
    assert [(one["quota"], one["answer"], one["used"], one["requested"]) for one in document["quotas"]] == [
        (hard.pk, "admitted", "40", "20"),
        (soft.pk, "warned", "40", "20"),
        (monitor.pk, "observed", "40", "20"),
    ]
    assert [warning["limit"] for warning in document["warnings"]] == ["50"]
    NOTEBOOK.flush()
    assert (UsageEvent.objects.count(), PendingContribution.objects.count()) == (1, pending)
    assert not QuotaDecision.objects.exists()


def test_check_denies_what_recording_would_refuse(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    call = Caller(acme, "ingest", "backfill")
    body = {"project": "acme", "event_name": "tokens", "quantity": 101, "timestamp": NOON}

    check = call.post("/quotas/check/", body).json()
    refusal = call.post("/usage-events/", body)

    assert (check["allowed"], check["code"]) == (False, "quota_exceeded")
    assert check["detail"] == refusal.json()["detail"]
    assert check["quotas"][0]["answer"] == "denied"
    assert check["warnings"] == []
    assert (check["quotas"][0]["quota"], check["quotas"][0]["limit"]) == (quota.pk, "100")


def test_check_knows_holds_overrides_and_closed_periods(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    call = Caller(acme)
    call.post("/quotas/holds/", a_body(quantity=90))
    body = {"project": "acme", "metric": "tokens", "quantity": 20, "occurred_at": NOON}

    assert call.post("/quotas/check/", body).json()["quotas"][0]["held"] == "90"
    assert not call.post("/quotas/check/", body).json()["allowed"]
    override_quota(quota, limit="200", effective_until=at("2999-01-01T00:00:00Z"), reason="x", actor="ada")
    assert call.post("/quotas/check/", body).json()["quotas"][0]["limit"] == "200"
    assert call.post("/quotas/check/", body).json()["allowed"]

    late = Caller(acme, "ingest").post("/quotas/check/", body).json()
    assert (late["allowed"], late["code"]) == (False, "quota_period_closed")


def test_check_without_quotas_allows(acme):
    a_metric()

    document = Caller(acme).post("/quotas/check/", {"project": "acme", "metric": "tokens"}).json()

    assert (document["allowed"], document["quotas"], document["warnings"]) == (True, [], [])


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "project"),
        ({"project": "acme"}, "missing_field", "event_name"),
        ({"project": "nowhere", "metric": "tokens"}, "unknown_project", "project"),
        ({"projectId": "nowhere", "metric": "tokens"}, "unknown_project", "projectId"),
        ({"project": "acme", "metric": "nothing"}, "unknown_event_name", "metric"),
        ({"project": "acme", "metric": "tokens", "value": "lots"}, "invalid_value", "value"),
        ({"project": "acme", "metric": "tokens", "quantity": -1}, "invalid_value", "quantity"),
        ({"project": "acme", "metric": "tokens", "timestamp": "now"}, "invalid_timestamp", "timestamp"),
        ({"project": "acme", "metric": "tokens", "metadata": 5}, "invalid_label", "metadata"),
        ({"project": "acme", "metric": "tokens", "colour": 5}, "invalid_field", "colour"),
    ],
)
def test_wrong_check_is_refused_by_name(acme, body, code, field):
    a_metric()

    answer = Caller(acme).post("/quotas/check/", body)

    assert answer.status_code == 422, answer.content
    assert fields_of(answer) == [(code, field)]


def test_check_needs_ingest_or_read(acme):
    a_metric()
    body = {"project": "acme", "metric": "tokens"}

    assert Caller(acme, "manage").post("/quotas/check/", body).status_code == 403
    assert Caller(acme, "ingest").post("/quotas/check/", body).status_code == 200
    assert Caller(acme, "read").post("/quotas/check/", body).status_code == 200


# Bad bodies


@pytest.mark.parametrize("labels", ["a text", [1], 5, 1.5, True])
def test_hold_with_labels_that_are_no_object_is_refused(acme, labels):
    a_metric("bytes", value_property="bytes.sent")

    answer = Caller(acme).post("/quotas/holds/", a_body(metric="bytes", labels=labels))

    assert answer.status_code == 422, answer.content
    assert fields_of(answer) == [("invalid_label", "labels")]


@pytest.mark.parametrize("path", ["/quotas/holds/", "/quotas/check/"])
@pytest.mark.parametrize("depth", [101, 500, 900])
def test_deeply_nested_body_is_refused(acme, path, depth):
    a_metric()
    body = '{"project": "acme", "metric": "tokens", "labels": ' + '{"a":' * depth + "1" + "}" * depth + "}"

    answer = Caller(acme).post(path, body)

    assert answer.status_code == 400, answer.content
    assert "nested too deeply" in answer.json()["detail"]
