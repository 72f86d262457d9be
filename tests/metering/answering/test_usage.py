"""How much was used: by rollups, by what is pending, by the ledger, and by all three at once."""

from decimal import Decimal
from typing import Any

import pytest

from metering.answering.usage import Scope, Slice, usage_in, usage_span, usage_total
from metering.attributing.scope_tree import attribute
from metering.measuring.aggregations import Aggregate
from metering.models import MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from tests.factories import (
    a_metric,
    a_project,
    an_event,
    at,
    meaning_of,
    recorded,
    total_of,
    usages_of,
)

pytestmark = pytest.mark.django_db

MIDNIGHT, NEXT_MIDNIGHT = at("2024-05-15T00:00:00Z"), at("2024-05-16T00:00:00Z")


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture(params=["pending", "rolled up", "half and half"])
def usage(request: pytest.FixtureRequest, acme: Project) -> MetricDefinition:
    """The same usage, wherever a reader has to look for it."""
    below = a_project("below", parent=acme)
    attribute(below, payer=acme)
    metric = a_metric(primary_labels=["region"])
    batches = [
        [
            an_event(acme, subject_type="user", subject_id="ada", quantity="1",
                     occurred_at="2024-05-15T00:00:00Z", labels={"region": "eu", "size": "s"}),
            an_event(acme, subject_type="user", subject_id="bob", quantity="2",
                     occurred_at="2024-05-15T00:30:00Z", labels={"region": "us", "size": "l"}),
            an_event(acme, quantity="4", occurred_at="2024-05-15T13:00:00Z", labels={"size": "s"}),
        ],
        [
            an_event(below, subject_type="user", subject_id="ada", quantity="8",
                     occurred_at="2024-05-15T13:59:59.999999Z", labels={"region": "eu", "size": "s"}),
            an_event(below, subject_type="team", subject_id="ada", quantity="16",
                     occurred_at="2024-05-16T00:00:00Z", labels={"region": "eu"}),
        ],
    ]  # fmt: skip
    recorded(*batches[0])
    if request.param != "pending":
        roll_up()
    recorded(*batches[1])
    if request.param == "rolled up":
        roll_up()
    return metric


def by_group(metric: MetricDefinition, *names: str, slice: Slice = Slice(), **kwargs: Any) -> dict:
    found = usages_of(metric, slice=Slice(scope=slice.scope, labels=slice.labels, group_by=names, **kwargs))
    return {tuple(usage.group.values()): usage.value for usage in found}


def test_usage_over_all_time(usage: MetricDefinition) -> None:
    assert total_of(usage) == 31


def test_a_window_holds_its_start_and_not_its_end(usage: MetricDefinition) -> None:
    assert total_of(usage, MIDNIGHT, NEXT_MIDNIGHT) == 15
    assert total_of(usage, at("2024-05-15T00:00:00.000001Z"), at("2024-05-16T00:00:00.000001Z")) == 30
    assert total_of(usage, at("2024-05-15T13:00:00Z"), at("2024-05-15T13:59:59.999999Z")) == 4
    assert total_of(usage, at("2024-05-15T13:59:59.999999Z"), at("2024-05-15T14:00:00Z")) == 8


def test_open_windows(usage: MetricDefinition) -> None:
    assert total_of(usage, None, MIDNIGHT) is None
    assert total_of(usage, None, NEXT_MIDNIGHT) == 15
    assert total_of(usage, NEXT_MIDNIGHT, None) == 16
    assert total_of(usage, at("2024-05-15T00:10:00Z"), None) == 30


def test_several_windows_are_answered_in_order_and_empty_ones_left_out(usage: MetricDefinition) -> None:
    found = usages_of(
        usage,
        (NEXT_MIDNIGHT, None),
        (at("2023-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z")),
        (MIDNIGHT, at("2024-05-15T01:00:00Z")),
        (MIDNIGHT, MIDNIGHT),
        (at("2024-05-15T00:15:00Z"), at("2024-05-15T13:15:00Z")),
    )

    assert [(item.window, item.value, item.aggregate.record_count) for item in found] == [
        (0, 16, 1),
        (2, 3, 2),
        (4, 6, 2),
    ]


def test_usage_by_project_and_payer(usage: MetricDefinition) -> None:
    assert by_group(usage, "project") == {("acme",): 7, ("below",): 24}
    assert by_group(usage, "billing_scope") == {("acme",): 31}
    assert by_group(usage, "project", "billing_scope") == {("acme", "acme"): 7, ("below", "acme"): 24}


def test_usage_by_subject(usage: MetricDefinition) -> None:
    assert by_group(usage, "subject_type", "subject_id") == {
        ("", ""): 4,
        ("team", "ada"): 16,
        ("user", "ada"): 9,
        ("user", "bob"): 2,
    }
    assert by_group(usage, "subject_id") == {("",): 4, ("ada",): 25, ("bob",): 2}


def test_usage_by_a_primary_label(usage: MetricDefinition) -> None:
    assert by_group(usage, "labels.region") == {("eu",): 25, ("us",): 2, (None,): 4}


def test_usage_by_a_label_that_rollups_do_not_keep(usage: MetricDefinition) -> None:
    assert by_group(usage, "labels.size") == {("s",): 13, ("l",): 2, (None,): 16}
    assert by_group(usage, "labels.size", "labels.region", "project") == {
        ("l", "us", "acme"): 2,
        ("s", "eu", "acme"): 1,
        ("s", "eu", "below"): 8,
        ("s", None, "acme"): 4,
        (None, "eu", "below"): 16,
    }


def test_the_groups_of_a_window_are_in_order(usage: MetricDefinition) -> None:
    found = usages_of(
        usage, (MIDNIGHT, NEXT_MIDNIGHT), (NEXT_MIDNIGHT, None), slice=Slice(group_by=["labels.region"])
    )

    assert [(item.window, item.group["region"], item.value) for item in found] == [
        (0, "eu", 9),
        (0, "us", 2),
        (0, None, 4),
        (1, "eu", 16),
    ]


@pytest.mark.parametrize(
    ("slice", "expected"),
    [
        (Slice(subject_type="user"), 11),
        (Slice(subject_id="ada"), 25),
        (Slice(subject_type="user", subject_id="ada"), 9),
        (Slice(subject_type="", subject_id=""), 4),
        (Slice(subject_id="nobody"), None),
        (Slice(labels={"region": "eu"}), 25),
        (Slice(labels={"size": "s"}), 13),
        (Slice(labels={"region": "eu", "size": "s"}), 9),
        (Slice(labels={"region": "eu"}, subject_id="ada", subject_type="team"), 16),
        (Slice(labels={"size": "s"}, subject_id="ada"), 9),
    ],
    ids=str,
)
def test_a_slice_of_usage(usage: MetricDefinition, slice: Slice, expected: int | None) -> None:
    assert total_of(usage, slice=slice) == expected
    # The same by ragged edges, which the ledger answers.
    assert total_of(usage, at("2024-05-14T23:59:59Z"), at("2024-05-16T00:00:01Z"), slice=slice) == expected


def test_the_scope_of_a_question(usage: MetricDefinition) -> None:
    acme, below = Project.objects.get(key="acme"), Project.objects.get(key="below")

    def total(scope: Scope) -> Decimal | None:
        return total_of(usage, slice=Slice(scope=scope))

    assert total(Scope(project_ids=[acme.pk])) == 7
    assert total(Scope(project_ids=[below.pk])) == 24
    assert total(Scope(project_ids=[acme.pk, below.pk])) == 31
    assert total(Scope(project_ids=[])) is None
    assert total(Scope(payer_id=acme.pk)) == 31
    assert total(Scope(payer_id=below.pk)) is None
    assert total(Scope(project_ids=[below.pk], payer_id=acme.pk)) == 24
    assert total(Scope(project_ids=[acme.pk], payer_id=acme.pk, either=True)) == 31
    assert total(Scope(project_ids=[below.pk], payer_id=below.pk, either=True)) == 24


def test_the_total_of_nothing_is_an_empty_aggregate(usage: MetricDefinition) -> None:
    def total(**interval: Any) -> Aggregate:
        return usage_total(meaning_of(usage), scope=Scope(), **interval)

    assert total(start=NEXT_MIDNIGHT, end=None) == Aggregate(1, value_sum=Decimal(16))
    assert total(start=None, end=MIDNIGHT) == Aggregate()
    assert total(start=MIDNIGHT, end=MIDNIGHT) == Aggregate()


def test_the_span_of_usage_is_whole_hours(usage: MetricDefinition) -> None:
    span = usage_span(meaning_of(usage), slice=Slice())

    assert span == (MIDNIGHT, at("2024-05-16T01:00:00Z"))
    below = Project.objects.get(key="below")
    assert usage_span(meaning_of(usage), slice=Slice(scope=Scope(project_ids=[below.pk]))) == (
        at("2024-05-15T13:00:00Z"),
        at("2024-05-16T01:00:00Z"),
    )
    assert usage_span(meaning_of(usage), slice=Slice(scope=Scope(project_ids=[]))) is None


def test_a_question_is_one_statement(usage: MetricDefinition, django_assert_num_queries: Any) -> None:
    meaning = meaning_of(usage)

    # Two statements would see two snapshots, and count what a tick moves in between twice or never.
    with django_assert_num_queries(1):
        usage_in(meaning, [(at("2024-05-14T23:59:59Z"), at("2024-05-16T00:00:01Z"))])


def test_nothing_asked_is_nothing_answered(usage: MetricDefinition) -> None:
    assert usage_in(meaning_of(usage), []) == []
    assert usage_in(meaning_of(usage), [(NEXT_MIDNIGHT, MIDNIGHT)]) == []


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("COUNT", "3"), ("SUM", "4"), ("AVG", "1.333333333333"), ("MIN", "-1"), ("MAX", "5"), ("LATEST", "-1")],
)
@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_each_aggregation_answers_alike_from_buckets_and_from_edges(
    acme: Project, aggregation: str, expected: str, is_rolled_up: bool
) -> None:
    metric = a_metric(aggregation=aggregation, meter_type="gauge")
    recorded(
        an_event(quantity="0", occurred_at="2024-05-15T12:00:00Z"),
        an_event(quantity="5", occurred_at="2024-05-15T12:59:00Z"),
    )
    if is_rolled_up:
        roll_up()
    recorded(an_event(quantity="-1", occurred_at="2024-05-15T13:30:00Z"))

    for start, end in (
        ("2024-05-15T12:00:00Z", "2024-05-15T14:00:00Z"),
        ("2024-05-15T11:59:59Z", "2024-05-15T13:30:01Z"),
        ("2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"),
    ):
        assert total_of(metric, at(start), at(end)) == Decimal(expected)


def test_the_latest_of_a_window_may_lie_in_its_ragged_edge_or_not(acme: Project) -> None:
    metric = a_metric(aggregation="LATEST")
    recorded(
        an_event(quantity="1", occurred_at="2024-05-15T12:30:00Z"),
        an_event(quantity="2", occurred_at="2024-05-15T13:10:00Z"),
        an_event(quantity="3", occurred_at="2024-05-15T13:20:00Z"),
    )
    roll_up()

    assert total_of(metric, at("2024-05-15T12:00:00Z"), at("2024-05-15T13:15:00Z")) == 2
    assert total_of(metric, at("2024-05-15T12:00:00Z"), at("2024-05-15T13:10:00Z")) == 1
    assert total_of(metric, at("2024-05-15T12:00:00Z"), at("2024-05-15T14:00:00Z")) == 3


def test_a_metric_with_an_owner_counts_no_other_projects_in_the_ledger(acme: Project) -> None:
    other = a_project("other")
    a_metric("listener", event_name="tokens")
    metric = a_metric("owned", event_name="tokens", project=acme)
    recorded(an_event(acme, quantity="5"), an_event(other, quantity="7"))

    assert total_of(metric, at("2024-05-15T11:59:59Z"), at("2024-05-15T12:00:01Z")) == 5
    assert by_group(metric, "labels.size") == {(None,): 5}
