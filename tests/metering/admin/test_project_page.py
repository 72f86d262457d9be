"""A project's page opens with everything about it; the form comes last."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.attributing.scope_tree import attribute
from metering.clock import database_now
from metering.keys import create_api_key, revoke_api_key
from metering.models import Project
from tests.factories import a_metric, a_project, a_void_of, an_event, recorded

from .conftest import World

PAGES = ("project_change", "project_cards", "project_usage_csv")


def url_of(project: Project, page: str = "project_change") -> str:
    return reverse(f"admin:metering_{page}", args=[project.pk])


def page_of(client: Client, project: Project, **query: str) -> dict[str, Any]:
    response: Any = client.get(url_of(project), query)
    assert response.status_code == 200
    page: dict[str, Any] = response.context["page"]
    return page


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("-".join(codenames) or "nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


# -- place and payer -----------------------------------------------------------------------------------------


def test_page_says_where_the_project_stands(staff: Client, world: World) -> None:
    a_project("other", parent=world.tenant)

    page = page_of(staff, world.shop)
    top = page_of(staff, world.tenant)

    assert [name for name, _url in page["place"]["way"]] == ["The tenant"]
    assert "1 other directly below The tenant" in page["place"]["siblings"]
    assert (page["place"]["children"], page["place"]["counted"]) == ([], "")
    assert top["place"]["siblings"] == "The top of its tree."
    assert [child["key"] for child in top["place"]["children"]] == ["other", "shop"]


def test_of_many_children_a_few_are_shown_with_a_link_to_all(staff: Client, world: World) -> None:
    for number in range(30):
        a_project(f"child-{number:02}", parent=world.shop)
    a_project("grandchild", parent=Project.objects.get(key="child-00"))

    place = page_of(staff, world.shop)["place"]

    assert len(place["children"]) == 8
    assert place["counted"] == "30 projects directly below, 1 further down."
    assert place["all_words"] == "All 31 projects below it"
    assert staff.get(place["all_url"]).status_code == 200


def test_page_says_who_pays_by_which_rule_and_what_comes_next(staff: Client, world: World) -> None:
    later = database_now() + dt.timedelta(days=10)
    rule = world.shop.attribution_rules.get()
    attribute(world.shop, payer=world.shop, effective_from=later)

    response = staff.get(url_of(world.shop))
    payer = response.context["page"]["payer"]

    assert (payer["itself"], payer["name"], payer["has_begun"]) == (False, "The tenant", False)
    assert reverse("admin:metering_attributionrule_change", args=[rule.pk]) in payer["rule"]
    assert f"{later:%Y-%m-%d %H:%M:%S}" in payer["following"]
    assert payer["following"].endswith("on: the project itself")
    assert [line.rule.project_id for line in payer["rules"]] == [world.shop.pk] * 2
    assert "counts its own usage and what it pays for" not in response.content.decode()
    assert "count its own usage and what it pays for" in response.content.decode()


def test_chain_of_payers_names_the_rules_in_order(staff: Client, world: World) -> None:
    leaf = a_project("leaf", parent=world.shop)
    attribute(leaf, payer=world.shop)

    payer = page_of(staff, leaf)["payer"]

    assert "its own rule" in payer["rule"]
    assert ", then " in payer["rule"]
    assert "the rule of shop" in payer["rule"]
    assert payer["name"] == "The tenant"


def test_children_that_pay_for_themselves_are_warned_about(staff: Client, world: World) -> None:
    a_project("alone", parent=world.tenant)
    a_project("deep", parent=world.shop)

    assert page_of(staff, world.tenant)["payer"]["unpaid"] == (
        "2 of the 3 projects below it pay for themselves, or others do: alone, deep. Their usage isn't "
        "counted here, nor billed to it."
    )
    assert page_of(staff, world.shop)["payer"]["unpaid"].startswith("It pays for none of the projects below")


# -- keys, events and what is its own ------------------------------------------------------------------------


def test_latest_events_are_shown_newest_use_first(staff: Client, world: World) -> None:
    for number in range(1, 10):
        recorded(an_event(world.shop, quantity=number, occurred_at=f"2024-06-{number:02}T00:00:00Z"))
    voided = recorded(an_event(world.shop, id="wrong", quantity=7, occurred_at="2024-07-01T00:00:00Z"))[0].id
    assert voided is not None
    a_void_of(voided)

    events = page_of(staff, world.shop)["events"]

    assert [event["quantity"] for event in events.rows] == ["–", "7", "9", "8", "7", "6", "5", "4", "3", "2"]
    assert "Void" in events.rows[0]["badge"]
    assert "Voided" in events.rows[1]["badge"]
    assert {event["payer"] for event in events.rows} == {"tenant"}
    assert events.has_more


def test_working_keys_come_before_revoked_ones(staff: Client, world: World) -> None:
    old, _secret = create_api_key(project=world.tenant, name="Old", permissions=["read"])
    revoke_api_key(old, revoked_at=database_now())
    create_api_key(project=world.tenant, name="Fresh", permissions=["read"])

    keys = page_of(staff, world.tenant)["keys"]

    assert [key["name"] for key in keys.rows] == ["Fresh", "Backend", "Old"]
    assert "Revoked" in keys.rows[2]["badge"]
    assert keys.rows[0]["used"] == "never"


def test_empty_project_says_what_to_do(staff: Client, db: None) -> None:
    text = staff.get(url_of(a_project("empty"))).content.decode()

    assert "It pays for itself" in text
    assert "Nothing is measured yet" in text
    assert "None of its own yet. An application sends them" in text
    assert "Nothing lies below it." in text


def test_metrics_of_its_own_and_surfaces_are_listed(staff: Client, world: World) -> None:
    a_metric("own", project=world.shop)

    page = page_of(staff, world.shop)

    assert [metric.key for metric in page["metrics"].rows] == ["own"]
    assert [surface.key for surface in page["surfaces"].rows] == ["search"]


# -- who sees what -------------------------------------------------------------------------------------------


def test_what_one_may_not_see_is_not_shown(world: World) -> None:
    response = staff_with("view_project").get(url_of(world.shop))
    page = response.context["page"]

    assert [page[name] for name in ("usage", "keys", "events", "surfaces", "metrics")] == [None] * 5
    assert page["payer"]["rules"] == []
    assert page["payer"]["name"] == "The tenant"
    text = response.content.decode()
    assert "Latest events" not in text
    assert "API keys" not in text
    assert 'id="usage"' not in text
    assert "/attributionrule/" not in text.split('id="content"')[-1].split("mb-way")[-1]


@pytest.mark.parametrize(
    ("right", "shown"),
    [
        ("view_usagemeterrollup", "usage"),
        ("view_apikey", "keys"),
        ("view_usageevent", "events"),
        ("view_surfaceinstallation", "surfaces"),
        ("view_metricdefinition", "metrics"),
    ],
)
def test_each_part_has_a_right_of_its_own(world: World, right: str, shown: str) -> None:
    page = page_of(staff_with("view_project", right), world.shop)

    parts = ("usage", "keys", "events", "surfaces", "metrics")
    assert [name for name in parts if page[name] is not None] == [shown]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_of_a_project_opens_without_the_right(world: World, page: str) -> None:
    assert staff_with("view_usagemeterrollup").get(url_of(world.shop, page)).status_code == 403


def test_onlooker_sees_the_facts_and_nothing_to_save(onlooker: Client, world: World) -> None:
    text = onlooker.get(url_of(world.shop)).content.decode()

    assert "Who pays for its usage" in text
    assert "Latest events" in text
    assert 'name="_save"' not in text
    assert "Say who pays" not in text
    assert "New key" not in text


def test_form_with_an_error_stands_alone(staff: Client, world: World) -> None:
    response = staff.post(url_of(world.shop), {"name": "", "kind": "project", "timezone": "UTC"})

    assert response.status_code == 200
    assert "page" not in response.context
    assert "This field is required" in response.content.decode()


# -- what it costs -------------------------------------------------------------------------------------------


def statements_of(client: Client, url: str) -> int:
    """Without what begins and ends transactions."""
    client.get(url)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")) for query in queries)


def test_page_asks_seventeen_times_whatever_the_project_has(staff: Client, world: World) -> None:
    few = statements_of(staff, url_of(world.shop))
    for number in range(12):
        child = a_project(f"child-{number}", parent=world.shop)
        attribute(child, payer=world.shop)
        create_api_key(project=world.shop, name=f"Key {number}", permissions=["read"])
        a_metric(f"metric-{number}", project=world.shop)
        recorded(an_event(world.shop, event_name=f"metric-{number}"), an_event(child))

    assert few == statements_of(staff, url_of(world.shop)) == 17


def test_page_never_reads_rows_of_the_ledger_but_the_latest(staff: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as queries:
        staff.get(url_of(world.shop))

    reading = [one["sql"] for one in queries if "FROM metering_usageevent e" in one["sql"]]
    assert len(reading) == 1
    assert "LIMIT 11" in reading[0].replace("'11'", "11")


def test_cards_load_on_their_own_and_stand_as_a_page_without_scripts(staff: Client, world: World) -> None:
    cards = staff.get(url_of(world.shop, "project_cards"), headers={"HX-Request": "true"})
    page = staff.get(url_of(world.shop, "project_cards"))

    assert url_of(world.shop, "project_cards") in staff.get(url_of(world.shop)).content.decode()
    assert "<html" not in cards.content.decode()
    assert "Limits" in cards.content.decode()
    assert "<html" in page.content.decode()
    assert staff.get("/admin/metering/project/0/cards/").status_code == 404
