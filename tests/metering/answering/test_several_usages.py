"""Several questions in one statement answer as each of them alone."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.answering.several_usages import Question, usages_in
from metering.answering.usage import Scope, Slice, usage_in, usage_span, usage_spans
from metering.clock import ledger_end
from metering.models import Project
from metering.rolling_up.rollups import roll_up
from tests.factories import NOON, a_metric, a_project, an_event, at, meaning_of, recorded

pytestmark = pytest.mark.django_db

DAY = (at("2024-05-15T00:00:00Z"), at("2024-05-16T00:00:00Z"))
HOUR = (at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z"))
AGGREGATIONS = ["COUNT", "SUM", "AVG", "MIN", "MAX", "LATEST", "UNIQUE_COUNT"]


def _some_usage() -> None:
    acme = a_project("acme", kind="tenant")
    a_project("other", kind="tenant")
    for aggregation in AGGREGATIONS:
        a_metric(aggregation.lower(), event_name="tokens", aggregation=aggregation, project=acme)
    a_metric("everybody", event_name="tokens")
    recorded(an_event("acme", quantity="2"), an_event("acme", quantity="3"), an_event("other", quantity="9"))
    roll_up()
    recorded(an_event("acme", quantity="3", occurred_at="2024-05-15T15:00:00Z"))


def test_each_aggregation_answers_as_alone() -> None:
    _some_usage()
    meanings = [meaning_of(aggregation.lower()) for aggregation in AGGREGATIONS]

    found = usages_in([Question(meaning, [DAY, HOUR]) for meaning in meanings])

    assert found == [usage_in(meaning, [DAY, HOUR]) for meaning in meanings]
    sums = found[AGGREGATIONS.index("SUM")]
    assert [(usage.window, usage.value) for usage in sums] == [(0, Decimal(8)), (1, Decimal(5))]


GROUPINGS: list[tuple[str, ...]] = [(), ("project",), ("labels.region",), ("subject_id", "project")]


@pytest.mark.parametrize("is_at_position", [False, True])
def test_groups_and_lasting_levels_answer_as_alone(is_at_position: bool) -> None:
    _some_usage()
    a_metric("level", event_name="seats", aggregation="TIME_WEIGHTED_AVG")
    for region, quantity in [("eu", "4"), ("us", "1"), ("eu", "-2")]:
        of_region = {"labels": {"region": region}, "subject_id": f"{region}-1"}
        recorded(an_event("acme", event_name="seats", quantity=quantity, **of_region))
        recorded(an_event("acme", quantity=quantity.removeprefix("-"), **of_region))
    position = ledger_end() if is_at_position else None
    recorded(an_event("other", quantity="50"))
    questions = [
        Question(meaning_of(key), [DAY, HOUR, (None, None)], Slice(group_by=group_by))
        for key in ["everybody", "level", "sum", "unique_count"]
        for group_by in GROUPINGS
        if key != "level" or "labels.region" not in group_by
    ]

    found = usages_in(questions, as_of=position)

    alone = [usage_in(one.meaning, one.intervals, slice=one.slice, as_of=position) for one in questions]
    assert found == alone
    assert all(found)
    assert any(usage.group.get("region") == "us" for answer in found for usage in answer)


def test_many_questions_are_a_statement_and_one_for_the_owner() -> None:
    _some_usage()
    acme = Slice(scope=Scope(project_ids=[Project.objects.get(key="acme").pk]))
    questions = [Question(meaning_of(aggregation.lower()), [DAY], acme) for aggregation in AGGREGATIONS]

    with CaptureQueriesContext(connection) as asked:
        usages_in(questions)

    assert len(asked) == 2


def test_a_question_without_usage_has_no_answer() -> None:
    _some_usage()
    before = (at("2023-01-01T00:00:00Z"), at("2023-02-01T00:00:00Z"))

    found = usages_in([Question(meaning_of("sum"), [before]), Question(meaning_of("count"), [])])

    assert found == [[], []]


def test_spans_of_several_are_those_of_each() -> None:
    _some_usage()
    idle = a_metric("idle", event_name="idle")
    meanings = [meaning_of("sum"), meaning_of("max"), meaning_of(idle)]

    found = usage_spans(meanings)

    assert found == {meaning.metric_id: usage_span(meaning, slice=Slice()) for meaning in meanings[:2]}
    assert found[meanings[0].metric_id] == (at(NOON), at("2024-05-15T16:00:00Z"))
