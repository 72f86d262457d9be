"""Thresholds that block: which events are refused, from when on, until when."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from metering.attributing.scope_tree import attribute
from metering.models import MetricDefinition, PendingContribution, Project
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import change_quota
from quotas.errors import QuotaUnavailable, ThresholdBlocked
from quotas.thresholds import change_threshold, remove_threshold
from tests.factories import (
    a_metric,
    a_project,
    a_void_of,
    an_event,
    ledger_rows,
    outcomes,
    recorded,
    total_of,
)

from .factories import a_quota, a_threshold
from .test_api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens")


def use(quantity: int = 1, **overrides) -> dict:
    return an_event(
        "acme", quantity=quantity, **{"subject_type": "customer", "subject_id": "kim", **overrides}
    )


def reached(*events: dict) -> None:
    recorded(*(events or [use(100)]))
    roll_up()


def is_blocked(event: dict) -> bool:
    before = len(ledger_rows("id"))
    try:
        recorded(event)
    except ThresholdBlocked:
        assert len(ledger_rows("id")) == before
        return True
    return False


def test_next_event_of_the_subject_is_refused_with_all_facts_and_nothing_is_written(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached(use(60), use(60))
    pending = PendingContribution.objects.count()

    with pytest.raises(ThresholdBlocked) as refusal:
        recorded(use(1))

    assert refusal.value.code == "threshold_blocked"
    assert refusal.value.facts == {
        "metric": "tokens",
        "project": "acme",
        "threshold": "100",
        "threshold_id": threshold.pk,
        "used": "120",
        "subject_type": "customer",
        "subject_id": "kim",
        "period_start": "2024-05-01T00:00:00Z",
        "resets_at": "2024-06-01T00:00:00Z",
    }
    assert total_of("tokens") == Decimal(120)
    assert PendingContribution.objects.count() == pending


def test_answer_of_the_api_is_429_without_retry_after(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()

    answer = Caller(acme, "ingest")("POST", "/usage-events/", use(1))

    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert not answer.has_header("Retry-After")
    assert answer.json()["type"].endswith("/threshold-blocked")
    assert answer.json()["used"] == "100"
    assert answer.json()["errors"][0]["code"] == "threshold_blocked"


def test_skipped_item_has_the_code_and_the_others_are_recorded(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()

    results = recorded(use(1), use(1, subject_id="ada"), use(2), on_error="skip")

    assert outcomes(results) == ["rejected", "created", "rejected"]
    assert results[0].code == "threshold_blocked"
    assert results[0].facts is not None
    assert results[0].facts["threshold"] == "100"


def test_whole_batch_is_refused_by_one_blocked_event(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()

    with pytest.raises(ThresholdBlocked) as refusal:
        recorded(use(1, subject_id="ada"), use(1))

    assert refusal.value.index == 1
    assert total_of("tokens") == Decimal(100)


def test_other_subjects_periods_and_metrics_pass(acme, tokens):
    a_threshold(acme, tokens, action="block")
    a_metric("calls", event_name="calls")
    reached()

    assert is_blocked(use())
    assert not is_blocked(use(subject_id="ada"))
    assert not is_blocked(use(subject_type="user"))
    assert not is_blocked(use(subject_type=None, subject_id=None))
    assert not is_blocked(use(occurred_at="2024-06-01T00:00:00Z"))
    assert not is_blocked(use(occurred_at="2024-04-30T23:59:59.999999Z"))
    assert not is_blocked(use(event_name="calls"))


def test_star_blocks_everybody(acme, tokens):
    a_threshold(acme, tokens, action="block", subject_id="*")
    reached(use(60), use(60, subject_id="ada"))

    assert is_blocked(use())
    assert is_blocked(use(subject_id="liv"))
    assert is_blocked(use(subject_type=None, subject_id=None))


def test_star_of_a_type_blocks_that_type(acme, tokens):
    a_threshold(acme, tokens, action="block", subject_type="customer", subject_id="*")
    reached()

    assert is_blocked(use(subject_id="liv"))
    assert not is_blocked(use(subject_type="user", subject_id="liv"))


@pytest.mark.parametrize(("subject_type", "blocks_users"), [("customer", False), ("", True)])
def test_one_subject_is_blocked_alone(acme, tokens, subject_type, blocks_users):
    a_threshold(acme, tokens, action="block", subject_type=subject_type, subject_id="kim")
    reached(use(100), use(500, subject_id="ada"))

    assert is_blocked(use())
    assert is_blocked(use(subject_type="user")) is blocks_users
    assert not is_blocked(use(subject_id="ada"))


def test_payers_threshold_blocks_those_it_pays_for(acme, tokens):
    child = a_project("chat", parent=acme)
    attribute(child, payer=acme)
    a_threshold(acme, tokens, action="block", subject_id="*")
    reached(use(60), an_event(child, quantity=40))

    with pytest.raises(ThresholdBlocked) as refusal:
        recorded(an_event(child, quantity=1))

    assert refusal.value.facts["project"] == "acme"


def test_nothing_is_blocked_before_a_tick_has_noticed(acme, tokens):
    a_threshold(acme, tokens, action="block")

    assert outcomes(recorded(use(60))) == ["created"]
    assert outcomes(recorded(use(60))) == ["created"]
    assert not is_blocked(use())
    roll_up()

    assert is_blocked(use())


def test_nearing_and_alerting_block_nobody(acme, tokens):
    a_threshold(acme, tokens, action="block", amount="110")
    a_threshold(acme, tokens, action="alert")
    reached()

    assert not is_blocked(use())


def test_usage_that_happened_already_is_recorded(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()

    assert outcomes(recorded(use(), enforce=False)) == ["created"]


def test_replay_of_a_recorded_event_exists(acme, tokens):
    a_threshold(acme, tokens, action="block")
    event = use(100)
    reached(event)

    assert outcomes(recorded(event)) == ["exists"]


def test_blocked_event_counts_against_no_quota(acme, tokens):
    a_quota(acme, tokens, limit="101")
    a_threshold(acme, tokens, action="block")
    reached()

    results = recorded(use(1), use(1, subject_id="ada"), use(1, subject_id="ada"), on_error="skip")

    assert [result.code for result in results] == ["threshold_blocked", None, "quota_exceeded"]


# Until when


def test_raising_the_threshold_lifts_the_block(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    assert is_blocked(use())

    change_threshold(threshold, amount="200")
    assert not is_blocked(use(99))
    assert not is_blocked(use(1))
    roll_up()

    assert is_blocked(use())


@pytest.mark.parametrize(
    "lift",
    [
        remove_threshold,
        lambda threshold: change_threshold(threshold, is_enabled=False),
        lambda threshold: change_threshold(threshold, action="alert"),
    ],
)
def test_removing_disabling_or_softening_it_lifts_the_block(acme, tokens, lift):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    assert is_blocked(use())

    lift(threshold)

    assert not is_blocked(use())


def test_what_was_reached_blocks_when_the_action_becomes_block(acme, tokens):
    threshold = a_threshold(acme, tokens)
    reached()
    assert not is_blocked(use())

    change_threshold(threshold, action="block")

    assert is_blocked(use())


def test_voids_below_the_level_lift_the_block_until_usage_is_there_again(acme, tokens):
    a_threshold(acme, tokens, action="block")
    [wrong] = recorded(use(100))
    roll_up()
    assert wrong.id is not None
    assert is_blocked(use())

    a_void_of(wrong.id)
    assert not is_blocked(use(99))
    assert not is_blocked(use(1))

    assert is_blocked(use())


def test_larger_quota_lifts_the_block_of_a_share_of_it(acme, tokens):
    quota = a_quota(acme, tokens, limit="100", mode="monitor")
    a_threshold(acme, tokens, action="block", quota_fraction="0.9", subject_id="*")
    reached()
    assert is_blocked(use())

    change_quota(quota, limit="1000")

    assert not is_blocked(use())


# What it costs, and when it can't be found out


def test_projects_without_such_thresholds_ask_nothing(acme, tokens):
    a_threshold(acme, tokens, action="alert")
    a_threshold(a_project("globex"), tokens, action="block")
    recorded(use())

    with CaptureQueriesContext(connection) as queries:
        recorded(use())

    assert not [query for query in queries if "threshold" in query["sql"]]


def test_block_that_cannot_be_looked_up_admits_nothing(acme, tokens, monkeypatch):
    a_threshold(acme, tokens, action="block")

    def fails(*_args: object, **_options: object) -> None:
        raise DatabaseError("lost")

    monkeypatch.setattr("quotas.blocking.ThresholdCrossing.objects.filter", fails)
    with pytest.raises(QuotaUnavailable):
        recorded(use())

    assert ledger_rows("id") == []
