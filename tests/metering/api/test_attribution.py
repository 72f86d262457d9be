"""`/projects/{key}/attribution/`, `/projects/{key}/payer/` and `DELETE /projects/{key}/`."""

import pytest
from django.utils import timezone

from metering import catalogue
from metering.attributing.scope_tree import attribute, install_surface
from metering.keys import create_api_key
from metering.models import AttributionRule, Project
from quotas.enforcement import set_quota
from tests.factories import NOON, a_metric, a_project, an_event, at, recorded
from tests.metering.api.callers import Caller, assert_problem, fields_of
from tests.metering.api.test_reading_usage import assert_pages

pytestmark = pytest.mark.django_db

MAY, JUNE, JULY = "2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z"


def project(key: str) -> Project:
    return Project.objects.get(key=key)


def intervals() -> list[tuple]:
    return list(AttributionRule.objects.order_by("id").values_list("effective_from", "effective_until"))


# -- rules -------------------------------------------------------------------------------------------------


def test_rule_has_an_id_by_which_it_is_found(api):
    made = api.post("/projects/chat/attribution/", {"payer": "acme", "effective_from": MAY}).json()

    assert made == {
        "id": AttributionRule.objects.get().pk,
        "project": "chat",
        "billing_attribution_project": "acme",
        "surface": None,
        "effective_from": MAY,
        "effective_until": None,
    }
    assert api.get(f"/projects/chat/attribution/{made['id']}/").json() == made


def test_rule_is_its_projects_alone(api):
    made = api.post("/projects/chat/attribution/", {"payer": "acme"}).json()

    for path in (f"/projects/search/attribution/{made['id']}/", f"/projects/chat/attribution/{2**70}/"):
        assert_problem(api.get(path), 404, "not_found")
        assert_problem(api("DELETE", path), 404, "not_found")
        assert_problem(api.post(f"{path}end/", {}), 404, "not_found")
    assert intervals() == [(None, None)]


def test_rules_come_in_pages(api):
    rules = [
        attribute(
            project("chat"),
            payer=project("acme"),
            effective_from=at(f"2024-05-0{day}T00:00:00Z"),
            effective_until=at(f"2024-05-0{day + 1}T00:00:00Z"),
        )
        for day in range(1, 6)
    ]

    assert_pages(api, "/projects/chat/attribution/?limit=2", [rule.pk for rule in rules])


def test_rules_are_asked_for_by_instant_and_surface(api):
    bot = install_surface(project=project("chat"), key="bot", name="Bot")
    attribute(project("chat"), payer=project("acme"), effective_from=at(MAY), effective_until=at(JUNE))
    attribute(project("chat"), payer=project("search"), effective_from=at(JUNE))
    attribute(project("chat"), payer=project("acme"), surface=bot)

    def payers(query: str) -> list[tuple[str, str | None]]:
        rules = api.get(f"/projects/chat/attribution/?{query}").json()["results"]
        return [(rule["billing_attribution_project"], rule["surface"]) for rule in rules]

    assert payers("at=2024-05-31") == [("acme", None), ("acme", "bot")]
    assert payers("at=2024-06-01") == [("search", None), ("acme", "bot")]
    assert payers("surface=bot") == [("acme", "bot")]
    assert payers("surface=bot&at=2024-01-01T00:00:00%2B01:00") == [("acme", "bot")]
    assert fields_of(api.get("/projects/chat/attribution/?surface=cat")) == [("invalid_field", "surface")]
    assert fields_of(api.get("/projects/chat/attribution/?at=soon")) == [("invalid_field", "at")]


def test_rule_is_ended_at_an_instant_and_by_default_now(api):
    one = api.post("/projects/chat/attribution/", {"payer": "acme", "effective_from": MAY}).json()
    other = api.post("/projects/search/attribution/", {"payer": "acme"}).json()
    before = timezone.now()

    ended = api.post(f"/projects/chat/attribution/{one['id']}/end/", {"effectiveUntil": JUNE})
    at_once = api.post(f"/projects/search/attribution/{other['id']}/end/", {})

    assert (ended.status_code, ended.json()) == (200, {**one, "effective_until": JUNE})
    assert before < at(at_once.json()["effective_until"]) < timezone.now()
    assert api.get("/projects/search/").json()["billing_scope"] == "search"


def test_rule_is_not_ended_before_it_begins_or_later_than_it_does(api):
    rule = api.post(
        "/projects/chat/attribution/", {"payer": "acme", "effective_from": MAY, "effective_until": JUNE}
    ).json()
    path = f"/projects/chat/attribution/{rule['id']}/end/"

    for body in (
        {"effective_until": MAY},
        {"effective_until": JULY},
        {"effective_until": "June"},
        {"effective_until": 6},
    ):
        assert fields_of(api.post(path, body)) == [("invalid_field", "effective_until")], body
    assert fields_of(api.post(path, {"until": JUNE})) == [("invalid_field", "until")]
    assert fields_of(api.post(path, [])) == [("invalid_field", None)]
    assert intervals() == [(at(MAY), at(JUNE))]


def test_rule_that_has_yet_to_begin_is_withdrawn(api):
    recorded(an_event("chat", quantity=1))
    rule = api.post(
        "/projects/chat/attribution/", {"payer": "acme", "effective_from": "2999-01-01T00:00:00Z"}
    ).json()

    assert api("DELETE", f"/projects/chat/attribution/{rule['id']}/").status_code == 204
    assert intervals() == []


def test_rule_that_has_been_in_force_is_ended_and_not_withdrawn(api):
    for key, payer in (("chat", "acme"), ("acme", "acme")):
        attribute(project(key), payer=project(payer))
    recorded(an_event("chat", quantity=1))

    for rule in AttributionRule.objects.all():  # acme has no usage, but what it pays for has
        answer = api("DELETE", f"/projects/{rule.project.key}/attribution/{rule.pk}/")
        assert_problem(answer, 409, "conflict")
    assert intervals() == [(None, None), (None, None)]


def test_rule_of_a_project_without_usage_is_withdrawn(api):
    rule = attribute(project("chat"), payer=project("acme"))
    before = catalogue.current().version

    assert api("DELETE", f"/projects/chat/attribution/{rule.pk}/").status_code == 204
    assert_problem(api("DELETE", f"/projects/chat/attribution/{rule.pk}/"), 404, "not_found")
    assert catalogue.current().version > before


# -- who pays at an instant --------------------------------------------------------------------------------


def test_chain_is_told_step_by_step_with_the_rules_that_decide(api):
    bot = install_surface(project=project("chat"), key="bot", name="Bot")
    of_bot = attribute(project("chat"), payer=project("search"), surface=bot, effective_from=at(MAY))
    of_search = attribute(project("search"), payer=project("acme"), effective_until=at(JULY))
    of_acme = attribute(project("acme"), payer=project("acme"))

    answer = api.get("/projects/chat/payer/?surface=bot&at=2024-06-01").json()

    assert [
        (step["project"], step["surface"], step["decided_by"], step["rule"]["id"], step["paid_by"])
        for step in answer.pop("steps")
    ] == [
        ("chat", "bot", "rule", of_bot.pk, "search"),
        ("search", None, "rule", of_search.pk, "acme"),
        ("acme", None, "rule", of_acme.pk, "acme"),
    ]
    assert answer == {
        "project": "chat",
        "surface": "bot",
        "at": JUNE,
        "billing_scope": "acme",
        "is_complete": True,
    }


def test_surface_without_a_rule_follows_its_project_which_pays_for_itself(api):
    install_surface(project=project("chat"), key="bot", name="Bot")

    answer = api.get("/projects/chat/payer/?surface=bot").json()

    assert answer["steps"] == [
        {"project": "chat", "surface": "bot", "decided_by": "no_rule", "rule": None, "paid_by": "chat"},
        {"project": "chat", "surface": None, "decided_by": "no_rule", "rule": None, "paid_by": "chat"},
    ]
    assert answer["billing_scope"] == "chat"


def test_chain_and_ledger_agree(api):
    attribute(project("chat"), payer=project("acme"), effective_from=at(MAY), effective_until=at(JUNE))

    for instant in ("2024-04-30T23:59:59.999999Z", MAY, NOON, JUNE):
        api.post("/usage-events/", an_event("chat", id=instant, quantity=1, occurred_at=instant))
        event = api.get("/usage-events/", query={"event_id": instant}).json()["results"][0]
        payer = api.get("/projects/chat/payer/", query={"at": instant}).json()
        assert event["billing_scope"] == payer["billing_scope"]


def test_rules_of_projects_above_the_key_stay_unknown(api):
    attribute(project("chat"), payer=project("acme"))
    attribute(project("acme"), payer=project("tenant"))
    child = Caller(project("chat"))

    answer = child.get("/projects/chat/payer/").json()

    assert [(step["project"], step["paid_by"]) for step in answer["steps"]] == [("chat", "acme")]
    assert (answer["billing_scope"], answer["is_complete"]) == ("tenant", False)


@pytest.mark.parametrize(
    ("query", "field"),
    [("at=noon", "at"), ("at=2024-06-01T00:00:00", "at"), ("surface=cat", "surface"), ("when=now", "when")],
)
def test_question_that_makes_no_sense_names_the_parameter(api, query, field):
    assert fields_of(api.get(f"/projects/chat/payer/?{query}")) == [("invalid_field", field)]


# -- removing a mistake ------------------------------------------------------------------------------------


def test_project_that_nothing_refers_to_is_removed(api):
    before = catalogue.current().version

    assert api("DELETE", "/projects/search/").status_code == 204

    assert_problem(api.get("/projects/search/"), 404, "not_found")
    assert_problem(api("DELETE", "/projects/search/"), 404, "not_found")
    assert catalogue.current().version > before
    assert api.post("/usage-events/", an_event("search", quantity=1)).status_code == 422
    assert api.post("/projects/", {"key": "search", "name": "Anew"}).status_code == 201


def hold_by_usage(held: Project) -> None:
    recorded(an_event(held, quantity=1))


def hold_by_usage_paid_for(held: Project) -> None:
    other = a_project("other", parent=held.parent)
    rule = attribute(other, payer=held)
    recorded(an_event(other, quantity=1))
    rule.delete()


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (hold_by_usage, "usage (its own or what it pays for)"),
        (hold_by_usage_paid_for, "usage (its own or what it pays for)"),
        (lambda held: a_project("below", parent=held), "projects below it"),
        (lambda held: a_metric("own", project=held), "metrics"),
        (
            lambda held: create_api_key(project=held, name="a", permissions=["read"]),
            "API keys (revoked ones count)",
        ),
        (lambda held: attribute(held, payer=held.parent), "attribution rules"),
        (
            lambda held: attribute(project("chat"), payer=held),
            "attribution rules by which it pays",
        ),
        (lambda held: install_surface(project=held, key="bot", name="Bot"), "surface installations"),
        (lambda held: set_quota(held, metric=a_metric("other"), limit=1), "quotas"),
    ],
)
def test_project_in_use_stays_and_says_what_holds_it(api, hold, words):
    hold(project("search"))

    problem = assert_problem(api("DELETE", "/projects/search/"), 409, "conflict")

    assert problem["detail"] == f"'search' can't be removed: it still has {words}."
    assert Project.objects.filter(key="search").exists()


def test_key_does_not_remove_the_project_it_stands_on(api):
    problem = assert_problem(api("DELETE", "/projects/acme/"), 409, "conflict")

    assert "projects below it, API keys" in problem["detail"]
