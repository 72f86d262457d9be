"""`/projects/`, `/projects/{key}/attribution/` and `/metrics/`: what a tenant defines for itself."""

import pytest

from metering.attributing.scope_tree import install_surface
from metering.models import AttributionRule, MetricDefinition, Project
from tests.factories import NOON, a_metric, a_project, an_event, ledger_rows
from tests.metering.api.callers import Caller, assert_problem, fields_of
from tests.metering.api.test_reading_usage import assert_pages

pytestmark = pytest.mark.django_db


def total(api, metric="tokens", **query):
    return api.get("/usage/", query={"metric": metric, **query}).json()["results"][0]["value"]


# -- projects ----------------------------------------------------------------------------------------------


def test_project_is_added_below_the_key_and_shown(api):
    answer = api.post(
        "/projects/", {"key": "new", "name": "New", "timezone": "Europe/Berlin", "kind": "ORGANISATION"}
    )

    assert answer.status_code == 201
    shown = dict(answer.json())
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "key": "new",
        "name": "New",
        "kind": "organisation",
        "parent": "acme",
        "timezone": "Europe/Berlin",
        "billing_scope": "new",
    }
    assert api.get("/projects/new/").json() == answer.json()
    assert Project.objects.get(key="new").depth == 2


def test_project_is_added_below_the_parent_named(api):
    for body in ({"key": "a", "name": "A", "parent": "chat"}, {"key": "b", "name": "B", "parentId": "chat"}):
        assert api.post("/projects/", body).json()["parent"] == "chat"

    assert [p["key"] for p in api.get("/projects/?parent=chat").json()["results"]] == ["a", "b"]


def test_project_key_is_taken_once(api):
    assert fields_of(api.post("/projects/", {"key": "chat", "name": "Chat"})) == [("conflict", "key")]
    assert Project.objects.count() == 4


def test_project_can_be_used_at_once(api):
    api.post("/projects/", {"key": "new", "name": "New"})

    assert api.post("/usage-events/", an_event("new", quantity=2)).status_code == 201
    assert total(api, project="new") == "2"


def test_project_is_changed(api):
    answer = api("PATCH", "/projects/chat/", {"name": "Chatter", "timezone": "Asia/Tokyo"})

    assert (answer.status_code, answer.json()["name"], answer.json()["timezone"]) == (
        200,
        "Chatter",
        "Asia/Tokyo",
    )
    for wrong in ({"key": "x"}, {"parent": "search"}):
        assert fields_of(api("PATCH", "/projects/chat/", wrong)) == [("invalid_field", next(iter(wrong)))]


def test_projects_page_in_both_directions(acme, api):
    for number in range(20):
        a_project(f"p{number}", parent=acme)
    wanted = [p["key"] for p in api.get("/projects/").json()["results"]]
    assert len(wanted) == 23

    seen, url = [], "/projects/?limit=5"
    while url:
        page = api.get(url.removeprefix("http://testserver/api/v1")).json()
        seen += [p["key"] for p in page["results"]]
        url, last = page["next"], page
    assert seen == wanted
    back = api.get(last["previous"].removeprefix("http://testserver/api/v1")).json()
    assert [p["key"] for p in back["results"]] == wanted[15:20]


def test_name_with_markup_is_data(api):
    name = "<script>alert(1)</script>\r\nSet-Cookie: a=b"

    assert api.post("/projects/", {"key": "new", "name": name}).json()["name"] == name


# -- attribution -------------------------------------------------------------------------------------------


def test_payer_pays_from_an_instant_on(acme, api):
    answer = api.post(
        "/projects/chat/attribution/",
        {"billingAttributionProjectId": "acme", "effectiveFrom": "2024-05-15T14:00:00+02:00"},
    )

    assert answer.status_code == 201
    assert answer.json() == {
        "id": AttributionRule.objects.get().pk,
        "project": "chat",
        "billing_attribution_project": "acme",
        "surface": None,
        "effective_from": NOON,
        "effective_until": None,
    }
    assert api.get("/projects/chat/attribution/").json() == {
        "results": [answer.json()],
        "next": None,
        "previous": None,
    }
    assert api.get("/projects/chat/").json()["billing_scope"] == "acme"
    api.post(
        "/usage-events/",
        [
            an_event("chat", quantity=1, occurred_at="2024-05-15T11:59:59.999999Z"),
            an_event("chat", quantity=2),
        ],
    )
    assert ledger_rows("quantity", "billing_scope__key") == [(1, "chat"), (2, "acme")]


def test_new_rule_ends_the_open_one_and_recorded_events_keep_their_payer(acme, api):
    api.post("/projects/chat/attribution/", {"payer": "acme", "effective_from": "2024-05-01T00:00:00Z"})
    api.post("/usage-events/", an_event("chat", id="a", occurred_at=NOON))

    api.post("/projects/chat/attribution/", {"payer": "chat", "effective_from": "2024-05-10T00:00:00Z"})
    api.post("/usage-events/", an_event("chat", id="b", occurred_at=NOON))

    assert [
        (r["billing_attribution_project"], r["effective_until"])
        for r in api.get("/projects/chat/attribution/").json()["results"]
    ] == [("acme", "2024-05-10T00:00:00Z"), ("chat", None)]
    assert ledger_rows("event_id", "billing_scope__key") == [("a", "acme"), ("b", "chat")]


def test_surface_has_a_payer_of_its_own(acme, api):
    install_surface(project=Project.objects.get(key="chat"), key="bot", name="Bot")

    api.post("/projects/chat/attribution/", {"payer": "search", "surface": "bot"})
    api.post("/usage-events/", [an_event("chat", id="a", surface="bot"), an_event("chat", id="b")])

    assert ledger_rows("event_id", "billing_scope__key") == [("a", "search"), ("b", "chat")]


def test_cycle_overlap_and_foreign_tree_are_refused(acme, api):
    a_project("globex")
    assert api.post("/projects/chat/attribution/", {"payer": "search"}).status_code == 201

    cycle = api.post("/projects/search/attribution/", {"payer": "chat"})
    overlap = api.post("/projects/chat/attribution/", {"payer": "acme"})
    foreign = api.post("/projects/search/attribution/", {"payer": "globex"})
    above = api.post("/projects/search/attribution/", {"payer": "tenant"})

    assert fields_of(cycle) == [("conflict", "billing_attribution_project")]
    assert fields_of(overlap) == [("conflict", "effective_from")]
    assert_problem(foreign, 404, "not_found")
    assert_problem(above, 404, "not_found")  # who pays must have agreed, so the key must see both
    assert AttributionRule.objects.count() == 1


# -- metrics -----------------------------------------------------------------------------------------------


def test_metric_is_defined_and_shown(acme, api):
    body = {
        "key": "latency",
        "display_name": "Latency",
        "description": "How long",
        "unit": "ms",
        "event_name": "request",
        "meter_type": "gauge",
        "data_type": "INT",
        "aggregation": "MAX",
        "value_property": "timing.total",
        "is_incremental": True,
        "reporting_method": "periodic",
        "expected_labels": ["region"],
        "primary_labels": ["region"],
        "event_label_filter": {"size": {"$gte": 1.5}, "$or": [{"a": "x"}, {"b": [1, True, None]}]},
        "reset_period": "daily",
        "project": "chat",
    }

    answer = api.post("/metrics/", body)

    assert answer.status_code == 201
    shown = dict(answer.json())
    assert shown.pop("created_at").endswith("Z")
    assert shown.pop("counts_from") >= 0
    assert shown.pop("archived_from") is None
    assert shown == body
    assert api.get("/metrics/latency/").json() == answer.json()


def test_defaults_of_a_metric(api):
    shown = api.post("/metrics/", {"key": "calls"}).json()

    assert (shown["event_name"], shown["display_name"], shown["aggregation"], shown["project"]) == (
        "calls",
        "calls",
        "SUM",
        "acme",
    )
    assert (shown["meter_type"], shown["is_incremental"], shown["reporting_method"]) == (
        "counter",
        True,
        "periodic",
    )


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        ({"aggregationType": "count"}, "aggregation", "COUNT"),
        ({"aggregation_type": "Latest"}, "aggregation", "LATEST"),
        ({"resetPeriod": "MONTHLY"}, "reset_period", "monthly"),
        ({"reset_period": "YEARLY"}, "reset_period", "yearly"),
        ({"name": "Calls"}, "display_name", "Calls"),
        ({"name": "Calls", "displayName": "All calls"}, "display_name", "All calls"),
        ({"meterType": "GAUGE"}, "meter_type", "gauge"),
        ({"dataType": "int"}, "data_type", "INT"),
        ({"orgId": "chat"}, "project", "chat"),
        ({"projectId": "chat"}, "project", "chat"),
        ({"eventName": "call"}, "event_name", "call"),
        ({"valueProperty": "a.b"}, "value_property", "a.b"),
        ({"primaryLabels": ["a"]}, "primary_labels", ["a"]),
        ({"expectedLabels": ["a"]}, "expected_labels", ["a"]),
        ({"eventLabelFilter": {"a": "x"}}, "event_label_filter", {"a": "x"}),
        ({"isIncremental": True}, "is_incremental", True),
        ({"reportingMethod": "PERIODIC"}, "reporting_method", "periodic"),
        ({"countsFrom": 0}, "counts_from", 0),
    ],
)
def test_other_spellings_of_a_metric(api, body, name, value):
    answer = api.post("/metrics/", {"key": "calls", **body})

    assert answer.status_code == 201, answer.content
    assert answer.json()[name] == value


def test_metric_key_is_taken_once_along_the_tree(acme, api):
    api.post("/metrics/", {"key": "calls", "project": "chat"})

    for project in ("acme", "chat"):
        assert fields_of(api.post("/metrics/", {"key": "calls", "project": project})) == [("conflict", "key")]
    assert api.post("/metrics/", {"key": "calls", "project": "search"}).status_code == 201
    assert fields_of(api.post("/metrics/", {"key": "tokens"})) == [("conflict", "key")]
    assert fields_of(api.get("/metrics/calls/")) == [("invalid_field", "project")]
    assert api.get("/metrics/calls/?project=search").json()["project"] == "search"


def test_metric_counts_from_its_creation_or_all_history(acme, api):
    a_metric("calls", event_name="calls")
    api.post("/usage-events/", an_event(acme, event_name="calls", quantity=5))

    api.post("/metrics/", {"key": "from-now", "event_name": "calls"})
    api.post("/metrics/", {"key": "all", "event_name": "calls", "counts_from": 0})
    assert (total(api, "from-now"), total(api, "all")) == ("0", "5")
    api.post("/usage-events/", an_event(acme, event_name="calls", quantity=2))

    assert (total(api, "from-now"), total(api, "all")) == ("2", "7")
    ragged = {"from": "2024-05-15T11:30:00Z", "to": "2024-05-15T12:30:00Z"}
    assert (total(api, "from-now", **ragged), total(api, "all", **ragged)) == ("2", "7")


def test_meaning_freezes_with_the_first_event_and_wording_does_not(acme, api):
    api.post("/metrics/", {"key": "calls"})
    assert api("PATCH", "/metrics/calls/", {"aggregation": "MAX"}).status_code == 200
    api.post("/usage-events/", an_event(acme, event_name="calls"))

    for change in (
        {"aggregation": "COUNT"},
        {"event_name": "other"},
        {"value_property": "a"},
        {"primary_labels": ["a"]},
        {"expectedLabels": ["a"]},
        {"event_label_filter": {"a": 1}},
        {"meter_type": "gauge"},
        {"data_type": "INT"},
    ):
        answer = api("PATCH", "/metrics/calls/", change)
        assert answer.status_code == 409, change
        assert answer.json()["errors"][0]["code"] == "conflict"
    wording = {"display_name": "Calls", "unit": "call", "description": "All of them", "resetPeriod": "DAILY"}
    answer = api("PATCH", "/metrics/calls/", wording)
    assert (answer.status_code, answer.json()["display_name"], answer.json()["reset_period"]) == (
        200,
        "Calls",
        "daily",
    )
    metric = MetricDefinition.objects.get(key="calls")
    assert (metric.aggregation, metric.event_name, metric.event_label_filter) == ("MAX", "calls", {})


def test_sending_a_frozen_field_as_it_is_changes_nothing(acme, api):
    body = {"key": "calls", "aggregation": "SUM", "event_label_filter": {"size": {"$gt": 0.1}}}
    shown = api.post("/metrics/", body).json()
    api.post("/usage-events/", an_event(acme, event_name="calls", labels={"size": 3}))

    answer = api(
        "PATCH", "/metrics/calls/", {"aggregation": "sum", "event_label_filter": shown["event_label_filter"]}
    )

    assert (answer.status_code, answer.json()) == (200, shown)


def test_archived_metric_counts_no_more(acme, api):
    api.post("/metrics/", {"key": "calls"})
    api.post("/usage-events/", an_event(acme, event_name="calls", quantity=5))

    archived = api("DELETE", "/metrics/calls/")
    again = api("DELETE", "/metrics/calls/")

    assert archived.status_code == 200
    assert archived.json()["archived_from"] > archived.json()["counts_from"]
    assert again.json() == archived.json()
    answer = api.post("/usage-events/", an_event(acme, event_name="calls"))
    assert fields_of(answer) == [("metric_archived", "event_name")]
    assert total(api, "calls") == "5"
    assert [m["key"] for m in api.get("/metrics/?archived=true").json()["results"]] == ["calls"]
    assert [m["key"] for m in api.get("/metrics/?archived=false").json()["results"]] == ["tokens"]


def test_metrics_are_listed_by_who_sees_them(acme, api):
    api.post("/metrics/", {"key": "a", "project": "acme"})
    api.post("/metrics/", {"key": "c", "project": "chat", "event_name": "e"})
    a_metric("foreign", project=a_project("globex"))

    def keys(caller, query=""):
        return [m["key"] for m in caller.get(f"/metrics/{query}").json()["results"]]

    assert keys(api) == ["tokens", "a", "c"]
    assert keys(api, "?project=search") == ["tokens", "a"]
    assert keys(api, "?event_name=e") == ["c"]
    assert keys(Caller(Project.objects.get(key="search"))) == ["tokens", "a"]


def test_pages_of_events_have_one_helper(acme, api):
    """`assert_pages` is able to fail."""
    api.post("/usage-events/", [an_event(acme, id=str(n)) for n in range(3)])
    wanted = [row["id"] for row in api.get("/usage-events/").json()["results"]]

    with pytest.raises(AssertionError):
        assert_pages(api, "/usage-events/?limit=2", list(reversed(wanted)))
