"""A metric's meaning in one sentence, for every way of reading events."""

import pytest

from metering.admin.metric_words import meaning_in_words
from metering.defining.definitions import draft_of


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ({"aggregation": "SUM"}, "Sum of the quantity of “kwh” events."),
        (
            {"aggregation": "UNIQUE_COUNT", "value_property": "who", "data_type": "STRING"},
            "Number of different values of label “who” of “kwh” events.",
        ),
        (
            {"aggregation": "SUM", "is_incremental": False},
            "Increase from one “kwh” reading to the next, by the quantity.",
        ),
        (
            {"aggregation": "SUM", "is_incremental": False, "meter_type": "gauge", "value_property": "at"},
            "Change from one “kwh” reading to the next, by label “at”.",
        ),
        (
            {"aggregation": "SUM", "reporting_method": "total", "reset_period": "daily"},
            "What each “kwh” reading adds to the total since the day began, by the quantity.",
        ),
        (
            {"aggregation": "SUM", "reporting_method": "total", "reset_period": "never"},
            "What each “kwh” reading adds to the total since ever, by the quantity.",
        ),
        ({"aggregation": "TIME_WEIGHTED_AVG"}, "Average over time of the quantity of “kwh” events."),
        (
            {"aggregation": "TIME_WEIGHTED_AVG", "is_incremental": True},
            "Average over time of the level that the quantity of “kwh” events changes.",
        ),
        ({"aggregation": "MAX", "is_incremental": False}, "Largest quantity of “kwh” events."),
    ],
)
def test_sentence_says_what_is_taken_from_readings(definition: dict[str, object], sentence: str) -> None:
    assert meaning_in_words(draft_of(key="kwh", **definition)) == sentence
