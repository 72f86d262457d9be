"""A new metric from an old one."""

import pytest

from metering.defining.cloning import clone_metric
from metering.defining.definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    change_metric,
    define_metric,
    meaning_fields_of,
)
from metering.errors import Conflict, Invalid
from metering.models import MetricDefinition
from tests.factories import a_metric, a_project, an_event, recorded, total_of

pytestmark = pytest.mark.django_db


def test_clone_means_the_same_but_for_the_changes():
    acme = a_project("acme")
    metric = a_metric(
        "calls",
        project=acme,
        unit="call",
        primary_labels=["region"],
        event_label_filter={"a": 1},
        reset_period="daily",
    )

    clone = clone_metric(metric, key="calls-2", aggregation="MAX")

    assert (clone.key, clone.display_name, clone.event_name, clone.project) == (
        "calls-2",
        "calls-2",
        "calls",
        acme,
    )
    changed = {"aggregation", "display_name"}
    for name in {*MEANING_FIELDS, *WORDING_FIELDS} - changed:
        assert getattr(clone, name) == getattr(metric, name), name
    assert clone.aggregation == "MAX"


def test_every_event_counts_for_exactly_one_of_the_two():
    a_project("acme")
    metric = a_metric("tokens")
    recorded(an_event(quantity=3))

    clone = clone_metric(metric, key="tokens-2", archives=True)
    recorded(an_event(quantity=5))

    metric.refresh_from_db()
    assert metric.archived_from == clone.counts_from
    assert (total_of("tokens"), total_of("tokens-2")) == (3, 5)


def test_clone_can_count_history_beside_the_original():
    a_project("acme")
    metric = a_metric("tokens")
    recorded(an_event(quantity=3), an_event(quantity=4))

    clone_metric(metric, key="peak", counts_from=0, aggregation="MAX")
    recorded(an_event(quantity=6))

    metric.refresh_from_db()
    assert (total_of("tokens"), total_of("peak"), metric.archived_from) == (13, 6, None)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"key": "tokens"}, Conflict, "key"),
        ({"key": "Bad"}, Invalid, "key"),
        ({"key": "preview"}, Invalid, "key"),
        ({"key": "new", "aggregation": "MEDIAN"}, Invalid, "aggregation"),
        ({"key": "new", "project": None}, Invalid, "project"),
    ],
    ids=str,
)
def test_refused_clone_archives_nothing(changes, error, field):
    metric = a_metric("tokens")

    with pytest.raises(error) as caught:
        clone_metric(metric, archives=True, **changes)

    metric.refresh_from_db()
    assert caught.value.field == field
    assert (MetricDefinition.objects.count(), metric.archived_from) == (1, None)


def test_frozen_field_names_clone_as_the_way_out():
    a_project("acme")
    metric = a_metric("tokens")
    recorded(an_event(quantity=3))

    with pytest.raises(Conflict) as caught:
        change_metric(metric, {"aggregation": "MAX"})

    assert str(caught.value) == (
        "'aggregation' is frozen: the metric has counted events. Clone it with this change,"
        " and archive this one."
    )


def test_reset_period_freezes_with_running_totals_alone():
    assert "reset_period" in meaning_fields_of(MetricDefinition(reporting_method="total"))
    assert meaning_fields_of(MetricDefinition(reporting_method="periodic")) == MEANING_FIELDS


@pytest.mark.parametrize("key", ["octane", "preview", "ready-made"])
def test_words_of_the_api_are_no_keys(key):
    with pytest.raises(Invalid) as caught:
        define_metric(key=key)

    assert caught.value.field == "key"
