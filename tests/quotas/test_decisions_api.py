"""`/quotas/decisions/`: looking up why something was refused."""

import pytest

from metering.attributing.scope_tree import attribute
from metering.models import Project
from quotas.models import QuotaDecision
from quotas.notebook import NOTEBOOK
from tests.factories import a_metric, a_project, an_event
from tests.metering.api.callers import Caller, fields_of

from .factories import a_quota

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    acme = a_project("acme", parent=a_project("tenant"))
    attribute(a_project("chat", parent=acme), payer=acme)
    a_metric()
    return acme


def test_refusal_names_its_decision_which_says_why(acme):
    quota = a_quota(acme, a_metric("calls"), limit="5")
    call = Caller(acme)

    refusal = call.post("/usage-events/", an_event("chat", event_name="calls", quantity=6, id="req-1"))
    NOTEBOOK.flush()

    assert refusal.status_code == 429
    answer = call.get(f"/quotas/decisions/{refusal.json()['decision']}/")
    shown = answer.json()
    assert (shown.pop("first_at"), shown.pop("count")) == (shown.pop("last_at"), 1)
    assert shown == {
        "decision": refusal.json()["decision"],
        "outcome": "denied",
        "quota": quota.pk,
        "threshold": None,
        "project": "acme",
        "used_by": "chat",
        "metric": "calls",
        "mode": "hard",
        "period": "month",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
        "limit": "5",
        "level": None,
        "used": "0",
        "held": "0",
        "requested": "6",
        "remaining": "5",
        "position": None,
        "basis": "rollups",
        "subject_type": "",
        "subject_id": "",
        "event_ids": ["req-1"],
        "actor": f"test (mbk_{call.row.key_id}…)",
        "detail": refusal.json()["detail"],
    }
    assert call.key.partition(".")[2] not in answer.content.decode()


def test_skipped_event_names_its_decision(acme):
    a_quota(acme, a_metric("calls"), limit="5")
    call = Caller(acme)

    answer = call.post("/usage-events/?on_error=skip", [an_event("acme", event_name="calls", quantity=6)])
    NOTEBOOK.flush()

    [result] = answer.json()["results"]
    assert result["decision"] == QuotaDecision.objects.get().reference


def test_list_is_filtered_and_paged(acme):
    a_quota(acme, a_metric("calls"), limit="0")
    a_quota(acme, a_metric("seats"), limit="0")
    call = Caller(acme)
    for name, project in (("calls", "acme"), ("seats", "acme"), ("calls", "chat")):
        call.post("/usage-events/", an_event(project, event_name=name))
        NOTEBOOK.flush()

    def found(path):
        answer = call.get(f"/quotas/decisions/{path}")
        assert answer.status_code == 200, answer.content
        return [(row["metric"], row["used_by"]) for row in answer.json()["results"]]

    assert found("") == [("calls", "chat"), ("seats", "acme"), ("calls", "acme")]
    assert found("?metric=calls") == [("calls", "chat"), ("calls", "acme")]
    assert found("?project=chat") == [("calls", "chat")]
    assert found("?project=acme&metric=seats") == [("seats", "acme")]
    assert found("?outcome=SOFT_BREACH") == []
    assert found("?from=2020-01-01&to=2020-01-02") == []
    assert len(found("?from=2020-01-01")) == 3
    assert found("?decision=nothing") == []
    assert found("?quota=999999") == []
    first = call.get("/quotas/decisions/?limit=2").json()
    assert [row["metric"] for row in first["results"]] == ["calls", "seats"]
    second = call.get(first["next"].removeprefix("http://testserver/api/v1")).json()
    assert [row["used_by"] for row in second["results"]] == ["acme"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("outcome=maybe", "outcome"), ("from=yesterday", "from"), ("quota=x", "quota"), ("colour=1", "colour")],
)
def test_wrong_filter_is_named(acme, query, field):
    assert fields_of(Caller(acme).get(f"/quotas/decisions/?{query}")) == [("invalid_field", field)]


def test_who_was_refused_on_account_of_a_payer_sees_that_and_nothing_else(acme):
    a_quota(acme, a_metric("calls"), limit="0")
    chat = Caller(Project.objects.get(key="chat"))
    for project in ("acme", "chat"):
        Caller(acme).post("/usage-events/", an_event(project, event_name="calls"))
    NOTEBOOK.flush()
    of_acme = QuotaDecision.objects.get(user_project_key="acme")

    [row] = chat.get("/quotas/decisions/").json()["results"]

    assert (row["project"], row["used_by"]) == ("acme", "chat")
    assert chat.get(f"/quotas/decisions/{of_acme.reference}/").status_code == 404
    assert chat.get("/quotas/decisions/?project=acme").status_code == 404
