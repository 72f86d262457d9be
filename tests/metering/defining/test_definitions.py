"""Defining, changing and archiving metrics."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from metering.answering.usage import Slice
from metering.defining.definitions import (
    archive_metric,
    change_metric,
    define_metric,
    has_counted,
)
from metering.errors import Conflict, Invalid
from metering.models import MetricDefinition, PendingContribution, Project, UsageMeterRollup
from metering.rolling_up.rollups import roll_up
from tests.factories import (
    a_metric,
    a_project,
    an_event,
    at,
    ledger_rows,
    meaning_of,
    recorded,
    total_of,
    usages_of,
)

pytestmark = pytest.mark.django_db

HOUR_BY_ROLLUPS = (at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z"))
HOUR_BY_LEDGER = (at("2024-05-15T11:59:59Z"), at("2024-05-15T13:00:01Z"))


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


def both_answers(metric: MetricDefinition) -> list[Decimal | None]:
    """One hour of usage by rollups (and what is pending), and the same events by the ledger alone."""
    edges = [
        (at("2024-05-15T12:00:00Z"), at("2024-05-15T12:30:00Z")),
        (at("2024-05-15T12:30:00Z"), at("2024-05-15T12:59:59.999999Z")),
    ]
    by_ledger = usages_of(metric, *edges)
    return [
        total_of(metric, *HOUR_BY_ROLLUPS),
        sum(usage.value for usage in by_ledger) if by_ledger else None,
    ]


def test_a_metric_listens_to_its_key_and_shows_it_unless_told_otherwise() -> None:
    metric = define_metric(key="calls")

    assert (metric.event_name, metric.display_name) == ("calls", "calls")
    assert (metric.aggregation, metric.meter_type, metric.data_type) == ("SUM", "counter", "FLOAT")
    assert (metric.reset_period, metric.project, metric.archived_from) == ("monthly", None, None)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "Tokens"}, "key"),
        ({"key": "a" * 101}, "key"),
        ({"key": "a\n"}, "key"),
        ({"aggregation": "MEDIAN"}, "aggregation"),
        ({"aggregation": "UNIQUE_COUNT", "data_type": "STRING"}, "value_property"),
        ({"aggregation": "TIME_WEIGHTED_AVG", "meter_type": "counter"}, "meter_type"),
        ({"aggregation": "TIME_WEIGHTED_AVG", "reporting_method": "total"}, "reporting_method"),
        ({"aggregation": "TIME_WEIGHTED_AVG", "data_type": "STRING"}, "aggregation"),
        ({"meter_type": "odometer"}, "meter_type"),
        ({"data_type": "BLOB"}, "data_type"),
        ({"data_type": "STRING"}, "aggregation"),
        ({"reset_period": "sometimes"}, "reset_period"),
        ({"event_name": "x" * 201}, "event_name"),
        ({"event_name": "a\x00b"}, "event_name"),
        ({"unit": "x" * 51}, "unit"),
        ({"value_property": "x" * 201}, "value_property"),
        ({"primary_labels": ["a", "a"]}, "primary_labels"),
        ({"primary_labels": [""]}, "primary_labels"),
        ({"primary_labels": ["a\x00"]}, "primary_labels"),
        ({"primary_labels": [f"l{n}" for n in range(21)]}, "primary_labels"),
        ({"primary_labels": ["x" * 201]}, "primary_labels"),
        ({"expected_labels": ["a", "a"]}, "expected_labels"),
        ({"event_label_filter": {"region": {"$regex": "e"}}}, "event_label_filter"),
        ({"event_label_filter": []}, "event_label_filter"),
        ({"event_label_filter": {"region": "\x00"}}, "event_label_filter"),
        ({"counts_from": 5}, "counts_from"),
        ({"counts_from": -1}, "counts_from"),
    ],
    ids=str,
)
def test_a_definition_that_makes_no_sense_is_refused_by_its_field(
    overrides: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        a_metric(**overrides)

    assert caught.value.field == field
    assert not MetricDefinition.objects.exists()


# -- keys along the tree ----------------------------------------------------------------------------------


def test_a_key_is_unique_along_every_path() -> None:
    acme = Project.objects.get(key="acme")
    below = a_project("below", parent=acme)
    beside = a_project("beside", parent=acme)
    other = a_project("other")

    a_metric("tokens", project=below)
    a_metric("tokens", project=beside)
    a_metric("tokens", project=other)

    for owner in (None, acme, below):
        with pytest.raises(Conflict) as caught:
            a_metric("tokens", project=owner)
        assert caught.value.field == "key"
    assert MetricDefinition.objects.count() == 3


def test_a_key_below_an_owner_or_a_global_metric_is_taken() -> None:
    acme = Project.objects.get(key="acme")
    below = a_project("below", parent=a_project("between", parent=acme))
    a_metric("owned", project=acme)
    a_metric("global")

    for key, owner in (("owned", below), ("owned", None), ("global", below), ("global", None)):
        with pytest.raises(Conflict):
            a_metric(key, project=owner)
    assert MetricDefinition.objects.count() == 2


def test_an_archived_metric_keeps_its_key() -> None:
    archive_metric(a_metric())

    with pytest.raises(Conflict):
        a_metric()


# -- counting from now on, or from the beginning ----------------------------------------------------------


def test_a_new_metric_counts_from_its_creation_on_whenever_things_happened() -> None:
    a_metric("listener", event_name="tokens")
    recorded(an_event(quantity="5", occurred_at="2024-05-15T12:10:00Z"))
    metric = a_metric("tokens")
    recorded(an_event(quantity="7", occurred_at="2024-05-15T12:05:00Z"))

    assert both_answers(metric) == [7, 7]
    roll_up()
    assert both_answers(metric) == [7, 7]


@pytest.mark.parametrize("aggregation", ["COUNT", "SUM", "AVG", "MIN", "MAX", "LATEST"])
@pytest.mark.parametrize("ticks", [(), ("before",), ("after",), ("before", "after")], ids=str)
def test_counting_from_0_is_as_if_the_metric_had_always_been_there(
    aggregation: str, ticks: tuple[str, ...]
) -> None:
    fields = {
        "event_name": "llm",
        "aggregation": aggregation,
        "meter_type": "gauge",
        "value_property": "n",
        "primary_labels": ["region", "tier"],
        "event_label_filter": {"model": {"$ne": "test"}},
    }
    always = a_metric("always", **fields)
    below = a_project("below", parent=Project.objects.get(key="acme"))
    batches = [
        [
            an_event(
                project,
                event_name="llm",
                subject_id=subject,
                occurred_at=f"2024-05-{day:02}T{hour:02}:30:00Z",
                labels={"n": day - hour, "region": region, "tier": day % 2, "model": model},
            )
            for day in (1, 2, 31)
            for hour in (0, 23)
        ]
        for project, subject, region, model in (
            ("acme", "ada", "eu", "big"),
            (below, None, None, "small"),
            ("acme", "é😀", "us", "test"),
        )
    ]
    recorded(*batches[0])
    recorded(*batches[2])
    if "before" in ticks:
        roll_up()

    late = a_metric("late", counts_from=0, **fields)
    recorded(*batches[1])
    if "after" in ticks:
        roll_up()

    assert late.counts_from == 0
    windows = [(None, None), HOUR_BY_LEDGER, (at("2024-05-01T00:00:00Z"), at("2024-05-02T00:10:00Z"))]
    for group_by in ((), ("subject_id",), ("labels.region", "project"), ("labels.model",)):
        assert usages_of(late, *windows, slice=Slice(group_by=group_by)) == usages_of(
            always, *windows, slice=Slice(group_by=group_by)
        )
    roll_up()
    assert whole_table(late) == whole_table(always)


def whole_table(metric: MetricDefinition) -> list[tuple]:
    columns = [
        field.attname
        for field in UsageMeterRollup._meta.concrete_fields
        if field.attname not in {"id", "metric_id", "group"}
    ]
    return sorted(
        UsageMeterRollup.objects.filter(metric=metric).values_list(*columns),
        key=repr,
    )


def test_counting_from_0_stays_within_the_owners_projects() -> None:
    acme, other = Project.objects.get(key="acme"), a_project("other")
    a_metric("listener", event_name="tokens")
    recorded(an_event(acme, quantity="5"), an_event(other, quantity="7"))

    metric = a_metric("tokens", project=acme, counts_from=0)

    assert both_answers(metric) == [5, 5]


@pytest.mark.parametrize(
    ("fields", "readable_count"),
    [
        ({"value_property": "n"}, 1),
        ({"expected_labels": ["region"]}, 1),
        ({"data_type": "INT"}, 1),
        ({"meter_type": "counter"}, 1),
        ({"data_type": "STRING", "aggregation": "COUNT", "value_property": "n"}, 1),
        ({"primary_labels": ["list"]}, 2),
    ],
    ids=str,
)
def test_history_that_a_metric_cannot_read_never_leaves_it_half_defined(
    fields: dict[str, Any], readable_count: int
) -> None:
    a_metric("listener", event_name="tokens", meter_type="gauge")
    recorded(
        an_event(quantity="2", labels={"n": 3, "region": "eu"}),
        an_event(quantity="-1.5", labels={"n": "many", "region": None, "list": [1]}),
        an_event(quantity="-1.5"),
    )

    # Either the definition is refused and nothing is left of it, or what it can't read doesn't count.
    try:
        metric = a_metric("tokens", **{"meter_type": "gauge", "counts_from": 0, **fields})
    except Invalid:
        assert not MetricDefinition.objects.filter(key="tokens").exists()
        assert not PendingContribution.objects.filter(metric__key="tokens").exists()
    else:
        [usage] = usages_of(metric)
        assert usage.aggregate.record_count == readable_count


def test_long_history_is_left_to_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.rolling_up.history.SHORT", 2)
    a_metric("listener", event_name="tokens")
    recorded(*(an_event(quantity=quantity) for quantity in ("1", "2")))

    short = a_metric("short", event_name="tokens", counts_from=0)
    recorded(an_event(quantity="4"))
    long = a_metric("long", event_name="tokens", counts_from=0)
    recorded(an_event(quantity="8"))

    assert (short.is_history_due, short.counts_from) == (False, 0)
    assert (long.is_history_due, long.counts_from) == (True, ledger_rows("id")[2][0])
    assert (total_of(short), total_of(long)) == (15, 8)

    roll_up()

    long.refresh_from_db()
    assert (long.is_history_due, long.counts_from) == (False, 0)
    assert (total_of(short), total_of(long)) == (15, 15)


def test_only_events_of_the_owner_and_the_name_make_a_history_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.rolling_up.history.SHORT", 1)
    acme, other = a_project("owner"), a_project("other")
    a_metric("listener", event_name="tokens")
    a_metric("calls")
    recorded(
        an_event(acme, quantity="1"),
        an_event(acme, quantity="2", event_name="calls"),
        an_event(other, quantity="4"),
    )

    metric = a_metric("mine", event_name="tokens", project=acme, counts_from=0)

    assert (metric.is_history_due, total_of(metric)) == (False, 1)


# -- changing ---------------------------------------------------------------------------------------------


def test_wording_can_be_changed_at_any_time() -> None:
    metric = a_metric()
    recorded(an_event(quantity="5"))

    change_metric(
        metric, {"display_name": "Tokens!", "description": "All", "unit": "token", "reset_period": "daily"}
    )

    metric.refresh_from_db()
    assert (metric.display_name, metric.unit, metric.reset_period) == ("Tokens!", "token", "daily")
    assert meaning_of(metric).unit == "token"
    assert total_of(metric) == 5


CHANGES = {
    "event_name": "other",
    "meter_type": "gauge",
    "data_type": "INT",
    "aggregation": "MAX",
    "value_property": "n",
    "expected_labels": ["region"],
    "primary_labels": ["region"],
    "event_label_filter": {"region": "eu"},
}


@pytest.mark.parametrize("field", CHANGES)
def test_meaning_freezes_with_the_first_event(field: str) -> None:
    metric = a_metric()
    before = getattr(metric, field)
    recorded(an_event(quantity="5"))

    with pytest.raises(Conflict) as caught:
        change_metric(metric, {field: CHANGES[field]})

    assert caught.value.field == field
    metric.refresh_from_db()
    assert getattr(metric, field) == before


@pytest.mark.parametrize("field", CHANGES)
def test_meaning_can_be_changed_while_nothing_was_counted(field: str) -> None:
    a_metric("listener", event_name="tokens")
    recorded(an_event(quantity="5"))
    metric = a_metric()

    change_metric(metric, {field: CHANGES[field]})

    metric.refresh_from_db()
    assert getattr(metric, field) == CHANGES[field]
    assert not has_counted(metric)


def test_events_are_not_left_without_a_metric_that_listens() -> None:
    """Also where its filter let none of them in: lists and files go by the names that metrics listen to."""
    acme, other = Project.objects.get(key="acme"), a_project("other")
    metric = a_metric("gold", event_name="tokens", event_label_filter={"tier": "gold"})
    below = a_metric("elsewhere", event_name="tokens", project=other)
    recorded(an_event(other), an_event(acme, labels={"tier": "iron"}))

    with pytest.raises(Conflict) as caught:
        change_metric(metric, {"event_name": "requests"})
    assert (caught.value.field, has_counted(metric)) == ("event_name", False)
    assert "no other metric listens to them" in str(caught.value)
    with pytest.raises(Conflict):
        change_metric(below, {"event_name": "requests"})  # which it has counted

    metric.refresh_from_db()
    a_metric("all", event_name="tokens", project=acme)
    change_metric(metric, {"event_name": "requests"})

    assert MetricDefinition.objects.get(pk=metric.pk).event_name == "requests"


def test_a_field_set_to_what_it_is_does_not_freeze() -> None:
    metric = a_metric(primary_labels=["region"])
    recorded(an_event(quantity="5"))

    change_metric(metric, {"aggregation": "SUM", "primary_labels": ["region"], "unit": "token"})

    assert MetricDefinition.objects.get(pk=metric.pk).unit == "token"


@pytest.mark.parametrize("field", ["key", "project", "counts_from", "archived_from", "id", "colour"])
def test_what_a_metric_is_cannot_be_changed(field: str) -> None:
    metric = a_metric()

    with pytest.raises(Invalid) as caught:
        change_metric(metric, {field: None})

    assert caught.value.field == field


def test_a_change_that_makes_no_sense_is_refused() -> None:
    metric = a_metric()

    with pytest.raises(Invalid) as caught:
        change_metric(metric, {"event_label_filter": {"region": {"$regex": "e"}}})

    assert caught.value.field == "event_label_filter"
    assert MetricDefinition.objects.get(pk=metric.pk).event_label_filter == {}


def of_other_names(metric: MetricDefinition) -> None:
    change_metric(metric, {"event_name": "tokens"})


def of_other_labels(metric: MetricDefinition) -> None:
    change_metric(metric, {"event_label_filter": {"region": "eu"}})


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({"event_name": "never-sent"}, of_other_names),
        ({"event_name": "tokens", "event_label_filter": {"region": "mars"}}, of_other_labels),
    ],
    ids=["event_name", "event_label_filter"],
)
def test_a_changed_metric_counts_from_the_change_on(
    fields: dict[str, Any], change: Callable[[MetricDefinition], None]
) -> None:
    a_metric("listener", event_name="tokens")
    metric = a_metric("changed", **fields)
    recorded(an_event(quantity="5", labels={"region": "eu"}))

    change(metric)
    recorded(an_event(quantity="7", labels={"region": "eu"}))

    assert both_answers(metric) == [7, 7]
    assert total_of(metric, *HOUR_BY_ROLLUPS, slice=Slice(group_by=["labels.region"])) == 7


def test_a_metric_has_counted_only_what_its_filter_owner_and_positions_let_in() -> None:
    acme, other = Project.objects.get(key="acme"), a_project("other")
    a_metric("listener", event_name="tokens")
    recorded(an_event(quantity="5", labels={"region": "eu"}))

    late = a_metric("late", event_name="tokens")
    filtered = a_metric("filtered", event_name="tokens", event_label_filter={"region": "us"})
    owned = a_metric("owned", event_name="tokens", project=other)

    assert [has_counted(metric) for metric in (late, filtered, owned)] == [False, False, False]
    recorded(an_event(acme, labels={"region": "eu"}))
    assert [has_counted(metric) for metric in (late, filtered, owned)] == [True, False, False]
    recorded(an_event(other, labels={"region": "us"}))
    assert [has_counted(metric) for metric in (late, filtered, owned)] == [True, True, True]


# -- archiving --------------------------------------------------------------------------------------------


def test_an_archived_metric_keeps_its_usage_and_counts_no_more() -> None:
    a_metric("listener", event_name="tokens")
    metric = a_metric()
    recorded(an_event(quantity="5", occurred_at="2024-05-15T12:10:00Z"))

    archive_metric(metric)
    recorded(an_event(quantity="7", occurred_at="2024-05-15T12:10:00Z"))

    assert metric.is_archived
    assert both_answers(metric) == [5, 5]
    roll_up()
    assert both_answers(metric) == [5, 5]
    assert both_answers(MetricDefinition.objects.get(key="listener")) == [12, 12]


def test_archiving_again_changes_nothing() -> None:
    metric = archive_metric(a_metric())
    position = metric.archived_from
    a_metric("listener", event_name="tokens")
    recorded(an_event())

    archive_metric(metric)

    assert MetricDefinition.objects.get(pk=metric.pk).archived_from == position


def test_an_archived_metric_keeps_its_meaning() -> None:
    metric = archive_metric(a_metric())

    with pytest.raises(Conflict):
        change_metric(metric, {"aggregation": "MAX"})

    change_metric(metric, {"unit": "token"})
    assert MetricDefinition.objects.get(pk=metric.pk).unit == "token"
