import json

import pytest
from django.test import Client

from metering.models import MetricDefinition, Project, UsageEvent
from quotas.models import ProjectQuota
from quotas.overrides import override_quota
from tests.factories import a_metric, a_project, an_event, at
from tests.metering.api.callers import Caller

from .factories import a_quota

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    tenant = a_project("tenant")
    acme = a_project("acme", parent=tenant)
    a_project("chat", parent=acme)
    a_project("globex", parent=tenant)
    a_metric()
    return acme


def a_body(**overrides: object) -> dict[str, object]:
    return {
        "project": "acme",
        "metric": "tokens",
        "limit": "100",
        "mode": "hard",
        "period": "month",
        **overrides,
    }


def test_quota_is_set_and_shown(acme):
    call = Caller(acme)

    answer = call("POST", "/quotas/", a_body(limit="100.50"))

    assert answer.status_code == 201
    quota = ProjectQuota.objects.get()
    shown = dict(answer.json())
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": quota.pk,
        "project": "acme",
        "metric": "tokens",
        "limit": "100.5",
        "mode": "hard",
        "period": "month",
        "counting": "rollups",
        "anchor": None,
        "limit_in_force": "100.5",
        "overrides": [],
    }
    assert call("GET", f"/quotas/{quota.pk}/").json() == answer.json()
    assert call("GET", "/quotas/").json() == {"results": [answer.json()], "next": None, "previous": None}


def test_limit_may_be_a_json_number_and_stays_exact(acme):
    body = json.dumps(a_body()).replace('"100"', "12345678901234567890.123456789012")

    answer = Caller(acme)("POST", "/quotas/", body)

    assert answer.json()["limit"] == "12345678901234567890.123456789012"


@pytest.mark.parametrize(
    ("sent", "period"),
    [("MONTHLY", "month"), ("monthly", "month"), ("Month", "month"), ("HOURLY", "hour"), ("NEVER", "never")],
)
def test_other_spellings_are_understood(acme, sent, period):
    body = {"orgId": "acme", "metricKey": "tokens", "limit": 5, "mode": "HARD", "resetPeriod": sent}

    answer = Caller(acme)("POST", "/quotas/", {**body, "counting": "ROLLUPS"})

    assert answer.status_code == 201
    assert (answer.json()["period"], answer.json()["mode"], answer.json()["limit"]) == (period, "hard", "5")


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"limit": None}, "missing_field", "limit"),
        ({"metric": None}, "missing_field", "metric"),
        ({"mode": None}, "missing_field", "mode"),
        ({"period": None}, "missing_field", "period"),
        ({"limit": "-1"}, "invalid_field", "limit"),
        ({"limit": "lots"}, "invalid_field", "limit"),
        ({"limit": True}, "invalid_field", "limit"),
        ({"limit": ["1"]}, "invalid_field", "limit"),
        ({"limit": "1e40"}, "invalid_field", "limit"),
        ({"mode": "strict"}, "invalid_field", "mode"),
        ({"mode": 1}, "invalid_field", "mode"),
        ({"period": "fortnight"}, "invalid_field", "period"),
        ({"counting": "guesses"}, "invalid_field", "counting"),
        ({"colour": "red"}, "invalid_field", "colour"),
        ({"projectId": "acme"}, "invalid_field", "projectId"),
    ],
)
def test_wrong_member_is_refused_by_name(acme, wrong, code, field):
    answer = Caller(acme)("POST", "/quotas/", a_body(**wrong))

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == [(code, field)]
    assert not ProjectQuota.objects.exists()


@pytest.mark.parametrize("body", ["[]", '"text"', "5"])
def test_body_must_be_an_object(acme, body):
    assert Caller(acme)("POST", "/quotas/", body).status_code == 422


def test_second_quota_for_a_period_is_a_conflict(acme):
    call = Caller(acme)
    call("POST", "/quotas/", a_body())

    answer = call("POST", "/quotas/", a_body(limit="7"))

    assert answer.status_code == 409
    assert ProjectQuota.objects.get().limit == 100


def test_project_may_be_left_out_where_the_key_has_one_without_descendants(acme):
    body = a_body()
    del body["project"]

    leaf = Caller(Project.objects.get(key="chat"))("POST", "/quotas/", body)
    branch = Caller(acme)("POST", "/quotas/", body)

    assert leaf.json()["project"] == "chat"
    assert branch.status_code == 422
    assert branch.json()["errors"][0]["code"] == "missing_field"
    assert branch.json()["errors"][0]["field"] == "project"


@pytest.mark.parametrize("wrong", [{"project": "globex"}, {"project": "nowhere"}, {"metric": "nothing"}])
def test_what_the_key_does_not_see_is_not_found(acme, wrong):
    answer = Caller(acme)("POST", "/quotas/", a_body(**wrong))

    assert answer.status_code == 404
    assert not ProjectQuota.objects.exists()


def test_foreign_quotas_are_hidden(acme):
    globex = Project.objects.get(key="globex")
    quota = a_quota(globex, MetricDefinition.objects.get(key="tokens"))
    call = Caller(acme)

    assert call("GET", "/quotas/").json()["results"] == []
    assert call("GET", "/quotas/?project=globex").status_code == 404
    for method, body in (("GET", None), ("PATCH", {"limit": "1"}), ("DELETE", None)):
        assert call(method, f"/quotas/{quota.pk}/", body).status_code == 404
    assert call("GET", f"/quotas/{10**30}/").status_code == 404
    assert ProjectQuota.objects.get().limit == 100


def test_list_is_filtered_and_paged(acme):
    call = Caller(acme)
    a_metric("requests", aggregation="COUNT")
    for body in (
        a_body(),
        a_body(period="day", mode="soft"),
        a_body(project="chat", metric="requests", mode="monitor"),
    ):
        assert call("POST", "/quotas/", body).status_code == 201

    def found(query: str) -> list[tuple[str, str, str]]:
        results = call("GET", f"/quotas/?{query}").json()["results"]
        return [(quota["project"], quota["metric"], quota["period"]) for quota in results]

    first, second, third = (
        ("acme", "tokens", "month"),
        ("acme", "tokens", "day"),
        ("chat", "requests", "month"),
    )
    assert found("") == [first, second, third]
    assert found("project=acme") == [first, second]
    assert found("metric=requests") == [third]
    assert found("mode=SOFT") == [second]
    assert found("period=monthly") == [first, third]
    page = call("GET", "/quotas/?limit=2").json()
    assert len(page["results"]) == 2
    assert len(call("GET", page["next"].split("/api/v1")[1]).json()["results"]) == 1
    assert call("GET", "/quotas/?colour=red").status_code == 422


def test_quota_can_be_changed_but_for_what_it_is_about(acme):
    call = Caller(acme)
    quota_id = call("POST", "/quotas/", a_body()).json()["id"]

    changed = call("PATCH", f"/quotas/{quota_id}/", {"limit": "7.50", "mode": "Soft"})
    moved = call("PATCH", f"/quotas/{quota_id}/", {"resetPeriod": "DAILY", "counting": "LEDGER"})
    assert (changed.status_code, changed.json()["limit"], changed.json()["mode"]) == (200, "7.5", "soft")
    assert (moved.json()["period"], moved.json()["counting"]) == ("day", "ledger")

    for body, field in (
        ({"limit": "8", "project": "chat"}, "project"),
        ({"limit": "8", "metric": "tokens"}, "metric"),
        ({"limit": None}, "limit"),
        ({"period": None}, "period"),
        ({"period": "hour", "anchor": "2024-01-01"}, "anchor"),
        ({"anchor": "2024-02-30"}, "anchor"),
        ({"anchor": "20240201"}, "anchor"),
        ({"anchor": 5}, "anchor"),
        ({"counting": "guesses"}, "counting"),
    ):
        refused = call("PATCH", f"/quotas/{quota_id}/", body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert call("GET", f"/quotas/{quota_id}/").json()["limit"] == "7.5"


def test_periods_are_counted_from_an_anchor_until_it_is_lifted(acme):
    call = Caller(acme)
    quota = call("POST", "/quotas/", a_body(limit="1", anchor="2024-01-31", counting="ledger")).json()

    def use(instant: str):
        return call("POST", "/usage-events/", an_event("acme", quantity=1, occurred_at=instant))

    assert quota["anchor"] == "2024-01-31"
    assert use("2024-02-29T00:00:00Z").status_code == 201
    assert use("2024-03-30T23:59:59Z").status_code == 429
    assert use("2024-02-28T23:59:59Z").status_code == 201
    assert call("PATCH", f"/quotas/{quota['id']}/", {"anchor": None}).json()["anchor"] is None
    assert use("2024-03-30T23:59:59Z").status_code == 201


def test_temporary_limit_is_in_force_until_it_is_ended(acme):
    call = Caller(acme)
    path = f"/quotas/{call('POST', '/quotas/', a_body(limit='1')).json()['id']}"
    until = "2999-01-01T00:00:00Z"

    made = call(
        "POST", f"{path}/overrides/", {"limit": "3.0", "effectiveUntil": until, "reason": "a campaign"}
    )

    assert made.status_code == 201
    override = made.json()
    assert (override["limit"], override["effective_until"], override["reason"]) == ("3", until, "a campaign")
    assert (override["created_by"], override["ended_by"]) == ("test", None)
    quota = call("GET", f"{path}/").json()
    assert (quota["limit"], quota["limit_in_force"], quota["overrides"]) == ("1", "3", [override])
    assert call("POST", "/usage-events/", an_event("acme", quantity=2)).status_code == 201
    refused = call("POST", "/usage-events/", an_event("acme", quantity=2)).json()
    assert (refused["code"], refused["limit"], refused["remaining"]) == ("quota_exceeded", "3", "1")
    again = call("POST", f"{path}/overrides/", {"limit": 9, "effective_until": until, "reason": "more"})
    assert again.status_code == 409

    ended = call("POST", f"{path}/overrides/{override['id']}/end/")

    assert (ended.status_code, ended.json()["ended_by"]) == (200, "test")
    assert call("POST", "/usage-events/", an_event("acme", quantity=1)).json()["limit"] == "1"
    assert call("GET", f"{path}/").json()["overrides"] == []
    assert [each["id"] for each in call("GET", f"{path}/overrides/").json()["results"]] == [override["id"]]
    assert call("GET", f"{path}/overrides/{override['id']}/").json() == ended.json()


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"limit": None}, "missing_field", "limit"),
        ({"reason": None}, "missing_field", "reason"),
        ({"reason": "  "}, "missing_field", "reason"),
        ({"reason": 5}, "missing_field", "reason"),
        ({"effective_until": None}, "missing_field", "effective_until"),
        ({"limit": "-1"}, "invalid_field", "limit"),
        ({"effective_until": "2024-01-01T00:00:00Z"}, "invalid_field", "effective_until"),
        ({"effective_until": "2999-01-01"}, "invalid_field", "effective_until"),
        ({"effective_until": 5}, "invalid_field", "effective_until"),
        ({"effective_from": "2024-01-01T00:00:00Z"}, "invalid_field", "effective_from"),
        ({"effective_from": "2999-02-01T00:00:00Z"}, "invalid_field", "effective_until"),
        ({"created_by": "me"}, "invalid_field", "created_by"),
    ],
)
def test_temporary_limit_that_makes_no_sense_is_refused_by_name(acme, wrong, code, field):
    call = Caller(acme)
    quota_id = call("POST", "/quotas/", a_body()).json()["id"]
    body = {"limit": "5", "effective_until": "2999-01-01T00:00:00Z", "reason": "why not", **wrong}

    answer = call("POST", f"/quotas/{quota_id}/overrides/", body)

    assert answer.status_code == 422
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == [(code, field)]
    assert call("GET", f"/quotas/{quota_id}/overrides/").json()["results"] == []


def test_temporary_limits_of_others_are_hidden(acme):
    quota = a_quota(Project.objects.get(key="globex"), MetricDefinition.objects.get(key="tokens"))
    override = override_quota(
        quota, limit=5, effective_until=at("2999-01-01T00:00:00Z"), reason="theirs", actor="them"
    )
    own_id = Caller(acme)("POST", "/quotas/", a_body()).json()["id"]
    call, reader = Caller(acme), Caller(acme, "read")

    for path in (f"/quotas/{quota.pk}", f"/quotas/{own_id}"):
        assert call("GET", f"{path}/overrides/{override.pk}/").status_code == 404
        assert call("POST", f"{path}/overrides/{override.pk}/end/").status_code == 404
    assert call("GET", f"/quotas/{quota.pk}/overrides/").status_code == 404
    assert call("POST", f"/quotas/{quota.pk}/overrides/", {}).status_code == 404
    assert call("GET", f"/quotas/{own_id}/overrides/{10**30}/").status_code == 404
    assert reader("POST", f"/quotas/{own_id}/overrides/", {}).status_code == 403
    override.refresh_from_db()
    assert override.ended_by == ""


def test_quota_is_removed(acme):
    call = Caller(acme)
    quota_id = call("POST", "/quotas/", a_body(limit="0")).json()["id"]

    assert call("DELETE", f"/quotas/{quota_id}/").status_code == 204

    assert call("GET", f"/quotas/{quota_id}/").status_code == 404
    assert call("POST", "/usage-events/", an_event("acme", quantity=1)).status_code == 201


def test_reading_and_managing_are_different_permissions(acme):
    quota_id = Caller(acme)("POST", "/quotas/", a_body()).json()["id"]
    reader, manager = Caller(acme, "read"), Caller(acme, "manage")

    assert reader("GET", "/quotas/").status_code == 200
    for method, path in (
        ("POST", "/quotas/"),
        ("PATCH", f"/quotas/{quota_id}/"),
        ("DELETE", f"/quotas/{quota_id}/"),
    ):
        assert reader(method, path, {}).status_code == 403
    assert manager("GET", "/quotas/").status_code == 403
    assert Client().get("/api/v1/quotas/").status_code == 401


def test_event_beyond_a_hard_quota_is_a_429_problem_without_retry_after(acme):
    call = Caller(acme)
    call("POST", "/quotas/", a_body(limit="10"))
    assert call("POST", "/usage-events/", an_event("acme", quantity=9)).status_code == 201

    answer = call("POST", "/usage-events/", an_event("acme", quantity=2))

    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert "Retry-After" not in answer
    document = answer.json()
    assert document["type"].endswith("/quota-exceeded")
    wanted = {
        "code": "quota_exceeded",
        "metric": "tokens",
        "project": "acme",
        "limit": "10",
        "used": "9",
        "held": "0",
        "requested": "2",
        "remaining": "1",
        "mode": "hard",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }
    assert {name: document[name] for name in wanted} == wanted
    assert UsageEvent.objects.count() == 1


def test_event_beyond_a_soft_quota_is_recorded_with_warnings(acme):
    call = Caller(acme)
    call("POST", "/quotas/", a_body(limit="10", mode="soft"))

    answer = call("POST", "/usage-events/", an_event("acme", quantity=11))

    assert answer.status_code == 201
    (warning,) = answer.json()["results"][0]["warnings"]
    assert (warning["code"], warning["limit"], warning["requested"]) == ("quota_exceeded", "10", "11")
