"""A stranger's first day: a project, a metric, usage, a retry, a mistake, a limit, an answer, a file."""

import csv
import io

import pytest

from metering.rolling_up.rollups import roll_up
from tests.factories import a_project
from tests.metering.api.callers import Caller

pytestmark = pytest.mark.django_db


def test_first_day():
    api = Caller(a_project("platform", kind="tenant"))
    day = "2024-11-04"

    # In the morning there is nothing but a key; by nine there are a project and a metric.
    project = api.post("/projects/", {"key": "my-app", "name": "My app", "timezone": "Europe/Berlin"})
    metric = api.post("/metrics/", {"key": "exports", "unit": "row", "aggregation": "SUM"})
    assert (project.status_code, project.json()["parent"]) == (201, "platform")
    assert (metric.status_code, metric.json()["event_name"]) == (201, "exports")

    # The first export has 40 rows.
    first = {
        "id": "export-1",
        "project": "my-app",
        "event_name": "exports",
        "quantity": "40",
        "subject_id": "ada",
        "occurred_at": f"{day}T09:15:00+01:00",
    }
    answer = api.post("/usage-events/", first)
    assert (answer.status_code, answer.json()["results"][0]["outcome"]) == (201, "created")
    row_id = answer.json()["results"][0]["id"]

    # The question sees it at once.
    def used(**query):
        return api.get("/usage/", query={"metric": "exports", "project": "my-app", **query}).json()["results"]

    assert used() == [
        {"window_start": None, "window_end": None, "value": "40", "record_count": 1, "group": {}},
    ]

    # The network stutters and the event is sent again: the same event, the same total.
    answer = api.post("/usage-events/", first)
    assert (answer.status_code, answer.json()["results"]) == (
        200,
        [{"id": row_id, "event_id": "export-1", "outcome": "exists"}],
    )
    assert used()[0]["value"] == "40"

    # A bug reuses the id for 41 rows: a conflict, and nothing changes.
    answer = api.post("/usage-events/", {**first, "quantity": "41"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert used()[0]["value"] == "40"

    # A tick of the roll-up changes no answer.
    roll_up()
    assert used()[0]["value"] == "40"

    # At noon a limit: 100 rows a month by Berlin's clocks. 30 + 31 more would be 101.
    quota = {"project": "my-app", "metric": "exports", "limit": "100", "mode": "hard", "period": "month"}
    assert api.post("/quotas/", quota).status_code == 201
    more = {"project": "my-app", "event_name": "exports", "occurred_at": f"{day}T12:00:00Z"}
    answer = api.post("/usage-events/", [{**more, "quantity": 30}, {**more, "quantity": 31}])
    assert answer.status_code == 429
    document = answer.json()
    assert document["type"].endswith("/quota-exceeded")
    assert {name: document[name] for name in ("used", "requested", "remaining", "limit")} == {
        "used": "40",
        "requested": "61",
        "remaining": "60",
        "limit": "100",
    }
    assert (document["period_start"], document["resets_at"]) == (
        "2024-10-31T23:00:00Z",
        "2024-11-30T23:00:00Z",
    )
    assert used()[0]["value"] == "40"

    # 30 + 30 is exactly the limit.
    answer = api.post(
        "/usage-events/", [{**more, "id": f"export-{n}", "quantity": 30, "subject_id": "bob"} for n in (2, 3)]
    )
    assert [result["outcome"] for result in answer.json()["results"]] == ["created", "created"]
    assert used()[0]["value"] == "100"

    # In the evening: how much by whom, hour by hour in Berlin, and the file for finance.
    assert [(r["group"]["subject_id"], r["value"]) for r in used(group_by="subject_id")] == [
        ("ada", "40"),
        ("bob", "60"),
    ]
    hours = used(window="hour", timezone="Europe/Berlin", **{"from": day, "to": "2024-11-05"})
    assert [(r["window_start"], r["value"], r["record_count"]) for r in hours] == [
        ("2024-11-04T09:00:00+01:00", "40", 1),
        ("2024-11-04T13:00:00+01:00", "60", 2),
    ]
    export = b"".join(api.get("/usage/export/?project=my-app").streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(export)))
    assert [(row["event_id"], row["subject_id"], row["quantity"]) for row in rows] == [
        ("export-1", "ada", "40"),
        ("export-2", "bob", "30"),
        ("export-3", "bob", "30"),
    ]
    roll_up()
    export = b"".join(
        api.get("/usage/export/?type=rollups&metric=exports&granularity=day").streaming_content
    ).decode()
    assert [(row["subject_id"], row["value"]) for row in csv.DictReader(io.StringIO(export))] in (
        [("ada", "40"), ("bob", "60")],
        [("bob", "60"), ("ada", "40")],
    )
