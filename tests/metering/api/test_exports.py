"""`/exports/`: asked for, watched, downloaded, removed."""

import datetime as dt

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from metering.models import Export, ExportPiece
from tests.factories import a_metric, a_project
from tests.metering.api.callers import Caller, a_member_of_staff, assert_problem, fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def api():
    acme = a_project("acme")
    a_metric()
    return Caller(acme, "read")


def finished(export_id: int, *pieces: bytes) -> None:
    for number, data in enumerate(pieces):
        ExportPiece.objects.create(export_id=export_id, number=number, data=data)
    Export.objects.filter(pk=export_id).update(
        state="finished",
        row_count=2,
        piece_count=len(pieces),
        byte_count=sum(map(len, pieces)),
        finished_at=timezone.now(),
    )


def test_export_is_asked_for_and_waits(api):
    answer = api.post("/exports/", {"kind": "usage_events", "filters": {"from": "2024-05-01"}})

    assert answer.status_code == 202
    document = answer.json()
    assert document == {
        "id": document["id"],
        "kind": "usage_events",
        "filters": {"from": "2024-05-01T00:00:00Z"},
        "project": "acme",
        "requested_by": document["requested_by"],
        "state": "queued",
        "row_count": 0,
        "expected_count": None,
        "byte_count": 0,
        "failure": None,
        "requested_at": document["requested_at"],
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
    }
    assert api.get(f"/exports/{document['id']}/").json() == document
    assert api.get("/exports/?state=queued&kind=usage_events").json()["results"] == [document]
    assert api.get("/exports/?state=finished").json()["results"] == []
    assert_problem(api.get(f"/exports/{document['id']}/download/"), 409, "conflict")


def test_file_is_downloaded_whole(api):
    export_id = api.post("/exports/", {"kind": "journal"}).json()["id"]
    finished(export_id, b"a,b\n", b"1,2\n")

    answer = api.get(f"/exports/{export_id}/download/")

    assert b"".join(answer.streaming_content) == b"a,b\n1,2\n"
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="journal-{export_id}.csv"'
    assert answer["Content-Length"] == "8"


def test_export_under_way_is_cancelled_and_one_that_is_over_removed(api):
    export_id = api.post("/exports/", {"kind": "usage_events"}).json()["id"]

    assert api("DELETE", f"/exports/{export_id}/").status_code == 204
    assert api.get(f"/exports/{export_id}/").json()["state"] == "cancelled"
    assert api("DELETE", f"/exports/{export_id}/").status_code == 204
    assert api.get(f"/exports/{export_id}/").json()["state"] == "removed"
    assert_problem(api("DELETE", f"/exports/{export_id}/"), 409, "conflict")
    assert_problem(api.get(f"/exports/{export_id}/download/"), 409, "conflict")


def test_another_key_removes_nothing(api):
    export_id = api.post("/exports/", {"kind": "usage_events"}).json()["id"]
    namesake = Caller(Export.objects.get().project, "read")

    assert_problem(namesake("DELETE", f"/exports/{export_id}/"), 403, "permission_denied")
    finished(export_id, b"a,b\n")
    assert_problem(namesake("DELETE", f"/exports/{export_id}/"), 403, "permission_denied")

    assert api.get(f"/exports/{export_id}/").json()["state"] == "finished"


def test_auditor_removes_their_own_and_no_others(api):
    export_id = api.post("/exports/", {"kind": "usage_events"}).json()["id"]
    finished(export_id, b"a,b\n")
    client = Client()
    client.force_login(a_member_of_staff("view_export", "export_data", "view_usageevent"))
    own_id = client.post(
        "/api/v1/exports/", {"kind": "usage_events"}, content_type="application/json"
    ).json()["id"]

    assert_problem(client.delete(f"/api/v1/exports/{export_id}/"), 403, "permission_denied")
    assert client.delete(f"/api/v1/exports/{own_id}/").status_code == 204

    assert set(Export.objects.values_list("pk", "state")) == {(export_id, "finished"), (own_id, "cancelled")}


def test_file_whose_time_is_over_is_not_found(api, settings):
    settings.EXPORT_KEPT_DAYS = 2
    export_id = api.post("/exports/", {"kind": "usage_events"}).json()["id"]
    finished(export_id, b"a,b\n")
    Export.objects.update(finished_at=timezone.now() - dt.timedelta(days=2))

    assert_problem(api.get(f"/exports/{export_id}/download/"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, ("missing_field", "kind")),
        ({"kind": "everything"}, ("invalid_field", "kind")),
        ({"kind": 1}, ("invalid_field", "kind")),
        ({"kind": "usage_events", "filters": []}, ("invalid_field", "filters")),
        ({"kind": "usage_events", "filters": {"until": "2024"}}, ("invalid_field", "filters.until")),
        ({"kind": "usage_events", "filters": {"from": "2024"}}, ("invalid_field", "filters.from")),
        ({"kind": "usage_events", "filters": {"project": ["acme"]}}, ("invalid_field", "filters.project")),
        ({"kind": "usage_rollups"}, ("missing_field", "filters.metric")),
        ({"kind": "usage_statement", "filters": {"from": "2024-05-01"}}, ("missing_field", "filters.until")),
        ({"kind": "invoice_register", "filters": {"account": "٣"}}, ("invalid_field", "filters.account")),
        ({"kind": "invoice_register", "filters": {"account": 1.5}}, ("invalid_field", "filters.account")),
        (
            {"kind": "invoice_register", "filters": {"x" * 500: "1"}},
            ("invalid_field", f"filters.{'x' * 100}"),
        ),
        ({"kind": "journal", "query": "all"}, ("invalid_field", "query")),
    ],
)
def test_bad_requests_name_what_is_wrong(api, body, error):
    answer = api.post("/exports/", body)

    assert answer.status_code == 422
    assert fields_of(answer) == [error]
    assert not Export.objects.exists()


def test_child_does_not_see_what_its_parent_exports(api):
    export_id = api.post("/exports/", {"kind": "usage_events"}).json()["id"]
    child = Caller(a_project("child", parent=Export.objects.get().project), "read")

    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "download/")):
        assert_problem(child(method, f"/exports/{export_id}/{path}"), 404, "not_found")
    own = child.post("/exports/", {"kind": "usage_events"}).json()

    assert [row["id"] for row in child.get("/exports/").json()["results"]] == [own["id"]]
    assert [row["id"] for row in api.get("/exports/").json()["results"]] == [own["id"], export_id]


def test_staff_export_what_they_may_see():
    user = a_member_of_staff("view_export", "export_data", "view_usageevent")
    client = Client()
    client.force_login(user)

    def asks(kind):
        return client.post("/api/v1/exports/", {"kind": kind}, content_type="application/json")

    answer = asks("usage_events")
    assert (answer.status_code, answer.json()["project"]) == (202, None)
    assert asks("journal").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_invoice"))
    assert asks("journal").status_code == 202
    user.user_permissions.remove(Permission.objects.get(codename="view_invoice"))
    assert [row["kind"] for row in client.get("/api/v1/exports/").json()["results"]] == ["usage_events"]


def test_staff_without_the_right_export_nothing():
    client = Client()
    client.force_login(a_member_of_staff("view_export", "view_usageevent"))

    answer = client.post("/api/v1/exports/", {"kind": "usage_events"}, content_type="application/json")

    assert_problem(answer, 403, "permission_denied")
