"""Definitions that ship with the house, and the events that it records for them."""

import pytest

from metering.attributing.scope_tree import attribute, install_surface
from metering.defining.definitions import archive_metric
from metering.defining.ready_made import BY_KEY, add_ready_made, record_event_delivery
from metering.errors import Conflict, Invalid
from metering.models import MetricDefinition, SurfaceInstallation, UsageEvent
from tests.factories import a_metric, a_project, an_event, at, ledger_rows, recorded, total_of

pytestmark = pytest.mark.django_db

KEYS = ["reads", "writes", "operation-executions", "event-deliveries", "surface-installations"]


def test_no_database_begins_with_them():
    assert list(BY_KEY) == KEYS
    assert not MetricDefinition.objects.filter(key__in=KEYS).exists()


def test_all_are_added_and_count():
    a_project("acme")
    added = add_ready_made()

    recorded(
        an_event(event_name="read", quantity=40), an_event(event_name="read"), an_event(event_name="write")
    )

    assert ([m.key for m in added.defined], added.existing) == (KEYS, [])
    assert (total_of("reads"), total_of("writes")) == (41, 1)


def test_adding_again_changes_nothing_and_says_so():
    add_ready_made(["reads"])
    MetricDefinition.objects.update(unit="page")

    added = add_ready_made(["reads", "writes", "reads"])

    assert [m.key for m in added.defined] == ["writes"]
    assert [(m.key, m.unit) for m in added.existing] == [("reads", "page")]
    assert MetricDefinition.objects.count() == 2


def test_two_tenants_have_each_their_own():
    one, other = a_project("one"), a_project("other")
    below = a_project("below", parent=one)

    add_ready_made(["reads"], project=one)
    added = add_ready_made(["reads"], project=other)
    seen = add_ready_made(["reads"], project=below)

    assert [m.project_id for m in added.defined] == [other.pk]
    assert ([m.project_id for m in seen.existing], seen.defined) == ([one.pk], [])


def test_key_that_a_project_below_has_keeps_all_out():
    add_ready_made(["writes"], project=a_project("below", parent=a_project("tenant")))

    with pytest.raises(Conflict) as caught:
        add_ready_made(["reads", "writes"])

    assert caught.value.field == "key"
    assert MetricDefinition.objects.count() == 1


def test_unknown_one_is_refused():
    with pytest.raises(Invalid) as caught:
        add_ready_made(["reads", "naps"])

    assert (caught.value.field, MetricDefinition.objects.count()) == ("keys", 0)


# -- events of the house's own -------------------------------------------------------------------------------


def test_installing_a_surface_is_usage_where_a_metric_listens():
    payer = a_project("tenant")
    shop = a_project("shop", parent=payer)
    attribute(shop, payer=payer)
    add_ready_made(["surface-installations"], project=payer)

    surface = install_surface(project=shop, key="search", name="Search")

    assert ledger_rows(
        "project__key", "billing_scope__key", "source", "event_id", "event_name", "subject_id", "surface_id"
    ) == [
        ("shop", "tenant", "meterbook", f"surface:{surface.pk}", "surface.installed", "search", surface.pk),
    ]
    assert UsageEvent.objects.get().labels == {"surface": "search", "kind": "project"}
    assert total_of("surface-installations") == 1


def test_nothing_is_recorded_where_none_listens():
    one, other = a_project("one"), a_project("other")
    add_ready_made(["surface-installations"], project=other)
    archive_metric(a_metric("gone", event_name="surface.installed", project=one))

    install_surface(project=one, key="search", name="Search")

    assert ledger_rows("id") == []
    assert SurfaceInstallation.objects.count() == 1


def test_metric_that_cant_read_the_event_refuses_no_surface():
    acme = a_project("acme")
    a_metric("picky", event_name="surface.installed", expected_labels=["price"])

    install_surface(project=acme, key="search", name="Search")

    assert (ledger_rows("id"), SurfaceInstallation.objects.count()) == ([], 1)


def test_refused_surface_leaves_no_event():
    acme = a_project("acme")
    add_ready_made(["surface-installations"])
    install_surface(project=acme, key="search", name="Search")

    with pytest.raises(Conflict):
        install_surface(project=acme, key="search", name="Again")

    assert len(ledger_rows("id")) == 1


def test_delivery_is_recorded_once():
    acme = a_project("acme")
    add_ready_made(["event-deliveries"])
    delivery = {
        "project": acme,
        "delivery_id": "msg-1",
        "event_type": "threshold.exceeded",
        "delivered_at": at("2024-05-15T12:00:00.123456Z"),
    }

    record_event_delivery(**delivery)
    record_event_delivery(**delivery)

    assert ledger_rows("event_id", "occurred_at") == [
        ("delivery:msg-1", at("2024-05-15T12:00:00.123456Z")),
    ]
    assert total_of("event-deliveries") == 1
