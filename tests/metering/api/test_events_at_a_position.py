"""Listing and exporting the ledger: what is voided, whose it is, and how it stood at a position."""

import csv
import io

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from metering.attributing.scope_tree import attribute
from metering.models import Fence, Project, UsageEvent
from metering.texts.timestamps import iso
from tests.factories import NOON, a_metric, a_project, a_void_of, an_event, at, recorded
from tests.metering.api.callers import Caller, assert_problem, fields_of

pytestmark = pytest.mark.django_db


def fenced(text: str | None = None) -> int:
    """The ledger's end as the position of a fence. Not by its verb, which would wait for the test itself."""
    position = UsageEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    Fence.objects.create(position=position, fenced_at=at(text) if text else timezone.now())
    return position


def listed(api, **query):
    """(event id, kind, voided by) of each event of the first page, in the order given."""
    answer = api.get("/usage-events/", query=query)
    assert answer.status_code == 200, answer.content
    return [(row["event_id"], row["kind"], row["voided_by"]) for row in answer.json()["results"]]


def named(api, **query) -> list[str]:
    return [event_id for event_id, _, _ in listed(api, **query)]


def exported(api, **query) -> list[dict[str, str]]:
    answer = api.get("/usage/export/", query=query)
    assert answer.status_code == 200, answer.content
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode(), newline="")))


@pytest.fixture
def voided(acme, api):
    """Events a, b and c, an hour apart; b is voided. Returns the ids of the four rows by name."""
    results = recorded(
        an_event(acme, id="a", occurred_at="2024-05-15T12:00:00Z"),
        an_event(acme, id="b", occurred_at="2024-05-15T13:00:00Z", labels={"region": "eu"}),
        an_event(acme, id="c", occurred_at="2024-05-15T14:00:00Z"),
    )
    ids = {result.event_id: result.id for result in results}
    return {**ids, "void": a_void_of(ids["b"])}


# -- voids -------------------------------------------------------------------------------------------------


def test_voided_event_and_its_void_name_each_other(api, voided):
    b, void = str(voided["b"]), voided["void"]

    assert listed(api) == [
        ("c", "usage", None),
        (b, "void", None),
        ("b", "usage", void),
        ("a", "usage", None),
    ]
    one, other = (api.get(f"/usage-events/{voided[name]}/").json() for name in ("b", "void"))
    assert (one["voids"], one["voided_by"]) == (None, void)
    assert (other["voids"], other["voided_by"], other["source"]) == (voided["b"], None, "meterbook:void")
    assert [(row["event_id"], row["voids"], row["voided_by"]) for row in exported(api)] == [
        ("a", "", ""),
        ("b", "", str(void)),
        ("c", "", ""),
        (b, b, ""),
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"kind": "usage"}, "c b a"),
        ({"kind": "void"}, "VOID"),
        ({"kind": "VOID"}, "VOID"),
        ({"voided": "true"}, "b"),
        ({"voided": "false"}, "c VOID a"),
        ({"kind": "usage", "voided": "false"}, "c a"),
        ({"kind": "void", "voided": "true"}, ""),
        ({"voided": "1", "labels[region]": "eu"}, "b"),
        ({"kind": "void", "event_name": "unheard"}, ""),
        ({"kind": "void", "scope": "billed", "project": "acme"}, "VOID"),
        ({"voided": "true", "scope": "billed", "project": "acme"}, "b"),
        ({"voided": "true", "project": "chat"}, ""),
    ],
)
def test_voids_and_what_they_cancel_are_filtered(api, voided, query, wanted):
    expected = [str(voided["b"]) if name == "VOID" else name for name in wanted.split()]

    assert named(api, **query) == expected
    assert sorted(row["event_id"] for row in exported(api, **query)) == sorted(expected)


def test_void_in_another_project_does_not_count(acme, api, voided):
    """The same number can't be voided elsewhere by the rules, and the lookup doesn't trust them."""
    chat = Project.objects.get(key="chat")
    recorded(an_event(chat, id="d"))
    UsageEvent.objects.create(
        project=chat,
        billing_scope=chat,
        source="meterbook:void",
        event_id="x",
        event_name="tokens",
        occurred_at=at(NOON),
        recorded_at=timezone.now(),
        kind="void",
        voids=voided["a"],
        digest=b"",
    )

    assert named(api, project="acme", voided="true") == ["b"]


@pytest.mark.parametrize("path", ["/usage-events/", "/usage/export/"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "both"),
        ("voided", "perhaps"),
        ("scope", "everything"),
        ("as_of", "yesterday"),
        ("as_of", "2024-05-15T12:00:00"),
        ("as_of", "9" * 18),
        ("as_of", "9" * 5000),
        ("as_of", "-1"),
    ],
)
def test_parameter_that_does_not_fit_is_refused_by_name(api, path, name, value):
    answer = api.get(path, query={name: value})

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", name)])


# -- as of a position --------------------------------------------------------------------------------------


def test_as_of_shows_the_ledger_as_it_stood(acme, api, voided):
    fenced()
    everything = ["c", str(voided["b"]), "b", "a"]

    assert named(api, as_of=voided["void"]) == everything
    assert listed(api, as_of=voided["c"]) == [
        ("c", "usage", None),
        ("b", "usage", None),
        ("a", "usage", None),
    ]
    assert named(api, as_of=voided["a"]) == ["a"]
    assert named(api, as_of=0) == []
    assert named(api, as_of=voided["c"], voided="true") == []
    assert named(api, as_of=voided["c"], voided="false") == ["c", "b", "a"]
    assert named(api, as_of=voided["void"], voided="true") == ["b"]
    assert named(api, as_of=voided["b"], scope="billed") == ["b", "a"]


def test_answer_names_the_position_where_one_was_asked_for(acme, api, voided):
    position = fenced("2024-06-01T00:00:00Z")
    fenced("2024-07-01T00:00:00Z")

    assert set(api.get("/usage-events/").json()) == {"results", "next", "previous"}
    for as_of in (str(position), "2024-06-01T00:00:00Z", "2024-06-02T02:00:00+02:00"):
        assert api.get("/usage-events/", query={"as_of": as_of}).json()["position"] == position
    assert api.get("/usage-events/?as_of=2024-06-02T02:00:00+02:00").json()["position"] == position
    assert api.get("/usage-events/?as_of=2024-05-31T00:00:00Z").json() == {
        "position": 0,
        "results": [],
        "next": None,
        "previous": None,
    }


def test_pages_of_a_position_stay_at_it(acme, api):
    recorded(*(an_event(acme, id=f"e{n}", occurred_at=f"2024-05-15T12:00:{n:02}Z") for n in range(10)))
    position = fenced("2024-06-01T00:00:00Z")
    seen, url = [], "/usage-events/?limit=3&asOf=2024-06-01T00:00:00Z"
    while url:
        page = api.get(url.removeprefix("http://testserver/api/v1")).json()
        assert page["position"] == position
        seen += [(row["event_id"], row["voided_by"]) for row in page["results"]]
        # What comes after the first page: an event that would be on a later one, its fence, and a void.
        number = len(seen)
        [late] = recorded(an_event(acme, id=f"late {number}", occurred_at="2024-05-15T11:00:00Z"))
        a_void_of(late.id)
        if number == 3:
            a_void_of(UsageEvent.objects.get(event_id="e0").pk)
        fenced("2024-06-01T00:00:00Z")
        url, last = page["next"], page
    back = api.get(last["previous"].removeprefix("http://testserver/api/v1")).json()

    assert seen == [(f"e{n}", None) for n in reversed(range(10))]
    assert f"as_of={position}" in last["previous"]
    assert back["position"] == position
    assert [row["event_id"] for row in back["results"]] == ["e3", "e2", "e1"]


def test_one_event_as_of_a_position(acme, api, voided):
    fenced()

    def event(name, as_of):
        return api.get(f"/usage-events/{voided[name]}/", query={"as_of": as_of})

    assert event("b", voided["c"]).json()["voided_by"] is None
    assert event("b", voided["void"]).json()["voided_by"] == voided["void"]
    assert_problem(event("c", voided["b"]), 404, "not_found")
    assert fields_of(event("b", "soon")) == [("invalid_field", "as_of")]
    assert fields_of(api.get(f"/usage-events/{voided['b']}/?colour=red")) == [("invalid_field", "colour")]


def test_export_as_of_a_position_names_it(acme, api, voided):
    position = fenced("2024-06-01T00:00:00Z")
    recorded(an_event(acme, id="d"))

    answer = api.get("/usage/export/?as_of=2024-06-01T00:00:00Z")

    assert answer["Meterbook-Position"] == str(position)
    assert b"".join(answer.streaming_content) == b"".join(
        api.get(f"/usage/export/?as_of={position}").streaming_content
    )
    assert "Meterbook-Position" not in api.get("/usage/export/")
    assert [row["event_id"] for row in exported(api, as_of=voided["b"])] == ["a", "b"]
    assert [row["voided_by"] for row in exported(api, as_of=voided["c"])] == ["", "", ""]


@pytest.mark.django_db(transaction=True)
def test_as_of_now_holds_what_was_just_recorded(acme, api):
    a_fence_before = iso(timezone.now())
    recorded(an_event(acme, id="a"))

    document = api.get("/usage-events/", query={"as_of": iso(timezone.now())}).json()

    assert [row["event_id"] for row in document["results"]] == ["a"]
    assert document["position"] == UsageEvent.objects.get().pk == Fence.objects.get().position
    assert api.get("/usage-events/", query={"as_of": a_fence_before}).json()["position"] == 0


# -- whose -------------------------------------------------------------------------------------------------


@pytest.fixture
def paying(acme):
    """acme pays for chat and not for search; one event of each, named as its project."""
    chat, search = (Project.objects.get(key=key) for key in ("chat", "search"))
    attribute(chat, payer=acme)
    for number, project in enumerate((acme, chat, search)):
        recorded(an_event(project, id=project.key, occurred_at=f"2024-05-15T1{number}:00:00Z"))
    recorded(an_event(a_project("globex"), id="foreign"))
    return acme


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, ["search", "chat", "acme"]),
        ({"scope": "own"}, ["search", "chat", "acme"]),
        ({"scope": "tree"}, ["search", "chat", "acme"]),
        ({"scope": "billed"}, ["chat", "acme"]),
        ({"project": "acme"}, ["acme"]),
        ({"project": "acme", "scope": "own"}, ["acme"]),
        ({"project": "acme", "scope": "TREE"}, ["search", "chat", "acme"]),
        ({"project": "acme", "scope": "billed"}, ["chat", "acme"]),
        ({"project": "chat", "scope": "tree"}, ["chat"]),
        ({"project": "chat", "scope": "billed"}, []),
        ({"project": "search", "scope": "billed"}, ["search"]),
        ({"scope": "billed", "to": "2024-05-15T11:00:00Z"}, ["acme"]),
        ({"scope": "billed", "event_name": "unheard"}, []),
    ],
)
def test_scope_says_whose_events(paying, api, query, wanted):
    assert named(api, **query) == wanted
    assert [row["event_id"] for row in exported(api, **query)] == wanted[::-1]


def test_scope_of_a_project_out_of_sight_is_not_found(paying):
    globex = Caller(Project.objects.get(key="globex"))

    for scope in ("own", "tree", "billed"):
        for path in ("/usage-events/", "/usage/export/"):
            assert_problem(globex.get(path, query={"project": "acme", "scope": scope}), 404, "not_found")
    assert named(globex, scope="billed") == ["foreign"]


def test_events_of_a_payer_page_in_both_directions_with_every_row_once(paying, api):
    a_metric("calls")
    chat = Project.objects.get(key="chat")
    recorded(
        *(
            # Many at one instant: the payer's index doesn't order those.
            an_event(project, event_name=name, occurred_at=f"2024-05-1{number % 3}T12:00:00Z")
            for number in range(9)
            for project in (paying, chat)
            for name in ("tokens", "calls")
        )
    )
    everything = [row["id"] for row in api.get("/usage-events/?scope=billed").json()["results"]]
    assert len(set(everything)) == 38

    for limit in (1, 7, 37, 38):
        pages, url = [], f"/usage-events/?scope=billed&limit={limit}"
        while url:
            page = api.get(url.removeprefix("http://testserver/api/v1")).json()
            pages.append(page)
            url = page["next"]
        back, url = [], pages[-1]["previous"]
        while url:
            page = api.get(url.removeprefix("http://testserver/api/v1")).json()
            back = [row["id"] for row in page["results"]] + back
            url = page["previous"]

        assert [row["id"] for page in pages for row in page["results"]] == everything
        assert back == [row["id"] for page in pages[:-1] for row in page["results"]]


def test_staff_names_the_project_that_pays(paying, client):
    client.force_login(User.objects.create_superuser("root"))

    answer = client.get("/api/v1/usage-events/?scope=billed")

    assert fields_of(answer) == [("missing_field", "project")]
    assert client.get("/api/v1/usage-events/?scope=billed&project=acme").status_code == 200
