"""How readings become one number: the Python face, and its agreement with the SQL face."""

import datetime as dt
from decimal import Decimal, localcontext
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.measuring.aggregations import AGGREGATIONS, COLUMNS, Accumulator, Aggregate
from metering.models import MetricDefinition
from metering.texts.numbers import EXACT
from tests.factories import at

NOON = at("2024-05-15T12:00:00Z")
Reading = tuple[Decimal, dt.datetime, int]

values = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000)
readings_of_few_instants = st.lists(
    st.tuples(
        values, st.sampled_from([NOON, NOON + dt.timedelta(microseconds=1), at("2024-05-15T13:00:00Z")])
    ),
    min_size=1,
    max_size=12,
).map(lambda pairs: [(value, instant, number) for number, (value, instant) in enumerate(pairs, start=1)])


def folded(name: str, readings: list[Reading]) -> dict[str, Any]:
    total = Accumulator()
    for value, instant, event_id in readings:
        AGGREGATIONS[name].fold(total, value, at=instant, event_id=event_id)
    return {column: getattr(total, column) for column in COLUMNS}


def answer(name: str, *values: int | str) -> Decimal | None:
    """The value of a few readings, in the order given, a minute apart."""
    readings = [
        (Decimal(value), NOON + dt.timedelta(minutes=number), number) for number, value in enumerate(values)
    ]
    columns = folded(name, readings)
    kept = {column: columns[column] for column in Aggregate.__dataclass_fields__ if column in columns}
    return AGGREGATIONS[name].value(Aggregate(**kept))


def test_every_aggregation_that_a_definition_can_name_is_available() -> None:
    assert set(AGGREGATIONS) == set(MetricDefinition.Aggregation.values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("COUNT", "4"), ("SUM", "5"), ("AVG", "1.25"), ("MIN", "-2"), ("MAX", "7"), ("LATEST", "0")],
)
def test_zeros_and_negatives_count(name: str, expected: str) -> None:
    assert answer(name, 7, -2, 0, 0) == Decimal(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("COUNT", 0), ("SUM", 0), ("AVG", None), ("MIN", None), ("MAX", None), ("LATEST", None)],
)
def test_of_nothing_count_and_sum_are_0_and_the_others_have_no_value(name: str, expected: int | None) -> None:
    assert AGGREGATIONS[name].value(Aggregate()) == expected


def test_sums_are_exact_beyond_28_digits() -> None:
    largest = "99999999999999999999999999.999999999999"

    with localcontext(EXACT):  # as the ledger does around recording
        total = answer("SUM", largest, largest)

    assert total == Decimal("199999999999999999999999999.999999999998")


def test_the_latest_is_the_last_that_happened_and_among_equals_the_last_recorded() -> None:
    later = NOON + dt.timedelta(microseconds=1)
    readings = [(Decimal(1), later, 1), (Decimal(2), NOON, 9), (Decimal(3), later, 2)]

    for order in (readings, readings[::-1], [readings[2], readings[0], readings[1]]):
        found = folded("LATEST", order)
        assert (found["last_value"], found["last_at"], found["last_event_id"]) == (3, later, 2)


def test_columns_that_an_aggregation_does_not_need_stay_null() -> None:
    readings = [(Decimal(5), NOON, 1)]

    assert {
        name: [column for column, value in folded(name, readings).items() if value is not None]
        for name in AGGREGATIONS
    } == {
        "COUNT": ["record_count"],
        "SUM": ["record_count", "value_sum"],
        "AVG": ["record_count", "value_sum"],
        "MIN": ["record_count", "value_min"],
        "MAX": ["record_count", "value_max"],
        "LATEST": ["record_count", "last_value", "last_at", "last_event_id"],
        "UNIQUE_COUNT": ["record_count"],
        "TIME_WEIGHTED_AVG": ["record_count", "value_sum", "value_moment"],
    }


@pytest.mark.parametrize(
    ("name", "used", "expected"),
    [
        ("COUNT", Aggregate(3), "4"),
        ("SUM", Aggregate(3, value_sum=Decimal(10)), "14"),
        ("SUM", Aggregate(), "4"),
        ("AVG", Aggregate(3, value_sum=Decimal(10)), "3.5"),
        ("MIN", Aggregate(3, value_min=Decimal(5)), "4"),
        ("MIN", Aggregate(3, value_min=Decimal(3)), "3"),
        ("MAX", Aggregate(3, value_max=Decimal(5)), "5"),
        ("MAX", Aggregate(3, value_max=Decimal(0)), "4"),
        ("LATEST", Aggregate(3, last_value=Decimal(5)), "4"),
    ],
)
def test_a_request_is_weighed_by_what_the_answer_would_become(
    name: str, used: Aggregate, expected: str
) -> None:
    assert AGGREGATIONS[name].with_request(used, Decimal(4)) == Decimal(expected)


@pytest.mark.django_db
@hypothesis_settings(max_examples=30)
@given(readings_of_few_instants, st.data())
def test_python_and_sql_fold_alike_and_merge_in_any_grouping(readings: list[Reading], data: Any) -> None:
    parts = data.draw(st.lists(st.integers(1, 3), min_size=len(readings), max_size=len(readings)))
    shuffled = data.draw(st.permutations(readings))
    values = [value for value, _, _ in readings]
    instants = [instant for _, instant, _ in readings]
    ids = [event_id for _, _, event_id in readings]

    for name, aggregation in AGGREGATIONS.items():
        inner = aggregation.from_readings_sql("e.value", "e.at", "e.id")
        outer = aggregation.merge_sql("p")
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH p AS (
                    SELECT {", ".join(f"{inner[column]} AS {column}" for column in COLUMNS)}
                      FROM unnest(%s::numeric[], %s::timestamptz[], %s::bigint[], %s::int[])
                               AS e (value, at, id, part)
                     GROUP BY part
                )
                SELECT {", ".join(outer[column] for column in COLUMNS)} FROM p
                """,
                [values, instants, ids, parts],
            )
            merged = dict(zip(COLUMNS, cursor.fetchone(), strict=True))
        assert merged == folded(name, readings) == folded(name, shuffled), name
