"""What recorders see: never more and never less than what is committed."""

import pytest
from django.db import connection, transaction

from metering import catalogue
from metering.attributing.scope_tree import attribute, end_attribution, install_surface
from metering.catalogue import Catalogue, current, move_version
from metering.defining.definitions import archive_metric, change_metric
from metering.errors import Invalid, NotFound
from metering.models import CatalogueVersion, Project
from tests.factories import a_metric, a_project, an_event, at, ledger_rows, outcomes, recorded, total_of

pytestmark = pytest.mark.django_db

MAY = at("2024-05-01T00:00:00Z")


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


def version() -> int:
    return CatalogueVersion.objects.get().version


def test_the_catalogue_is_kept_while_the_version_stands(django_assert_num_queries) -> None:
    a_metric()
    held = current()

    with django_assert_num_queries(1):
        assert current() is held


def test_a_moved_version_makes_a_new_catalogue() -> None:
    held = current()

    move_version()

    assert current() is not held
    assert current().version > held.version


@pytest.mark.parametrize(
    "change",
    [
        "define a metric",
        "change a metric",
        "archive a metric",
        "attribute",
        "end an attribution",
        "install a surface",
    ],
)
def test_every_change_that_recorders_must_know_moves_the_version(change: str) -> None:
    acme = Project.objects.get(key="acme")
    below = a_project("below", parent=acme)
    metric = a_metric()
    rule = attribute(below, payer=acme)
    before = version()

    {
        "define a metric": lambda: a_metric("calls"),
        "change a metric": lambda: change_metric(metric, {"aggregation": "MAX"}),
        "archive a metric": lambda: archive_metric(metric),
        "attribute": lambda: attribute(acme, payer=acme),
        "end an attribution": lambda: end_attribution(rule, effective_until=MAY),
        "install a surface": lambda: install_surface(project=acme, key="bot", name="Bot"),
    }[change]()

    assert version() > before


def test_a_project_made_after_the_catalogue_is_looked_up() -> None:
    held = current()

    made = a_project("made-later", timezone="Asia/Kolkata")

    node = held.project("made-later")
    assert (node.id, node.path, node.timezone) == (made.pk, made.path, "Asia/Kolkata")
    assert held.project_by_id(made.pk) == node
    assert held.project("never-made") is None


def test_children_made_later_are_seen() -> None:
    held = current()
    acme = Project.objects.get(key="acme")
    assert not held.has_children(held.project("acme"))

    a_project("below", parent=acme)

    assert held.has_children(held.project("acme"))


def test_a_project_hears_its_own_its_ancestors_and_global_metrics() -> None:
    acme = Project.objects.get(key="acme")
    below, other = a_project("below", parent=acme), a_project("other")
    for key, owner in (("global", None), ("upper", acme), ("own", below), ("foreign", other)):
        a_metric(key, project=owner, event_name="tokens")

    held = current()

    assert {
        key: [meaning.key for meaning in held.listening(held.project(key), "tokens")]
        for key in ("acme", "below", "other")
    } == {
        "acme": ["global", "upper"],
        "below": ["global", "upper", "own"],
        "other": ["global", "foreign"],
    }
    assert held.listening(held.project("below"), "calls") == ()


def test_a_metric_is_found_by_its_key_as_a_project_sees_it() -> None:
    acme = Project.objects.get(key="acme")
    one, two = a_project("one", parent=acme), a_project("two", parent=acme)
    for owner in (one, two):
        a_metric("tokens", project=owner)

    held = current()

    assert held.metric_for(held.project("one"), "tokens").owner_id == one.pk
    assert held.metric_for(held.project("two"), "tokens").owner_id == two.pk
    assert held.metric_for(held.project("acme"), "tokens") is None
    assert held.metric_within(one.path, "tokens").owner_id == one.pk
    with pytest.raises(Invalid) as caught:
        held.metric_within(acme.path, "tokens")
    assert caught.value.field == "project"
    with pytest.raises(NotFound):
        held.metric_within(a_project("other").path, "tokens")
    with pytest.raises(NotFound):
        held.metric_within(None, "calls")


def test_an_owner_whose_id_begins_like_another_hears_nothing_of_it() -> None:
    one = Project.objects.create(id=900_001, key="one", name="One", path="/900001/")
    Project.objects.create(id=9_000_011, key="other", name="Other", path="/9000011/")
    a_metric("tokens", project=one)

    held = current()

    assert held.listening(held.project("other"), "tokens") == ()
    assert len(held.listening(held.project("one"), "tokens")) == 1


def test_what_changed_elsewhere_is_seen_by_the_very_next_event() -> None:
    a_metric("listener", event_name="tokens")
    recorded(an_event(quantity="1"))
    held = catalogue._current

    # As another process would: the rows and the version, nothing in this process' memory.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE metering_metricdefinition SET expected_labels = '{region}';"
            "UPDATE metering_catalogueversion SET version = version + 1"
        )

    assert catalogue._current is held
    assert outcomes(recorded(an_event(quantity="1"), on_error="skip")) == ["rejected"]
    assert outcomes(recorded(an_event(quantity="1", labels={"region": "eu"}))) == ["created"]


def test_a_rollback_of_a_definition_is_forgotten_with_it() -> None:
    a_metric("listener", event_name="tokens")
    with transaction.atomic():
        a_metric("strict", event_name="tokens", expected_labels=["region"])
        assert outcomes(recorded(an_event(), on_error="skip")) == ["rejected"]
        transaction.set_rollback(True)

    assert outcomes(recorded(an_event(quantity="1"))) == ["created"]
    assert total_of("listener") == 1
    assert ledger_rows("project__key") == [("acme",)]


def test_a_catalogue_of_many_projects_takes_few_queries(django_assert_num_queries) -> None:
    for number in range(20):
        a_project(f"p-{number}", parent=Project.objects.get(key="acme"))
    a_metric()

    with django_assert_num_queries(5):
        Catalogue(1)
