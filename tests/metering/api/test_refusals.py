"""Limits seen from outside: the 429 document, warnings, and what is recorded beside them."""

import pytest

from metering.attributing.scope_tree import attribute
from metering.models import Project
from quotas.models import ProjectQuota
from tests.factories import an_event, ledger_rows
from tests.metering.api.callers import Caller, assert_problem, row_counts

pytestmark = pytest.mark.django_db


def limited(api, **overrides):
    body = {
        "project": "acme",
        "metric": "tokens",
        "limit": "100",
        "mode": "hard",
        "period": "month",
        **overrides,
    }
    answer = api.post("/quotas/", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_hard_limit_refuses_with_all_the_facts(acme, api):
    limited(api)
    assert api.post("/usage-events/", an_event(acme, quantity="60.5")).status_code == 201

    answer = api.post("/usage-events/", an_event(acme, quantity="39.500000000001"))

    document = assert_problem(answer, 429, "quota_exceeded")
    assert document["type"].endswith("/quota-exceeded")
    facts = (
        "metric",
        "project",
        "limit",
        "used",
        "held",
        "requested",
        "remaining",
        "mode",
        "period_start",
        "resets_at",
    )
    assert {name: document[name] for name in facts} == {
        "metric": "tokens",
        "project": "acme",
        "limit": "100",
        "used": "60.5",
        "held": "0",
        "requested": "39.500000000001",
        "remaining": "39.5",
        "mode": "hard",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }
    assert "Retry-After" not in answer
    assert row_counts() == (1, 1)


def test_exactly_the_limit_is_allowed_and_nothing_after_it(acme, api):
    limited(api)

    assert api.post("/usage-events/", an_event(acme, quantity=100)).status_code == 201
    assert_problem(
        api.post("/usage-events/", an_event(acme, quantity="0.000000000001")), 429, "quota_exceeded"
    )
    assert ledger_rows("quantity") == [(100,)]


def test_limit_of_zero_refuses_all(acme, api):
    limited(api, limit=0)

    assert_problem(api.post("/usage-events/", an_event(acme, quantity=1)), 429, "quota_exceeded")
    assert row_counts() == (0, 0)


def test_batch_beyond_the_limit_is_refused_whole(acme, api):
    limited(api)

    answer = api.post("/usage-events/", [an_event(acme, quantity=60), an_event(acme, quantity=41)])

    document = assert_problem(answer, 429, "quota_exceeded")
    assert (document["used"], document["requested"], document["remaining"]) == ("0", "101", "100")
    assert row_counts() == (0, 0)


def test_replay_exists_even_when_the_limit_is_reached(acme, api):
    limited(api)
    api.post("/usage-events/", an_event(acme, id="e1", quantity=100))

    answer = api.post("/usage-events/", an_event(acme, id="e1", quantity=100))

    assert (answer.status_code, answer.json()["results"][0]["outcome"]) == (200, "exists")


def test_skip_admits_in_the_order_sent(acme, api):
    limited(api)
    api.post("/usage-events/", an_event(acme, id="known", quantity=40))

    answer = api.post(
        "/usage-events/?on_error=skip",
        [
            an_event(acme, id="known", quantity=40),
            an_event(acme, id="a", quantity=50),
            an_event(acme, id="b", quantity=11),
            an_event(acme, id="c", quantity="-1"),
            an_event(acme, id="d", quantity=10),
            an_event(acme, id="b", quantity=11),
            an_event(acme, id="e", quantity=1),
        ],
    )

    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [(r["event_id"], r["outcome"], r.get("code")) for r in results] == [
        ("known", "exists", None),
        ("a", "created", None),
        ("b", "rejected", "quota_exceeded"),
        ("c", "rejected", "invalid_value"),
        ("d", "created", None),
        ("b", "rejected", "quota_exceeded"),
        ("e", "rejected", "quota_exceeded"),
    ]
    assert ledger_rows("event_id") == [("known",), ("a",), ("d",)]


def test_rejection_goes_before_refusal_and_refusal_before_conflict(acme, api):
    limited(api)
    api.post("/usage-events/", an_event(acme, id="taken", quantity=1))
    conflicting, refused = an_event(acme, id="taken", quantity=2), an_event(acme, quantity=1000)

    assert_problem(
        api.post("/usage-events/", [conflicting, refused, an_event(acme, colour=1)]), 422, "rejected"
    )
    assert_problem(api.post("/usage-events/", [conflicting, refused]), 429, "quota_exceeded")
    assert_problem(api.post("/usage-events/", [conflicting]), 409, "conflict")
    assert row_counts() == (1, 1)


def test_soft_limit_records_and_warns(acme, api):
    limited(api, mode="soft", limit="10")

    within = api.post("/usage-events/", an_event(acme, quantity=10)).json()["results"][0]
    beyond = api.post("/usage-events/", an_event(acme, quantity=5))

    assert "warnings" not in within
    assert beyond.status_code == 201
    (warning,) = beyond.json()["results"][0]["warnings"]
    assert warning == {
        "code": "quota_exceeded",
        "metric": "tokens",
        "project": "acme",
        "limit": "10",
        "used": "10",
        "held": "0",
        "requested": "5",
        "remaining": "0",
        "mode": "soft",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }
    assert ledger_rows("quantity") == [(10,), (5,)]


def test_monitored_limit_says_nothing(acme, api):
    limited(api, mode="monitor", limit="1")

    answer = api.post("/usage-events/", an_event(acme, quantity=5))

    assert (answer.status_code, set(answer.json()["results"][0])) == (201, {"id", "event_id", "outcome"})


def test_payer_is_limited_for_those_it_pays_for(acme, api):
    attribute(Project.objects.get(key="chat"), payer=acme)
    limited(api, limit="10")

    assert api.post("/usage-events/", an_event("chat", quantity=6)).status_code == 201
    assert api.post("/usage-events/", an_event("search", quantity=1000)).status_code == 201  # pays for itself
    document = assert_problem(api.post("/usage-events/", an_event(acme, quantity=5)), 429, "quota_exceeded")

    assert (document["project"], document["used"]) == ("acme", "6")


def test_change_and_removal_of_a_limit_hold_at_once(acme, api):
    quota = limited(api, limit="10")
    event = an_event(acme, quantity=11)
    assert api.post("/usage-events/", event).status_code == 429

    assert api("PATCH", f"/quotas/{quota['id']}/", {"limit": "11"}).json()["limit"] == "11"
    assert api.post("/usage-events/", event).status_code == 201
    assert api.post("/usage-events/", an_event(acme, quantity=1)).status_code == 429
    assert api("DELETE", f"/quotas/{quota['id']}/").status_code == 204
    assert api.post("/usage-events/", an_event(acme, quantity=1)).status_code == 201
    assert not ProjectQuota.objects.exists()


def test_closed_period_takes_no_more_without_backfill(acme, api):
    limited(api)
    producer = Caller(acme, "ingest")

    answer = producer.post("/usage-events/", an_event(acme, quantity=1))

    document = assert_problem(answer, 422, "rejected")
    assert [(e["index"], e["code"], e["field"]) for e in document["errors"]] == [
        (0, "quota_period_closed", "occurred_at")
    ]
    assert row_counts() == (0, 0)
    assert api.post("/usage-events/", an_event(acme, quantity=1)).status_code == 201


def test_what_has_happened_can_be_recorded_without_asking(acme, api):
    limited(api, limit=0)

    answer = api.post("/usage-events/?enforce=false", an_event(acme, quantity=500))

    assert (answer.status_code, ledger_rows("quantity")) == (201, [(500,)])


@pytest.mark.parametrize("limit", ["1e99999999999999999999", "1e400", "٣", "NaN"])
def test_limit_that_is_no_number_is_refused(api, limit):
    answer = api.post(
        "/quotas/", {"project": "acme", "metric": "tokens", "limit": limit, "mode": "hard", "period": "day"}
    )

    assert [e["field"] for e in assert_problem(answer, 422, "invalid_field")["errors"]] == ["limit"]
    assert not ProjectQuota.objects.exists()
