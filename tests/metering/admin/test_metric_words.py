"""A metric's meaning in one sentence, for every way of reading events."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.admin.metric_words import condition_in_words, meaning_in_words, reading_in_words
from metering.defining.definitions import draft_of
from metering.errors import Invalid
from metering.models import MetricDefinition


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ({"aggregation": "COUNT"}, "Number of events “kwh”, per month."),
        ({"aggregation": "SUM"}, "Sum of the quantity of events “kwh”, per month."),
        (
            {"aggregation": "SUM", "value_property": "tokens", "event_label_filter": {"region": "eu"}},
            "Sum of label “tokens” of events “kwh” where region is eu, per month.",
        ),
        (
            {"aggregation": "AVG", "primary_labels": ["model", "region", "2nd plan"]},
            "Average of the quantity of events “kwh”, kept apart by model, region and “2nd plan”, per month.",
        ),
        ({"aggregation": "MIN", "reset_period": "hourly"}, "Smallest quantity of events “kwh”, per hour."),
        (
            {"aggregation": "LATEST", "reset_period": "never"},
            "Latest quantity of events “kwh”, over all time.",
        ),
        (
            {"aggregation": "UNIQUE_COUNT", "value_property": "who", "data_type": "STRING"},
            "Number of different values of label “who” of events “kwh”, per month.",
        ),
        (
            {"aggregation": "SUM", "is_incremental": False},
            "Increase from one reading to the next, by the quantity of events “kwh”, per month.",
        ),
        (
            {"aggregation": "SUM", "is_incremental": False, "meter_type": "gauge", "value_property": "at"},
            "Change from one reading to the next, by label “at” of events “kwh”, per month.",
        ),
        (
            {"aggregation": "SUM", "reporting_method": "total", "reset_period": "daily"},
            "What each reading adds to the total since the day began, by the quantity of events “kwh”.",
        ),
        (
            {"aggregation": "SUM", "reporting_method": "total", "reset_period": "never"},
            "What each reading adds to the total since ever, by the quantity of events “kwh”.",
        ),
        (
            {"aggregation": "TIME_WEIGHTED_AVG", "reset_period": "yearly"},
            "Average over time of the quantity of events “kwh”, per year.",
        ),
        (
            {"aggregation": "TIME_WEIGHTED_AVG", "is_incremental": True, "reset_period": "weekly"},
            "Average over time of the level that is changed by the quantity of events “kwh”, per week.",
        ),
        ({"aggregation": "MAX", "is_incremental": False}, "Largest quantity of events “kwh”, per month."),
    ],
)
def test_sentence_says_what_is_taken_from_readings(definition: dict[str, object], sentence: str) -> None:
    assert meaning_in_words(draft_of(key="kwh", **definition)) == sentence


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"region": "eu"}, "region is eu"),
        ({"region": ["eu", "us", "ch"]}, "region is one of eu, us or ch"),
        ({"region": ["eu"]}, "region is eu"),
        ({"size": {"$gte": 10, "$lt": 1000000.5}}, "size is at least 10 and size is less than 1,000,000.5"),
        ({"size": {"$gt": 1}, "age": {"$lte": 2}}, "size is more than 1 and age is at most 2"),
        ({"plan": {"$ne": "trial"}}, "plan is not trial"),
        ({"plan": {"$nin": ["a", "b"]}}, "plan is none of a or b"),
        ({"test": {"$exists": False}, "who": {"$exists": True}}, "test is absent and who is present"),
        ({"paid": True, "note": None}, "paid is true and note is empty"),
        ({"zip": "0123", "note": "", "flag": "true"}, "zip is “0123” and note is “” and flag is “true”"),
        ({"$or": [{"region": "eu"}, {"plan": "gold"}]}, "region is eu or plan is gold"),
        (
            {"test": False, "$or": [{"region": "eu"}, {"plan": "gold", "size": 5}]},
            "test is false and (region is eu or (plan is gold and size is 5))",
        ),
        ({"$and": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}, "a is 1 and b is 2 and c is 3"),
        ({"$or": [{"region": "eu"}, {}]}, "region is eu or anything"),
    ],
)
def test_condition_reads_as_a_sentence(condition: dict[str, Any], words: str) -> None:
    assert condition_in_words(condition) == words


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"aggregation": "SUM"}, "It takes numbers that are never negative."),
        (
            {"aggregation": "MAX", "meter_type": "gauge", "data_type": "INT", "expected_labels": ["a", "b"]},
            "It takes whole numbers, which may be negative. Events without a and b are refused.",
        ),
        ({"aggregation": "COUNT"}, ""),
        ({"aggregation": "UNIQUE_COUNT", "value_property": "who", "data_type": "STRING"}, "It takes texts."),
    ],
)
def test_what_events_must_carry_is_said(definition: dict[str, object], words: str) -> None:
    assert reading_in_words(draft_of(key="kwh", **definition)) == words


names = st.text("abc.d ", min_size=1, max_size=8).filter(str.strip)
values = (
    st.none() | st.booleans() | st.integers() | st.text("ab1 ", max_size=5) | st.sampled_from([0.5, 1e21])
)
comparisons = st.one_of(
    values,
    st.lists(values, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["$eq", "$ne"]), values, min_size=1),
    st.dictionaries(
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers() | st.text("ab"), min_size=1
    ),
    st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(values, min_size=1, max_size=3), min_size=1),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
filters = st.recursive(
    st.dictionaries(names, comparisons, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=5,
)
definitions = st.fixed_dictionaries(
    {
        "aggregation": st.sampled_from(MetricDefinition.Aggregation.values),
        "data_type": st.sampled_from(MetricDefinition.DataType.values),
        "meter_type": st.sampled_from(MetricDefinition.MeterType.values),
        "reporting_method": st.sampled_from(MetricDefinition.ReportingMethod.values),
        "reset_period": st.sampled_from(MetricDefinition.ResetPeriod.values),
        "is_incremental": st.booleans(),
        "value_property": st.just("") | names,
        "primary_labels": st.lists(names, unique=True, max_size=3),
        "expected_labels": st.lists(names, unique=True, max_size=3),
        "event_label_filter": filters,
    }
)


@given(definitions)
def test_every_definition_that_holds_has_a_sentence(definition: dict[str, Any]) -> None:
    try:
        metric = draft_of(key="kwh", **definition)
    except Invalid:
        return

    sentence = f"{meaning_in_words(metric)} {reading_in_words(metric)}".strip()

    assert sentence[0].isupper()
    assert sentence.endswith(".")
    for trace in ("{", "}", "[", "]", "$", "'", "True", "False", "None", "null", "E+", "e+", "%(", "%s"):
        assert trace not in sentence
    assert sentence.count("(") == sentence.count(")")
