"""What a threshold that blocks refused: on record with its numbers, told in words, and known to a check."""

import datetime as dt
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from metering.attributing.scope_tree import attribute
from metering.models import DomainEvent, MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from quotas.errors import QuotaUnavailable, ThresholdBlocked
from quotas.holds import commit, reserve
from quotas.models import QuotaBreach, QuotaDecision, QuotaHold
from quotas.notebook import NOTEBOOK
from quotas.thresholds import change_threshold, remove_threshold
from tests.factories import a_metric, a_project, an_event, at, outcomes, recorded
from tests.metering.api.callers import Caller, fields_of

from .factories import a_quota, a_threshold

pytestmark = pytest.mark.django_db

MAY, JUNE = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z")


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens", unit="token")


def use(quantity: int = 1, **overrides) -> dict:
    return an_event(
        "acme", quantity=quantity, **{"subject_type": "customer", "subject_id": "kim", **overrides}
    )


def reached(*events: dict) -> None:
    recorded(*(events or [use(120)]))
    roll_up()


def blocked(*events: dict) -> ThresholdBlocked:
    with pytest.raises(ThresholdBlocked) as refusal:
        recorded(*(events or [use()]))
    return refusal.value


def written() -> list[QuotaDecision]:
    NOTEBOOK.flush()
    return list(QuotaDecision.objects.order_by("id"))


def test_block_is_written_with_its_threshold_level_use_and_subject(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached()

    refusal = blocked(use(id="req-1"))

    [decision] = written()
    assert decision.reference == refusal.decision
    assert (decision.outcome, decision.count, decision.basis) == ("blocked", 1, "rollups")
    assert (decision.threshold_id, decision.level, decision.used) == (threshold.pk, Decimal(100), "120")
    assert (decision.quota_id, decision.limit, decision.mode, decision.requested) == (None, None, "", None)
    assert (decision.project_key, decision.user_project_key) == ("acme", "acme")
    assert (decision.metric_key, decision.period) == ("tokens", "month")
    assert (decision.period_start, decision.period_end) == (MAY, JUNE)
    assert (decision.subject_type, decision.subject_id) == ("customer", "kim")
    assert (decision.events, decision.detail) == (["req-1"], str(refusal))


def test_equal_blocks_of_a_minute_are_one_row_and_each_subject_has_its_own(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached(use(120), use(130, subject_id="ada"))

    results = recorded(use(), use(), use(subject_id="ada"), use(subject_id="liv"), on_error="skip")

    assert outcomes(results) == ["rejected", "rejected", "rejected", "created"]
    assert [(row.subject_id, row.used, row.count) for row in written()] in (
        [("kim", "120", 2), ("ada", "130", 1)],
        [("ada", "130", 1), ("kim", "120", 2)],
    )
    assert results[0].decision == results[1].decision != results[2].decision
    assert results[3].decision is None


def test_block_of_all_together_names_them_and_not_who_asked(acme, tokens):
    a_threshold(acme, tokens, action="block", subject_id="*")
    reached()

    recorded(use(subject_id="ada", id="a"), use(subject_id="liv", id="b"), on_error="skip")

    [decision] = written()
    assert (decision.subject_type, decision.subject_id, decision.count) == ("", "*", 2)
    assert decision.events == ["a", "b"]


def test_payers_block_names_the_payer_and_the_user(acme, tokens):
    child = a_project("chat", parent=acme)
    attribute(child, payer=acme)
    a_threshold(acme, tokens, action="block", subject_id="*")
    reached()

    blocked(an_event(child))

    [decision] = written()
    assert (decision.project_key, decision.user_project_key) == ("acme", "chat")


def test_blocks_and_denials_of_one_batch_are_both_written(acme, tokens):
    quota = a_quota(acme, tokens, limit="121")
    threshold = a_threshold(acme, tokens, action="block")
    reached()

    results = recorded(use(1), use(2, subject_id="ada"), on_error="skip")

    assert [result.code for result in results] == ["threshold_blocked", "quota_exceeded"]
    assert {(row.outcome, row.threshold_id, row.quota_id) for row in written()} == {
        ("blocked", threshold.pk, None),
        ("denied", None, quota.pk),
    }


def test_raised_level_and_other_thresholds_are_other_decisions(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    first = blocked()
    change_threshold(threshold, amount="110")
    reached(use(1))
    second = blocked()
    remove_threshold(threshold)
    a_threshold(acme, tokens, action="block", amount="110")
    reached(use(1))

    third = blocked()

    assert len({first.decision, second.decision, third.decision}) == 3
    assert sorted((row.level, row.used) for row in written()) == [
        (Decimal(100), "120"),
        (Decimal(110), "121"),
        (Decimal(110), "122"),
    ]


def test_share_of_a_quota_keeps_all_its_digits(acme, tokens):
    a_quota(acme, tokens, limit="0.000000000001", mode="monitor")
    a_threshold(acme, tokens, action="block", quota_fraction="0.3333", subject_id="*")
    reached()

    blocked()

    [decision] = written()
    assert decision.level == Decimal("0.0000000000003333")


def test_block_is_no_breach_of_a_quota(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()
    before = DomainEvent.objects.count()

    blocked()
    written()

    assert DomainEvent.objects.count() == before
    assert not QuotaBreach.objects.exists()


# Holds


def test_nothing_is_reserved_for_what_is_blocked(acme, tokens):
    a_threshold(acme, tokens, action="block")
    reached()
    members = {"subject_type": "customer", "subject_id": "kim", "occurred_at": "2024-05-15T12:00:00Z"}

    with pytest.raises(ThresholdBlocked) as refusal:
        reserve(acme, metric_key="tokens", quantity=1, expires_in=60, members=members)

    assert not QuotaHold.objects.exists()
    [decision] = written()
    assert (decision.outcome, decision.reference) == ("blocked", refusal.value.decision)
    reserve(acme, metric_key="tokens", quantity=1, expires_in=60, members={**members, "subject_id": "ada"})


def test_what_was_granted_before_the_block_may_be_used_and_no_more(acme, tokens):
    a_threshold(acme, tokens, action="block")
    members = {"subject_type": "customer", "subject_id": "kim", "occurred_at": "2024-05-15T12:00:00Z"}
    holds = [
        reserve(acme, metric_key="tokens", quantity=5, expires_in=600, members=members).hold for _ in range(2)
    ]
    reached()

    assert commit(holds[0]).outcome == "created"
    with pytest.raises(ThresholdBlocked):
        commit(holds[1], quantity=6)
    assert commit(holds[1], quantity=5).outcome == "created"


# Over HTTP


def test_refusal_names_its_decision_which_says_why(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    call = Caller(acme)

    refusal = call.post("/usage-events/", use(id="req-1"))
    NOTEBOOK.flush()

    assert refusal.status_code == 429
    shown = call.get(f"/quotas/decisions/{refusal.json()['decision']}/").json()
    assert (shown["outcome"], shown["threshold"], shown["quota"]) == ("blocked", threshold.pk, None)
    assert (shown["level"], shown["limit"], shown["used"]) == ("100", None, "120")
    assert (shown["subject_type"], shown["subject_id"]) == ("customer", "kim")
    assert (shown["period_start"], shown["resets_at"]) == ("2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z")
    assert (shown["detail"], shown["event_ids"]) == (refusal.json()["detail"], ["req-1"])


def test_decisions_are_found_by_threshold(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    blocked()
    NOTEBOOK.flush()
    call = Caller(acme)

    def count(query: str) -> int:
        return len(call.get(f"/quotas/decisions/?{query}").json()["results"])

    assert (count(f"threshold={threshold.pk}"), count(f"threshold={threshold.pk + 1}")) == (1, 0)
    assert (count("outcome=BLOCKED"), count("outcome=DENIED")) == (1, 0)
    assert fields_of(call.get("/quotas/decisions/?threshold=x")) == [("invalid_field", "threshold")]


def test_check_denies_what_a_block_would_refuse_and_says_by_what(acme, tokens):
    threshold = a_threshold(acme, tokens, action="block")
    quota = a_quota(acme, tokens, limit="120")  # would refuse it, too, but is asked later
    reached()
    call = Caller(acme, "ingest", "backfill")

    check = call.post("/quotas/check/", use()).json()
    refusal = call.post("/usage-events/", use()).json()

    assert (check["allowed"], check["code"], check["detail"]) == (
        False,
        "threshold_blocked",
        refusal["detail"],
    )
    assert (check["blocked_by"]["threshold_id"], check["blocked_by"]["used"]) == (threshold.pk, "120")
    assert [one["quota"] for one in check["quotas"]] == [quota.pk]
    assert check["warnings"] == []
    assert sum(row.count for row in written()) == 1  # the recording's; a check leaves none


@pytest.mark.parametrize("overrides", [{"subject_id": "ada"}, {"occurred_at": "2024-06-01T00:00:00Z"}])
def test_check_allows_what_no_block_covers(acme, tokens, overrides):
    a_threshold(acme, tokens, action="block")
    reached()

    check = Caller(acme, "ingest", "backfill").post("/quotas/check/", use(**overrides)).json()

    assert (check["allowed"], check["code"], check["blocked_by"]) == (True, None, None)


def test_block_comes_before_a_closed_period_in_a_check_as_in_recording(acme, tokens):
    a_quota(acme, tokens, limit="1000")
    a_threshold(acme, tokens, action="block")
    reached()
    call = Caller(acme, "ingest")  # without backfill May is closed

    check = call.post("/quotas/check/", use()).json()
    refusal = call.post("/usage-events/", use())

    assert (check["code"], refusal.json()["errors"][0]["code"]) == ("threshold_blocked", "threshold_blocked")


def test_check_is_unavailable_where_blocks_cannot_be_looked_up(acme, tokens, monkeypatch):
    a_threshold(acme, tokens, action="block")

    def fails(*_args: object, **_options: object) -> None:
        raise DatabaseError("lost")

    monkeypatch.setattr("quotas.blocking.ThresholdCrossing.objects.filter", fails)

    assert Caller(acme).post("/quotas/check/", use()).status_code == 503
    with pytest.raises(QuotaUnavailable):
        reserve(acme, metric_key="tokens", quantity=1, expires_in=60)


# In the admin


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def page_of(staff: Client, decision: QuotaDecision) -> str:
    return staff.get(reverse("admin:quotas_quotadecision_change", args=[decision.pk])).content.decode()


def test_block_is_told_in_words_with_a_way_out(acme, tokens, staff):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    blocked()
    [decision] = written()

    page = page_of(staff, decision)

    assert (
        "A threshold of acme blocks at 100 token a month, and 120 were used by customer “kim”: "
        "nothing of it was recorded." in page
    )
    assert "The block ends with the period, on 2024-06-01 00:00:00 UTC." in page
    assert "Raise, switch off or remove the threshold to let it through" in page
    assert reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]) in page
    assert "Threshold at 100 token" in page


@pytest.mark.parametrize(
    ("of_threshold", "words"),
    [
        ({"subject_id": "*"}, "120 were used by all together"),
        ({"subject_id": "*", "subject_type": "customer"}, "used by all of type “customer” together"),
        ({"subject_id": "kim"}, "120 were used by “kim”"),
    ],
)
def test_whose_use_it_was_is_told(acme, tokens, staff, of_threshold, words):
    a_threshold(acme, tokens, action="block", **of_threshold)
    reached()
    blocked()

    assert words in page_of(staff, *written())


def test_block_of_usage_without_a_subject_and_without_an_end_reads_too(acme, tokens, staff):
    a_threshold(acme, tokens, action="block", period="never")
    reached(an_event("acme", quantity=120))
    blocked(an_event("acme"))

    page = page_of(staff, *written())

    assert "blocks at 100 token in all, and 120 were used by usage without a subject" in page
    assert "The block ends with the period" not in page


def test_block_by_a_threshold_that_was_removed_still_reads_and_is_listed(acme, tokens, staff):
    threshold = a_threshold(acme, tokens, action="block")
    reached()
    blocked()
    [decision] = written()
    remove_threshold(threshold)

    listed = staff.get(reverse("admin:quotas_quotadecision_changelist"), {"outcome__exact": "blocked"})

    assert [row.pk for row in listed.context["cl"].result_list] == [decision.pk]
    assert "Blocked by a threshold" in listed.content.decode()
    assert "Removed since." in page_of(staff, decision)
    assert decision.last_at - decision.first_at < dt.timedelta(minutes=1)
