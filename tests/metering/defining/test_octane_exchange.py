"""Importing lists of Meters: all or nothing, every error by index and field."""

import pytest

from metering.defining.definitions import archive_metric
from metering.defining.octane_exchange import MAX_METERS, drafts_of, import_octane, meters_of
from metering.errors import Inexpressible, Invalid, MetersConflict, MetersRejected
from metering.models import MetricDefinition, Project
from tests.factories import a_metric, a_project, an_event, recorded, total_of

from .test_octane import METER

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


def test_meters_become_metrics_of_their_owner(acme):
    other = METER | {"name": "peak", "aggregation": "MAX", "meter_type": "gauge"}
    metrics = import_octane([METER, other], project=acme)

    recorded(*(an_event(event_name="api_request", quantity=n) for n in (3, 5)))

    assert [(m.key, m.project_id) for m in metrics] == [("api_calls", acme.pk), ("peak", acme.pk)]
    assert (total_of("api_calls"), total_of("peak")) == (8, 5)


def test_imported_metric_can_count_history(acme):
    a_metric("api_request")
    recorded(an_event(event_name="api_request", quantity=4))

    import_octane([METER], counts_from=0)

    assert total_of("api_calls") == 4


def test_one_bad_meter_keeps_all_out(acme):
    bad = {name: value for name, value in METER.items() if name != "event_name"} | {"name": "No", "size": 1}

    with pytest.raises(MetersRejected) as caught:
        import_octane([METER, bad, METER | {"name": "Bad Name"}], project=acme)

    assert [(e.index, e.code, e.field) for e in caught.value.errors] == [
        (1, "invalid_field", "size"),
        (1, "missing_field", "event_name"),
        (2, "invalid_field", "name"),
    ]
    assert not MetricDefinition.objects.exists()


def test_fields_are_named_as_octane_names_them(acme):
    (draft,) = drafts_of([METER | {"unit_name": "x" * 51}], project=acme)

    assert [(e.index, e.field) for e in draft.errors] == [(0, "unit_name")]


def test_taken_names_are_conflicts(acme):
    a_metric("api_calls")

    with pytest.raises(MetersConflict) as caught:
        import_octane([METER, METER | {"name": "new"}, METER | {"name": "new"}], project=acme)

    assert [(e.index, e.code, e.field) for e in caught.value.errors] == [
        (0, "conflict", "name"),
        (2, "conflict", "name"),
    ]
    assert MetricDefinition.objects.count() == 1


def test_drafts_write_nothing(acme):
    drafts = drafts_of([METER, "no meter"], project=acme)

    assert [(d.index, d.name, d.metric is None, len(d.errors)) for d in drafts] == [
        (0, "api_calls", False, 0),
        (1, "", True, 1),
    ]
    assert not MetricDefinition.objects.exists()


def test_list_has_a_limit(acme):
    with pytest.raises(Invalid) as caught:
        import_octane([METER] * (MAX_METERS + 1))

    assert caught.value.code == "batch_too_large"


def test_exported_metric_is_imported_as_the_same(acme):
    metric = a_metric(
        "calls",
        display_name="Calls",
        unit="call",
        expected_labels=["a"],
        primary_labels=["a"],
        event_label_filter={"a": ["x", "y"], "b": {"$exists": False}},
    )
    (meter,) = meters_of([metric])
    MetricDefinition.objects.all().delete()

    (again,) = import_octane([meter])

    left_out = {"id", "counts_from", "created_at"}
    names = [f.attname for f in metric._meta.concrete_fields if f.attname not in left_out]
    again.refresh_from_db()
    assert {n: getattr(again, n) for n in names} == {n: getattr(metric, n) for n in names}


def test_export_lists_every_reason_of_every_metric(acme):
    average = a_metric("average", aggregation="AVG", value_property="ms")
    gone = archive_metric(a_metric("gone"))

    with pytest.raises(Inexpressible) as caught:
        meters_of([a_metric("fine"), average, gone])

    assert [(e.index, e.code, e.field) for e in caught.value.errors] == [
        (1, "inexpressible", "aggregation"),
        (1, "inexpressible", "value_property"),
        (2, "inexpressible", "archived_from"),
    ]
    assert "Metric 'average': Octane has no aggregation AVG." in str(caught.value)
