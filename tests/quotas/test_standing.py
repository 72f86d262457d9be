from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from metering.measuring.aggregations import AGGREGATIONS, Aggregate
from quotas.book import Quota
from quotas.periods import Period
from quotas.standing import Standing, exceeds
from quotas.tallies import Asked, FoldedTally
from tests.factories import at

MAY = Period(at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"))
NOON = at("2024-05-15T12:00:00Z")


def a_standing(
    aggregation: str = "SUM", *, limit: str = "100", period: Period = MAY, held: str = "0", **recorded
) -> Standing:
    quota = Quota(1, 7, "acme", ZoneInfo("UTC"), 9, Decimal(limit), "hard", "month")
    tally = FoldedTally(AGGREGATIONS[aggregation], Aggregate(**recorded))
    return Standing(quota, period, limit=quota.limit, metric_key="tokens", tally=tally, held=Decimal(held))


def asking(reading: str | int, instant=NOON, *, order: int = 0) -> Asked:
    return Asked(Decimal(reading), instant, order)


@pytest.mark.parametrize(
    ("limit", "used", "then", "expected"),
    [
        ("100", "90", "100", False),
        ("100", "90", "100.000000000001", True),
        ("100", "150", "140", False),
        ("100", "150", "150", False),
        ("100", "150", "150.5", True),
        ("0", "0", "1", True),
        ("0", "0", "0", True),
        ("0", "0", "-1", True),
        ("0", "5", "5", True),
        ("0", "5", "4", False),
        ("0", "-5", "-6", True),
    ],
)
def test_what_exceeds_a_limit(limit, used, then, expected):
    assert exceeds(Decimal(limit), used=Decimal(used), then=Decimal(then)) is expected


@pytest.mark.parametrize(
    ("aggregation", "recorded", "admitted", "refused"),
    [
        ("COUNT", {"record_count": 99}, "1000", "0"),
        ("SUM", {"record_count": 1, "value_sum": Decimal("99.5")}, "0.5", "0.000000000001"),
        ("MAX", {"record_count": 1, "value_max": Decimal(3)}, "100", "100.1"),
        ("LATEST", {"record_count": 1, "last_value": Decimal(3)}, "100", "100.1"),
    ],
)
def test_each_aggregation_is_limited_by_its_own_value(aggregation, recorded, admitted, refused):
    standing = a_standing(aggregation, **recorded)

    assert not standing.is_exceeded_by(asking(admitted))
    standing.admit(asking(admitted))

    assert standing.is_exceeded_by(asking(refused, order=1))


def test_maximum_above_the_limit_is_not_raised_by_a_smaller_reading():
    standing = a_standing("MAX", limit="10", record_count=1, value_max=Decimal(20))

    assert not standing.is_exceeded_by(asking(15))
    assert standing.is_exceeded_by(asking(21))


def test_latest_goes_on_from_the_reading_with_the_greatest_instant():
    standing = a_standing("LATEST", limit="10", record_count=1, last_value=Decimal(50), last_at=NOON)
    before, after = at("2024-05-15T11:00:00Z"), at("2024-05-15T13:00:00Z")

    standing.admit(asking(99, before, order=1))
    assert not standing.is_exceeded_by(asking(50, order=2))
    assert standing.is_exceeded_by(asking(51, order=2))
    standing.admit(asking(8, after, order=2))

    assert not standing.is_exceeded_by(asking(41, order=3))
    assert not standing.is_exceeded_by(asking(10, after, order=3))
    assert standing.is_exceeded_by(asking(11, after, order=3))


def test_open_holds_count_as_used():
    standing = a_standing(held="30", record_count=1, value_sum=Decimal(60))

    assert not standing.is_exceeded_by(asking(10))
    assert standing.is_exceeded_by(asking("10.000000000001"))
    assert standing.facts(asking(11))["held"] == "30"
    assert standing.facts(asking(11))["remaining"] == "10"


def test_facts_of_a_sum_tell_what_was_recorded_and_what_the_request_asks_in_all():
    standing = a_standing(record_count=3, value_sum=Decimal("90.500000000000"))
    standing.admit(asking(5))

    assert standing.facts(asking("1E+1", order=1)) == {
        "metric": "tokens",
        "project": "acme",
        "limit": "100",
        "used": "90.5",
        "held": "0",
        "requested": "15",
        "remaining": "9.5",
        "mode": "hard",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }


def test_facts_without_usage_and_without_period():
    facts = a_standing("MAX", limit="0", period=Period(None, None)).facts(asking(7))

    assert (facts["used"], facts["requested"], facts["remaining"]) == ("0", "7", "0")
    assert (facts["period_start"], facts["resets_at"]) == (None, None)


def test_nothing_remains_of_a_limit_that_was_lowered_below_what_is_used():
    assert a_standing(limit="10", value_sum=Decimal(40)).facts(asking(1))["remaining"] == "0"
