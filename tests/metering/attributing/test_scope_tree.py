"""Projects, and who pays for them."""

import datetime as dt
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction

from metering import catalogue
from metering.attributing.scope_tree import (
    attribute,
    change_project,
    create_project,
    end_attribution,
    install_surface,
    move_project,
)
from metering.errors import Conflict, Invalid
from metering.models import AttributionRule, Project
from tests.factories import a_metric, a_project, an_event, at, ledger_rows, recorded

pytestmark = pytest.mark.django_db

MAY, JUNE, JULY = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"), at("2024-07-01T00:00:00Z")
MICROSECOND = dt.timedelta(microseconds=1)


@pytest.fixture
def tenant() -> Project:
    return a_project("tenant", kind="tenant")


def payer_of(project: Project, instant: dt.datetime) -> str:
    return Project.objects.get(pk=catalogue.current().payer_at(project.pk, instant)).key


def rules() -> list[tuple]:
    return list(
        AttributionRule.objects.order_by("id").values_list(
            "project__key", "billing_attribution_project__key", "effective_from", "effective_until"
        )
    )


# -- the tree ---------------------------------------------------------------------------------------------


def test_a_path_spells_the_ids_from_the_root(tenant: Project) -> None:
    organisation = a_project("organisation", parent=tenant, kind="organisation")
    project = a_project("project", parent=organisation)

    assert tenant.path == f"/{tenant.pk}/"
    assert project.path == f"/{tenant.pk}/{organisation.pk}/{project.pk}/"
    assert (tenant.depth, organisation.depth, project.depth) == (0, 1, 2)
    assert (project.root_id, tenant.root_id) == (tenant.pk, tenant.pk)
    assert list(Project.objects.below(organisation).in_tree_order()) == [organisation, project]


def test_a_sibling_whose_id_begins_alike_lies_not_below() -> None:
    one = Project.objects.create(id=900_001, key="one", name="One", path="/900001/")
    Project.objects.create(id=9_000_011, key="other", name="Other", path="/9000011/")

    assert [project.key for project in Project.objects.below(one)] == ["one"]


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "Acme"}, "key"),
        ({"key": "a b"}, "key"),
        ({"key": "acme\n"}, "key"),
        ({"key": "-acme"}, "key"),
        ({"key": "acme."}, "key"),
        ({"key": "ácme"}, "key"),
        ({"key": "a" * 101}, "key"),
        ({"name": "  "}, "name"),
        ({"kind": "galaxy"}, "kind"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"timezone": ""}, "timezone"),
    ],
)
def test_a_malformed_project_is_refused(overrides: dict, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        create_project(**{"key": "acme", "name": "Acme", **overrides})

    assert caught.value.field == field
    assert not Project.objects.exists()


def test_a_key_is_taken_everywhere(tenant: Project) -> None:
    a_project("acme", parent=tenant)

    with pytest.raises(Conflict) as caught:
        a_project("acme")

    assert caught.value.field == "key"
    assert Project.objects.filter(key="acme").count() == 1


def test_a_tree_is_at_most_32_deep(tenant: Project) -> None:
    deepest = tenant
    for _ in range(31):
        deepest = a_project(parent=deepest)

    assert deepest.depth == 31
    with pytest.raises(Invalid) as caught:
        a_project(parent=deepest)
    assert caught.value.field == "parent"
    assert Project.objects.count() == 32


def test_a_project_is_renamed_and_moved_to_another_zone(tenant: Project) -> None:
    change_project(tenant, name="Tenant & Sons", timezone="Asia/Kathmandu")

    tenant.refresh_from_db()
    assert (tenant.name, tenant.timezone, tenant.kind) == ("Tenant & Sons", "Asia/Kathmandu", "tenant")
    assert catalogue.current().project("tenant").timezone == "Asia/Kathmandu"
    for change in ({"name": ""}, {"kind": "galaxy"}, {"timezone": "Mars/Base"}):
        with pytest.raises(Invalid):
            change_project(tenant, **change)


def test_a_project_moves_with_all_that_lies_below(tenant: Project) -> None:
    other = a_project("other")
    branch = a_project("branch", parent=tenant)
    leaf = a_project("leaf", parent=branch)

    move_project(branch, parent=other)

    leaf.refresh_from_db()
    assert leaf.path == f"/{other.pk}/{branch.pk}/{leaf.pk}/"
    assert catalogue.current().project("leaf").path == leaf.path
    assert list(Project.objects.below(tenant)) == [tenant]
    move_project(branch, parent=None)
    leaf.refresh_from_db()
    assert leaf.path == f"/{branch.pk}/{leaf.pk}/"


def test_a_project_with_usage_below_does_not_move(tenant: Project) -> None:
    branch = a_project("branch", parent=tenant)
    leaf = a_project("leaf", parent=branch)
    a_metric()
    recorded(an_event(leaf))

    with pytest.raises(Conflict) as caught:
        move_project(branch, parent=None)

    assert caught.value.field == "parent"
    leaf.refresh_from_db()
    assert leaf.path == f"/{tenant.pk}/{branch.pk}/{leaf.pk}/"


def test_a_project_does_not_move_below_itself_or_too_deep_or_from_under_its_rules(tenant: Project) -> None:
    branch = a_project("branch", parent=tenant)
    leaf = a_project("leaf", parent=branch)
    deepest = a_project("deep")
    for _ in range(30):
        deepest = a_project(parent=deepest)

    with pytest.raises(Invalid):
        move_project(branch, parent=leaf)
    with pytest.raises(Invalid):
        move_project(branch, parent=deepest)
    attribute(leaf, payer=branch)
    with pytest.raises(Conflict):
        move_project(branch, parent=None)
    assert Project.objects.get(key="branch").path == branch.path


def test_a_surface_is_unique_within_its_project(tenant: Project) -> None:
    install_surface(project=tenant, key="bot", name="Bot")

    with pytest.raises(Conflict):
        install_surface(project=tenant, key="bot", name="Other")
    assert install_surface(project=a_project("other"), key="bot", name="Bot").key == "bot"


# -- who pays ---------------------------------------------------------------------------------------------


def test_without_a_rule_a_project_pays_for_itself(tenant: Project) -> None:
    assert payer_of(a_project("child", parent=tenant), MAY) == "child"


def test_the_chain_is_followed_until_a_project_pays_for_itself(tenant: Project) -> None:
    organisation = a_project("organisation", parent=tenant)
    project = a_project("project", parent=organisation)
    attribute(project, payer=organisation)
    attribute(organisation, payer=tenant)

    assert payer_of(project, MAY) == "tenant"
    attribute(organisation, payer=organisation, effective_from=JUNE)
    assert payer_of(project, JUNE - MICROSECOND) == "tenant"
    assert payer_of(project, JUNE) == "organisation"


def test_a_rule_covers_its_start_and_not_its_end(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JUNE)

    assert payer_of(child, MAY - MICROSECOND) == "child"
    assert payer_of(child, MAY) == "tenant"
    assert payer_of(child, JUNE - MICROSECOND) == "tenant"
    assert payer_of(child, JUNE) == "child"


def test_events_are_attributed_by_when_they_happened_not_when_they_were_recorded(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    a_metric()
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JUNE)

    recorded(
        an_event(child, occurred_at="2024-06-01T00:00:00Z"),
        an_event(child, occurred_at="2024-05-31T23:59:59.999999Z"),
        an_event(child, occurred_at="2024-05-01T00:00:00Z"),
        an_event(child, occurred_at="2024-04-30T23:59:59.999999Z"),
    )

    assert sorted(ledger_rows("occurred_at", "billing_scope__key")) == [
        (at("2024-04-30T23:59:59.999999Z"), "child"),
        (MAY, "tenant"),
        (at("2024-05-31T23:59:59.999999Z"), "tenant"),
        (JUNE, "child"),
    ]


def test_a_change_of_rules_never_changes_recorded_events(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    a_metric()
    recorded(an_event(child, occurred_at="2024-05-15T12:00:00Z"))

    attribute(child, payer=tenant)
    recorded(an_event(child, occurred_at="2024-05-15T12:00:00Z"))

    assert ledger_rows("billing_scope__key") == [("child",), ("tenant",)]


def test_a_surface_has_its_own_payer_and_else_its_projects(tenant: Project) -> None:
    project, sponsor = a_project("project", parent=tenant), a_project("sponsor", parent=tenant)
    bot = install_surface(project=project, key="bot", name="Bot")
    install_surface(project=project, key="cli", name="CLI")
    own = install_surface(project=project, key="own", name="Own")
    a_metric()
    attribute(project, payer=tenant)
    attribute(project, surface=bot, payer=sponsor, effective_from=MAY)
    attribute(project, surface=own, payer=project)

    for surface in ("bot", "cli", "own", None):
        recorded(an_event(project, surface=surface, occurred_at="2024-05-15T12:00:00Z"))
    recorded(an_event(project, surface="bot", occurred_at="2024-04-15T12:00:00Z"))

    assert ledger_rows("surface__key", "billing_scope__key") == [
        ("bot", "sponsor"),
        ("cli", "tenant"),
        ("own", "tenant"),
        (None, "tenant"),
        ("bot", "tenant"),
    ]


def test_a_surfaces_payer_is_followed_along_the_chain(tenant: Project) -> None:
    project, sponsor = a_project("project", parent=tenant), a_project("sponsor", parent=tenant)
    bot = install_surface(project=project, key="bot", name="Bot")
    a_metric()
    attribute(project, surface=bot, payer=sponsor)
    attribute(sponsor, payer=tenant)

    recorded(an_event(project, surface="bot"))

    assert ledger_rows("billing_scope__key") == [("tenant",)]


def test_a_new_rule_ends_the_open_one_where_it_begins(tenant: Project) -> None:
    child, sibling = a_project("child", parent=tenant), a_project("sibling", parent=tenant)

    attribute(child, payer=tenant)
    attribute(child, payer=sibling, effective_from=JUNE)

    assert rules() == [("child", "tenant", None, JUNE), ("child", "sibling", JUNE, None)]


def test_rules_that_overlap_are_refused_and_nothing_changes(tenant: Project) -> None:
    child, sibling = a_project("child", parent=tenant), a_project("sibling", parent=tenant)
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JULY)
    before = rules()

    for start, end in ((JUNE, None), (None, JUNE), (JUNE, JUNE + MICROSECOND), (None, None), (MAY, JULY)):
        with pytest.raises(Conflict) as caught:
            attribute(child, payer=sibling, effective_from=start, effective_until=end)
        assert caught.value.field == "effective_from"

    assert rules() == before
    attribute(child, payer=sibling, effective_from=JULY)
    attribute(child, payer=sibling, effective_until=MAY)


def test_the_database_itself_refuses_an_overlap(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    attribute(child, payer=tenant)

    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        AttributionRule.objects.create(project=child, billing_attribution_project=tenant, effective_from=MAY)

    assert caught.value.__cause__.diag.constraint_name == "attribution_without_overlap"


@pytest.mark.parametrize(("start", "end"), [(JUNE, JUNE), (JUNE, MAY)])
def test_an_empty_interval_is_refused(tenant: Project, start: dt.datetime, end: dt.datetime) -> None:
    child = a_project("child", parent=tenant)

    with pytest.raises(Invalid) as caught:
        attribute(child, payer=tenant, effective_from=start, effective_until=end)

    assert caught.value.field == "effective_until"
    assert rules() == []


def test_a_payer_in_a_foreign_tree_is_refused(tenant: Project) -> None:
    child, stranger = a_project("child", parent=tenant), a_project("stranger")

    with pytest.raises(Invalid) as caught:
        attribute(child, payer=stranger)

    assert caught.value.field == "billing_attribution_project"
    assert rules() == []


def test_a_surface_of_another_project_is_refused(tenant: Project) -> None:
    child, sibling = a_project("child", parent=tenant), a_project("sibling", parent=tenant)
    bot = install_surface(project=sibling, key="bot", name="Bot")

    with pytest.raises(Invalid) as caught:
        attribute(child, surface=bot, payer=tenant)

    assert caught.value.field == "surface"


def test_two_projects_do_not_pay_for_each_other_at_the_same_instant(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    grandchild = a_project("grandchild", parent=child)
    attribute(grandchild, payer=child, effective_from=MAY, effective_until=JULY)
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JULY)
    before = rules()

    for start, end in ((None, None), (JUNE, None), (None, MAY + MICROSECOND), (JULY - MICROSECOND, JULY)):
        with pytest.raises(Conflict) as caught:
            attribute(tenant, payer=grandchild, effective_from=start, effective_until=end)
        assert caught.value.field == "billing_attribution_project"

    assert rules() == before
    attribute(tenant, payer=grandchild, effective_from=JULY)
    attribute(tenant, payer=grandchild, effective_until=MAY)
    assert payer_of(tenant, JULY) == "grandchild"
    assert payer_of(grandchild, JUNE) == "tenant"


def test_links_that_never_hold_at_the_same_instant_are_no_cycle(tenant: Project) -> None:
    one, other = a_project("one", parent=tenant), a_project("other", parent=tenant)
    attribute(one, payer=other, effective_from=MAY, effective_until=JUNE)
    attribute(other, payer=tenant, effective_from=MAY, effective_until=JULY)

    attribute(tenant, payer=one, effective_from=JUNE, effective_until=JULY)

    assert payer_of(other, MAY) == "tenant"
    assert payer_of(other, JUNE) == "one"


def test_a_chain_that_grows_at_its_beginning_has_at_most_32_links(tenant: Project) -> None:
    projects = [a_project(parent=tenant) for _ in range(35)]

    for payer, project in pairwise(projects[:33]):
        attribute(project, payer=payer)
    with pytest.raises(Invalid) as caught:
        attribute(projects[33], payer=projects[32])

    assert caught.value.field == "billing_attribution_project"
    assert AttributionRule.objects.count() == 32
    assert payer_of(projects[32], MAY) == projects[0].key


def test_a_chain_that_grows_at_its_end_has_at_most_32_links(tenant: Project) -> None:
    projects = [a_project(parent=tenant) for _ in range(35)]

    for project, payer in pairwise(projects[:33]):
        attribute(project, payer=payer)
    with pytest.raises(Invalid) as caught:
        attribute(projects[32], payer=projects[33])

    assert caught.value.field == "billing_attribution_project"
    assert AttributionRule.objects.count() == 32
    assert payer_of(projects[0], MAY) == projects[32].key


def test_a_chain_that_is_joined_in_its_middle_has_at_most_32_links(tenant: Project) -> None:
    projects = [a_project(parent=tenant) for _ in range(41)]
    for index in (*range(20), *range(21, 40)):
        attribute(projects[index], payer=projects[index + 1])

    with pytest.raises(Invalid):
        attribute(projects[20], payer=projects[21])

    assert AttributionRule.objects.count() == 39


def test_a_rule_can_be_ended_earlier_and_not_later(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    rule = attribute(child, payer=tenant, effective_from=MAY)

    end_attribution(rule, effective_until=JULY)
    end_attribution(rule, effective_until=JUNE)

    with pytest.raises(Invalid):
        end_attribution(rule, effective_until=JULY)
    with pytest.raises(Invalid):
        end_attribution(rule, effective_until=MAY)
    assert rules() == [("child", "tenant", MAY, JUNE)]
    assert payer_of(child, JUNE) == "child"
