"""Voids, amendments and their account by API."""

import pytest
from django.test import Client

from metering.models import Correction, MetricDefinition
from quotas.enforcement import set_quota
from tests.factories import a_metric, a_project, a_void_of, an_event, ledger_rows, recorded, total_of
from tests.metering.api.callers import Caller, a_member_of_staff, assert_problem, fields_of, row_counts

pytestmark = pytest.mark.django_db


@pytest.fixture
def event_id(acme) -> int:
    """An event of 100 tokens."""
    [outcome] = recorded(an_event(acme, id="e-1", quantity="100", subject_id="ada", labels={"n": 1.5}))
    return outcome.id


# -- voids -------------------------------------------------------------------------------------------------


def test_void_is_created_once_and_then_exists(api, event_id):
    first = api.post(f"/usage-events/{event_id}/void/", {"reason": "sent twice"})
    second = api.post(f"/usage-events/{event_id}/void/", {"reason": "sent twice"})

    [(void_id,)] = Correction.objects.values_list("void")
    assert (first.status_code, first.json()) == (
        201,
        {"id": void_id, "voids": event_id, "outcome": "created"},
    )
    assert (second.status_code, second.json()) == (
        200,
        {"id": void_id, "voids": event_id, "outcome": "exists"},
    )
    assert total_of("tokens") is None
    assert api.get(f"/usage-events/{event_id}/").json()["voided_by"] == void_id


def test_batch_is_voided_in_the_order_given_and_its_repeats_exist(api, acme, event_id):
    [other] = recorded(an_event(acme, quantity="7"))

    answer = api.post("/usage-events/void/", {"reason": "no", "ids": [other.id, event_id, other.id]})
    again = api.post("/usage-events/void/", {"reason": "no", "ids": [event_id]})

    assert answer.status_code == 201
    assert [(row["voids"], row["outcome"]) for row in answer.json()["results"]] == [
        (other.id, "created"),
        (event_id, "created"),
        (other.id, "exists"),
    ]
    assert (again.status_code, again.json()["results"][0]["outcome"]) == (200, "exists")
    assert Correction.objects.count() == 2


@pytest.mark.parametrize(
    ("bad", "status", "code"), [("unknown", 404, "not_found"), ("void", 409, "conflict")]
)
def test_batch_with_one_that_cannot_be_voided_voids_none(api, acme, event_id, bad, status, code):
    void_id = a_void_of(recorded(an_event(acme))[0].id)
    before = row_counts()
    bad_id = {"unknown": void_id + 1000, "void": void_id}[bad]

    answer = api.post("/usage-events/void/", {"reason": "no", "ids": [event_id, bad_id]})

    assert str(bad_id) in assert_problem(answer, status, code)["detail"]
    assert row_counts() == before
    assert total_of("tokens") == 100


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"reason": "no"}, ("missing_field", "ids")),
        ({"reason": "no", "ids": None}, ("missing_field", "ids")),
        ({"reason": "no", "ids": []}, ("invalid_field", "ids")),
        ({"reason": "no", "ids": "5"}, ("invalid_field", "ids")),
        ({"reason": "no", "ids": [1, "5"]}, ("invalid_field", "ids.1")),
        ({"reason": "no", "ids": [True]}, ("invalid_field", "ids.0")),
        ({"reason": "no", "ids": [1.5]}, ("invalid_field", "ids.0")),
        ({"ids": [1]}, ("missing_field", "reason")),
        ({"reason": "no", "ids": [1], "id": 1}, ("invalid_field", "id")),
    ],
)
def test_batch_that_is_badly_worded_is_refused_naming_the_field(api, body, error):
    answer = api.post("/usage-events/void/", body)

    assert (answer.status_code, fields_of(answer)) == (422, [error])


def test_batch_of_too_many_is_refused(api):
    answer = api.post("/usage-events/void/", {"reason": "no", "ids": list(range(1, 10_002))})

    assert_problem(answer, 413, "batch_too_large")
    assert fields_of(answer) == [("batch_too_large", "ids")]


def test_ten_thousand_are_voided_at_once(api, acme):
    results = recorded(*(an_event(acme, quantity="1") for _ in range(10_000)))

    answer = api.post("/usage-events/void/", {"reason": "a loop", "ids": [row.id for row in results]})

    assert answer.status_code == 201
    assert {row["outcome"] for row in answer.json()["results"]} == {"created"}
    assert (len(answer.json()["results"]), Correction.objects.count()) == (10_000, 10_000)
    assert total_of("tokens") is None


@pytest.mark.parametrize("number", [0, 2**31, 2**63 - 1, 2**63, 10**30])
@pytest.mark.parametrize("verb", ["void", "amend"])
def test_id_of_no_event_is_not_found(api, event_id, number, verb):
    members = {"quantity": 1} if verb == "amend" else {}

    answer = api.post(f"/usage-events/{number}/{verb}/", {"reason": "no", **members})

    assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize("number", [-1, 0, 2**63, 10**30])
def test_batch_with_an_id_beyond_all_ids_is_not_found(api, event_id, number):
    answer = api.post("/usage-events/void/", {"reason": "no", "ids": [event_id, number]})

    assert_problem(answer, 404, "not_found")
    assert Correction.objects.count() == 0


# -- what both ask for -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["void", "amend"])
@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (None, "missing_field"),
        ("", "missing_field"),
        (" \t\n", "missing_field"),
        (5, "invalid_field"),
        (["no"], "invalid_field"),
        ("x" * 1001, "invalid_field"),
        ("a\x00b", "invalid_field"),
    ],
)
def test_correction_needs_a_reason(api, event_id, verb, reason, code):
    members = {"quantity": 1} if verb == "amend" else {}
    before = row_counts()

    answer = api.post(f"/usage-events/{event_id}/{verb}/", {"reason": reason, **members})

    assert (answer.status_code, fields_of(answer)) == (422, [(code, "reason")])
    assert row_counts() == before


@pytest.mark.parametrize("verb", ["void", "amend"])
def test_correction_without_a_body_or_with_an_unknown_member_is_refused(api, event_id, verb):
    url = f"/usage-events/{event_id}/{verb}/"

    for body, field in (([], None), ("[1]", None), ({"reason": "no", "amount": 1}, "amount")):
        answer = api.post(url, body)
        assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])
    assert_problem(api.post(url, "{"), 400, "parse_error")
    assert fields_of(api.post(f"{url}?dry_run=1", {"reason": "no"})) == [("invalid_field", "dry_run")]
    assert total_of("tokens") == 100


@pytest.mark.parametrize("verb", ["void", "amend"])
def test_void_is_not_corrected(api, event_id, verb):
    void_id = a_void_of(event_id)
    members = {"quantity": 1} if verb == "amend" else {}

    answer = api.post(f"/usage-events/{void_id}/{verb}/", {"reason": "no", **members})

    assert_problem(answer, 409, "conflict")


@pytest.mark.parametrize("permissions", [("read",), ("ingest",), ("ingest", "read", "backfill")])
def test_key_that_may_not_manage_corrects_nothing(acme, event_id, permissions):
    weak = Caller(acme, *permissions)

    for path, body in (
        (f"/usage-events/{event_id}/void/", {"reason": "no"}),
        ("/usage-events/void/", {"reason": "no", "ids": [event_id]}),
        (f"/usage-events/{event_id}/amend/", {"reason": "no", "quantity": 1}),
    ):
        document = assert_problem(weak.post(path, body), 403, "permission_denied")
        assert "'manage'" in document["detail"]
    assert total_of("tokens") == 100


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        (["change_metricdefinition", "add_usageevent"], set()),
        (["void_usageevent"], {"void"}),
        (["amend_usageevent"], {"amend"}),
    ],
)
def test_staff_need_the_rights_that_the_admin_asks_for(acme, event_id, rights, may):
    client = Client(raise_request_exception=False)
    client.force_login(a_member_of_staff(*rights))
    bodies = {"void": {"reason": "no"}, "amend": {"reason": "no", "quantity": 1}}

    for verb, body in bodies.items():
        answer = client.post(
            f"/api/v1/usage-events/{event_id}/{verb}/", body, content_type="application/json"
        )
        assert (answer.status_code == 201) is (verb in may), answer.content
        assert (answer.status_code == 403) is (verb not in may)
    assert set(Correction.objects.values_list("actor", flat=True)) == ({"ada"} if may else set())


# -- amendments --------------------------------------------------------------------------------------------


def test_amendment_voids_and_records_anew_with_what_changed(api, event_id):
    body = {"reason": "wrong unit", "quantity": "90.5", "subjectId": "bob"}

    answer = api.post(f"/usage-events/{event_id}/amend/", body)

    void, event = answer.json()["void"], answer.json()["event"]
    assert answer.status_code == 201
    assert (void["voids"], void["outcome"]) == (event_id, "created")
    assert (event["event_id"], event["outcome"]) == (str(event_id), "created")
    shown = api.get(f"/usage-events/{event['id']}/").json()
    assert {name: shown[name] for name in ("quantity", "subject_id", "labels", "source", "event_name")} == {
        "quantity": "90.5",
        "subject_id": "bob",
        "labels": {"n": 1.5},
        "source": "meterbook:amend",
        "event_name": "tokens",
    }
    assert total_of("tokens") == 90.5
    again = api.post(f"/usage-events/{event_id}/amend/", body)
    assert (again.status_code, again.json()["void"]["id"], again.json()["event"]) == (
        200,
        void["id"],
        {**event, "outcome": "exists"},
    )


@pytest.mark.parametrize(
    ("sent", "column", "stored"),
    [
        ({"timestamp": "2024-05-16T12:00:00+02:00"}, "occurred_at", "2024-05-16T10:00:00Z"),
        ({"occurredAt": "2024-05-16T12:00:00Z"}, "occurred_at", "2024-05-16T12:00:00Z"),
        ({"metadata": {"a": "b"}}, "labels", {"a": "b"}),
        ({"labels": None}, "labels", {}),
        ({"subject_type": "user"}, "subject_type", "user"),
        ({"subjectType": "user"}, "subject_type", "user"),
        ({"subject_id": None}, "subject_id", None),
        ({"orgId": "chat"}, "project", "chat"),
        ({"metricKey": "calls"}, "event_name", "call"),
        ({"eventName": "call"}, "event_name", "call"),
        ({"eventId": "e-2"}, "event_id", "e-2"),
        ({"id": "e-2", "source": "mine"}, "source", "mine"),
        ({"quantity": None}, "quantity", None),
        ({"quantity": 0.1}, "quantity", "0.1"),
    ],
)
def test_members_are_named_as_recording_names_them(api, event_id, sent, column, stored):
    a_metric("calls", event_name="call")

    answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "no", **sent})

    assert answer.status_code == 201, answer.content
    assert api.get(f"/usage-events/{answer.json()['event']['id']}/").json()[column] == stored


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({}, ("missing_field", None)),
        ({"quantity": -1}, ("invalid_value", "quantity")),
        ({"quantity": "1_000"}, ("invalid_value", "quantity")),
        ({"quantity": True}, ("invalid_value", "quantity")),
        ({"quantity": 10**40}, ("invalid_value", "quantity")),
        ({"occurred_at": "2024-05-16T12:00:00"}, ("invalid_timestamp", "occurred_at")),
        ({"occurred_at": "2124-05-16T12:00:00Z"}, ("timestamp_in_future", "occurred_at")),
        ({"project": "nowhere"}, ("unknown_project", "project")),
        ({"event_name": "nothing"}, ("unknown_event_name", "event_name")),
        ({"metric_key": "nothing"}, ("unknown_event_name", "metric_key")),
        ({"surface": "none"}, ("invalid_field", "surface")),
        ({"labels": []}, ("invalid_label", "labels")),
        ({"subject_id": 5}, ("invalid_field", "subject_id")),
        ({"id": "e-2", "source": "meterbook:void"}, ("invalid_field", "source")),
        ({"source": "mine"}, ("missing_field", "id")),
        ({"subject_id": "a", "subjectId": "b"}, ("invalid_field", "subjectId")),
        ({"voids": 5}, ("invalid_field", "voids")),
        ({"recorded_at": "2024-05-16T12:00:00Z"}, ("invalid_field", "recorded_at")),
    ],
)
def test_amendment_that_recording_would_reject_changes_nothing(api, event_id, sent, error):
    before = row_counts()

    answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "no", **sent})

    assert (answer.status_code, fields_of(answer)) == (422, [error])
    assert row_counts() == before
    assert (Correction.objects.count(), total_of("tokens")) == (0, 100)


def test_amendment_to_an_id_with_other_content_is_a_conflict(api, acme, event_id):
    recorded(an_event(acme, id="e-2", quantity="5"))

    for body in ({"id": "e-2"}, {"id": "e-1", "quantity": 5}, {"id": "e-1"}):
        answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "no", **body})
        assert_problem(answer, 409, "conflict")
    assert (Correction.objects.count(), total_of("tokens")) == (0, 105)


def test_amendment_of_a_voided_event_is_a_conflict(api, event_id):
    a_void_of(event_id)

    answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "no", "quantity": 1})

    assert "voided already" in assert_problem(answer, 409, "conflict")["detail"]


def test_amendment_with_other_content_than_the_first_is_a_conflict(api, event_id):
    assert api.post(f"/usage-events/{event_id}/amend/", {"reason": "a", "quantity": 1}).status_code == 201

    answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "b", "quantity": 2})

    assert_problem(answer, 409, "conflict")
    assert total_of("tokens") == 1


def test_amendment_beyond_a_quota_is_refused_unless_it_is_not_enforced(acme, api, event_id):
    set_quota(acme, metric=MetricDefinition.objects.get(key="tokens"), limit="120")
    url, body = f"/usage-events/{event_id}/amend/", {"reason": "more", "quantity": "120.1"}

    refused = assert_problem(api.post(url, body), 429, "quota_exceeded")
    weak = Caller(acme, "manage").post(f"{url}?enforce=false", body)

    # As if the old 100 weren't there.
    assert (refused["used"], refused["requested"], refused["remaining"]) == ("0", "120.1", "120")
    assert "'backfill'" in assert_problem(weak, 403, "permission_denied")["detail"]
    assert (Correction.objects.count(), total_of("tokens")) == (0, 100)
    assert api.post(f"{url}?enforce=false", body).status_code == 201
    assert float(total_of("tokens")) == 120.1


def test_soft_quota_warns_beside_the_amended_event(acme, api, event_id):
    set_quota(acme, metric=a_metric("other", event_name="tokens"), limit="100", mode="soft")

    answer = api.post(f"/usage-events/{event_id}/amend/", {"reason": "more", "quantity": 101})

    [warning] = answer.json()["event"]["warnings"]
    assert (answer.status_code, warning["code"], warning["used"]) == (201, "quota_exceeded", "0")


# -- the account -------------------------------------------------------------------------------------------


def test_corrections_are_listed_newest_first(acme, api, event_id):
    [other] = recorded(an_event("chat", quantity="7"))
    api.post(f"/usage-events/{event_id}/void/", {"reason": "  sent twice\n"})
    api.post(f"/usage-events/{other.id}/amend/", {"reason": "wrong unit", "quantity": 8})
    events = ledger_rows("id", "kind", "source")
    [first_void, second_void] = [row_id for row_id, kind, _ in events if kind == "void"]
    [replacement] = [row_id for row_id, _, source in events if source == "meterbook:amend"]

    rows = api.get("/corrections/").json()["results"]

    for row in rows:
        assert row.pop("corrected_at").endswith("Z")
        assert row.pop("actor") == f"test ({api.key.partition('.')[0]}…)"
    ids = [row.pop("id") for row in rows]
    assert ids == sorted(ids, reverse=True)
    assert rows == [
        {
            "project": "chat",
            "kind": "amendment",
            "event": other.id,
            "void": second_void,
            "replacement": replacement,
            "reason": "wrong unit",
        },
        {
            "project": "acme",
            "kind": "void",
            "event": event_id,
            "void": first_void,
            "replacement": None,
            "reason": "sent twice",
        },
    ]


def test_corrections_are_found_by_project_kind_and_event(acme, api, event_id):
    [other] = recorded(an_event("chat", quantity="7"))
    api.post(f"/usage-events/{event_id}/void/", {"reason": "no"})
    api.post(f"/usage-events/{other.id}/amend/", {"reason": "no", "quantity": 8})

    def found(**query: object) -> list[int]:
        answer = api.get("/corrections/", query=query)
        assert answer.status_code == 200, answer.content
        return [row["event"] for row in answer.json()["results"]]

    assert found() == [other.id, event_id]
    assert found(project="acme") == [event_id]
    assert found(projectId="chat") == [other.id]
    assert found(kind="VOID") == [event_id]
    assert found(kind="amendment") == [other.id]
    assert found(kind="reattribution") == []
    assert found(event=event_id) == [event_id]
    assert found(event=event_id, project="chat") == []
    assert found(event=10**17) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "other"}, "kind"),
        ({"event": "x"}, "event"),
        ({"event": "1" * 19}, "event"),
        ({"event": ""}, "event"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "?"}, "cursor"),
        ({"reason": "x"}, "reason"),
    ],
)
def test_question_about_corrections_that_makes_no_sense_is_refused(api, query, field):
    answer = api.get("/corrections/", query=query)

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])


def test_corrections_come_in_pages(acme, api):
    results = recorded(*(an_event(acme) for _ in range(5)))
    api.post("/usage-events/void/", {"reason": "no", "ids": [row.id for row in results]})

    seen, url = [], "/corrections/?limit=2"
    while url:
        page = api.get(url.removeprefix("http://testserver/api/v1")).json()
        seen += [row["event"] for row in page["results"]]
        url = page["next"]

    assert seen == sorted((row.id for row in results), reverse=True)


def test_corrections_of_others_are_not_told(acme, api, event_id):
    [foreign] = recorded(an_event(a_project("elsewhere")))
    a_void_of(foreign.id)

    assert api.get("/corrections/").json()["results"] == []
    assert api.get(f"/corrections/?event={foreign.id}").json()["results"] == []
    assert_problem(api.get("/corrections/?project=elsewhere"), 404, "not_found")
    assert Caller(acme, "ingest", "manage").get("/corrections/").status_code == 403
