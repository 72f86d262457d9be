"""Reserving before using: exact, idempotent, over by itself."""

import json
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from metering.attributing.scope_tree import attribute
from metering.errors import Conflict, Invalid
from metering.models import Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from metering.texts.numbers import plain
from quotas.decisions import QuotaDecision
from quotas.enforcement import change_quota
from quotas.errors import QuotaExceeded
from quotas.holds import Reserved, commit, release, reserve
from quotas.models import QuotaHold, QuotaHoldEnding, QuotaHoldShare
from quotas.notebook import NOTEBOOK
from quotas.utilisation import utilisations_of
from tests.factories import a_metric, a_project, an_event, at, outcomes, recorded, total_of

from .factories import a_quota

pytestmark = pytest.mark.django_db

COUNTINGS = pytest.mark.parametrize("counting", ["rollups", "ledger"])


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


def a_hold(project: Project, quantity="10", *, metric: str = "tokens", **overrides) -> Reserved:
    given = {"expires_in": 600, "members": {"occurred_at": "2024-05-15T12:00:00Z"}, **overrides}
    return reserve(project, metric_key=metric, quantity=quantity, **given)


def expire(hold: QuotaHold) -> QuotaHold:
    """As if its time were over: past the guards, which let nobody do this."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, column in (("quotahold", "id"), ("quotaholdshare", "hold_id")):
            cursor.execute(f"ALTER TABLE quotas_{table} DISABLE TRIGGER USER")
            cursor.execute(
                f"UPDATE quotas_{table} SET expires_at = '2024-01-01' WHERE {column} = %s", [hold.pk]
            )
        for table, name in (("quotahold", "quota_hold"), ("quotaholdshare", "hold_share")):
            cursor.execute(f"ALTER TABLE quotas_{table} ENABLE ALWAYS TRIGGER {name}_refuses_change")
            cursor.execute(f"ALTER TABLE quotas_{table} ENABLE ALWAYS TRIGGER {name}_refuses_truncate")
    return QuotaHold.objects.get(pk=hold.pk)


def use(quantity, project="acme", **overrides) -> dict:
    return an_event(project, quantity=quantity, **overrides)


def taken(quota) -> tuple[str, str]:
    """(used, held) in the period of the tests."""
    standing = utilisations_of([quota], now=at("2024-05-15T12:00:00Z"))[quota.pk]
    return plain(standing.used), plain(standing.held)


# What is held is used


@COUNTINGS
def test_open_hold_counts_as_used(acme, counting):
    quota = a_quota(acme, a_metric(), limit="100", counting=counting)
    recorded(use(50))

    assert a_hold(acme, "30").hold.granted == 30
    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(21))
    recorded(use(20))

    assert (refusal.value.facts["used"], refusal.value.facts["held"]) == ("50", "30")
    assert refusal.value.facts["remaining"] == "20"
    assert taken(quota) == ("70", "30")


@COUNTINGS
def test_hold_that_does_not_fit_is_refused_and_noted(acme, counting):
    a_quota(acme, a_metric(), limit="100", counting=counting)
    a_hold(acme, "60")

    with pytest.raises(QuotaExceeded) as refusal:
        a_hold(acme, "41")
    NOTEBOOK.flush()

    assert refusal.value.facts["held"] == "60"
    assert refusal.value.decision == QuotaDecision.objects.get().reference
    assert QuotaDecision.objects.get().basis == "ledger"
    assert QuotaHold.objects.count() == 1


def test_hold_is_cut_down_to_what_is_left_in_every_quota(acme):
    chat = a_project("chat", parent=acme)
    attribute(chat, payer=acme)
    tokens = a_metric()
    a_quota(acme, tokens, limit="100")
    a_quota(chat, tokens, limit="25.5", period="day")
    recorded(use(80))

    assert a_hold(chat, "50", on_exceed="cap").hold.granted == 20
    with pytest.raises(QuotaExceeded):
        a_hold(chat, "1", on_exceed="cap")


def test_whole_numbers_are_cut_to_whole_numbers(acme):
    a_quota(acme, a_metric(data_type="INT"), limit="10.5")

    assert a_hold(acme, "50", on_exceed="cap").hold.granted == 10


def test_without_a_quota_everything_is_granted(acme):
    a_metric()

    assert a_hold(acme, "1e20").hold.granted == Decimal("1e20")


def test_soft_quota_warns_and_grants(acme):
    a_quota(acme, a_metric(), limit="5", mode="soft")

    reserved = a_hold(acme, "9")

    assert reserved.hold.granted == 9
    assert [warning["requested"] for warning in reserved.warnings] == ["9"]


def test_other_metrics_of_the_event_are_held_too(acme):
    a_metric()
    calls = a_metric("calls", event_name="tokens", aggregation="COUNT")
    quota = a_quota(acme, calls, limit="2")

    a_hold(acme, "500")
    assert taken(quota) == ("0", "1")
    a_hold(acme, "500")
    with pytest.raises(QuotaExceeded):
        a_hold(acme, "500", on_exceed="cap")


def test_hold_counts_in_the_periods_of_its_use(acme):
    may, june = (
        a_quota(acme, a_metric(name), limit="10", period="month") for name in ("tokens", "unrelated")
    )
    a_hold(acme, "10", members={"occurred_at": "2024-05-31T23:59:59Z"})

    a_hold(acme, "10", members={"occurred_at": "2024-06-01T00:00:00Z"})
    with pytest.raises(QuotaExceeded):
        a_hold(acme, "1")

    assert (taken(may), taken(june)) == (("0", "10"), ("0", "0"))


# Using it


@COUNTINGS
@pytest.mark.parametrize("ticks", [False, True])
def test_commit_records_the_event_and_frees_the_rest(acme, counting, ticks):
    quota = a_quota(acme, a_metric(), limit="100", counting=counting)
    hold = a_hold(acme, "40", members={"subject_id": "kim", "occurred_at": "2024-05-15T12:00:00Z"}).hold

    ended = commit(hold, quantity="25")
    if ticks:
        roll_up()

    event = UsageEvent.objects.get()
    assert (ended.outcome, ended.ending.event, ended.ending.quantity) == ("created", event.pk, 25)
    assert (event.source, event.event_id) == ("meterbook:hold", f"hold:{hold.public_id}")
    assert (event.quantity, event.subject_id, event.occurred_at) == (25, "kim", at("2024-05-15T12:00:00Z"))
    assert taken(quota) == ("25", "0")
    assert outcomes(recorded(use(75))) == ["created"]


def test_commit_again_exists_and_with_another_quantity_conflicts(acme):
    a_quota(acme, a_metric(), limit="100")
    hold = a_hold(acme, "40").hold
    first = commit(hold, quantity="40")

    assert commit(hold) == type(first)(first.ending, "exists")
    with pytest.raises(Conflict):
        commit(hold, quantity="39")
    with pytest.raises(Conflict):
        release(hold)

    assert total_of("tokens") == 40


def test_more_than_granted_is_judged_for_the_excess(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    hold = a_hold(acme, "40").hold
    recorded(use(55))

    with pytest.raises(QuotaExceeded) as refusal:
        commit(hold, quantity="46")
    assert (refusal.value.facts["requested"], refusal.value.facts["remaining"]) == ("6", "5")
    assert (taken(quota), QuotaHoldEnding.objects.count()) == (("55", "40"), 0)

    commit(hold, quantity="45")
    assert taken(quota) == ("100", "0")


def test_what_was_granted_is_not_judged_again(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    hold = a_hold(acme, "40").hold
    change_quota(quota, limit="1")

    commit(hold)

    assert total_of("tokens") == 40


def test_expired_hold_counts_no_more_and_is_used_as_a_new_event(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    hold = expire(a_hold(acme, "40").hold)
    assert taken(quota) == ("0", "0")
    recorded(use(70))

    with pytest.raises(QuotaExceeded) as refusal:
        commit(hold, quantity="31")
    assert refusal.value.facts["requested"] == "31"

    assert commit(hold, quantity="30").outcome == "created"
    assert total_of("tokens") == 100


def test_usage_paid_by_somebody_else_meanwhile_is_judged_anew(acme):
    chat, other = a_project("chat", parent=acme), a_project("other", parent=acme)
    tokens = a_metric()
    a_quota(other, tokens, limit="5")
    hold = a_hold(chat, "40").hold
    attribute(chat, payer=other)

    with pytest.raises(QuotaExceeded):
        commit(hold)
    commit(hold, quantity="5")


def test_value_goes_where_the_metric_reads_it(acme):
    quota = a_quota(acme, a_metric(value_property="llm.tokens"), limit="100")
    hold = a_hold(acme, "40", members={"labels": {"llm": {"model": "large"}}}).hold

    with pytest.raises(QuotaExceeded):
        recorded(an_event("acme", labels={"llm": {"tokens": 61}}, occurred_at=hold.occurred_at.isoformat()))
    commit(hold, quantity="12.5")

    assert UsageEvent.objects.get().labels == {"llm": {"model": "large", "tokens": "12.5"}}
    assert total_of("tokens") == Decimal("12.5")
    with pytest.raises(Invalid) as refusal:
        a_hold(acme, "1", members={"labels": {"llm": {"tokens": 5}}})
    assert refusal.value.field == "labels.llm.tokens"
    assert quota.pk


def test_hold_on_a_count_is_for_one_event(acme):
    a_quota(acme, a_metric(aggregation="COUNT"), limit="1")
    hold = a_hold(acme, "1").hold

    with pytest.raises(QuotaExceeded):
        a_hold(acme, "1")
    with pytest.raises(Invalid):
        a_hold(acme, "2")
    commit(hold)

    assert total_of("tokens") == 1


# Giving it back


@COUNTINGS
def test_released_amount_is_free_again(acme, counting):
    a_quota(acme, a_metric(), limit="100", counting=counting)
    hold = a_hold(acme, "100").hold

    assert release(hold).outcome == "created"
    assert release(hold).outcome == "exists"
    with pytest.raises(Conflict):
        commit(hold)

    assert outcomes(recorded(use(100))) == ["created"]


# Making it once


def test_same_key_makes_one_hold_even_when_the_quota_is_full(acme):
    a_quota(acme, a_metric(), limit="10")

    first = a_hold(acme, "10", idempotency_key="job-1")
    again = a_hold(acme, "10.0", idempotency_key="job-1")

    assert (first.outcome, again.outcome) == ("created", "exists")
    assert again.hold.pk == first.hold.pk
    with pytest.raises(Conflict):
        a_hold(acme, "9", idempotency_key="job-1")


def test_same_key_in_another_project_is_another_hold(acme):
    a_metric()
    a_hold(acme, "1", idempotency_key="job-1")

    assert a_hold(a_project("globex"), "2", idempotency_key="job-1").outcome == "created"


# What can't be held


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"aggregation": "MAX", "meter_type": "gauge"}, "MAX"),
        ({"aggregation": "UNIQUE_COUNT", "data_type": "STRING", "value_property": "user"}, "UNIQUE_COUNT"),
        ({"aggregation": "SUM", "is_incremental": False}, "steps"),
    ],
)
def test_only_counts_and_sums_of_amounts_are_held(acme, definition, said):
    a_metric(**definition)

    with pytest.raises(Invalid, match=said) as refusal:
        a_hold(acme)

    assert refusal.value.field == "metric"


def test_event_that_a_hard_quota_on_a_maximum_counts_is_not_held(acme):
    a_metric()
    a_quota(acme, a_metric("peak", event_name="tokens", aggregation="MAX", meter_type="gauge"), limit="10")

    with pytest.raises(Invalid, match="peak"):
        a_hold(acme, "1")


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "lots"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 86_401}, "expires_in"),
        ({"expires_in": "60"}, "expires_in"),
        ({"on_exceed": "maybe"}, "on_exceed"),
        ({"metric": "nothing"}, "metric"),
        ({"members": {"event_name": "x"}}, "event_name"),
        ({"members": {"surface": "nowhere"}}, "surface"),
        ({"members": {"occurred_at": "yesterday"}}, "occurred_at"),
        ({"members": {"occurred_at": "2999-01-01T00:00:00Z"}}, "occurred_at"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
def test_wrong_hold_is_refused_by_name(acme, overrides, field):
    a_metric()

    with pytest.raises(Invalid) as refusal:
        a_hold(acme, **overrides)

    assert refusal.value.field == field
    assert not QuotaHold.objects.exists()


def test_holds_are_never_changed(acme):
    a_quota(acme, a_metric(), limit="10")
    hold = a_hold(acme, "1").hold
    release(hold)

    for rows in (QuotaHold.objects.all(), QuotaHoldShare.objects.all()):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            rows.update(expires_at=at("2030-01-01T00:00:00Z"))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        QuotaHoldEnding.objects.update(actor="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        QuotaHoldEnding.objects.create(hold=hold, kind="released", actor="x")


def test_amounts_of_ended_and_expired_holds_are_not_read(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    for _ in range(3):
        release(a_hold(acme, "10").hold)
        expire(a_hold(acme, "20").hold)
    a_hold(acme, "7")

    assert taken(quota) == ("0", "7")


@pytest.mark.django_db(transaction=True)
def test_what_a_process_remembers_knows_of_holds(acme):
    a_quota(acme, a_metric(), limit="100")
    recorded(use(10))  # read, and remembered
    hold = a_hold(acme, "80").hold

    with pytest.raises(QuotaExceeded):
        recorded(use(11))
    commit(hold, quantity="50")

    assert outcomes(recorded(use(40))) == ["created"]
    with pytest.raises(QuotaExceeded):
        recorded(use(1))


# What changes while a hold is open


def test_numbers_in_labels_are_recorded_as_they_were_reserved(acme):
    a_metric(event_label_filter={"ratio": {"$lt": 1}})
    labels = {"ratio": Decimal("0.1000000000000000000001"), "n": 3, "deep": {"list": [Decimal("1.5")]}}

    commit(a_hold(acme, "5", members={"labels": labels}).hold)

    with connection.cursor() as cursor:
        cursor.execute("SELECT labels::text FROM metering_usageevent")
        assert json.loads(cursor.fetchone()[0], parse_float=Decimal) == labels


def test_hold_is_used_after_a_hard_quota_on_values_that_do_not_add_up(acme):
    a_metric()
    hold = a_hold(acme, "5").hold
    a_quota(acme, a_metric("peak", event_name="tokens", aggregation="MAX"), limit="100")

    assert commit(hold).outcome == "created"


@COUNTINGS
def test_hold_is_not_counted_beside_its_own_use_when_another_pays_by_now(counting):
    tenant = a_project("tenant")
    acme = a_project("acme", parent=tenant)
    a_quota(acme, a_metric(), limit="10", counting=counting)
    hold = a_hold(acme, "8").hold
    attribute(acme, payer=tenant)

    with pytest.raises(QuotaExceeded):
        commit(hold, quantity="11")
    assert commit(hold, quantity="10").outcome == "created"
