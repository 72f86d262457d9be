"""`/webhook-endpoints/` as its callers see it."""

from typing import Any

import pytest
from django.test import Client
from standardwebhooks import Webhook

from metering.announcing.outbox import announce
from metering.delivering.delivering import take_turn
from metering.models import Project, WebhookDelivery, WebhookEndpoint, WebhookSecret
from tests.factories import a_project
from tests.metering.api.callers import Caller, a_member_of_staff, assert_problem, fields_of
from tests.metering.delivering.receivers import Receiver, an_answer, answering

pytestmark = pytest.mark.django_db

ROUTE = "/webhook-endpoints/"
URL = "https://198.51.99.7/hook"


@pytest.fixture
def local_receivers(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_HTTP = settings.WEBHOOK_ALLOW_LOOPBACK = True


def test_endpoint_from_first_to_last(api: Caller, acme: Project, local_receivers: None) -> None:
    with Receiver() as receiver:
        made = api.post(
            ROUTE,
            {"project": "chat", "url": receiver.url(), "description": "CRM", "kinds": ["quota.exceeded"]},
        )
        assert made.status_code == 201
        endpoint = made.json()
        secret = endpoint.pop("secret")
        assert endpoint == {
            "id": endpoint["id"],
            "project": "chat",
            "url": receiver.url(),
            "description": "CRM",
            "kinds": ["quota.exceeded"],
            "is_enabled": True,
            "disabled_reason": None,
            "disabled_at": None,
            "failing_since": None,
            "delivered_at": None,
            "created_at": endpoint["created_at"],
        }
        path = f"{ROUTE}{endpoint['id']}/"
        assert api.get(path).json() == endpoint
        assert api.get(ROUTE).json()["results"] == [endpoint]

        tested = api.post(f"{path}test/", None)
        assert tested.status_code == 202
        delivery = tested.json()
        assert (delivery["status"], delivery["attempts"], delivery["delivered_at"]) == ("pending", [], None)
        assert delivery["event"]["type"] == "endpoint.tested"
        assert delivery["event"]["data"] == {"message": "It works.", "requested_by": "test"}

        take_turn(endpoint["id"])

    [sent] = receiver.requests
    assert Webhook(secret).verify(sent.body, sent.headers) == delivery["event"]
    [listed] = api.get(f"{path}deliveries/").json()["results"]
    assert (listed["id"], listed["status"], listed["attempt_count"], listed["next_attempt_at"]) == (
        delivery["id"],
        "delivered",
        1,
        None,
    )
    assert (listed["attempts"][0]["response_status"], listed["attempts"][0]["error"]) == (204, "")
    assert api.get(path).json()["delivered_at"] is not None

    changed = api("PATCH", path, {"isEnabled": False, "kinds": []}).json()
    assert (changed["is_enabled"], changed["disabled_reason"], changed["kinds"]) == (False, "staff", [])
    assert api("DELETE", path).status_code == 204
    assert_problem(api.get(path), 404, "not_found")
    assert api.get(ROUTE).json()["results"] == []


def test_key_adds_to_its_own_project_unless_told_otherwise(api: Caller) -> None:
    assert api.post(ROUTE, {"url": URL}).json()["project"] == "acme"
    assert_problem(api.post(ROUTE, {"url": URL, "project": "tenant"}), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"url": ""}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "url"),
        ({"url": "https://2130706433/"}, "url"),
        ({"url": "https://[::ffff:127.0.0.1]/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": "https://user:pw@198.51.99.7/"}, "url"),
        ({"url": "https://198.51.99.7:6379/"}, "url"),
        ({"url": "https://" + "x" * 3000}, "url"),
        ({"url": URL, "kinds": "quota.exceeded"}, "kinds"),
        ({"url": URL, "kinds": [1]}, "kinds"),
        ({"url": URL, "kinds": ["quota.exceded"]}, "kinds"),
        ({"url": URL, "description": "x" * 201}, "description"),
        ({"url": URL, "is_enabled": "yes"}, "is_enabled"),
        ({"url": URL, "secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, body: Any, field: str) -> None:
    answer = api.post(ROUTE, body)

    assert answer.status_code == 422
    assert [name for _code, name in fields_of(answer)] == [field]
    assert not WebhookEndpoint.objects.exists()


def test_secret_is_rotated_and_shown_once(api: Caller) -> None:
    made = api.post(ROUTE, {"url": URL}).json()
    path = f"{ROUTE}{made['id']}/"

    rotated = api.post(f"{path}rotate-secret/", None).json()

    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secrets_sign_until"] is not None
    assert api.post(f"{path}rotate-secret/", {"overlap_hours": 0}).json()["old_secrets_sign_until"] is None
    assert WebhookSecret.objects.count() == 1
    for wrong in ("24", 1.5, True, None, -1, 1000):
        answer = api.post(f"{path}rotate-secret/", {"overlap_hours": wrong})
        assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", "overlap_hours")])
    assert all("whsec_" not in api.get(each).content.decode() for each in (path, ROUTE))


def test_deliveries_go_by_pages_and_are_sent_again(api: Caller, acme: Project, local_receivers: None) -> None:
    with Receiver(answering(an_answer(410))) as receiver:
        made = api.post(ROUTE, {"url": receiver.url()}).json()
        path = f"{ROUTE}{made['id']}/"
        for _ in range(3):
            announce("quota.exceeded", project_id=acme.pk, data={})
        take_turn(made["id"])

        first = api.get(f"{path}deliveries/?limit=2&status=failed").json()
        second = api("GET", first["next"].partition("/api/v1")[2]).json()
        ids = [row["id"] for row in first["results"] + second["results"]]
        assert (len(ids), ids) == (3, sorted(ids, reverse=True))
        assert api.get(f"{path}deliveries/?status=delivered").json()["results"] == []
        assert api.get(f"{path}deliveries/?kind=metric.defined").json()["results"] == []
        assert_problem(api.get(f"{path}deliveries/?status=lost"), 422, "invalid_field")

        gone = api.get(path).json()
        assert (gone["is_enabled"], gone["disabled_reason"]) == (False, "gone")
        assert_problem(api.post(f"{path}test/", None), 409, "conflict")
        assert_problem(api.post(f"{path}deliveries/{ids[0]}/resend/", None), 409, "conflict")
        assert_problem(api.post(f"{path}deliveries/resend-failed/", None), 409, "conflict")

        receiver.behave = answering(an_answer(200))
        api("PATCH", path, {"is_enabled": True})
        resent = api.post(f"{path}deliveries/{ids[0]}/resend/", None)
        assert (resent.status_code, resent.json()["status"]) == (202, "pending")
        assert api.post(f"{path}deliveries/resend-failed/", {"since": "2100-01-01T00:00:00Z"}).json() == {
            "resent_count": 0
        }
        assert api.post(f"{path}deliveries/resend-failed/", None).json() == {"resent_count": 2}
        assert_problem(
            api.post(f"{path}deliveries/resend-failed/", {"since": "yesterday"}), 422, "invalid_field"
        )
        take_turn(made["id"])

    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert_problem(api.post(f"{path}deliveries/{10**30}/resend/", None), 404, "not_found")
    assert_problem(api.get(f"{ROUTE}{10**30}/"), 404, "not_found")


def test_only_a_key_that_manages_is_told_where_messages_go(acme: Project) -> None:
    for permission in ("read", "ingest", "backfill"):
        assert_problem(Caller(acme, permission).get(ROUTE), 403, "permission_denied")


def test_staff_need_the_rights_of_the_admin() -> None:
    acme = a_project("acme")
    client = Client()
    client.force_login(a_member_of_staff("view_webhookendpoint"))

    assert client.get(f"/api/v1{ROUTE}").status_code == 200
    body = {"url": URL, "project": acme.key}
    refused = client.post(f"/api/v1{ROUTE}", body, content_type="application/json")
    assert refused.status_code == 403
    assert not WebhookEndpoint.objects.exists()
