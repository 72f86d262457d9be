"""Noticing what usage crosses: in ticks, when a threshold is set, when its quota changes, and in sweeps."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.announcing.kinds import THRESHOLD_APPROACHING, THRESHOLD_EXCEEDED
from metering.attributing.scope_tree import attribute
from metering.clock import database_now
from metering.models import MetricDefinition, OwedObservation, Project
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import change_quota, remove_quota
from quotas.evaluation import evaluate_thresholds
from quotas.models import Alert, ThresholdCrossing
from quotas.thresholds import change_threshold, remove_threshold
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded

from .factories import a_quota, a_threshold, alerts, announced, crossings

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens")


def used(*quantities: str | int, ticks: bool = True, **overrides) -> list[int]:
    """Record usage and roll it up; returns the ledger ids."""
    members = {"subject_type": "customer", "subject_id": "kim", **overrides}
    results = recorded(*(an_event("acme", quantity=str(one), **members) for one in quantities))
    if ticks:
        roll_up()
    return [result.id for result in results if result.id is not None]


# Just below, at and above


@pytest.mark.parametrize(
    ("quantity", "kinds"),
    [
        ("79.999999999999", []),
        ("80", ["approaching"]),
        ("80.000000000001", ["approaching"]),
        ("99.999999999999", ["approaching"]),
        ("100", ["approaching", "exceeded"]),
        ("100.000000000001", ["approaching", "exceeded"]),
        ("150", ["approaching", "exceeded"]),
    ],
)
def test_level_is_near_from_its_fraction_on_and_reached_at_the_level(acme, tokens, quantity, kinds):
    a_threshold(acme, tokens, amount="100")

    used(quantity)

    assert crossings() == [(kind, "kim", Decimal(quantity)) for kind in kinds]


def test_jump_over_both_levels_records_both_and_alerts_to_the_higher_one(acme, tokens):
    a_threshold(acme, tokens)
    used(10)

    used(140)

    assert crossings() == [("approaching", "kim", Decimal(150)), ("exceeded", "kim", Decimal(150))]
    assert alerts() == [("exceeded", "kim")]
    assert [event.kind for event in announced()] == [THRESHOLD_EXCEEDED]


def test_going_up_slowly_alerts_twice_and_no_more(acme, tokens):
    a_threshold(acme, tokens)

    used(50)
    for _ in range(9):
        used(10)

    assert alerts() == [("approaching", "kim"), ("exceeded", "kim")]
    assert [event.kind for event in announced()] == [
        THRESHOLD_APPROACHING,
        THRESHOLD_EXCEEDED,
    ]


def test_threshold_of_zero_is_reached_by_any_usage_and_by_nothing_else(acme, tokens):
    a_threshold(acme, tokens, amount="0")
    assert crossings() == []

    used(0)

    assert alerts() == [("exceeded", "kim")]


def test_falling_below_and_rising_again_in_the_same_period_alerts_nobody_again(acme, tokens):
    a_threshold(acme, tokens)
    [event_id] = used(120)
    a_void_of(event_id)
    roll_up()

    used(120)

    assert alerts() == [("exceeded", "kim")]


def test_void_before_the_tick_leaves_nothing_to_alert(acme, tokens):
    a_threshold(acme, tokens)
    [event_id] = used(120, ticks=False)
    a_void_of(event_id)

    roll_up()

    assert crossings() == []


def test_without_an_approach_fraction_only_reaching_counts(acme, tokens):
    a_threshold(acme, tokens, approach_fraction=None)

    used(99)
    assert crossings() == []
    used(1)

    assert alerts() == [("exceeded", "kim")]


def test_several_steps_are_alerted_one_by_one(acme, tokens):
    for amount in ("50", "80", "100"):
        a_threshold(acme, tokens, amount=amount, approach_fraction=None)

    for expected in (0, 1, 1, 2, 3):
        used(25 if expected != 2 else 20)

        assert Alert.objects.count() == expected, ThresholdCrossing.objects.values_list("level", "value")


def test_action_none_records_the_crossing_and_tells_nobody(acme, tokens):
    a_threshold(acme, tokens, action="none")

    used(100)

    assert [kind for kind, _, _ in crossings()] == ["approaching", "exceeded"]
    assert alerts() == []
    assert announced() == []


def test_disabled_and_removed_thresholds_watch_nothing(acme, tokens):
    a_threshold(acme, tokens, is_enabled=False)
    remove_threshold(a_threshold(acme, tokens, amount="90"))

    used(100)

    assert crossings() == []


# Whose usage


def test_each_subject_has_the_whole_amount(acme, tokens):
    a_threshold(acme, tokens)

    used(90, subject_id="ada", ticks=False)
    used(120, subject_id="kim", ticks=False)
    used(70, subject_id="liv")

    assert alerts() == [("approaching", "ada"), ("exceeded", "kim")]


def test_subjects_of_the_same_id_and_different_type_are_two(acme, tokens):
    a_threshold(acme, tokens)

    used(60, subject_type="customer", ticks=False)
    used(60, subject_type="user")

    assert crossings() == []


def test_usage_without_a_subject_is_a_subject_of_its_own(acme, tokens):
    a_threshold(acme, tokens)

    used(100, subject_type=None, subject_id=None)

    assert alerts() == [("exceeded", "")]


def test_star_watches_the_total(acme, tokens):
    a_threshold(acme, tokens, subject_id="*")

    used(60, subject_id="ada", ticks=False)
    used(60, subject_id="kim")

    assert alerts() == [("exceeded", "*")]
    assert crossings()[-1][2] == Decimal(120)


def test_star_of_a_type_watches_the_total_of_that_type(acme, tokens):
    a_threshold(acme, tokens, subject_type="customer", subject_id="*")

    used(60, subject_id="ada", ticks=False)
    used(500, subject_id="ada", subject_type="robot")
    assert crossings() == []
    used(60, subject_id="kim")

    assert crossings()[-1] == ("exceeded", "*", Decimal(120))


@pytest.mark.parametrize("subject_type", ["customer", ""])
def test_one_subject_is_watched_alone(acme, tokens, subject_type):
    a_threshold(acme, tokens, subject_type=subject_type, subject_id="kim")

    used(500, subject_id="ada")
    assert crossings() == []
    used(100, subject_id="kim")

    assert alerts() == [("exceeded", "kim")]


def test_usage_that_a_project_pays_for_counts_for_it_once(acme, tokens):
    child = a_project("chat", parent=acme)
    attribute(child, payer=acme)
    a_threshold(acme, tokens, subject_id="*")

    recorded(an_event(child, quantity=40), an_event(acme, quantity=50))
    roll_up()
    assert crossings() == [("approaching", "*", Decimal(90))]
    recorded(an_event(child, quantity=10))
    roll_up()

    assert crossings()[-1] == ("exceeded", "*", Decimal(100))


def test_usage_of_strangers_and_of_other_metrics_crosses_nothing(acme, tokens):
    a_threshold(acme, tokens, subject_id="*")
    a_metric("calls", event_name="calls")

    recorded(an_event(a_project("globex"), quantity=500), an_event(acme, event_name="calls", quantity=500))
    roll_up()

    assert crossings() == []


# Periods


def test_late_usage_crosses_in_the_old_period(acme, tokens):
    a_threshold(acme, tokens)
    used(100, occurred_at="2024-06-15T12:00:00Z")

    used(100, occurred_at="2024-05-15T12:00:00Z")

    starts = ThresholdCrossing.objects.filter(kind="exceeded").order_by("id")
    assert [start.isoformat() for start in starts.values_list("period_start", flat=True)] == [
        "2024-06-01T00:00:00+00:00",
        "2024-05-01T00:00:00+00:00",
    ]


def test_one_batch_into_three_periods_crosses_in_each(acme, tokens):
    a_threshold(acme, tokens, period="day")

    for day in (1, 2, 3):
        used(100, occurred_at=f"2024-05-0{day}T23:59:59.999999Z", ticks=False)
    roll_up()

    assert alerts() == [("exceeded", "kim")] * 3


def test_usage_of_all_time_crosses_once(acme, tokens):
    a_threshold(acme, tokens, period="never")

    used(60, occurred_at="2020-05-15T12:00:00Z")
    used(60, occurred_at="2024-05-15T12:00:00Z")
    used(60, occurred_at="2022-05-15T12:00:00Z")

    assert crossings() == [("approaching", "kim", Decimal(120)), ("exceeded", "kim", Decimal(120))]
    assert ThresholdCrossing.objects.filter(period_start=None, period_end=None).count() == 2


@pytest.mark.parametrize(
    ("zone", "day_start", "hours"),
    [
        ("Europe/Zurich", "2024-03-30T23:00:00Z", 23),  # the clocks go forward
        ("Europe/Zurich", "2024-10-26T22:00:00Z", 25),  # and back
        ("Asia/Kolkata", "2024-05-14T18:30:00Z", 24),
        ("Pacific/Auckland", "2024-05-14T12:00:00Z", 24),
    ],
)
def test_periods_follow_the_clocks_of_the_project(zone, day_start, hours):
    acme = a_project("acme", timezone=zone)
    a_threshold(acme, a_metric("tokens"), period="day", subject_id="*")
    start = at(day_start)
    end = start + dt.timedelta(hours=hours)
    moment = dt.timedelta(microseconds=1)

    used(60, occurred_at=(start - moment).isoformat())
    used(60, occurred_at=start.isoformat())
    used(60, occurred_at=end.isoformat())
    assert crossings() == []
    used(60, occurred_at=(end - moment).isoformat())

    crossing = ThresholdCrossing.objects.get(kind="exceeded")
    assert (crossing.period_start, crossing.period_end, crossing.value) == (start, end, Decimal(120))


# Kinds of metrics


@pytest.mark.parametrize(
    ("aggregation", "quantities", "value"),
    [
        ("COUNT", [1, 1, 1], 3),
        ("SUM", [1, 1, 1], 3),
        ("AVG", [1, 5], 3),
        ("MAX", [3, 1], 3),
        ("MIN", [3, 7], 3),
        ("LATEST", [9, 3], 3),
    ],
)
def test_every_aggregation_is_watched(acme, aggregation, quantities, value):
    metric = a_metric("tokens", aggregation=aggregation, meter_type="gauge")
    a_threshold(acme, metric, amount=value, approach_fraction=None)
    a_threshold(acme, metric, amount=10 * value, approach_fraction=None)

    used(*quantities)

    assert crossings() == [("exceeded", "kim", Decimal(value))]


def test_distinct_values_are_watched(acme):
    a_metric("tokens", aggregation="UNIQUE_COUNT", value_property="user", data_type="STRING")
    a_threshold(acme, MetricDefinition.objects.get(), amount=2, approach_fraction=None)

    for user in ("ada", "ada"):
        used(1, labels={"user": user})
    assert crossings() == []
    used(1, labels={"user": "kim"})

    assert crossings() == [("exceeded", "kim", Decimal(2))]


def test_readings_of_a_running_counter_are_watched(acme):
    a_metric("tokens", is_incremental=False)
    a_threshold(acme, MetricDefinition.objects.get())

    used(1000, occurred_at="2024-05-15T12:00:00Z")
    assert crossings() == []
    used(1100, occurred_at="2024-05-15T13:30:00Z")

    assert crossings()[-1] == ("exceeded", "kim", Decimal(100))


def test_level_over_time_is_watched_without_events(acme):
    metric = a_metric("tokens", aggregation="TIME_WEIGHTED_AVG", meter_type="gauge")
    now = database_now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    used(100, occurred_at=(day - dt.timedelta(days=40)).isoformat())
    threshold = a_threshold(acme, metric, amount="100", period="day", is_enabled=False)
    threshold.is_enabled = True
    threshold.save()

    assert evaluate_thresholds() == 2

    assert crossings()[-1] == ("exceeded", "kim", Decimal(100))
    assert evaluate_thresholds() == 0


# When a threshold is set or changed


def now_used(quantity: str | int, **overrides) -> list[int]:
    return used(quantity, occurred_at=database_now().isoformat(), **overrides)


def test_what_is_crossed_already_is_alerted_when_the_threshold_is_set(acme, tokens):
    now_used(120, ticks=False)

    a_threshold(acme, tokens)

    assert alerts() == [("exceeded", "kim")]


def test_past_periods_are_not_alerted_when_the_threshold_is_set(acme, tokens):
    used(500)

    a_threshold(acme, tokens)
    evaluate_thresholds()

    assert crossings() == []


def test_another_level_is_another_version_that_alerts_anew(acme, tokens):
    threshold = a_threshold(acme, tokens)
    now_used(120)

    change_threshold(threshold, amount="110")

    assert threshold.version == 2
    rows = ThresholdCrossing.objects.filter(kind="exceeded").order_by("id")
    assert list(rows.values_list("version", "level")) == [(1, Decimal(100)), (2, Decimal(110))]
    assert Alert.objects.count() == 2


def test_change_of_anything_but_the_level_alerts_nobody_again(acme, tokens):
    threshold = a_threshold(acme, tokens)
    now_used(120)

    change_threshold(threshold, amount="100.0", action="block", notify_emails=["ops@example.com"])
    change_threshold(threshold, is_enabled=False)
    change_threshold(threshold, is_enabled=True)

    assert threshold.version == 1
    assert Alert.objects.count() == 1


# Shares of a quota


def test_share_of_a_quota_follows_its_limit(acme, tokens):
    quota = a_quota(acme, tokens, limit="1000", mode="monitor")
    threshold = a_threshold(acme, tokens, quota_fraction="0.5", subject_id="*")
    now_used(450)
    assert crossings() == [("approaching", "*", Decimal(450))]

    change_quota(quota, limit="900")

    threshold.refresh_from_db()
    assert (threshold.level, threshold.version) == (Decimal(450), 2)
    assert crossings()[-1] == ("exceeded", "*", Decimal(450))
    assert alerts() == [("approaching", "*"), ("exceeded", "*")]


def test_share_of_a_quota_that_is_gone_is_never_reached_until_there_is_one_again(acme, tokens):
    quota = a_quota(acme, tokens, limit="100", mode="monitor")
    threshold = a_threshold(acme, tokens, quota_fraction="1", subject_id="*")

    remove_quota(quota)
    now_used(500)
    threshold.refresh_from_db()
    assert (threshold.level, crossings()) == (None, [])
    a_quota(acme, tokens, limit="500", mode="monitor")

    threshold.refresh_from_db()
    assert threshold.level == Decimal(500)
    assert alerts() == [("exceeded", "*")]


# Ticks and sweeps


def test_sweep_finds_what_a_tick_left_out(acme, tokens, settings):
    settings.METERING_TICK_OBSERVERS = []
    a_threshold(acme, tokens)
    now_used(120)
    assert crossings() == []

    assert evaluate_thresholds() == 2
    assert evaluate_thresholds() == 0

    assert alerts() == [("exceeded", "kim")]


def test_evaluation_that_fails_is_made_up_for(acme, tokens, monkeypatch):
    a_threshold(acme, tokens)

    def fails(*_args: object, **_options: object) -> None:
        raise RuntimeError("the evaluation is broken")

    with monkeypatch.context() as patch:
        patch.setattr("quotas.evaluation.record_crossings", fails)
        used(120)
    assert (crossings(), OwedObservation.objects.count()) == ([], 1)

    roll_up()

    assert alerts() == [("exceeded", "kim")]
    assert not OwedObservation.objects.exists()


def test_tick_asks_the_same_number_of_questions_for_a_thousand_subjects_and_projects(acme, tokens):
    thousand = [f"customer-{number}" for number in range(1000)]
    a_threshold(acme, tokens)
    for name in thousand[:300]:
        a_threshold(acme, tokens, subject_id=name, amount="90")
    others = [a_project(f"other-{number}") for number in range(50)]
    for other in others:
        a_threshold(other, tokens)

    def tick_after(*events) -> int:
        recorded(*events)
        with CaptureQueriesContext(connection) as queries:
            roll_up()
        return len(queries)

    tick_after(an_event(acme, quantity=1), an_event(others[0], quantity=1))
    few = tick_after(an_event(acme, quantity=1, subject_id="customer-1"), an_event(others[0], quantity=1))
    many = tick_after(
        *(an_event(acme, quantity=1, subject_id=name) for name in thousand),
        *(an_event(other, quantity=1) for other in others),
    )

    assert crossings() == []
    assert many == few


def test_thousand_subjects_each_cross_on_their_own(acme, tokens):
    a_threshold(acme, tokens)

    recorded(
        *(an_event(acme, quantity=number, subject_id=f"customer-{number:04}") for number in range(0, 200, 2))
    )
    roll_up()

    near = [subject for kind, subject in alerts() if kind == "approaching"]
    reached = [subject for kind, subject in alerts() if kind == "exceeded"]
    assert (near[0], near[-1], len(near)) == ("customer-0080", "customer-0098", 10)
    assert (reached[0], reached[-1], len(reached)) == ("customer-0100", "customer-0198", 50)
    assert all(earlier <= later for earlier, later in pairwise(reached))


def test_level_of_38_digits_is_reached_exactly(acme, tokens):
    level = "12345678901234567890123456.129456789012"
    a_threshold(acme, tokens, amount=level, approach_fraction="1", subject_id="*")

    recorded(an_event("acme", quantity=level))
    roll_up()

    assert [kind for kind, _, _ in crossings()] == ["approaching", "exceeded"]
