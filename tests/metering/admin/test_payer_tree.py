"""The tree of who pays for what, and the pages that take mistakes back."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.attributing import payer_tree
from metering.attributing.scope_tree import attribute, end_attribution
from metering.models import AttributionRule, Project, SurfaceInstallation
from tests.factories import a_project, an_event, at, recorded

from .conftest import World

TREE = "admin:metering_attributionrule_tree"


def page_of(client: Client, **query: object) -> str:
    response = client.get(reverse(TREE), query)
    assert response.status_code == 200
    return response.content.decode()


def rows_of(client: Client, **query: object) -> list[tuple[str, str, str, bool]]:
    """(project or surface, payer, words for the rule, whether marked) of each row."""
    rows = client.get(reverse(TREE), query).context.get("rows", [])
    return [
        (
            row.line.surface.key if row.line.surface else row.line.project.key,
            row.payer.key,
            row.rule_words,
            row.line.is_exception,
        )
        for row in rows
    ]


@pytest.fixture
def june(world: World) -> World:
    """The tenant pays for the shop from June on, and a sponsor for its search."""
    AttributionRule.objects.all().delete()
    a_project("sponsor", parent=world.tenant, name="The sponsor")
    attribute(world.shop, payer=world.tenant, effective_from=at("2024-06-01T00:00:00Z"))
    attribute(
        world.shop,
        surface=SurfaceInstallation.objects.get(key="search"),
        payer=Project.objects.get(key="sponsor"),
        effective_until=at("2024-07-01T00:00:00Z"),
    )
    return world


def test_tree_says_who_pays_and_by_which_rule(staff: Client, june: World) -> None:
    assert rows_of(staff) == [
        ("tenant", "tenant", "", False),
        ("shop", "tenant", "own rule", False),
        ("search", "tenant", "rule of The shop", False),
        ("sponsor", "sponsor", "", True),
    ]


def test_tree_shows_another_instant(staff: Client, june: World) -> None:
    assert rows_of(staff, on="2024-05-31") == [
        ("tenant", "tenant", "", False),
        ("shop", "shop", "", False),
        ("search", "sponsor", "own rule", False),
        ("sponsor", "sponsor", "", False),
    ]
    assert rows_of(staff, on="2024-06-01")[1:3] == [
        ("shop", "tenant", "own rule", False),
        ("search", "sponsor", "own rule", False),
    ]
    page = page_of(staff, on="2024-05-31")
    assert "from 2024-06-01: The tenant" in page
    assert "from 2024-07-01: The tenant" in page
    assert "ever to 2024-06-01: itself; 2024-06-01 to further notice: The tenant" in page


def test_tree_names_the_way_to_the_payer(staff: Client, june: World) -> None:
    below = a_project("below", parent=june.shop, name="Below")
    attribute(below, payer=june.shop)

    page = page_of(staff)

    assert "by way of" in page
    assert ("below", "tenant", "own rule", False) in rows_of(staff)


def test_search_keeps_the_place_in_the_tree(staff: Client, june: World) -> None:
    rows = staff.get(reverse(TREE), {"q": "SPONSOR"}).context["rows"]

    assert [(row.line.project.key, row.line.is_context) for row in rows] == [
        ("tenant", True),
        ("sponsor", False),
    ]
    assert "No project of The tenant has “nobody” in its key or name." in page_of(staff, q="nobody")


def test_large_trees_come_in_pages(staff: Client, june: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payer_tree, "PAGE_PROJECTS", 2)
    monkeypatch.setattr("metering.admin.payer_tree.PAGE_PROJECTS", 2)

    first = staff.get(reverse(TREE)).context
    second = staff.get(first["later_url"].replace("?", reverse(TREE) + "?")).context

    assert first["counted"] == "projects 1 to 2 of 3"
    assert [row.line.project.key for row in first["rows"]] == ["tenant", "shop", "shop"]
    assert [(row.line.project.key, row.line.is_context) for row in second["rows"]] == [
        ("tenant", True),
        ("sponsor", False),
    ]
    assert (first["earlier_url"], second["later_url"]) == ("", "")


def test_tree_costs_the_same_for_more_projects(staff: Client, june: World) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page_of(staff)
        return len(queries)

    page_of(staff)
    before = cost()
    for number in range(10):
        attribute(a_project(f"more-{number}", parent=june.tenant), payer=june.tenant)
    page_of(staff)

    assert cost() == before


def test_month_shows_own_usage_and_what_is_paid_for(staff: Client, june: World) -> None:
    recorded(an_event(june.shop, quantity=5, occurred_at="2024-06-02T12:00:00Z"))

    rows = staff.get(reverse(TREE), {"on": "2024-06-15"}).context["rows"]

    shown = {row.line.project.key: (row.own, row.paid) for row in rows if not row.line.surface}
    assert shown["tenant"][0] is None
    assert ">5<" in shown["tenant"][1]
    assert ">5<" in shown["shop"][0]
    assert shown["shop"][1] is None


def test_tree_leads_to_forms_with_the_project_filled_in(staff: Client, onlooker: Client, june: World) -> None:
    search = SurfaceInstallation.objects.get(key="search")
    rule = AttributionRule.objects.get(surface=None)
    add = reverse("admin:metering_attributionrule_add")
    links = [
        f"{add}?project={june.shop.pk}&amp;surface={search.pk}",
        f"{add}?project={june.shop.pk}",
        reverse("admin:metering_attributionrule_end", args=[rule.pk]),
    ]

    assert [link in page_of(staff) for link in links] == [True, True, True]
    assert [link in page_of(onlooker) for link in links] == [False, False, False]
    form = staff.get(add, {"project": june.shop.pk, "surface": search.pk}).content.decode()
    assert f'<option value="{search.pk}" selected' in form


def test_tree_is_for_those_who_may_see_rules(client: Client, june: World) -> None:
    user = User.objects.create_user("clerk", is_staff=True)
    client.force_login(user)
    refused = client.get(reverse(TREE)).status_code
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_project", "view_attributionrule"])
    )

    page = page_of(client)

    assert refused == 403
    assert "The shop" in page
    assert "Paid for" not in page  # usage needs the right to see rollups


def test_empty_tree_says_what_to_do(staff: Client, db: None) -> None:
    assert "No projects yet" in page_of(staff)
    a_project("tenant", kind="tenant")
    assert "Every project pays for itself" in page_of(staff)


@pytest.mark.parametrize(
    "query",
    [{"tree": "x"}, {"tree": "9" * 30}, {"on": "soon"}, {"from": "-1"}, {"from": "9" * 9}, {"metric": "²"}],
)
def test_nonsense_in_the_address_is_no_crash(staff: Client, june: World, query: dict) -> None:
    page_of(staff, **query)


def test_names_are_shown_as_text(staff: Client, june: World) -> None:
    Project.objects.filter(key="shop").update(name="<script>alert(1)</script>")

    assert "<script>alert" not in page_of(staff)


# -- titles and mistakes -----------------------------------------------------------------------------------


def test_rule_is_called_by_what_it_says(staff: Client, world: World) -> None:
    rule = AttributionRule.objects.get()

    page = staff.get(reverse("admin:metering_attributionrule_change", args=[rule.pk])).content.decode()

    assert "tenant pays for shop" in page
    assert f"Rule {rule.pk}" not in page
    assert str(rule) == f"Rule {rule.pk}"  # without a query


def test_project_added_by_mistake_is_removed(staff: Client, world: World) -> None:
    mistake = a_project("mistake", parent=world.tenant)
    url = reverse("admin:metering_project_remove", args=[mistake.pk])

    asked = staff.get(url)
    assert asked.status_code == 200
    assert Project.objects.filter(key="mistake").exists()
    done = staff.post(url)

    assert done.status_code == 302
    assert not Project.objects.filter(key="mistake").exists()
    assert LogEntry.objects.latest("id").object_repr == "mistake"


def test_project_in_use_says_what_holds_it(staff: Client, onlooker: Client, world: World) -> None:
    url = reverse("admin:metering_project_remove", args=[world.shop.pk])

    page = staff.post(url).content.decode()

    assert "it still has" in page
    assert "surface installations" in page
    assert onlooker.post(url).status_code == 403
    assert Project.objects.filter(pk=world.shop.pk).exists()
    assert not LogEntry.objects.exists()


def test_surface_is_renamed_and_uninstalled(staff: Client, onlooker: Client, world: World) -> None:
    surface = SurfaceInstallation.objects.get()
    change = reverse("admin:metering_surfaceinstallation_change", args=[surface.pk])
    uninstall = reverse("admin:metering_surfaceinstallation_uninstall", args=[surface.pk])

    renamed = staff.post(change, {"name": "Find"})

    surface.refresh_from_db()
    assert (renamed.status_code, surface.name, surface.key) == (302, "Find", "search")
    assert onlooker.post(uninstall).status_code == 403
    assert staff.post(uninstall).status_code == 302
    assert not SurfaceInstallation.objects.exists()


def test_surface_with_usage_stays(staff: Client, world: World) -> None:
    surface = SurfaceInstallation.objects.get()
    recorded(an_event(world.shop, surface="search", quantity=1))

    page = staff.post(
        reverse("admin:metering_surfaceinstallation_uninstall", args=[surface.pk])
    ).content.decode()

    assert "it still has usage" in page
    assert SurfaceInstallation.objects.exists()


def test_rule_ahead_is_withdrawn_and_one_in_force_is_not(
    staff: Client, onlooker: Client, world: World
) -> None:
    running = AttributionRule.objects.get()
    end_attribution(running, effective_until=at("2999-01-01T00:00:00Z"))
    ahead = attribute(world.shop, payer=world.shop, effective_from=at("2999-01-01T00:00:00Z"))

    def url(rule: AttributionRule) -> str:
        return reverse("admin:metering_attributionrule_withdraw", args=[rule.pk])

    assert onlooker.post(url(ahead)).status_code == 403
    assert staff.post(url(ahead)).status_code == 302
    assert "end it instead" in staff.post(url(running)).content.decode()
    assert list(AttributionRule.objects.all()) == [running]
