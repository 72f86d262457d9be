"""Voids and amendments: what they take back, from whom, how often, and what they leave on record."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from metering.answering.usage import usage_in
from metering.attributing.scope_tree import attribute
from metering.clock import ledger_end
from metering.correcting.corrections import amend_event, void_events
from metering.defining.definitions import archive_metric
from metering.errors import Conflict, Invalid, NotFound
from metering.models import Correction, MetricDefinition, PendingContribution, Project, UsageMeterRollup
from metering.principal import Principal
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import set_quota
from quotas.errors import QuotaExceeded
from tests.factories import (
    NOON,
    a_metric,
    a_project,
    a_void_of,
    an_event,
    at,
    ledger_rows,
    meaning_of,
    recorded,
    total_of,
)

pytestmark = pytest.mark.django_db

HOUR = (at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z"))
WHY = {"reason": "recorded by mistake", "actor": "ada"}


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


def void(*event_ids: int, **options: Any) -> list[str]:
    return [voided.outcome for voided in void_events(event_ids, **{**WHY, **options})]


def amend(event_id: int, _changes: dict[str, Any] | None = None, **changes: Any) -> Any:
    return amend_event(event_id, {**(_changes or {}), **changes}, **WHY)


def an_id(**overrides: Any) -> int:
    [outcome] = recorded(an_event(**overrides))
    assert outcome.id is not None
    return outcome.id


# -- what a void takes back --------------------------------------------------------------------------------

# Readings of one stream at 12:00, 12:10, 12:20 and 12:30.
READINGS = (5, 9, 2, 7)
# Metric: its definition, and the hour's value with all of them, without the largest (9), the smallest (2) and
# the last (7).
AGGREGATIONS: dict[str, tuple[dict[str, Any], str, str, str, str]] = {
    "count": ({"aggregation": "COUNT"}, "4", "3", "3", "3"),
    "sum": ({"aggregation": "SUM"}, "23", "14", "21", "16"),
    "avg": ({"aggregation": "AVG"}, "5.75", "4.666666666667", "7", "5.333333333333"),
    "min": ({"aggregation": "MIN"}, "2", "2", "5", "2"),
    "max": ({"aggregation": "MAX"}, "9", "7", "9", "9"),
    "latest": ({"aggregation": "LATEST"}, "7", "7", "7", "2"),
    "unique": ({"aggregation": "UNIQUE_COUNT"}, "4", "3", "3", "3"),
    # An absolute counter: + 4, a restart from 0 to 2, + 5.
    "increase": ({"is_incremental": False}, "11", "7", "11", "6"),
    # A gauge that is no amount: + 4 - 7 + 5.
    "change": ({"is_incremental": False, "meter_type": "gauge"}, "2", "2", "2", "-3"),
    "total": ({"reporting_method": "total", "reset_period": "never"}, "7", "7", "7", "2"),
    # 5 and 9 and 2 for ten minutes each, 7 for thirty.
    "level": (
        {"aggregation": "TIME_WEIGHTED_AVG"}, "6.166666666667", "5.5", "7.333333333333", "3.666666666667"
    ),
}  # fmt: skip


def nothing() -> None:
    pass


def tick() -> None:
    roll_up()


@pytest.fixture
def metrics() -> None:
    for key, (definition, *_) in AGGREGATIONS.items():
        a_metric(key, event_name="tokens", **definition)


def values(*window: Any) -> dict[str, Decimal | None]:
    return {key: total_of(key, *(window or HOUR)) for key in AGGREGATIONS}


def stored_hours() -> dict[str, tuple[Any, ...]]:
    """The stored hour of the one stream, by metric, as numbers alone."""
    rows = UsageMeterRollup.objects.filter(granularity="hour", record_count__gt=0).exclude(
        stream="00000000-0000-0000-0000-000000000000"
    )
    columns = ("record_count", "value_sum", "value_min", "value_max", "last_value", "last_at")
    return {
        f"{row[0]} {row[1]}": row[2:]
        for row in rows.values_list("metric__key", "value_key", *columns).order_by("metric__key", "value_key")
    }


@pytest.mark.parametrize("between", [nothing, tick], ids=["pending", "rolled up"])
@pytest.mark.parametrize(("column", "position"), [(2, 1), (3, 2), (4, 3)], ids=["max", "min", "last"])
def test_void_of_a_reading_leaves_what_the_others_make(
    metrics: None, between: Callable[[], None], column: int, position: int
) -> None:
    ids = [
        an_id(quantity=value, occurred_at=f"2024-05-15T12:{10 * index:02}:00Z")
        for index, value in enumerate(READINGS)
    ]
    between()
    assert values() == {key: Decimal(row[1]) for key, row in AGGREGATIONS.items()}

    assert void(ids[position]) == ["created"]

    wanted = {key: Decimal(row[column]) for key, row in AGGREGATIONS.items()}
    assert values() == wanted
    tick()
    assert not PendingContribution.objects.exists()
    assert values() == wanted
    assert values(at("2024-05-15T11:59:59Z"), HOUR[1])["max"] == wanted["max"]  # an edge: from the ledger


@pytest.mark.parametrize("between", [nothing, tick], ids=["pending", "rolled up"])
@pytest.mark.parametrize(
    "occurred_at", ["1970-01-01T00:00:00Z", "2011-02-28T23:59:59.999999Z", NOON], ids=str
)
def test_void_of_the_only_reading_leaves_nothing_whatever_its_age(
    metrics: None, between: Callable[[], None], occurred_at: str
) -> None:
    event_id = an_id(quantity=5, occurred_at=occurred_at)
    between()
    assert total_of("sum") == 5

    assert void(event_id) == ["created"]

    empty = dict.fromkeys(AGGREGATIONS)
    hour = at(occurred_at).replace(minute=0, second=0, microsecond=0)
    assert values(hour, hour.replace(minute=59, second=59)) == empty
    tick()
    assert values(hour, hour.replace(minute=59, second=59)) == empty
    assert stored_hours() == {}
    # What comes after is counted as if it had been the first.
    an_id(quantity=3, occurred_at=occurred_at)
    tick()
    assert (total_of("sum"), total_of("max"), total_of("unique"), total_of("increase")) == (3, 3, 1, 0)


def test_void_between_two_hours_moves_the_step_of_the_later_one(metrics: None) -> None:
    an_id(quantity=10, occurred_at="2024-05-15T11:00:00Z")
    wrong = an_id(quantity=40, occurred_at="2024-05-15T12:00:00Z")
    an_id(quantity=50, occurred_at="2024-06-15T12:00:00Z")
    tick()
    june = (at("2024-06-01T00:00:00Z"), at("2024-07-01T00:00:00Z"))
    assert (total_of("increase", *HOUR), total_of("increase", *june)) == (30, 10)

    void(wrong)

    for _ in range(2):
        assert (total_of("increase", *HOUR), total_of("increase", *june)) == (None, 40)
        assert total_of("level", *june) == Decimal("30.666666666667")  # 10, and for 15.5 of 30 days 50
        tick()


def test_value_that_two_events_hold_stays_until_both_are_voided(metrics: None) -> None:
    first, second = an_id(quantity=9), an_id(quantity=9)
    tick()

    void(first)
    assert (total_of("unique"), total_of("max")) == (1, 9)
    void(second)
    tick()

    assert (total_of("unique"), total_of("max")) == (None, None)


# -- from whom ---------------------------------------------------------------------------------------------


def test_void_takes_back_from_an_archived_metric_what_it_counted() -> None:
    kept, archived = a_metric("kept", event_name="tokens"), a_metric("archived", event_name="tokens")
    counted = an_id(quantity=5)
    archive_metric(archived)
    later = an_id(quantity=7)

    void(counted, later)

    for _ in range(2):
        assert (total_of(kept), total_of(archived)) == (None, None)
        tick()
    assert not UsageMeterRollup.objects.exclude(record_count=0).exists()


def test_void_takes_nothing_from_a_metric_that_was_defined_later() -> None:
    first = a_metric("first", event_name="tokens")
    event_id = an_id(quantity=5)
    second = a_metric("second", event_name="tokens")
    an_id(quantity=7)

    void(event_id)

    assert not PendingContribution.objects.filter(metric=second, record_count__lt=0).exists()
    for _ in range(2):
        assert (total_of(first), total_of(second)) == (7, 7)
        tick()


@pytest.mark.parametrize("aggregation", ["SUM", "MAX", "UNIQUE_COUNT"])
@pytest.mark.parametrize("is_counted_first", [False, True])
def test_void_before_and_after_history_is_counted_takes_back_once(
    monkeypatch: pytest.MonkeyPatch, aggregation: str, is_counted_first: bool
) -> None:
    a_metric("first", event_name="tokens")
    event_id = an_id(quantity=5)
    an_id(quantity=3)
    # As if the process had been killed before it counted: a tick does.
    monkeypatch.setattr("metering.defining.definitions.enqueue_history", lambda metric: None)
    metric = a_metric("reaches-back", event_name="tokens", aggregation=aggregation, counts_from=0)
    assert MetricDefinition.objects.get(pk=metric.pk).is_history_due
    if is_counted_first:
        tick()

    void(event_id)

    tick()
    tick()
    assert total_of(metric) == (1 if aggregation == "UNIQUE_COUNT" else 3)
    months = UsageMeterRollup.objects.filter(
        metric=metric, granularity="month", stream="00000000-0000-0000-0000-000000000000"
    )
    assert list(months.exclude(record_count=0).values_list("record_count")) == [(1,)]


def test_void_copies_whose_and_when_and_is_paid_by_the_same() -> None:
    tenant = a_project("tenant")
    user = a_project("user", parent=tenant)
    rule = attribute(user, payer=tenant)
    a_metric()
    event_id = an_id(
        project=user, id="e-1", quantity=5, subject_type="user", subject_id="ada", labels={"n": 1}
    )
    rule.delete()

    void(event_id)

    columns = ("project__key", "billing_scope__key", "subject_type", "subject_id", "labels", "occurred_at")
    original, copy = ledger_rows(*columns)
    assert original == copy
    assert ledger_rows("kind", "voids", "source", "event_id", "quantity") == [
        ("usage", None, "api", "e-1", 5),
        ("void", event_id, "meterbook:void", str(event_id), None),
    ]
    assert total_of("tokens") is None


def test_an_answer_at_a_position_before_the_void_stays() -> None:
    metric = a_metric()
    event_id = an_id(quantity=5)
    position = ledger_end()

    void(event_id)

    [usage] = usage_in(meaning_of(metric), [HOUR], as_of=position)
    assert (usage.value, total_of(metric, *HOUR)) == (5, None)


# -- how often, and who may --------------------------------------------------------------------------------


def test_repeated_void_exists_and_takes_back_nothing_more() -> None:
    a_metric()
    event_id = an_id(quantity=5)
    an_id(quantity=7)

    first = void_events([event_id, event_id], **WHY)
    second = void_events([event_id], reason="again", actor="bob")

    assert [voided.outcome for voided in first + second] == ["created", "exists", "exists"]
    assert len({voided.id for voided in first + second}) == 1
    assert total_of("tokens") == 7
    assert list(
        Correction.objects.values_list("event", "void", "replacement", "kind", "reason", "actor")
    ) == [(event_id, first[0].id, None, "void", "recorded by mistake", "ada")]


def test_event_of_others_and_of_nobody_are_not_found_alike() -> None:
    a_metric()
    a_project("other")
    event_id = an_id(project="other", quantity=5)
    acme = Project.objects.get(key="acme")
    stranger = Principal("s", frozenset({"manage"}), project_id=acme.pk, project_path=acme.path)

    for missing in (event_id, event_id + 1000, -1, 2**63, 2**70):
        with pytest.raises(NotFound, match=f"There is no event {missing}."):
            void_events([missing], principal=stranger, **WHY)
        with pytest.raises(NotFound, match=f"There is no event {missing}."):
            amend_event(missing, {"quantity": 1}, principal=stranger, **WHY)
    assert (Correction.objects.count(), total_of("tokens")) == (0, 5)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\x00b", "\ud800"])
def test_correction_without_a_reason_that_can_be_kept_is_refused(reason: str) -> None:
    a_metric()
    event_id = an_id(quantity=5)

    with pytest.raises(Invalid) as caught:
        void_events([event_id], reason=reason, actor="ada")

    assert caught.value.field == "reason"
    assert len(ledger_rows("id")) == 1


def test_the_ledger_refuses_a_second_void_whoever_writes_it() -> None:
    a_metric()
    event_id = an_id(quantity=5)
    a_void_of(event_id)

    with pytest.raises(IntegrityError, match="usage_event_voided_once"), transaction.atomic():
        raw_void_of(event_id)


def raw_void_of(event_id: int) -> None:
    columns = "project_id, billing_scope_id, event_name, subject_type, subject_id, labels, occurred_at"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO metering_usageevent ({columns}, source, event_id, kind, voids, digest)"
            f" SELECT {columns}, 'by hand', id::text, 'void', id, digest"
            " FROM metering_usageevent WHERE id = %s",
            [event_id],
        )


# -- amendments --------------------------------------------------------------------------------------------


def test_amendment_moves_usage_to_another_time_project_and_payer(metrics: None) -> None:
    a_project("other")
    event_id = an_id(quantity=5, subject_id="ada")
    tick()

    amended = amend(event_id, project="other", occurred_at="2024-06-01T00:00:00Z")

    assert (amended.void.outcome, amended.event.outcome) == ("created", "created")
    june = (at("2024-06-01T00:00:00Z"), at("2024-06-01T01:00:00Z"))
    for _ in range(2):
        assert values()["sum"] is None
        assert (total_of("sum", *june), total_of("max", *june), total_of("level", *june)) == (5, 5, 5)
        tick()
    rows = ledger_rows("id", "kind", "project__key", "billing_scope__key", "subject_id", "source", "event_id")
    assert rows[1:] == [
        (amended.void.id, "void", "acme", "acme", "ada", "meterbook:void", str(event_id)),
        (amended.event.id, "usage", "other", "other", "ada", "meterbook:amend", str(event_id)),
    ]
    assert list(Correction.objects.values_list("project__key", "event", "void", "replacement", "kind")) == [
        ("acme", event_id, amended.void.id, amended.event.id, "amendment")
    ]


def test_repeated_amendment_exists() -> None:
    a_metric()
    event_id = an_id(quantity=5)

    first = amend(event_id, quantity=6)
    second = amend(event_id, quantity="6.0")

    assert (second.void.outcome, second.event.outcome) == ("exists", "exists")
    assert (second.void.id, second.event.id) == (first.void.id, first.event.id)
    assert (Correction.objects.count(), len(ledger_rows("id")), total_of("tokens")) == (1, 3, 6)


def test_what_was_amended_can_be_amended_and_voided_again() -> None:
    a_metric()
    first = an_id(quantity=5)
    second = amend(first, quantity=6).event.id

    third = amend(second, quantity=7).event.id
    assert total_of("tokens") == 7
    void(third)

    tick()
    assert total_of("tokens") is None
    assert list(Correction.objects.order_by("id").values_list("event", "replacement")) == [
        (first, second),
        (second, third),
        (third, None),
    ]


def test_labels_that_stay_keep_their_numbers_exactly() -> None:
    a_metric()
    event_id = an_id(
        labels={
            "a": Decimal("0.1"),
            "b": 10**40,
            "c": Decimal("1E+200"),
            "d": {"e": [Decimal("1E-200"), Decimal("-1E+300"), True, None, "1"]},
        }
    )

    amended = amend(event_id, quantity=6)

    with connection.cursor() as cursor:
        cursor.execute("SELECT labels::text FROM metering_usageevent WHERE kind = 'usage'")
        before, after = [text for (text,) in cursor.fetchall()]
    assert amended.event.outcome == "created"
    assert before == after
    assert len(before) > 740


@pytest.mark.parametrize("is_own", [True, False], ids=["its own id", "the id of a voided event"])
def test_amendment_that_would_leave_nothing_in_its_place_is_refused(is_own: bool) -> None:
    """Recording would answer `exists` for a row that counts for nothing."""
    a_metric()
    event_id = an_id(id="e-1", quantity=5)
    if not is_own:
        a_void_of(an_id(id="e-2", quantity=5))

    with pytest.raises(Conflict, match="is voided") as caught:
        amend(event_id, id="e-1" if is_own else "e-2")

    assert caught.value.field == "id"
    assert total_of("tokens") == 5
    assert Correction.objects.filter(event=event_id).count() == 0


def test_amendment_to_an_event_that_stands_counts_it_once() -> None:
    a_metric()
    event_id, twin = an_id(id="e-1", quantity=5), an_id(id="e-2", quantity=5)

    amended = amend(event_id, id="e-2")

    assert (amended.void.outcome, amended.event.outcome, amended.event.id) == ("created", "exists", twin)
    assert total_of("tokens") == 5


def test_amendment_with_nothing_to_change_is_refused() -> None:
    a_metric()

    with pytest.raises(Invalid, match="Nothing would change"):
        amend(an_id(quantity=5))


def test_event_whose_metrics_are_all_archived_is_voided_but_not_amended() -> None:
    metric = a_metric()
    event_id = an_id(quantity=5)
    archive_metric(metric)

    with pytest.raises(Invalid) as caught:
        amend(event_id, quantity=6)

    assert caught.value.code == "metric_archived"
    assert total_of(metric) == 5
    assert void(event_id) == ["created"]
    assert total_of(metric) is None


# -- quotas ------------------------------------------------------------------------------------------------


def test_void_frees_the_quota_at_once(acme: Project) -> None:
    set_quota(acme, metric=a_metric(), limit=10)
    event_id = an_id(quantity=10)
    with pytest.raises(QuotaExceeded):
        an_id(quantity=1)

    void(event_id)

    an_id(quantity=10)
    with pytest.raises(QuotaExceeded):
        an_id(quantity="0.000000000001")


@pytest.mark.parametrize("aggregation", ["SUM", "MAX"])
@pytest.mark.parametrize("between", [nothing, tick], ids=["pending", "rolled up"])
def test_amendment_is_judged_as_if_the_old_event_were_not_there(
    acme: Project, aggregation: str, between: Callable[[], None]
) -> None:
    set_quota(acme, metric=a_metric(aggregation=aggregation), limit=10)
    event_id = an_id(quantity=9)
    between()

    with pytest.raises(QuotaExceeded) as caught:
        amend(event_id, quantity="10.5")
    assert (caught.value.facts["used"], caught.value.facts["requested"]) == ("0", "10.5")
    assert (Correction.objects.count(), len(ledger_rows("id")), total_of("tokens")) == (0, 1, 9)

    amend(event_id, quantity=10)
    assert total_of("tokens") == 10


def test_closed_periods_of_quotas_stop_no_correction(acme: Project) -> None:
    event_id = an_id_before_a_quota(acme)
    weak = Principal("m", frozenset({"manage"}), project_id=acme.pk, project_path=acme.path)
    with pytest.raises(Invalid, match="backfill"):
        recorded(an_event(quantity=1), principal=weak)

    amended = amend_event(event_id, {"quantity": 6}, principal=weak, **WHY)
    assert (amended.event.outcome, total_of("tokens")) == ("created", 6)
    void_events([amended.event.id], principal=weak, **WHY)

    assert total_of("tokens") is None


def an_id_before_a_quota(project: Project) -> int:
    metric = a_metric()
    event_id = an_id(quantity=5)
    set_quota(project, metric=metric, limit=100)
    return event_id


def test_unenforced_amendment_passes_a_full_quota(acme: Project) -> None:
    set_quota(acme, metric=a_metric(), limit=10)
    event_id = an_id(quantity=9)

    amend_event(event_id, {"quantity": 11}, enforce=False, **WHY)

    assert total_of("tokens") == 11
