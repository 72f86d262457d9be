"""Octane's Meter JSON: what is read, what is refused, and the way there and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.defining.octane import (
    AGGREGATIONS,
    BeyondOctane,
    NotAMeter,
    definition_from,
    meter_from,
    octane_field,
)

METER: dict[str, Any] = {
    "name": "api_calls",
    "event_name": "api_request",
    "meter_type": "COUNTER",
    "data_type": "INT",
    "aggregation": "SUM",
    "is_incremental": True,
    "reporting_method": "periodic",
}
DEFINITION: dict[str, Any] = {
    "key": "api_calls",
    "display_name": "API calls",
    "description": "",
    "unit": "call",
    "event_name": "api_request",
    "meter_type": "counter",
    "data_type": "INT",
    "aggregation": "SUM",
    "value_property": "",
    "is_incremental": True,
    "reporting_method": "periodic",
    "expected_labels": ["endpoint"],
    "primary_labels": ["endpoint"],
    "event_label_filter": {"endpoint": "/a"},
    "reset_period": "monthly",
    "archived_from": None,
}


def objections_to(meter: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(NotAMeter) as caught:
        definition_from(meter)
    return [(each.code, each.field) for each in caught.value.objections]


def reasons_against(**overrides: Any) -> list[tuple[str | None, str]]:
    with pytest.raises(BeyondOctane) as caught:
        meter_from(DEFINITION | overrides)
    return [(each.field, each.detail) for each in caught.value.objections]


def test_meter_is_read_by_our_names():
    read = definition_from(METER | {"unit_name": "call", "display_name": "API calls", "description": None})

    assert read == {
        "key": "api_calls",
        "event_name": "api_request",
        "meter_type": "counter",
        "data_type": "INT",
        "aggregation": "SUM",
        "is_incremental": True,
        "reporting_method": "periodic",
        "unit": "call",
        "display_name": "API calls",
    }


@pytest.mark.parametrize("name", METER)
def test_required_field_is_required(name: str):
    without = {field: value for field, value in METER.items() if field != name}

    assert objections_to(without) == [("missing_field", name)]
    assert objections_to(METER | {name: None}) == [("missing_field", name)]


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"unit": "call"}, "unit"),
        ({"project": "acme"}, "project"),
        ({"value_property": "x"}, "value_property"),
        ({"vendor_id": 3}, "vendor_id"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"meter_type": "HISTOGRAM"}, "meter_type"),
        ({"data_type": "BOOL"}, "data_type"),
        ({"aggregation": "AVG"}, "aggregation"),
        ({"aggregation": "TIME_WEIGHTED_AVG"}, "aggregation"),
        ({"is_incremental": "true"}, "is_incremental"),
        ({"is_incremental": 1}, "is_incremental"),
        ({"reporting_method": "often"}, "reporting_method"),
        ({"expected_labels": "a"}, "expected_labels"),
        ({"primary_labels": [1]}, "primary_labels"),
        ({"event_label_filter": []}, "event_label_filter"),
        ({"event_label_filter": {"a": {"$near": 1}}}, "event_label_filter"),
        ({"event_label_filter": {"is_expression": True, "filters": []}}, "event_label_filter"),
    ],
    ids=str,
)
def test_misfit_is_refused_by_its_field(overrides: dict[str, Any], field: str):
    assert objections_to(METER | overrides) == [("invalid_field", field)]


def test_everything_that_is_wrong_is_said_at_once():
    meter = {"name": "x", "colour": "red", "meter_type": "SPIN", "is_incremental": True}

    assert objections_to(meter) == [
        ("invalid_field", "colour"),
        ("missing_field", "event_name"),
        ("invalid_field", "meter_type"),
        ("missing_field", "data_type"),
        ("missing_field", "aggregation"),
        ("missing_field", "reporting_method"),
    ]


@pytest.mark.parametrize("thing", [None, 5, "meter", [METER]], ids=str)
def test_only_an_object_is_a_meter(thing: Any):
    assert objections_to(thing) == [("invalid_field", None)]


def test_measured_text_is_the_label_value():
    texts = METER | {"data_type": "string", "aggregation": "unique_count"}

    read = definition_from(texts)

    assert (read["data_type"], read["aggregation"], read["value_property"]) == (
        "STRING",
        "UNIQUE_COUNT",
        "value",
    )
    assert octane_field("value_property") == "data_type"
    assert meter_from(DEFINITION | read)["aggregation"] == "UNIQUE_COUNT"


def test_metric_is_written_by_octanes_names():
    assert meter_from(DEFINITION) == {
        "name": "api_calls",
        "display_name": "API calls",
        "description": "",
        "event_name": "api_request",
        "meter_type": "counter",
        "data_type": "INT",
        "aggregation": "SUM",
        "unit_name": "call",
        "is_incremental": True,
        "reporting_method": "periodic",
        "expected_labels": ["endpoint"],
        "primary_labels": ["endpoint"],
        "event_label_filter": {"endpoint": "/a"},
    }


@pytest.mark.parametrize("aggregation", ["AVG", "LATEST", "TIME_WEIGHTED_AVG"])
def test_aggregation_that_octane_lacks_is_a_reason(aggregation: str):
    assert reasons_against(aggregation=aggregation) == [
        ("aggregation", f"Octane has no aggregation {aggregation}.")
    ]


def test_every_reason_is_listed():
    found = reasons_against(
        aggregation="AVG",
        value_property="bytes",
        reporting_method="total",
        reset_period="daily",
        archived_from=7,
        event_label_filter={"size": {"$gt": 3, "$lte": 9}, "$or": [{"status": 200}, {"a": "b"}]},
    )

    assert [field for field, _ in found] == [
        "aggregation",
        "value_property",
        "reset_period",
        "event_label_filter",
        "event_label_filter",
        "event_label_filter",
        "archived_from",
    ]
    assert found[3:6] == [
        ("event_label_filter", "Octane has no $gt, which 'size' is compared by."),
        ("event_label_filter", "Octane has no $lte, which 'size' is compared by."),
        ("event_label_filter", "Octane's labels are texts; 'status' is compared with something else."),
    ]


names = st.text("abcdefghij", min_size=1, max_size=6)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
conditions = st.one_of(
    texts,
    st.lists(texts, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["$eq", "$ne"]), texts, min_size=1),
    st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(texts, min_size=1, max_size=3), min_size=1),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
flat = st.dictionaries(names, conditions, max_size=3)
filters = st.one_of(
    flat, st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(flat, min_size=1, max_size=3))
)


@given(
    st.fixed_dictionaries(
        {
            "key": names,
            "display_name": texts,
            "description": texts,
            "unit": texts,
            "event_name": names,
            "meter_type": st.sampled_from(["counter", "gauge"]),
            "data_type": st.sampled_from(["INT", "FLOAT", "STRING"]),
            "aggregation": st.sampled_from(AGGREGATIONS),
            "is_incremental": st.booleans(),
            "reporting_method": st.sampled_from(["periodic", "total"]),
            "expected_labels": st.lists(names, max_size=3),
            "primary_labels": st.lists(names, max_size=3),
            "event_label_filter": filters,
        }
    )
)
def test_what_octane_can_say_comes_back_the_same(fields: dict[str, Any]):
    counts_texts = fields["data_type"] == "STRING" and fields["aggregation"] == "UNIQUE_COUNT"
    fields["value_property"] = "value" if counts_texts else ""

    read = definition_from(meter_from({**fields, "reset_period": "monthly"}))

    assert {"value_property": "", **read} == fields
