import json

import pytest
from django.test import Client

from metering.clock import database_now
from metering.models import MetricDefinition, Project
from quotas.models import Alert, UsageThreshold
from tests.factories import a_metric, a_project, an_event, recorded

from .factories import a_quota, a_threshold
from .test_api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    tenant = a_project("tenant")
    acme = a_project("acme", parent=tenant)
    a_project("chat", parent=acme)
    a_project("globex", parent=tenant)
    a_metric(reset_period="monthly")
    return acme


def a_body(**overrides: object) -> dict[str, object]:
    return {"project": "acme", "metric": "tokens", "threshold": "100", "action": "alert", **overrides}


def test_threshold_is_set_and_shown(acme):
    call = Caller(acme)

    answer = call("POST", "/thresholds/", a_body(threshold="100.50", notify_emails=["ops@example.com"]))

    assert answer.status_code == 201
    threshold = UsageThreshold.objects.get()
    shown = dict(answer.json())
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": threshold.pk,
        "project": "acme",
        "metric": "tokens",
        "subject_type": None,
        "subject_id": None,
        "threshold": "100.5",
        "quota_fraction": None,
        "level": "100.5",
        "action": "alert",
        "notify_emails": ["ops@example.com"],
        "period": "month",
        "approach_fraction": "0.8",
        "is_enabled": True,
        "version": 1,
    }
    assert call("GET", f"/thresholds/{threshold.pk}/").json() == answer.json()
    assert call("GET", "/thresholds/").json() == {"results": [answer.json()], "next": None, "previous": None}


def test_other_spellings_are_understood(acme):
    body = {
        "orgId": "acme",
        "metricKey": "tokens",
        "subjectType": "customer",
        "subjectId": "kim",
        "threshold": 5,
        "action": "BLOCK",
        "notifyEmails": ["ops@example.com", " OPS@example.com "],
        "resetPeriod": "DAILY",
        "approachFraction": 0.5,
        "isEnabled": False,
    }

    answer = Caller(acme)("POST", "/thresholds/", body)

    assert answer.status_code == 201
    wanted = {
        "subject_type": "customer",
        "subject_id": "kim",
        "threshold": "5",
        "action": "block",
        "notify_emails": ["ops@example.com"],
        "period": "day",
        "approach_fraction": "0.5",
        "is_enabled": False,
    }
    assert {name: answer.json()[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("reset_period", "period"),
    [("hourly", "hour"), ("daily", "day"), ("weekly", "week"), ("yearly", "year"), ("never", "never")],
)
def test_period_is_the_metrics_own_unless_named(acme, reset_period, period):
    a_metric("other", reset_period=reset_period)

    answer = Caller(acme)("POST", "/thresholds/", a_body(metric="other"))

    assert answer.json()["period"] == period


def test_share_of_a_quota(acme):
    a_quota(acme, MetricDefinition.objects.get(), limit="200")
    body = a_body(quota_fraction="0.5", approach_fraction=None)
    del body["threshold"]

    answer = Caller(acme)("POST", "/thresholds/", body)

    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["threshold"], shown["quota_fraction"], shown["level"]) == (None, "0.5", "100")
    assert shown["approach_fraction"] is None


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"metric": None}, "missing_field", "metric"),
        ({"threshold": None}, "missing_field", "threshold"),
        ({"threshold": "-1"}, "invalid_field", "threshold"),
        ({"threshold": "lots"}, "invalid_field", "threshold"),
        ({"threshold": True}, "invalid_field", "threshold"),
        ({"threshold": {}}, "invalid_field", "threshold"),
        ({"threshold": "NaN"}, "invalid_field", "threshold"),
        ({"threshold": "1e40"}, "invalid_field", "threshold"),
        ({"quota_fraction": "0.5"}, "invalid_field", "quota_fraction"),
        ({"threshold": None, "quota_fraction": "0.5"}, "invalid_field", "quota_fraction"),
        ({"threshold": None, "quota_fraction": "0"}, "invalid_field", "quota_fraction"),
        ({"threshold": None, "quota_fraction": "80"}, "invalid_field", "quota_fraction"),
        ({"threshold": None, "quota_fraction": "0.12345"}, "invalid_field", "quota_fraction"),
        ({"approach_fraction": "0"}, "invalid_field", "approach_fraction"),
        ({"approach_fraction": "1.01"}, "invalid_field", "approach_fraction"),
        ({"approach_fraction": []}, "invalid_field", "approach_fraction"),
        ({"action": "shout"}, "invalid_field", "action"),
        ({"action": 1}, "invalid_field", "action"),
        ({"period": "fortnight"}, "invalid_field", "period"),
        ({"subject_id": "x" * 256}, "invalid_field", "subject_id"),
        ({"subject_type": 5}, "invalid_field", "subject_type"),
        ({"is_enabled": "yes"}, "invalid_field", "is_enabled"),
        ({"notify_emails": "ops@example.com"}, "invalid_field", "notify_emails"),
        ({"notify_emails": ["nobody"]}, "invalid_field", "notify_emails"),
        ({"notify_emails": [5]}, "invalid_field", "notify_emails"),
        ({"notify_emails": ["ops@example.com\nBcc: all@example.com"]}, "invalid_field", "notify_emails"),
        ({"notify_emails": [f"ops-{n}@example.com" for n in range(21)]}, "invalid_field", "notify_emails"),
        ({"notify_emails": ["x" * 250 + "@example.com"]}, "invalid_field", "notify_emails"),
        ({"level": "5"}, "invalid_field", "level"),
        ({"version": 5}, "invalid_field", "version"),
    ],
)
def test_wrong_member_is_refused_by_name(acme, wrong, code, field):
    answer = Caller(acme)("POST", "/thresholds/", a_body(**wrong))

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert [(error["code"], error["field"]) for error in answer.json()["errors"]] == [(code, field)]
    assert not UsageThreshold.objects.exists()


@pytest.mark.parametrize(
    ("aggregation", "overrides", "field"),
    [
        ("AVG", {"action": "block"}, "action"),
        ("MIN", {"action": "block"}, "action"),
        ("TIME_WEIGHTED_AVG", {"action": "block"}, "action"),
        ("TIME_WEIGHTED_AVG", {"period": "never"}, "period"),
    ],
)
def test_what_a_metric_cannot_have_is_refused(acme, aggregation, overrides, field):
    a_metric("mean", aggregation=aggregation, meter_type="gauge", reset_period="monthly")

    answer = Caller(acme)("POST", "/thresholds/", a_body(metric="mean", **overrides))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_same_level_twice_is_a_conflict_and_other_steps_are_not(acme):
    call = Caller(acme)
    assert call("POST", "/thresholds/", a_body()).status_code == 201

    assert call("POST", "/thresholds/", a_body(threshold="100.0", action="block")).status_code == 409
    assert call("POST", "/thresholds/", a_body(threshold="50")).status_code == 201
    assert call("POST", "/thresholds/", a_body(subject_id="*")).status_code == 201
    assert UsageThreshold.objects.count() == 3


def test_project_is_the_keys_own_unless_named(acme):
    body = a_body()
    del body["project"]

    assert Caller(acme)("POST", "/thresholds/", body).json()["project"] == "acme"


@pytest.mark.parametrize("wrong", [{"project": "globex"}, {"project": "nowhere"}, {"metric": "nothing"}])
def test_what_the_key_does_not_see_is_not_found(acme, wrong):
    answer = Caller(acme)("POST", "/thresholds/", a_body(**wrong))

    assert answer.status_code == 404
    assert not UsageThreshold.objects.exists()


def test_foreign_thresholds_are_hidden(acme):
    threshold = a_threshold(Project.objects.get(key="globex"), MetricDefinition.objects.get())
    call = Caller(acme)

    assert call("GET", "/thresholds/").json()["results"] == []
    assert call("GET", "/thresholds/?project=globex").status_code == 404
    for method, body in (("GET", None), ("PATCH", {"threshold": "1"}), ("DELETE", None)):
        assert call(method, f"/thresholds/{threshold.pk}/", body).status_code == 404
    assert call("GET", f"/thresholds/{10**30}/").status_code == 404
    assert UsageThreshold.objects.kept().get().amount == 100


def test_list_is_filtered_and_paged(acme):
    call = Caller(acme)
    a_metric("requests", aggregation="COUNT")
    for body in (
        a_body(),
        a_body(subject_id="*", action="block", period="day"),
        a_body(
            project="chat",
            metric="requests",
            subject_type="customer",
            subject_id="kim",
            action="none",
            is_enabled=False,
            period="month",
        ),
    ):
        assert call("POST", "/thresholds/", body).status_code == 201

    def found(query: str) -> list[str | None]:
        answer = call("GET", f"/thresholds/?{query}")
        assert answer.status_code == 200
        return [threshold["subject_id"] for threshold in answer.json()["results"]]

    assert found("") == [None, "*", "kim"]
    assert found("project=acme") == [None, "*"]
    assert found("metric=requests") == ["kim"]
    assert found("action=BLOCK") == ["*"]
    assert found("period=monthly") == [None, "kim"]
    assert found("subjectType=customer") == ["kim"]
    assert found("subject_id=*") == ["*"]
    assert found("is_enabled=false") == ["kim"]
    page = call("GET", "/thresholds/?limit=2").json()
    assert len(page["results"]) == 2
    assert len(call("GET", page["next"].split("/api/v1")[1]).json()["results"]) == 1
    assert call("GET", "/thresholds/?colour=red").status_code == 422


def test_level_action_addresses_and_warning_can_be_changed_and_nothing_else(acme):
    call = Caller(acme)
    threshold_id = call("POST", "/thresholds/", a_body()).json()["id"]
    path = f"/thresholds/{threshold_id}/"

    changed = call(
        "PATCH",
        path,
        {"threshold": "7.50", "action": "Block", "notifyEmails": ["a@b.ch"], "approach_fraction": None},
    )
    refused = call("PATCH", path, {"threshold": "8", "period": "day"})
    emptied = call("PATCH", path, {"threshold": None})
    cleared = call("PATCH", path, {"notify_emails": []})

    assert changed.status_code == 200
    shown = changed.json()
    assert (shown["threshold"], shown["action"], shown["version"]) == ("7.5", "block", 2)
    assert (shown["notify_emails"], shown["approach_fraction"]) == (["a@b.ch"], None)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "period")
    assert (emptied.status_code, emptied.json()["errors"][0]["field"]) == (422, "threshold")
    assert cleared.json()["notify_emails"] == []
    assert call("GET", path).json()["threshold"] == "7.5"


def test_amount_takes_the_place_of_a_share_and_back(acme):
    call = Caller(acme)
    a_quota(acme, MetricDefinition.objects.get(), limit="200")
    path = f"/thresholds/{call('POST', '/thresholds/', a_body()).json()['id']}/"

    share = call("PATCH", path, {"quota_fraction": "0.9"}).json()
    amount = call("PATCH", path, {"threshold": "10"}).json()

    assert (share["threshold"], share["quota_fraction"], share["level"]) == (None, "0.9", "180")
    assert (amount["threshold"], amount["quota_fraction"], amount["level"]) == ("10", None, "10")
    assert amount["version"] == 3


def test_change_to_a_level_that_is_watched_already_is_a_conflict(acme):
    call = Caller(acme)
    call("POST", "/thresholds/", a_body())
    path = f"/thresholds/{call('POST', '/thresholds/', a_body(threshold='50')).json()['id']}/"

    assert call("PATCH", path, {"threshold": "100"}).status_code == 409
    assert call("GET", path).json()["threshold"] == "50"


def test_threshold_is_removed_and_may_be_set_again(acme):
    call = Caller(acme)
    recorded(an_event(acme, quantity=100, occurred_at=database_now().isoformat()))
    threshold_id = call("POST", "/thresholds/", a_body(action="block")).json()["id"]

    assert call("DELETE", f"/thresholds/{threshold_id}/").status_code == 204

    assert call("GET", f"/thresholds/{threshold_id}/").status_code == 404
    assert call("DELETE", f"/thresholds/{threshold_id}/").status_code == 404
    assert call("GET", "/thresholds/").json()["results"] == []
    assert Alert.objects.count() == 1
    assert call("POST", "/thresholds/", a_body()).status_code == 201


def test_reading_and_managing_are_different_permissions(acme):
    threshold_id = Caller(acme)("POST", "/thresholds/", a_body()).json()["id"]
    reader, manager = Caller(acme, "read"), Caller(acme, "manage")

    assert reader("GET", "/thresholds/").status_code == 200
    for method, path in (
        ("POST", "/thresholds/"),
        ("PATCH", f"/thresholds/{threshold_id}/"),
        ("DELETE", f"/thresholds/{threshold_id}/"),
    ):
        assert reader(method, path, {}).status_code == 403
    assert manager("GET", "/thresholds/").status_code == 403
    assert Client().get("/api/v1/thresholds/").status_code == 401


def test_amount_stays_exact(acme):
    body = json.dumps(a_body()).replace('"100"', "12345678901234567890.123456789012")

    answer = Caller(acme)("POST", "/thresholds/", body)

    assert answer.json()["threshold"] == answer.json()["level"] == "12345678901234567890.123456789012"
