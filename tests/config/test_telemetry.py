"""Numbers for monitoring: what they say, and who may read them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metering.models import OutgoingMail
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db


def values_of(answer):
    """{(name, labels): value} of an answer in Prometheus' format."""
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_readings_follow_what_happens(client):
    a_metric()
    before = values_of(client.get("/metrics"))
    recorded(an_event(a_project(), quantity="5"))
    OutgoingMail.objects.create(key="k", recipients=["a@example.com"], subject="s", text="t", status="failed")

    after = values_of(client.get("/metrics"))

    assert after["meterbook_ledger_position", ()] == before["meterbook_ledger_position", ()] + 1
    assert (before["meterbook_pending_contributions", ()], after["meterbook_pending_contributions", ()]) == (
        0,
        1,
    )
    assert after["meterbook_pending_oldest_age_seconds", ()] >= 0
    assert after["meterbook_mails", (("state", "failed"),)] == 1
    assert after["meterbook_mails", (("state", "pending"),)] == 0
    assert after["meterbook_open_alerts", ()] == 0
    assert after["meterbook_invoice_drafts", ()] == 0
    assert ("meterbook_billing_run_age_seconds", ()) not in after


@pytest.mark.parametrize(
    "headers",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"REMOTE_ADDR": ""},
    ],
    ids=["another machine", "through a proxy", "a socket"],
)
def test_without_a_token_only_this_machine_may_ask(client, headers):
    answer = client.get("/metrics", **headers)

    assert (answer.status_code, answer["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert b"meterbook_" not in answer.content


def test_a_token_opens_them_from_anywhere_and_closes_them_on_this_machine(client, settings):
    settings.METRICS_TOKEN = "sesame"
    away = {"REMOTE_ADDR": "192.0.2.7"}

    assert client.get("/metrics", headers={"Authorization": "Bearer sesame"}, **away).status_code == 200
    assert client.get("/metrics", headers={"Authorization": "Bearer Sesame"}, **away).status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Basic sesame"}, **away).status_code == 403
    assert client.get("/metrics").status_code == 403
    assert client.post("/metrics").status_code == 405


def test_it_asks_little(client, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        client.get("/metrics")
