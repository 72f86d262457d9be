"""The running month beside the last: which spans are compared, and what is in them."""

from decimal import Decimal

import pytest

from metering.answering.month_usage import (
    Compared,
    month_days,
    month_payers,
    month_so_far,
    month_usage,
)
from metering.attributing.scope_tree import attribute
from metering.models import MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, recorded


def used(project: Project, quantity: int, *, on: str, name: str = "tokens") -> None:
    recorded(an_event(project, event_name=name, quantity=quantity, occurred_at=on))


@pytest.mark.parametrize(
    ("now", "start", "before", "same_end"),
    [
        # The running hour is in it.
        ("2026-11-23T05:16:40Z", "2026-11-01T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-23T06:00:00Z"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-01T01:00:00Z"),
        ("2026-11-22T23:59:59Z", "2026-11-01T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-23T00:00:00Z"),
        # February had no 31st, and no 29th outside leap years.
        ("2026-03-31T10:00:00Z", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-03-28T22:59:00Z", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-28T23:00:00Z"),
        ("2028-03-29T10:00:00Z", "2028-03-01T00:00:00Z", "2028-02-01T00:00:00Z", "2028-02-29T11:00:00Z"),
        # January against December, and months are UTC wherever one looks from.
        ("2027-01-15T10:00:00Z", "2027-01-01T00:00:00Z", "2026-12-01T00:00:00Z", "2026-12-15T11:00:00Z"),
        ("2026-04-01T00:30:00+02:00", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ],
)
def test_last_month_is_compared_for_as_long_as_this_one_has_run(
    now: str, start: str, before: str, same_end: str
) -> None:
    month = month_so_far(at(now))

    assert (month.start, month.before, month.same_end) == (at(start), at(before), at(same_end))


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens")


def test_value_is_told_for_the_month_the_same_span_and_the_last_month(acme, tokens):
    for quantity, instant in [
        (1, "2025-09-30T23:59:59Z"),
        (10, "2025-10-01T00:00:00Z"),
        (20, "2025-10-22T23:00:00Z"),
        (40, "2025-10-23T05:59:59Z"),
        (80, "2025-10-23T06:00:00Z"),
        (160, "2025-10-31T23:59:59Z"),
        (1000, "2025-11-01T00:00:00Z"),
        (2000, "2025-11-23T05:00:00Z"),
    ]:
        used(acme, quantity, on=instant)
    roll_up()

    found = month_usage(month_so_far(at("2025-11-23T05:16:00Z")), [tokens])

    assert found == {
        tokens.pk: Compared(now=Decimal(3000), same=Decimal(70), before=Decimal(310), record_count=2)
    }


def test_end_of_march_is_beside_the_whole_of_february(acme, tokens):
    for quantity, instant in [
        (5, "2025-02-28T23:59:59Z"),
        (7, "2025-03-01T00:00:00Z"),
        (9, "2025-03-31T09:00:00Z"),
    ]:
        used(acme, quantity, on=instant)
    roll_up()

    found = month_usage(month_so_far(at("2025-03-31T10:00:00Z")), [tokens])

    assert found[tokens.pk] == Compared(Decimal(16), Decimal(5), Decimal(5), 2)


def test_each_aggregation_merges_its_own_way(acme):
    metrics = [
        a_metric(f"of-{name.lower()}", event_name="tokens", aggregation=name, meter_type="gauge")
        for name in ("AVG", "MIN", "MAX", "COUNT")
    ]
    latest = a_metric("latest", event_name="tokens", aggregation="LATEST", meter_type="gauge")
    for quantity, instant in [
        (2, "2025-10-02T00:00:00Z"),
        (9, "2025-10-30T00:00:00Z"),
        (4, "2025-11-02T00:00:00Z"),
        (6, "2025-11-03T00:00:00Z"),
    ]:
        used(acme, quantity, on=instant)
    roll_up()

    found = month_usage(month_so_far(at("2025-11-23T05:16:00Z")), [*metrics, latest])

    assert [(one.now, one.same, one.before) for one in (found[metric.pk] for metric in metrics)] == [
        (Decimal(5), Decimal(2), Decimal("5.5")),
        (Decimal(4), Decimal(2), Decimal(2)),
        (Decimal(6), Decimal(2), Decimal(9)),
        (Decimal(2), Decimal(1), Decimal(2)),
    ]
    assert latest.pk not in found


def test_largest_payers_come_first_and_all_are_counted(tokens):
    tenant = a_project("tenant", kind="tenant")
    shop = a_project("shop", parent=tenant)
    attribute(shop, payer=tenant)
    small, gone = a_project("small"), a_project("gone")
    used(shop, 50, on="2025-11-02T00:00:00Z")
    used(tenant, 10, on="2025-11-02T00:00:00Z")
    used(small, 20, on="2025-11-02T00:00:00Z")
    used(small, 5, on="2025-10-30T00:00:00Z")
    used(gone, 900, on="2025-10-02T00:00:00Z")
    roll_up()

    found = month_payers(month_so_far(at("2025-11-23T05:16:00Z")), tokens, count=2)

    assert found.count == 3
    assert [
        (payer.key, payer.usage.now, payer.usage.same, payer.usage.before) for payer in found.largest
    ] == [
        ("tenant", Decimal(60), Decimal(0), Decimal(0)),
        ("small", Decimal(20), Decimal(0), Decimal(5)),
    ]


def test_days_are_those_of_both_months(acme, tokens):
    used(acme, 3, on="2025-10-31T23:00:00Z")
    used(acme, 4, on="2025-11-01T01:00:00Z")
    used(acme, 5, on="2025-11-01T02:00:00Z")
    used(acme, 6, on="2025-12-01T00:00:00Z")
    roll_up()

    found = month_days(month_so_far(at("2025-11-23T05:16:00Z")), tokens)

    assert {f"{day}": value for day, value in found.items()} == {
        "2025-10-31": Decimal(3),
        "2025-11-01": Decimal(9),
    }


def test_without_metrics_nothing_is_found(db):
    assert month_usage(month_so_far(at("2025-11-23T05:16:00Z")), []) == {}
