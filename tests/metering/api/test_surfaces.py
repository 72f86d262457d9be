"""`/surfaces/`: apps and connectors, installed, renamed and taken back."""

import pytest

from metering import catalogue
from metering.attributing.scope_tree import attribute, install_surface
from metering.models import Project, SurfaceInstallation
from tests.factories import a_project, an_event
from tests.metering.api.callers import Caller, assert_problem, fields_of
from tests.metering.api.test_reading_usage import assert_pages

pytestmark = pytest.mark.django_db


@pytest.fixture
def bot(api) -> SurfaceInstallation:
    return install_surface(project=Project.objects.get(key="chat"), key="bot", name="Bot")


def keys_of(answer) -> list[str]:
    return [surface["key"] for surface in answer.json()["results"]]


def test_surface_is_installed_shown_and_used(api):
    answer = api.post("/surfaces/", {"projectId": "chat", "key": "bot", "name": "Bot"})

    shown = dict(answer.json())
    assert answer.status_code == 201
    assert shown.pop("installed_at").endswith("Z")
    assert shown == {
        "id": SurfaceInstallation.objects.get().pk,
        "project": "chat",
        "key": "bot",
        "name": "Bot",
        "billing_scope": "chat",
    }
    assert api.get(f"/surfaces/{shown['id']}/").json() == answer.json()
    assert api.post("/usage-events/", an_event("chat", surface="bot", quantity=1)).status_code == 201


def test_surface_is_installed_into_the_keys_project_by_default(api):
    assert api.post("/surfaces/", {"key": "bot", "name": "Bot"}).json()["project"] == "acme"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": None}, "key"),
        ({"key": "Bot"}, "key"),
        ({"key": 5}, "key"),
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_surface_that_makes_no_sense_names_the_member(api, changes, field):
    answer = api.post("/surfaces/", {"project": "chat", "key": "bot", "name": "Bot", **changes})

    assert (answer.status_code, [f for _, f in fields_of(answer)]) == (422, [field])
    assert not SurfaceInstallation.objects.exists()


def test_key_is_taken_once_within_a_project(api, bot):
    answer = api.post("/surfaces/", {"project": "chat", "key": "bot", "name": "Bot"})

    assert_problem(answer, 409, "conflict")
    assert api.post("/surfaces/", {"project": "search", "key": "bot", "name": "Bot"}).status_code == 201


def test_surfaces_are_asked_for_by_project_kind_and_key_in_pages(api, bot):
    for number in range(4):
        install_surface(project=Project.objects.get(key="acme"), key=f"app-{number}", name="App")
    team = a_project("team", parent=Project.objects.get(key="acme"), kind="organisation")
    install_surface(project=team, key="bot", name="Bot")

    assert keys_of(api.get("/surfaces/?project=acme")) == ["app-0", "app-1", "app-2", "app-3"]
    assert keys_of(api.get("/surfaces/?kind=ORGANISATION")) == ["bot"]
    assert [s["project"] for s in api.get("/surfaces/?key=bot").json()["results"]] == ["chat", "team"]
    assert keys_of(api.get("/surfaces/?key=bot&project=search")) == []
    assert fields_of(api.get("/surfaces/?kind=app")) == [("invalid_field", "kind")]
    every = list(SurfaceInstallation.objects.order_by("id").values_list("id", flat=True))
    assert len(every) == 6
    assert_pages(api, "/surfaces/?limit=4", every)


def test_payer_of_a_surface_is_said_by_the_rules_of_its_project(api, bot):
    rule = api.post("/projects/chat/attribution/", {"payer": "search", "surface": "bot"}).json()

    assert rule["surface"] == "bot"
    assert api.get(f"/surfaces/{bot.pk}/").json()["billing_scope"] == "search"
    assert api.get("/projects/chat/").json()["billing_scope"] == "chat"


def test_surface_is_renamed_and_keeps_its_key(api, bot):
    answer = api("PATCH", f"/surfaces/{bot.pk}/", {"name": "Helper"})

    assert (answer.json()["name"], answer.json()["key"]) == ("Helper", "bot")
    assert fields_of(api("PATCH", f"/surfaces/{bot.pk}/", {"key": "cat"})) == [("invalid_field", "key")]
    assert fields_of(api("PATCH", f"/surfaces/{bot.pk}/", {"name": ""})) == [("invalid_field", "name")]
    assert SurfaceInstallation.objects.get().name == "Helper"


def test_surface_without_usage_is_uninstalled_and_named_no_more(api, bot):
    before = catalogue.current().version

    assert api("DELETE", f"/surfaces/{bot.pk}/").status_code == 204

    assert catalogue.current().version > before
    assert_problem(api.get(f"/surfaces/{bot.pk}/"), 404, "not_found")
    event = api.post("/usage-events/", an_event("chat", surface="bot", quantity=1))
    assert fields_of(event) == [("invalid_field", "surface")]


def test_surface_with_usage_or_rules_stays(api, bot):
    other = install_surface(project=bot.project, key="cli", name="CLI")
    attribute(bot.project, payer=Project.objects.get(key="acme"), surface=other)
    api.post("/usage-events/", an_event("chat", surface="bot", quantity=1))

    used = assert_problem(api("DELETE", f"/surfaces/{bot.pk}/"), 409, "conflict")
    ruled = assert_problem(api("DELETE", f"/surfaces/{other.pk}/"), 409, "conflict")

    assert used["detail"] == "'bot' can't be uninstalled: it still has usage."
    assert ruled["detail"] == "'cli' can't be uninstalled: it still has attribution rules."
    assert SurfaceInstallation.objects.count() == 2


def test_sibling_does_not_see_a_surface(api, bot):
    sibling = Caller(Project.objects.get(key="search"))

    assert keys_of(sibling.get("/surfaces/")) == []
    assert_problem(sibling.get(f"/surfaces/{bot.pk}/"), 404, "not_found")
    assert_problem(sibling.get(f"/surfaces/{2**70}/"), 404, "not_found")
