"""Quotas at the door of the ledger."""

from decimal import Decimal

import pytest
from django.db import connection

from metering.attributing.scope_tree import attribute, change_project
from metering.catalogue import current
from metering.defining.definitions import archive_metric
from metering.errors import EventsConflict, EventsRejected
from metering.models import PendingContribution, UsageEvent
from metering.rolling_up.rollups import roll_up
from quotas.admission import QuotaAdmission
from quotas.enforcement import change_quota, remove_quota
from quotas.errors import QuotaExceeded, QuotaUnavailable
from tests.factories import (
    a_metric,
    a_project,
    an_event,
    at,
    ledger_rows,
    outcomes,
    recorded,
    total_of,
)

from .factories import PRODUCER, a_quota, a_request, verdicts_on

pytestmark = pytest.mark.django_db

MAY = "2024-05-15T12:00:00Z"


def use(quantity: str | int = 1, **overrides) -> dict:
    return an_event("acme", quantity=quantity, **overrides)


# Limits


def test_exactly_the_limit_is_allowed():
    a_quota(a_project("acme"), a_metric(), limit="100")

    assert outcomes(recorded(use("99.999999999999"))) == ["created"]
    assert outcomes(recorded(use("0.000000000001"))) == ["created"]

    assert total_of("tokens") == Decimal(100)


@pytest.mark.parametrize("ticks", [False, True])
def test_one_above_the_limit_is_refused_and_nothing_is_written(ticks):
    a_quota(a_project("acme"), a_metric(), limit="100")
    recorded(use(99))
    if ticks:
        roll_up()
    pending = PendingContribution.objects.count()

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(2))

    assert refusal.value.code == "quota_exceeded"
    assert refusal.value.facts == {
        "metric": "tokens",
        "project": "acme",
        "limit": "100",
        "used": "99",
        "held": "0",
        "requested": "2",
        "remaining": "1",
        "mode": "hard",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }
    assert ledger_rows("quantity") == [(Decimal(99),)]
    assert PendingContribution.objects.count() == pending


def test_batch_whose_sum_overshoots_is_refused_whole():
    a_quota(a_project("acme"), a_metric(), limit="10")
    recorded(use(1))

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(4), use(4), use(4))

    assert refusal.value.facts["used"] == "1"
    assert refusal.value.facts["requested"] == "12"
    assert refusal.value.facts["remaining"] == "9"
    assert UsageEvent.objects.count() == 1


def test_skipping_admits_in_the_order_sent():
    a_quota(a_project("acme"), a_metric(), limit="10")

    results = recorded(use(6), use(5), use(4), use(1), on_error="skip")

    assert outcomes(results) == ["created", "rejected", "created", "rejected"]
    assert [result.code for result in results] == [None, "quota_exceeded", None, "quota_exceeded"]
    assert results[1].facts["limit"] == "10"
    assert ledger_rows("quantity") == [(Decimal(6),), (Decimal(4),)]


def test_limit_of_zero_refuses_all():
    a_quota(a_project("acme"), a_metric(), limit="0")

    for quantity in (1, 0):
        with pytest.raises(QuotaExceeded):
            recorded(use(quantity))

    assert not UsageEvent.objects.exists()


def test_without_a_quota_usage_is_unlimited():
    acme, tokens = a_project("acme"), a_metric()
    a_project("globex")
    quota = a_quota(acme, tokens, limit="0")

    assert outcomes(recorded(an_event("globex", quantity="1e20"))) == ["created"]
    remove_quota(quota)

    assert outcomes(recorded(use("1e20"))) == ["created"]


def test_gauge_above_its_limit_may_go_down_and_not_up():
    acme, seats = a_project("acme"), a_metric("seats", meter_type="gauge")
    quota = a_quota(acme, seats, limit="10", period="never")
    recorded(use(9, event_name="seats"))
    change_quota(quota, limit="5")

    with pytest.raises(QuotaExceeded):
        recorded(use(1, event_name="seats"))
    recorded(use(-2, event_name="seats"))

    assert total_of("seats") == 7


def test_count_ignores_quantities():
    a_quota(a_project("acme"), a_metric(aggregation="COUNT"), limit="2")

    recorded(use(1000), use(0))
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(0))

    assert refusal.value.facts["requested"] == "1"


def test_maximum_is_limited_reading_by_reading():
    a_quota(a_project("acme"), a_metric(aggregation="MAX"), limit="10")

    recorded(use(10), use(10), use(3))
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(5), use(11))

    assert (refusal.value.facts["used"], refusal.value.facts["requested"]) == ("10", "11")
    assert UsageEvent.objects.count() == 3


def test_late_reading_above_the_limit_is_not_the_latest_and_changes_nothing():
    a_quota(a_project("acme"), a_metric(aggregation="LATEST"), limit="10")
    recorded(use(4))

    recorded(use(11, occurred_at="2024-05-15T11:59:59.999999Z"))
    with pytest.raises(QuotaExceeded):
        recorded(use(11))  # of the same instant, and recorded later

    assert total_of("tokens") == 4


def test_average_is_monitored_only_and_never_refuses():
    a_quota(a_project("acme"), a_metric(aggregation="AVG"), limit="1", mode="monitor")

    (result,) = recorded(use(1000))

    assert (result.outcome, list(result.warnings)) == ("created", [])


# Several quotas


def test_all_quotas_of_an_event_must_admit_it():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="10", period="hour")
    a_quota(acme, tokens, limit="15", period="month")

    recorded(use(10, occurred_at="2024-05-15T12:00:00Z"))
    with pytest.raises(QuotaExceeded) as hourly:
        recorded(use(1, occurred_at="2024-05-15T12:59:59Z"))
    recorded(use(5, occurred_at="2024-05-15T13:00:00Z"))
    with pytest.raises(QuotaExceeded) as monthly:
        recorded(use(1, occurred_at="2024-05-15T14:00:00Z"))

    assert hourly.value.facts["resets_at"] == "2024-05-15T13:00:00Z"
    assert monthly.value.facts["resets_at"] == "2024-06-01T00:00:00Z"


def test_payers_quota_counts_what_it_uses_and_what_it_pays_for_each_once():
    acme, tokens = a_project("acme"), a_metric()
    paid = a_project("paid", parent=acme)
    a_project("pays-itself", parent=acme)
    attribute(paid, payer=acme)
    a_quota(acme, tokens, limit="10")

    recorded(use(4), an_event("paid", quantity=5), an_event("pays-itself", quantity=1000))
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(an_event("paid", quantity=2))
    recorded(an_event("paid", quantity=1))

    assert (refusal.value.facts["project"], refusal.value.facts["used"]) == ("acme", "9")
    with pytest.raises(QuotaExceeded):
        recorded(use(1))


def test_event_refused_by_the_payers_quota_does_not_count_against_the_projects():
    acme, tokens = a_project("acme"), a_metric()
    paid = a_project("paid", parent=acme)
    attribute(paid, payer=acme)
    a_quota(acme, tokens, limit="5")
    a_quota(paid, tokens, limit="6")

    results = recorded(
        an_event("paid", quantity=3),
        an_event("paid", quantity=3),
        an_event("paid", quantity=2),
        on_error="skip",
    )

    assert outcomes(results) == ["created", "rejected", "created"]
    assert results[1].facts["project"] == "acme"


def test_each_metric_of_an_event_has_its_own_quota():
    acme, tokens = a_project("acme"), a_metric()
    requests = a_metric("requests", event_name="tokens", aggregation="COUNT")
    a_quota(acme, tokens, limit="1000")
    a_quota(acme, requests, limit="1")

    recorded(use(600))
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(1))

    assert refusal.value.facts["metric"] == "requests"


# Periods


@pytest.mark.parametrize(
    ("period", "inside", "outside"),
    [
        # 31 March has 23 hours in Berlin: it ends at 22:00 UTC.
        ("day", ["2024-03-30T23:00:00Z", "2024-03-31T21:59:59.999999Z"], "2024-03-31T22:00:00Z"),
        ("month", ["2024-02-29T23:00:00Z", "2024-03-31T21:59:59.999999Z"], "2024-03-31T22:00:00Z"),
        # 27 October has 25.
        ("day", ["2024-10-26T22:00:00Z", "2024-10-27T22:59:59.999999Z"], "2024-10-27T23:00:00Z"),
        ("month", ["2024-01-31T23:00:00Z", "2024-02-29T22:59:59.999999Z"], "2024-02-29T23:00:00Z"),
        ("week", ["2024-03-24T23:00:00Z", "2024-03-31T21:59:59.999999Z"], "2024-03-31T22:00:00Z"),
        ("year", ["2023-12-31T23:00:00Z", "2024-12-31T22:59:59.999999Z"], "2024-12-31T23:00:00Z"),
        ("hour", ["2024-10-27T00:00:00Z", "2024-10-27T00:59:59.999999Z"], "2024-10-27T01:00:00Z"),
    ],
)
def test_period_follows_the_clocks_of_the_quotas_project(period, inside, outside):
    a_quota(a_project("acme", timezone="Europe/Berlin"), a_metric(), limit="2", period=period)

    recorded(*(use(1, occurred_at=instant) for instant in inside))
    for instant in inside:
        with pytest.raises(QuotaExceeded):
            recorded(use(1, occurred_at=instant))

    assert outcomes(recorded(use(2, occurred_at=outside))) == ["created"]


def test_events_of_one_batch_are_judged_each_in_its_own_period():
    a_quota(a_project("acme"), a_metric(), limit="1", period="day")

    results = recorded(
        *(use(1, occurred_at=f"2024-05-{day:02}T12:00:00Z") for day in (1, 2, 1, 3, 2)), on_error="skip"
    )

    assert outcomes(results) == ["created", "created", "rejected", "created", "rejected"]


def test_payers_period_is_cut_in_the_payers_time_zone():
    acme, tokens = a_project("acme", timezone="Asia/Kolkata"), a_metric()
    paid = a_project("paid", parent=acme, timezone="UTC")
    attribute(paid, payer=acme)
    a_quota(acme, tokens, limit="1", period="day")

    recorded(an_event("paid", quantity=1, occurred_at="2024-05-15T18:29:59Z"))

    assert outcomes(recorded(an_event("paid", quantity=1, occurred_at="2024-05-15T18:30:00Z"))) == ["created"]


def test_change_of_time_zone_moves_the_period_at_once():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="1", period="day")
    recorded(use(1, occurred_at="2024-05-15T12:00:00Z"))

    assert outcomes(recorded(use(1, occurred_at="2024-05-14T23:00:00Z"))) == ["created"]
    change_project(acme, timezone="Europe/Berlin")

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(1, occurred_at="2024-05-15T20:00:00Z"))
    assert refusal.value.facts["period_start"] == "2024-05-14T22:00:00Z"
    assert refusal.value.facts["used"] == "2"


def test_past_period_is_taken_until_its_grace_is_over():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="10")
    late = a_request(acme, tokens, "1", index=3, at=at("2024-05-31T23:59:59Z"))

    in_time = verdicts_on(late, now=at("2024-06-01T23:59:59Z"))
    too_late = verdicts_on(late, now=at("2024-06-02T00:00:00Z"))

    assert (in_time.rejected, in_time.refused) == ({}, {})
    assert too_late.refused == {}
    (error,) = too_late.rejected.values()
    assert (error.index, error.code, error.field) == (3, "quota_period_closed", "occurred_at")


def test_closed_period_rejects_before_the_limit_is_asked():
    a_quota(a_project("acme"), a_metric(), limit="0")

    with pytest.raises(EventsRejected) as refusal:
        recorded(use(1), principal=PRODUCER)

    assert [error.code for error in refusal.value.errors] == ["quota_period_closed"]
    assert not UsageEvent.objects.exists()


def test_backfill_is_taken_in_a_closed_period_within_its_limit():
    a_quota(a_project("acme"), a_metric(), limit="10")

    assert outcomes(recorded(use(10))) == ["created"]
    with pytest.raises(QuotaExceeded):
        recorded(use(1))


@pytest.mark.parametrize(
    "quota", [{"mode": "soft"}, {"mode": "monitor"}, {"mode": "hard", "period": "never"}]
)
def test_only_hard_quotas_with_a_period_close(quota):
    a_quota(a_project("acme"), a_metric(), **quota)

    assert outcomes(recorded(use(1), principal=PRODUCER)) == ["created"]


def test_event_of_a_closed_period_does_not_count_for_those_after_it():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="1", period="never")
    a_quota(acme, tokens, limit="1", period="day")

    verdicts = verdicts_on(
        a_request(acme, tokens, index=0, at=at("2024-05-01T12:00:00Z")),
        a_request(acme, tokens, index=1, at=at("2024-05-15T12:00:00Z")),
        a_request(acme, tokens, index=2, at=at("2024-05-15T12:00:00Z")),
        now=at("2024-05-15T13:00:00Z"),
    )

    assert list(verdicts.rejected) == [0]
    assert list(verdicts.refused) == [2]


# Modes


def test_soft_quota_records_with_a_warning():
    a_quota(a_project("acme"), a_metric(), limit="10", mode="soft")

    within, beyond = recorded(use(10), use(1))

    assert (within.outcome, list(within.warnings)) == ("created", [])
    assert beyond.outcome == "created"
    assert list(beyond.warnings) == [
        {
            "code": "quota_exceeded",
            "metric": "tokens",
            "project": "acme",
            "limit": "10",
            "used": "0",
            "held": "0",
            "requested": "11",
            "remaining": "10",
            "mode": "soft",
            "period_start": "2024-05-01T00:00:00Z",
            "resets_at": "2024-06-01T00:00:00Z",
        }
    ]
    assert total_of("tokens") == 11


def test_refused_event_carries_no_warning_and_warns_nobody_after_it():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="5", mode="soft", period="day")
    a_quota(acme, tokens, limit="10", period="month")

    results = recorded(use(11), use(5), on_error="skip")

    assert outcomes(results) == ["rejected", "created"]
    assert [list(result.warnings) for result in results] == [[], []]


def test_monitor_is_silent():
    a_quota(a_project("acme"), a_metric(), limit="1", mode="monitor")

    (result,) = recorded(use(1000))

    assert (result.outcome, list(result.warnings)) == ("created", [])


# Idempotency, imports


def test_replay_of_an_accepted_event_exists_even_when_the_quota_is_full():
    a_quota(a_project("acme"), a_metric(), limit="10")
    event = use(10)
    recorded(event)

    assert outcomes(recorded(event)) == ["exists"]
    with pytest.raises(QuotaExceeded):
        recorded(event, use(1))
    assert outcomes(recorded(event, use(1), on_error="skip")) == ["exists", "rejected"]
    with pytest.raises(EventsConflict):
        recorded({**event, "quantity": 11})


def test_repeat_within_a_batch_counts_once():
    a_quota(a_project("acme"), a_metric(), limit="10")
    event = use(10)

    assert outcomes(recorded(event, event)) == ["created", "exists"]


def test_what_has_happened_already_is_recorded_without_asking_and_counts():
    a_quota(a_project("acme"), a_metric(), limit="10")

    assert outcomes(recorded(use(50), enforce=False)) == ["created"]

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(1))
    assert (refusal.value.facts["used"], refusal.value.facts["remaining"]) == ("50", "0")


def test_usage_recorded_before_the_quota_counts():
    acme, tokens = a_project("acme"), a_metric()
    recorded(use(10))

    a_quota(acme, tokens, limit="10")

    with pytest.raises(QuotaExceeded):
        recorded(use(1))


def test_archived_metrics_quota_asks_nobody():
    acme, tokens = a_project("acme"), a_metric()
    a_metric("requests", event_name="tokens", aggregation="COUNT")
    a_quota(acme, tokens, limit="0")
    archive_metric(tokens)

    assert outcomes(recorded(use(1))) == ["created"]


# Freshness and cost


def test_change_of_a_quota_is_obeyed_at_once():
    quota = a_quota(a_project("acme"), a_metric(), limit="1")
    recorded(use(1))

    with pytest.raises(QuotaExceeded):
        recorded(use(1))
    change_quota(quota, limit="2")
    recorded(use(1))
    with pytest.raises(QuotaExceeded):
        recorded(use(1))
    change_quota(quota, mode="monitor")
    recorded(use(1))
    change_quota(quota, mode="hard")
    with pytest.raises(QuotaExceeded):
        recorded(use(1))
    remove_quota(quota)
    recorded(use(1))

    assert total_of("tokens") == 4


def test_policy_asks_for_quotas_once_per_version(django_assert_num_queries):
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens)
    policy, catalogue = QuotaAdmission(), current()
    request = a_request(acme, tokens, at=at(MAY))

    with django_assert_num_queries(2):  # the quotas, and who has thresholds that block
        assert policy.concerns([request], catalogue=catalogue)
    with django_assert_num_queries(0):
        assert policy.concerns([request], catalogue=catalogue)
        assert not policy.concerns([], catalogue=catalogue)
    remove_quota(acme.quotas.get())
    moved = current()
    with django_assert_num_queries(2):
        assert not policy.concerns([request], catalogue=moved)


def test_monitored_metrics_concern_nobody():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, mode="monitor")

    assert not QuotaAdmission().concerns([a_request(acme, tokens, at=at(MAY))], catalogue=current())


def test_all_periods_of_a_project_and_metric_are_read_at_once(django_assert_num_queries):
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, period="hour")
    a_quota(acme, tokens, period="month")
    catalogue, policy = current(), QuotaAdmission()
    requests = [
        a_request(acme, tokens, index=hour, at=at(f"2024-05-15T{hour:02}:00:00Z")) for hour in range(24)
    ]
    policy.concerns(requests, catalogue=catalogue)

    with django_assert_num_queries(2):  # what is held, what is used
        policy.judge(requests, catalogue=catalogue, now=at(MAY), may_backfill=True)


# Failure


@pytest.mark.parametrize("table", ["metering_usagemeterrollup", "quotas_projectquota"])
def test_quota_that_cannot_be_evaluated_admits_nothing(table):
    a_quota(a_project("acme"), a_metric(), limit="1000000")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} RENAME TO out_of_reach")

    with pytest.raises(QuotaUnavailable) as refusal:
        recorded(use(1))

    assert refusal.value.code == "quota-unavailable"
    assert not UsageEvent.objects.exists()
    assert not PendingContribution.objects.exists()
