"""Octane's Meters, ready-made metrics, clones and previews by HTTP."""

import pytest

from metering.defining.definitions import archive_metric
from metering.models import MetricDefinition, Project
from tests.factories import a_metric, an_event, recorded
from tests.metering.api.callers import Caller, assert_problem, fields_of, row_counts
from tests.metering.defining.test_octane import METER

pytestmark = pytest.mark.django_db

SIZES = {"event_name": "tokens", "value_property": "size", "data_type": "INT"}


@pytest.fixture
def used(acme: Project) -> None:
    recorded(
        *(
            an_event(
                acme,
                id=f"e{number}",
                quantity=number,
                labels={"size": size, "region": "eu"},
                occurred_at=f"2024-05-{10 + number}T12:00:00Z",
            )
            for number, size in enumerate([10, 20, "x"], start=1)
        )
    )


# -- Octane --------------------------------------------------------------------------------------------------


def test_meter_is_imported_and_exported_as_it_was(api):
    answer = api.post("/metrics/octane/", METER | {"unit_name": "call", "primary_labels": ["endpoint"]})

    (metric,) = answer.json()["results"]
    assert answer.status_code == 201
    assert (metric["key"], metric["unit"], metric["project"], metric["reset_period"]) == (
        "api_calls",
        "call",
        "acme",
        "monthly",
    )
    exported = api.get("/metrics/api_calls/octane/")
    assert exported.status_code == 200
    assert exported.json() == {
        **METER,
        "meter_type": "counter",
        "display_name": "api_calls",
        "description": "",
        "unit_name": "call",
        "expected_labels": [],
        "primary_labels": ["endpoint"],
        "event_label_filter": {},
    }


def test_array_of_meters_goes_to_the_named_project(api):
    answer = api.post("/metrics/octane/?project=chat", [METER, METER | {"name": "other"}])

    assert [(m["key"], m["project"]) for m in answer.json()["results"]] == [
        ("api_calls", "chat"),
        ("other", "chat"),
    ]


def test_imported_meter_counts_history_where_asked(api, acme, used):
    api.post("/metrics/octane/", METER | {"event_name": "tokens"}, query={"counts_from": "0"})

    assert api.get("/usage/?metric=api_calls").json()["results"][0]["value"] == "6"


def test_bad_meters_are_named_by_index_and_field(api):
    answer = api.post("/metrics/octane/", [METER, {**METER, "name": "x", "unit": "y"}, {"name": "z"}])

    document = assert_problem(answer, 422, "rejected")
    assert [(e["index"], e["code"], e["field"]) for e in document["errors"]][:2] == [
        (1, "invalid_field", "unit"),
        (2, "missing_field", "event_name"),
    ]
    assert not MetricDefinition.objects.filter(key="api_calls").exists()


def test_taken_name_is_a_conflict(api):
    answer = api.post("/metrics/octane/", METER | {"name": "tokens"})

    document = assert_problem(answer, 409, "conflict")
    assert [(e["index"], e["field"]) for e in document["errors"]] == [(0, "name")]


@pytest.mark.parametrize("body", [[], '"text"', 5, [None]], ids=str)
def test_body_that_is_no_list_of_meters_is_refused(api, body):
    answer = api.post("/metrics/octane/", body)

    assert (answer.status_code, MetricDefinition.objects.count()) == (422, 1)


def test_metric_that_octane_cant_express_says_why(api):
    api.post("/metrics/", {"key": "avg", "aggregation": "AVG", "value_property": "ms"})

    document = assert_problem(api.get("/metrics/avg/octane/"), 409, "inexpressible")

    assert [e["field"] for e in document["errors"]] == ["aggregation", "value_property"]


# -- ready-made ----------------------------------------------------------------------------------------------


def test_ready_made_metrics_are_listed_and_added(api):
    before = api.get("/metrics/ready-made/").json()["results"]
    answer = api.post("/metrics/ready-made/", {"keys": ["reads", "writes"]})
    again = api.post("/metrics/ready-made/", {"keys": ["reads"]})
    after = api.get("/metrics/ready-made/").json()["results"]

    assert [each["is_defined"] for each in before] == [False] * 5
    assert (before[0]["key"], before[0]["unit"], before[0]["event_name"]) == ("reads", "read", "read")
    assert answer.status_code == 201
    assert [(r["key"], r["outcome"], r["metric"]["project"]) for r in answer.json()["results"]] == [
        ("reads", "created", "acme"),
        ("writes", "created", "acme"),
    ]
    assert (again.status_code, again.json()["results"][0]["outcome"]) == (200, "exists")
    assert [each["is_defined"] for each in after] == [True, True, False, False, False]


def test_all_ready_made_metrics_are_added_without_naming_them(api):
    assert len(api.post("/metrics/ready-made/", {}).json()["results"]) == 5


@pytest.mark.parametrize("keys", [["naps"], [], "reads", [1]], ids=str)
def test_unknown_ready_made_metric_is_refused(api, keys):
    answer = api.post("/metrics/ready-made/", {"keys": keys})

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", "keys")])


# -- clones --------------------------------------------------------------------------------------------------


def test_metric_is_cloned_and_archived_in_one_moment(api, acme):
    api.post("/metrics/", {"key": "calls", "unit": "call", "primary_labels": ["region"]})
    api.post("/usage-events/", an_event(acme, event_name="calls", quantity=3))

    answer = api.post("/metrics/calls/clone/", {"key": "calls-2", "aggregation": "MAX", "archive": True})

    clone, old = answer.json(), api.get("/metrics/calls/").json()
    assert answer.status_code == 201
    assert (clone["unit"], clone["primary_labels"], clone["aggregation"], clone["project"]) == (
        "call",
        ["region"],
        "MAX",
        "acme",
    )
    assert old["archived_from"] == clone["counts_from"]


def test_frozen_metric_leads_to_its_clone(api, acme):
    api.post("/metrics/", {"key": "calls"})
    api.post("/usage-events/", an_event(acme, event_name="calls"))

    answer = api("PATCH", "/metrics/calls/", {"aggregation": "MAX"})

    assert "Clone it" in assert_problem(answer, 409, "conflict")["detail"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "key"),
        ({"key": "tokens"}, 409, "key"),
        ({"key": "x", "archive": "yes"}, 422, "archive"),
        ({"key": "x", "counts_from": 4}, 422, "counts_from"),
        ({"key": "x", "project": "chat"}, 422, "project"),
        ({"key": "x", "aggregation": "MEDIAN"}, 422, "aggregation"),
    ],
    ids=str,
)
def test_refused_clone_names_the_field(api, body, status, field):
    api.post("/metrics/", {"key": "calls"})

    answer = api.post("/metrics/calls/clone/", body)

    assert (answer.status_code, [f for _, f in fields_of(answer)]) == (status, [field])
    assert MetricDefinition.objects.filter(archived_from=None).count() == 2


# -- previews ------------------------------------------------------------------------------------------------


def test_draft_is_previewed(api, used):
    before = (MetricDefinition.objects.count(), row_counts())

    answer = api.post("/metrics/preview/", {**SIZES, "primary_labels": ["region"], "days": 3, "unit": "B"})

    document = answer.json()
    found = document["proposed"]
    assert answer.status_code == 200
    assert (document["from"], document["to"], document["unit"], document["note"], document["stored"]) == (
        "2024-05-11T00:00:00Z",
        "2024-05-14T00:00:00Z",
        "B",
        None,
        None,
    )
    assert (found["matching_count"], found["refused_count"], found["record_count"], found["value"]) == (
        3,
        1,
        2,
        "30",
    )
    assert found["days"] == [
        {"day": "2024-05-11", "value": "10", "record_count": 1},
        {"day": "2024-05-12", "value": "20", "record_count": 1},
        {"day": "2024-05-13", "value": None, "record_count": 0},
    ]
    assert found["groups"] == [{"group": {"region": "eu"}, "value": "30", "record_count": 2}]
    (misfit,) = found["refused_examples"]
    assert (misfit["event_id"], misfit["code"], misfit["field"]) == ("e3", "invalid_value", "labels.size")
    assert (MetricDefinition.objects.count(), row_counts()) == before


def test_changes_are_previewed_beside_the_definition_in_force(api, used):
    document = api.post("/metrics/tokens/preview/", {"aggregation": "MAX"}).json()

    assert (document["proposed"]["value"], document["stored"]["value"]) == ("3", "6")


def test_archived_metric_can_be_previewed_as_it_is(api, used):
    archive_metric(MetricDefinition.objects.get(key="tokens"))

    assert api.post("/metrics/tokens/preview/", {}).json()["proposed"]["value"] == "6"


def test_preview_reads_only_what_the_key_sees(api, used):
    child = Caller(Project.objects.get(key="chat"), "read")

    document = child.post("/metrics/tokens/preview/", {"days": 90}).json()

    assert (document["proposed"]["matching_count"], document["proposed"]["value"]) == (0, "0")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/metrics/preview/", {}, "event_name"),
        ("/metrics/preview/", {"key": "x", "days": 91}, "days"),
        ("/metrics/preview/", {"key": "x", "days": "7"}, "days"),
        ("/metrics/preview/", {"key": "x", "days": True}, "days"),
        ("/metrics/preview/", {"key": "x", "aggregation": "MEDIAN"}, "aggregation"),
        ("/metrics/preview/", {"key": "x", "event_label_filter": {"a": {"$near": 1}}}, "event_label_filter"),
        ("/metrics/tokens/preview/", {"key": "other"}, "key"),
        ("/metrics/tokens/preview/", {"primary_labels": ["a", "a"]}, "primary_labels"),
    ],
    ids=str,
)
def test_refused_preview_names_the_field(api, path, body, field):
    answer = api.post(path, body)

    assert (answer.status_code, [f for _, f in fields_of(answer)]) == (422, [field])


def test_onlooker_previews_and_changes_nothing(acme, used):
    reader = Caller(acme, "read")

    assert reader.post("/metrics/preview/", SIZES).status_code == 200
    for path, body in (
        ("/metrics/octane/", METER),
        ("/metrics/ready-made/", {}),
        ("/metrics/tokens/clone/", {"key": "x"}),
    ):
        assert_problem(reader.post(path, body), 403, "permission_denied")


def test_metric_of_several_projects_is_told_apart(api):
    for project in ("chat", "search"):
        a_metric("own", event_name="own", project=Project.objects.get(key=project))

    assert api.get("/metrics/own/octane/").status_code == 422
    assert api.get("/metrics/own/octane/?project=chat").json()["name"] == "own"
    assert api.post("/metrics/own/preview/?project=chat", {}).status_code == 200
