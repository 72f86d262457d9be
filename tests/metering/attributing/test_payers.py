"""Who pays at an instant, why, and over time: three questions that must agree."""

import datetime as dt
import random
from itertools import pairwise

import pytest

from metering import catalogue
from metering.attributing.payers import Span, chain_at, spans_of
from metering.attributing.scope_tree import attribute, install_surface
from metering.errors import Conflict
from metering.models import Project
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

MAY, JUNE, JULY = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"), at("2024-07-01T00:00:00Z")
DAY = dt.timedelta(days=1)


@pytest.fixture
def tenant() -> Project:
    return a_project("tenant", kind="tenant")


def spans(project: Project, **options: object) -> list[Span]:
    return spans_of(catalogue.current(), project.pk, **options)


def test_project_without_rules_pays_for_itself_all_the_time(tenant: Project) -> None:
    assert spans(tenant) == [Span(None, None, tenant.pk)]
    assert spans(tenant, start=MAY, end=JUNE) == [Span(MAY, JUNE, tenant.pk)]
    assert spans(tenant, start=JUNE, end=JUNE) == []


def test_rules_and_the_gaps_between_them_tile_the_interval(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JUNE)
    attribute(child, payer=tenant, effective_from=JULY)

    assert spans(child) == [
        Span(None, MAY, child.pk),
        Span(MAY, JUNE, tenant.pk),
        Span(JUNE, JULY, child.pk),
        Span(JULY, None, tenant.pk),
    ]
    assert spans(child, start=JUNE - DAY, end=JULY + DAY) == [
        Span(JUNE - DAY, JUNE, tenant.pk),
        Span(JUNE, JULY, child.pk),
        Span(JULY, JULY + DAY, tenant.pk),
    ]


def test_rules_of_a_payer_cut_what_it_pays_for(tenant: Project) -> None:
    organisation = a_project("organisation", parent=tenant)
    child = a_project("child", parent=organisation)
    attribute(child, payer=organisation)
    attribute(organisation, payer=tenant, effective_from=JUNE)

    assert spans(child) == [Span(None, JUNE, organisation.pk), Span(JUNE, None, tenant.pk)]


def test_neighbours_with_the_same_payer_are_one_span(tenant: Project) -> None:
    child = a_project("child", parent=tenant)
    attribute(child, payer=tenant, effective_from=MAY, effective_until=JUNE)
    attribute(child, payer=tenant, effective_from=JUNE)

    assert spans(child, start=MAY) == [Span(MAY, None, tenant.pk)]


def test_surface_follows_its_project_where_it_has_no_rule(tenant: Project) -> None:
    child, sponsor = a_project("child", parent=tenant), a_project("sponsor", parent=tenant)
    bot = install_surface(project=child, key="bot", name="Bot")
    attribute(child, payer=tenant)
    attribute(child, surface=bot, payer=sponsor, effective_from=MAY, effective_until=JUNE)

    assert spans(child, surface_id=bot.pk) == [
        Span(None, MAY, tenant.pk),
        Span(MAY, JUNE, sponsor.pk),
        Span(JUNE, None, tenant.pk),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_chain_spans_and_recording_agree_at_every_instant(tenant: Project, seed: int) -> None:
    dice = random.Random(seed)
    projects = [tenant, *(a_project(parent=tenant) for _ in range(4))]
    surfaces = [install_surface(project=project, key="app", name="App") for project in projects]
    for _ in range(25):
        start, end = sorted(dice.sample(range(20), 2))
        index = dice.randrange(len(projects))
        try:
            attribute(
                projects[index],
                payer=dice.choice(projects),
                surface=surfaces[index] if dice.random() < 0.3 else None,
                effective_from=MAY + start * DAY if dice.random() < 0.8 else None,
                effective_until=MAY + end * DAY if dice.random() < 0.8 else None,
            )
        except Conflict:
            continue  # overlaps and cycles; what is left is what can be

    rules = catalogue.current()
    for project, surface in zip(projects, surfaces, strict=True):
        for surface_id in (None, surface.pk):
            tiles = spans_of(rules, project.pk, surface_id=surface_id)
            assert (tiles[0].start, tiles[-1].end) == (None, None)
            assert all(one.end == other.start for one, other in pairwise(tiles))
            assert all(one.payer_id != other.payer_id for one, other in pairwise(tiles))
            for half_days in range(-2, 44):
                instant = MAY + half_days * DAY / 2
                (tile,) = [tile for tile in tiles if tile.covers(instant)]
                chain = chain_at(rules, project.pk, instant, surface_id=surface_id)
                payer_id = rules.payer_at(project.pk, instant, surface_id=surface_id)
                assert tile.payer_id == chain[-1].payer_id == payer_id
                assert all(one.payer_id == other.project_id for one, other in pairwise(chain))
