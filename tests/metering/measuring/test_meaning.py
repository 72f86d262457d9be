"""What a metric takes from an event: the Python face, and that the SQL face takes the same."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering import catalogue
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning, Unreadable
from metering.models import MetricDefinition, Project, UsageEvent
from tests.factories import a_metric, a_project, an_event, recorded


def a_meaning(**fields: Any) -> Meaning:
    """A definition compiled without a database."""
    metric = MetricDefinition(**{"key": "tokens", "event_name": "tokens", "aggregation": "SUM", **fields})
    return Meaning(metric, owner_path="")


def refusal(meaning: Meaning, quantity: Decimal | None, labels: Mapping[str, Any]) -> tuple[str, str]:
    with pytest.raises(Unreadable) as caught:
        meaning.reading(quantity, labels)
    return caught.value.code, caught.value.field


def test_the_reading_is_the_quantity_and_1_where_there_is_none() -> None:
    assert a_meaning().reading(Decimal("2.5"), {}) == Decimal("2.5")
    assert a_meaning().reading(None, {}) == Decimal(1)
    assert a_meaning().reading(Decimal(0), {}) == Decimal(0)


@pytest.mark.parametrize("value", [7, Decimal("7.0"), "7", "7.00", "0.7e1"])
def test_the_reading_of_a_value_property_is_the_label_as_a_number(value: Any) -> None:
    assert a_meaning(value_property="usage.tokens").reading(
        Decimal(99), {"usage": {"tokens": value}}
    ) == Decimal(7)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({}, "missing_label"),
        ({"usage": None}, "missing_label"),
        ({"usage": {}}, "missing_label"),
        ({"usage": {"tokens": None}}, "missing_label"),
        ({"usage": {"tokens": True}}, "invalid_value"),
        ({"usage": {"tokens": [7]}}, "invalid_value"),
        ({"usage": {"tokens": {"n": 7}}}, "invalid_value"),
        ({"usage": {"tokens": "many"}}, "invalid_value"),
        ({"usage": {"tokens": "NaN"}}, "invalid_value"),
        ({"usage": {"tokens": "1_000"}}, "invalid_value"),
        ({"usage": {"tokens": "٧"}}, "invalid_value"),
        ({"usage": {"tokens": "1e400"}}, "invalid_value"),
        ({"usage": {"tokens": 10**26}}, "invalid_value"),
        ({"usage": {"tokens": Decimal("1e-13")}}, "invalid_value"),
        ({"usage": {"tokens": -7}}, "invalid_value"),
        ({"usage": {"tokens": "1e" + "9" * 30}}, "invalid_value"),
    ],
)
def test_an_unreadable_value_property_names_its_label(labels: dict[str, Any], code: str) -> None:
    meaning = a_meaning(value_property="usage.tokens")

    assert refusal(meaning, Decimal(1), labels) == (code, "labels.usage.tokens")


def test_a_counter_cannot_go_down_and_a_gauge_can() -> None:
    assert refusal(a_meaning(), Decimal("-0.5"), {}) == ("invalid_value", "quantity")
    assert a_meaning(meter_type="gauge").reading(Decimal("-0.5"), {}) == Decimal("-0.5")


def test_a_metric_of_whole_numbers_takes_no_fractions() -> None:
    meaning = a_meaning(data_type="INT")

    assert meaning.reading(Decimal("3.000"), {}) == Decimal(3)
    assert refusal(meaning, Decimal("3.5"), {}) == ("invalid_value", "quantity")


@pytest.mark.parametrize("labels", [{}, {"region": None}, {"tier": "gold"}])
def test_an_expected_label_must_be_there_and_not_null(labels: dict[str, Any]) -> None:
    meaning = a_meaning(expected_labels=["region"])

    assert refusal(meaning, None, labels) == ("missing_label", "labels.region")
    assert meaning.reading(None, {"region": ""}) == Decimal(1)


def test_a_text_counts_once_and_must_be_a_text() -> None:
    meaning = a_meaning(aggregation="COUNT", data_type="STRING", value_property="user")

    assert meaning.reading(Decimal(99), {"user": "ada"}) == Decimal(1)
    assert refusal(meaning, None, {"user": 5}) == ("invalid_value", "labels.user")
    assert refusal(meaning, None, {}) == ("invalid_value", "labels.user")


def test_a_group_is_the_texts_of_the_primary_labels_in_order() -> None:
    meaning = a_meaning(primary_labels=["region", "http.status", "cached", "size", "zone"])

    group = meaning.group(
        {"size": Decimal("1E+1"), "region": "eu", "http": {"status": 200}, "cached": True, "zone": None}
    )

    assert group == ("eu", "200", "true", "10", None)


@pytest.mark.parametrize("value", [["eu"], {"name": "eu"}])
def test_a_primary_label_must_be_one_value(value: Any) -> None:
    with pytest.raises(Unreadable) as caught:
        a_meaning(primary_labels=["region"]).group({"region": value})

    assert (caught.value.code, caught.value.field) == ("invalid_label", "labels.region")


# -- both faces over the same recorded events -------------------------------------------------------------

NAMES = ("a", "b", "a.x", "a.0", "b.x.y", "0")
scalars = (
    st.sampled_from(["", "eu", "us", "5", "é", "😀", "true", "null", 'q"\\', "\t", "1e2", "007"])
    | st.integers(-3, 12)
    | st.sampled_from([10**20, -(10**18), True, False, None])
    | st.decimals(-5, 15, places=3)
    | st.sampled_from([Decimal("1E+2"), Decimal("10.0"), Decimal("1E-20"), Decimal("-0.0"), Decimal("1E+40")])
)
few = st.sampled_from(["eu", "us", 5, 7, True, None])
label_values = st.one_of(
    scalars,
    few,
    st.lists(few, max_size=2),
    st.dictionaries(st.sampled_from(["x", "0"]), few, max_size=2),
    st.fixed_dictionaries({"x": st.fixed_dictionaries({"y": few}) | st.lists(few, max_size=1)}),
)
label_sets = st.dictionaries(st.sampled_from(["a", "b", "0"]), label_values, max_size=3)
operands = st.sampled_from(["", "eu", "us", "5", "é", "\uffff", "true", 'q"\\']) | st.integers(-3, 12)
operands_or_literals = operands | st.sampled_from([None, True, False, 0.5, 1e20, 100.0])
numbers_or_texts = operands | st.sampled_from([0.5, 10.0, 1e300, "1e2"])
conditions = st.one_of(
    operands_or_literals,
    st.lists(operands_or_literals, min_size=1, max_size=3),
    st.builds(lambda op, value: {op: value}, st.sampled_from(["$eq", "$ne"]), operands_or_literals),
    st.builds(
        lambda op, some: {op: some},
        st.sampled_from(["$in", "$nin"]),
        st.lists(operands_or_literals, min_size=1, max_size=3),
    ),
    st.builds(
        lambda op, value: {op: value}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), numbers_or_texts
    ),
    st.builds(lambda flag: {"$exists": flag}, st.booleans()),
)
filters = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), conditions, max_size=2),
    lambda inner: st.builds(
        lambda op, parts, rest: {**rest, op: parts},
        st.sampled_from(["$and", "$or"]),
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), conditions, max_size=1),
    ),
    max_leaves=3,
)


def an_empty_ledger_with(events: list[tuple[Decimal | None, dict[str, Any]]]) -> Project:
    """Events recorded by a metric that takes everything, in a transaction that the caller rolls back."""
    project = a_project()
    a_metric("everything", aggregation="COUNT", event_name="tokens")
    recorded(*(an_event(project, quantity=quantity, labels=labels) for quantity, labels in events))
    return project


def by_sql(meaning: Meaning) -> dict[int, tuple[Any, ...]]:
    """Event id to reading and group, for the events that match, by the SQL face."""
    params = Params()
    where = meaning.where_sql(params)
    columns = ", ".join(["e.id", meaning.value_sql(params), *meaning.group_sql(params)])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM metering_usageevent e WHERE {where}", params)
        return {row[0]: (row[1], tuple(row[2:])) for row in cursor.fetchall()}


def by_python(
    meaning: Meaning, sent: list[tuple[Decimal | None, dict[str, Any]]]
) -> dict[int, tuple[Any, ...]]:
    """The same by the Python face, over the labels as they were sent."""
    ids = UsageEvent.objects.order_by("id").values_list("id", flat=True)
    return {
        event_id: (meaning.reading(quantity, labels), meaning.group(labels))
        for event_id, (quantity, labels) in zip(ids, sent, strict=True)
        if meaning.matches(labels)
    }


@pytest.mark.django_db
@hypothesis_settings(max_examples=60)
@given(st.lists(label_sets, min_size=1, max_size=8), st.lists(filters, min_size=1, max_size=12))
@example([{"a": ["eu"]}, {"a": {"0": "eu"}}], [{"a.0": "eu"}])
@example([{"a": Decimal("1E+2")}, {"a": True}, {"a": "100"}], [{"a": 100}, {"a": {"$lte": 100.0}}])
def test_python_and_sql_agree_on_which_events_match(
    label_sets: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> None:
    sent = [(None, labels) for labels in label_sets]
    with transaction.atomic():
        an_empty_ledger_with(sent)
        for spec in filters:
            meaning = a_meaning(event_label_filter=spec)
            # Reading it back from the table is part of a filter's life: 1e20 comes back as an integer.
            assert by_sql(meaning) == by_python(meaning, sent), spec
        transaction.set_rollback(True)
    catalogue.forget()


@pytest.mark.django_db
@hypothesis_settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.none() | st.decimals(0, 10**6, places=12),
            st.fixed_dictionaries(
                {
                    "n": st.integers(0, 10**18)
                    | st.decimals(0, 10**6, places=5)
                    | st.sampled_from(["7", "1e3", "0.50"])
                },
                optional={
                    "region": st.sampled_from(["eu", "", "é", "😀", 'q"\\\t']) | st.none(),
                    "size": st.integers(-(10**20), 10**20)
                    | st.decimals(-100, 100, places=4)
                    | st.sampled_from([Decimal("1E+30"), Decimal("1E-30"), True, False]),
                    "http": st.fixed_dictionaries({}, optional={"status": st.integers(100, 599)}),
                },
            ),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_python_and_sql_agree_on_readings_and_groups(
    sent: list[tuple[Decimal | None, dict[str, Any]]],
) -> None:
    with transaction.atomic():
        an_empty_ledger_with(sent)
        for value_property in ("", "n"):
            meaning = a_meaning(
                value_property=value_property, primary_labels=["region", "size", "http.status"]
            )
            assert by_sql(meaning) == by_python(meaning, sent)
        transaction.set_rollback(True)
    catalogue.forget()


@pytest.mark.django_db
def test_sql_counts_what_was_recorded_between_the_metrics_positions() -> None:
    a_project("acme")
    a_metric("everything", aggregation="COUNT", event_name="tokens")
    ids = [outcome.id for outcome in recorded(*(an_event() for _ in range(4)))]
    first, second, third, fourth = sorted(ids)

    assert list(by_sql(a_meaning(counts_from=0))) == [first, second, third, fourth]
    assert list(by_sql(a_meaning(counts_from=second))) == [third, fourth]
    assert list(by_sql(a_meaning(counts_from=first, archived_from=third))) == [second, third]
    assert list(by_sql(a_meaning(event_name="other"))) == []


@pytest.mark.django_db
def test_a_void_is_no_usage() -> None:
    project = a_project("acme")
    a_metric("everything", aggregation="COUNT", event_name="tokens")
    [event] = recorded(an_event())
    UsageEvent.objects.create(
        project=project,
        billing_scope=project,
        source="meterbook:void",
        event_id=str(event.id),
        event_name="tokens",
        occurred_at=dt.datetime(2024, 5, 15, 12, tzinfo=dt.UTC),
        recorded_at=dt.datetime(2024, 5, 15, 12, tzinfo=dt.UTC),
        kind="void",
        voids=event.id,
        digest=b"",
    )

    assert list(by_sql(a_meaning(counts_from=0))) == [event.id]
