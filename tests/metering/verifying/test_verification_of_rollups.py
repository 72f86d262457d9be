"""Rollups that somebody changed, added, lost: each is found, and its place is named."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from metering.attributing.scope_tree import attribute
from metering.correcting.corrections import void_events
from metering.defining.definitions import archive_metric
from metering.models import MetricDefinition, PendingContribution, UsageMeterRollup
from metering.rolling_up.rollups import roll_up
from metering.verifying.verification import Report, verify
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.sealing.sealed_ledger import behind_the_guards, execute
from tests.properties.test_every_aggregation import DEFINITIONS

pytestmark = pytest.mark.django_db

ZERO = "00000000-0000-0000-0000-000000000000"
# What somebody would change to falsify an answer.
FALSIFIED = {
    "COUNT": "record_count = record_count + 1",
    "SUM": "value_sum = value_sum + 0.000000000001",
    "AVG": "value_sum = value_sum * 2 + 1",
    "MIN": "value_min = value_min - 1",
    "MAX": "value_max = value_max + 1",
    "LATEST": "last_value = last_value + 1",
    "UNIQUE_COUNT": "record_count = record_count + 1",
    "TIME_WEIGHTED_AVG": "value_moment = value_moment + 1",
}
LEVELS = [(unit, is_total) for unit in ("hour", "day", "month") for is_total in (False, True)]


def used(day: int, hour: int, quantity: str, **overrides: Any) -> dict[str, Any]:
    overrides.setdefault("labels", {"region": "eu", "size": "s"})
    return an_event(
        "shop",
        quantity=quantity,
        subject_id="ada",
        occurred_at=f"2024-05-{day:02}T{hour:02}:20:00Z",
        **overrides,
    )


@pytest.fixture
def house() -> None:
    tenant = a_project("tenant", kind="tenant")
    attribute(a_project("shop", parent=tenant), payer=tenant)
    for key, overrides in DEFINITIONS.items():
        a_metric(key, event_name="tokens", primary_labels=["region"], **overrides)
    recorded(used(14, 9, "3"), used(15, 12, "5"), used(15, 12, "7"), used(15, 13, "6"), used(16, 1, "2"))
    roll_up()


def checked(*metrics: str) -> Report:
    return verify(checks=["rollups"], metrics=metrics)


def rows(key: str, unit: str, *, is_total: bool) -> Any:
    of_metric = UsageMeterRollup.objects.filter(metric__key=key, granularity=unit)
    streams = of_metric.filter(stream=ZERO) if is_total else of_metric.exclude(stream=ZERO)
    return streams.order_by("-bucket_start", "value_key")


def undone(job: Callable[[], Report]) -> Report:
    with transaction.atomic():
        report = job()
        transaction.set_rollback(True)
    return report


@pytest.mark.parametrize("key", DEFINITIONS)
def test_changed_row_of_any_kind_and_size_is_the_one_that_is_named(house: None, key: str) -> None:
    change = FALSIFIED[MetricDefinition.objects.get(key=key).aggregation]
    assert checked(key).has_passed

    for unit, is_total in LEVELS:
        row = rows(key, unit, is_total=is_total)[0]

        def sabotaged(pk: int = row.pk) -> Report:
            execute(f"UPDATE metering_usagemeterrollup SET {change} WHERE id = %s", pk)
            return checked()

        report = undone(sabotaged)

        assert [(one.subject, one.breach_count) for one in report.findings if one.breaches] == [(key, 1)]
        (breach,) = report.breaches
        form = {"hour": "%Y-%m-%d %H:%M UTC", "day": "%Y-%m-%d", "month": "%Y-%m"}[unit]
        place = f"{unit.title()} {row.bucket_start:{form}}, project shop, billed to tenant, "
        place += "total" if is_total else "subject ada, region=eu"
        assert breach.code == "rollup_differs"
        assert breach.what.startswith(place)
        assert "held are" in breach.what
        assert "the ledger gives" in breach.what


@pytest.mark.parametrize("key", DEFINITIONS)
def test_missing_row_of_any_kind_and_size_is_named(house: None, key: str) -> None:
    for unit, is_total in LEVELS:
        row = rows(key, unit, is_total=is_total)[0]

        def sabotaged(pk: int = row.pk) -> Report:
            execute("DELETE FROM metering_usagemeterrollup WHERE id = %s", pk)
            return checked(key)

        report = undone(sabotaged)

        (breach,) = report.breaches
        assert (report.state, report.breach_count, breach.code) == ("failed", 1, "rollup_missing")
        assert "nothing is held, the ledger gives readings" in breach.what


@pytest.mark.parametrize("key", DEFINITIONS)
def test_row_without_events_is_named(house: None, key: str) -> None:
    for unit, is_total in LEVELS:
        row = rows(key, unit, is_total=is_total)[0]

        def sabotaged(row: UsageMeterRollup = row) -> Report:
            row.pk = None
            row.bucket_start = row.bucket_start.replace(year=2031)
            row.save(force_insert=True)
            return checked(key)

        report = undone(sabotaged)

        assert [breach.code for breach in report.breaches] == ["rollup_without_events"]
        assert f"{unit.title()} 2031-05" in report.breaches[0].what


@pytest.mark.parametrize(
    "change",
    [
        "subject_id = 'eve'",
        "subject_type = 'bot'",
        """ "group" = '{"region": "us"}' """,
        """ "group" = '{}' """,
    ],
)
def test_row_under_another_name_is_named(house: None, change: str) -> None:
    row = rows("sum", "day", is_total=False)[0]

    execute(f"UPDATE metering_usagemeterrollup SET {change} WHERE id = %s", row.pk)

    (breach,) = checked("sum").breaches
    assert breach.code == "rollup_misnamed"
    assert breach.what.startswith("Day 2024-05-16, project shop, billed to tenant, subject ada, region=eu")


def test_row_of_another_payer_is_one_too_many_and_one_too_few(house: None) -> None:
    row = rows("sum", "month", is_total=True)[0]

    execute(
        "UPDATE metering_usagemeterrollup SET billing_scope_id = project_id, bucket_start = 'infinity'"
        " WHERE id = %s",
        row.pk,
    )

    assert [(breach.code, breach.what) for breach in checked("sum").breaches] == [
        (
            "rollup_missing",
            "Month 2024-05, project shop, billed to tenant, total: nothing is held, the ledger gives"
            " readings 5, sum 23",
        ),
        (
            "rollup_without_events",
            "Month infinity, project shop, total: held are readings 5, sum 23, the ledger has nothing there",
        ),
    ]


@pytest.mark.parametrize("key", [key for key in DEFINITIONS if DEFINITIONS[key].get("aggregation")])
def test_lost_pending_row_is_found(house: None, key: str) -> None:
    recorded(used(17, 4, "9"), used(15, 12, "9.5"))
    assert checked().has_passed
    PendingContribution.objects.filter(metric__key=key).delete()

    report = checked()

    assert {one.subject for one in report.findings if one.breaches} == {key}
    assert any("Hour 2024-05-17 04:00 UTC" in breach.what for breach in report.breaches)


@pytest.mark.parametrize("key", ["increase", "change", "total.never", "level", "min", "latest"])
def test_lost_mark_is_found(house: None, key: str) -> None:
    voided = execute("SELECT id FROM metering_usageevent WHERE quantity IN (7, 2) ORDER BY id")
    void_events([event for (event,) in voided], reason="wrong", actor="tests")
    assert checked().has_passed
    PendingContribution.objects.filter(metric__key=key).delete()

    report = checked(key)

    assert not report.has_passed
    assert any("2024-05-16" in breach.what for breach in report.breaches)


def test_hours_that_wait_are_believed_and_counted_but_what_is_made_of_them_is_not(house: None) -> None:
    recorded(used(15, 12, "8"))
    waiting = checked("increase")
    assert waiting.has_passed
    assert waiting.findings[0].notes[0].startswith("1 hour of streams waited")

    day = rows("increase", "day", is_total=False)[1]
    execute("UPDATE metering_usagemeterrollup SET value_sum = value_sum + 1 WHERE id = %s", day.pk)

    (breach,) = checked("increase").breaches
    assert breach.what.startswith("Day 2024-05-15")


@pytest.mark.parametrize(
    ("statement", "code", "untouched"),
    [
        ("quantity = 70 WHERE quantity = 7", "rollup_differs", {"count", "regions", "min"}),
        ("event_name = 'x' WHERE quantity = 2", "rollup_without_events", set()),
        ("occurred_at = occurred_at + interval '1 year' WHERE quantity = 2", "rollup_missing", set()),
    ],
)
def test_ledger_that_was_changed_no_longer_fits(
    house: None, statement: str, code: str, untouched: set[str]
) -> None:
    behind_the_guards(f"UPDATE metering_usageevent SET {statement}")

    report = checked()

    assert {one.subject for one in report.findings if one.breaches} == set(DEFINITIONS) - untouched
    assert code in {breach.code for breach in report.breaches}


def test_event_that_was_deleted_leaves_rollups_without_events(house: None) -> None:
    behind_the_guards("DELETE FROM metering_usageevent WHERE quantity = 2")

    report = checked()

    assert {one.subject for one in report.findings if one.breaches} == set(DEFINITIONS)
    assert report.breaches[0].what == (
        "Hour 2024-05-16 01:00 UTC, project shop, billed to tenant, total: held are readings 1, sum 2, the"
        " ledger has nothing there"
    )


def test_label_that_became_unreadable_ends_no_run() -> None:
    a_project("shop")
    a_metric("size", event_name="tokens", value_property="size")
    recorded(used(15, 12, "1", labels={"size": 4}), used(15, 12, "1", labels={"size": "6"}))
    roll_up()
    assert checked().has_passed

    behind_the_guards(
        """UPDATE metering_usageevent SET labels = '{"size": "many"}' WHERE labels ->> 'size' = '6'"""
    )

    report = checked()
    assert report.breach_count == 6
    assert report.breaches[0].what.endswith("held are readings 2, sum 10, the ledger gives readings 2, sum 4")


def test_archived_metric_is_held_to_what_it_counted(house: None) -> None:
    archive_metric(MetricDefinition.objects.get(key="sum"))
    recorded(used(20, 12, "100"))
    roll_up()
    assert checked("sum").findings[0].checked == "16 buckets from 5 readings"
    assert checked().has_passed

    execute("UPDATE metering_metricdefinition SET archived_from = NULL WHERE key = 'sum'")

    assert "Hour 2024-05-20 12:00 UTC" in checked("sum").breaches[0].what


def test_metric_counts_from_its_position_until_its_history_is_counted(house: None) -> None:
    late = a_metric("late", event_name="tokens")
    reaching_back = a_metric("all", event_name="tokens", counts_from=0, event_label_filter={"size": "s"})
    recorded(used(20, 12, "100"))
    assert checked().has_passed
    roll_up()

    report = checked("late", "all")

    assert report.has_passed
    assert [finding.checked.split(" from ")[1] for finding in report.findings] == ["6 readings", "1 reading"]
    execute("UPDATE metering_metricdefinition SET counts_from = 0 WHERE id = %s", late.pk)
    assert not checked("late").has_passed
    execute(
        "UPDATE metering_metricdefinition SET counts_from = (SELECT min(id) FROM metering_usageevent)"
        " WHERE id = %s",
        reaching_back.pk,
    )
    assert checked("all").breaches


def test_only_usage_below_the_owner_counts() -> None:
    for tenant in ("acme", "globex"):
        project = a_project(tenant, kind="tenant")
        a_metric("tokens", project=project)
        recorded(an_event(project, quantity="5"))
    roll_up()

    report = checked("tokens")

    assert [(one.subject, one.checked) for one in report.findings] == [
        ("tokens (acme)", "6 buckets from 1 reading"),
        ("tokens (globex)", "6 buckets from 1 reading"),
    ]
    assert report.has_passed


def test_all_are_counted_and_the_first_are_kept(house: None) -> None:
    UsageMeterRollup.objects.filter(metric__key="sum").delete()

    report = verify(checks=["rollups"], metrics=["sum"], limit=3)

    assert (report.breach_count, len(report.breaches)) == (16, 3)
    assert report.breaches[0].what.startswith("Hour 2024-05-14 09:00 UTC")
