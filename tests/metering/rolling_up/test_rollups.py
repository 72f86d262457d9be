"""Merging what is pending into hours, days and months: whole tables, small enough to work out by hand."""

import datetime as dt
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from metering.attributing.scope_tree import attribute
from metering.clock import database_now, ledger_end
from metering.measuring.streams import TOTAL, stream_of
from metering.models import Heartbeat, PendingContribution, Project, UsageMeterRollup
from metering.rolling_up import rollups
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of

pytestmark = pytest.mark.django_db

HOUR_12, HOUR_13 = at("2024-05-15T12:00:00Z"), at("2024-05-15T13:00:00Z")
DAY_15, DAY_16 = at("2024-05-15T00:00:00Z"), at("2024-05-16T00:00:00Z")
MAY, JUNE = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z")


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


def table(*columns: str, **conditions: Any) -> list[tuple[Any, ...]]:
    """The rollup table, with totals called so."""
    rows = UsageMeterRollup.objects.filter(**conditions).values_list(
        "granularity", "bucket_start", "stream", "subject_id", *columns
    )
    return sorted(
        (
            (granularity, start, "total" if stream == TOTAL else subject, *values)
            for granularity, start, stream, subject, *values in rows
        ),
        key=lambda row: (["hour", "day", "month"].index(row[0]), row[1], row[2]),
    )


def everything(**conditions: Any) -> list[tuple[Any, ...]]:
    """All columns but the handle, in the order of the natural key."""
    columns = [field.attname for field in UsageMeterRollup._meta.concrete_fields if field.attname != "id"]
    return sorted(UsageMeterRollup.objects.filter(**conditions).values_list(*columns), key=repr)


def test_each_stream_and_the_total_get_a_row_in_each_granularity() -> None:
    a_metric()
    recorded(
        an_event(subject_id="ada", quantity="1", occurred_at="2024-05-15T12:00:00Z"),
        an_event(subject_id="ada", quantity="2", occurred_at="2024-05-15T12:59:59.999999Z"),
        an_event(subject_id="bob", quantity="4", occurred_at="2024-05-15T13:00:00Z"),
        an_event(subject_id="bob", quantity="8", occurred_at="2024-05-31T23:59:59.999999Z"),
        an_event(subject_id="bob", quantity="16", occurred_at="2024-06-01T00:00:00Z"),
    )

    tick = roll_up()

    assert (tick.merged_count, tick.bucket_count) == (4, 20)
    assert table("record_count", "value_sum") == [
        ("hour", HOUR_12, "ada", 2, 3),
        ("hour", HOUR_12, "total", 2, 3),
        ("hour", HOUR_13, "bob", 1, 4),
        ("hour", HOUR_13, "total", 1, 4),
        ("hour", at("2024-05-31T23:00:00Z"), "bob", 1, 8),
        ("hour", at("2024-05-31T23:00:00Z"), "total", 1, 8),
        ("hour", JUNE, "bob", 1, 16),
        ("hour", JUNE, "total", 1, 16),
        ("day", DAY_15, "ada", 2, 3),
        ("day", DAY_15, "bob", 1, 4),
        ("day", DAY_15, "total", 3, 7),
        ("day", at("2024-05-31T00:00:00Z"), "bob", 1, 8),
        ("day", at("2024-05-31T00:00:00Z"), "total", 1, 8),
        ("day", JUNE, "bob", 1, 16),
        ("day", JUNE, "total", 1, 16),
        ("month", MAY, "ada", 2, 3),
        ("month", MAY, "bob", 2, 12),
        ("month", MAY, "total", 4, 15),
        ("month", JUNE, "bob", 1, 16),
        ("month", JUNE, "total", 1, 16),
    ]
    assert not PendingContribution.objects.exists()


def test_a_row_says_all_that_its_stream_is() -> None:
    metric = a_metric(primary_labels=["region", "http.status"])
    acme = Project.objects.get(key="acme")
    recorded(
        an_event(
            subject_type="user",
            subject_id="ada",
            quantity="2.5",
            labels={"region": "eu", "http": {"status": 200}, "other": "x"},
        )
    )

    roll_up()

    stream = stream_of("user", "ada", ("eu", "200"))
    group = {"region": "eu", "http.status": "200"}
    columns = (
        "project", "billing_scope", "metric", "granularity", "bucket_start", "stream", "subject_type",
        "subject_id", "group", "record_count", "value_sum", "value_min", "value_max", "last_value", "last_at",
        "last_event_id",
    )  # fmt: skip
    nothing = (None,) * 5
    names: Sequence[tuple[UUID, str, str, dict]] = [(TOTAL, "", "", {}), (stream, "user", "ada", group)]
    assert list(
        UsageMeterRollup.objects.order_by("bucket_start", "granularity", "stream").values_list(*columns)
    ) == [
        (acme.pk, acme.pk, metric.pk, granularity, start, *name, 1, Decimal("2.5"), *nothing)
        for granularity, start in (("month", MAY), ("day", DAY_15), ("hour", HOUR_12))
        for name in names
    ]


@pytest.mark.parametrize(
    ("aggregation", "columns", "expected"),
    [
        ("COUNT", ("record_count", "value_sum"), (4, None)),
        ("SUM", ("record_count", "value_sum"), (4, 5)),
        ("AVG", ("record_count", "value_sum"), (4, 5)),
        ("MIN", ("record_count", "value_min", "value_max"), (4, -2, None)),
        ("MAX", ("record_count", "value_min", "value_max"), (4, None, 7)),
        ("LATEST", ("record_count", "last_value", "last_at"), (4, 0, at("2024-05-15T12:40:00Z"))),
    ],
)
@pytest.mark.parametrize("ticks_between", [False, True])
def test_each_aggregation_keeps_what_it_needs(
    aggregation: str, columns: tuple[str, ...], expected: tuple[Any, ...], ticks_between: bool
) -> None:
    a_metric(aggregation=aggregation, meter_type="gauge")

    for minute, quantity in ((30, -2), (40, 0), (10, 7), (20, 0)):
        recorded(an_event(quantity=quantity, occurred_at=f"2024-05-15T12:{minute}:00Z"))
        if ticks_between:
            roll_up()
    roll_up()

    assert table(*columns) == [
        ("hour", HOUR_12, "", *expected),
        ("hour", HOUR_12, "total", *expected),
        ("day", DAY_15, "", *expected),
        ("day", DAY_15, "total", *expected),
        ("month", MAY, "", *expected),
        ("month", MAY, "total", *expected),
    ]


def test_the_latest_total_is_the_latest_over_all_streams() -> None:
    metric = a_metric(aggregation="LATEST")
    recorded(an_event(subject_id="ada", quantity="1", occurred_at="2024-05-15T12:10:00Z"))
    [tied] = recorded(an_event(subject_id="bob", quantity="2", occurred_at="2024-05-15T12:20:00Z"))
    roll_up()
    [later] = recorded(an_event(subject_id="ada", quantity="3", occurred_at="2024-05-15T12:20:00Z"))
    recorded(an_event(subject_id="bob", quantity="4", occurred_at="2024-05-15T12:05:00Z"))

    roll_up()

    assert table("last_value", "last_event_id", granularity="hour") == [
        ("hour", HOUR_12, "ada", 3, later.id),
        ("hour", HOUR_12, "bob", 2, tied.id),
        ("hour", HOUR_12, "total", 3, later.id),
    ]
    assert total_of(metric) == 3


def test_totals_are_kept_apart_by_project_and_payer() -> None:
    acme = Project.objects.get(key="acme")
    below = a_project("below", parent=acme)
    a_metric()
    recorded(an_event(acme, quantity="1"), an_event(below, quantity="2"))
    attribute(below, payer=acme)
    recorded(an_event(below, quantity="4"))

    roll_up()

    rows = UsageMeterRollup.objects.filter(granularity="day", stream=TOTAL)
    assert sorted(rows.values_list("project__key", "billing_scope__key", "value_sum")) == [
        ("acme", "acme", 1),
        ("below", "acme", 4),
        ("below", "below", 2),
    ]


def test_late_event_refreshes_its_bucket() -> None:
    metric = a_metric()
    recorded(an_event(quantity="5", occurred_at="2024-05-15T12:30:00Z"))
    roll_up()

    recorded(an_event(quantity="7", occurred_at="2024-05-15T12:10:00Z"))
    assert total_of(metric, HOUR_12, HOUR_13) == 12
    roll_up()

    assert table("record_count", "value_sum") == [
        (granularity, start, stream, 2, 12)
        for granularity, start in (("hour", HOUR_12), ("day", DAY_15), ("month", MAY))
        for stream in ("", "total")
    ]


def test_a_tick_with_nothing_to_do_changes_nothing() -> None:
    a_metric()
    recorded(an_event(quantity="5"))
    roll_up()
    before = everything()

    tick = roll_up()

    assert (tick.merged_count, tick.bucket_count) == (0, 0)
    assert everything() == before
    assert len(before) == 6


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 20_000])
def test_chunks_of_any_size_merge_to_the_same_table(chunk: int) -> None:
    a_metric("sum", event_name="tokens")
    a_metric("latest", event_name="tokens", aggregation="LATEST")
    for hour in (1, 2, 1):
        recorded(
            *(
                an_event(subject_id=subject, quantity=hour, occurred_at=f"2024-05-15T0{hour}:00:00Z")
                for subject in ("ada", "bob")
            )
        )
    progress: list[int] = []

    tick = roll_up(chunk=chunk, on_progress=progress.append)

    assert tick.merged_count == 12
    assert progress[-1] == 12
    assert progress == sorted(set(progress))
    assert not PendingContribution.objects.exists()
    assert table("record_count", "value_sum", granularity="hour", metric__key="sum") == [
        ("hour", at("2024-05-15T01:00:00Z"), "ada", 2, 2),
        ("hour", at("2024-05-15T01:00:00Z"), "bob", 2, 2),
        ("hour", at("2024-05-15T01:00:00Z"), "total", 4, 4),
        ("hour", at("2024-05-15T02:00:00Z"), "ada", 1, 2),
        ("hour", at("2024-05-15T02:00:00Z"), "bob", 1, 2),
        ("hour", at("2024-05-15T02:00:00Z"), "total", 2, 4),
    ]


def test_sums_beyond_the_ledgers_digits_are_exact() -> None:
    metric = a_metric()
    largest = "99999999999999999999999999.999999999999"

    for _ in range(3):
        recorded(an_event(quantity=largest))
        roll_up()

    assert total_of(metric) == Decimal("299999999999999999999999999.999999999997")


def test_the_heartbeat_says_what_the_last_tick_did() -> None:
    a_metric()
    recorded(an_event())
    before = database_now()

    roll_up()

    [heartbeat] = Heartbeat.objects.filter(job="roll_up")
    assert heartbeat.facts["merged"] == 1
    assert heartbeat.facts["buckets"] == 6
    assert abs(heartbeat.finished_at - before) < dt.timedelta(seconds=30)
    roll_up()
    assert Heartbeat.objects.get(job="roll_up").facts["merged"] == 0


def test_buckets_are_utc_whatever_the_session_thinks() -> None:
    a_metric()
    recorded(an_event(quantity="5", occurred_at="2024-05-31T23:30:00Z"))

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'Asia/Kathmandu'")
        roll_up()
        cursor.execute("SET LOCAL TimeZone = 'UTC'")

    assert [(row[0], row[1]) for row in table() if row[2] == "total"] == [
        ("hour", at("2024-05-31T23:00:00Z")),
        ("day", at("2024-05-31T00:00:00Z")),
        ("month", MAY),
    ]


def test_a_crash_before_the_commit_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = a_metric()
    recorded(an_event(quantity="5"))
    merge = rollups._merge

    class Crash(Exception):
        pass

    def merge_and_crash(*args: Any, **options: Any) -> None:
        with transaction.atomic():
            merge(*args, **options)
            raise Crash

    monkeypatch.setattr(rollups, "_merge", merge_and_crash)
    with pytest.raises(Crash):
        roll_up()

    assert everything() == []
    assert PendingContribution.objects.count() == 1
    assert total_of(metric) == 5
    monkeypatch.undo()
    roll_up()
    assert total_of(metric) == 5
    assert PendingContribution.objects.count() == 0


def test_a_contribution_that_cannot_be_merged_does_not_stop_the_others() -> None:
    metric = a_metric()
    recorded(an_event(quantity="5"))
    PendingContribution.objects.create(
        project_id=999_999_999,
        metric_id=metric.pk,
        billing_scope_id=999_999_999,
        hour_start=HOUR_12,
        stream=stream_of("", "", ()),
        subject_type="",
        subject_id="",
        group={},
        record_count=1,
        value_sum=1,
    )
    recorded(an_event(quantity="7"))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    roll_up()

    total = UsageMeterRollup.objects.get(project__key="acme", granularity="hour", stream=TOTAL)
    assert (total.record_count, total.value_sum) == (2, 12)


REFUSE_POISON = """
    CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'poison can not be merged';
    END $$;
    CREATE TRIGGER refuse_poison BEFORE INSERT ON metering_usagemeterrollup
       FOR EACH ROW WHEN (NEW.subject_id = 'poison') EXECUTE FUNCTION refuse_poison();
"""


@pytest.mark.parametrize("aggregation", ["SUM", "MAX"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 20_000])
def test_what_cannot_be_merged_is_set_aside_alone_and_still_counts(aggregation: str, chunk: int) -> None:
    metric, others = a_metric(aggregation=aggregation), [a_project(f"other-{n}") for n in range(3)]
    for project, subject in [(others[0], "ada"), ("acme", "poison"), (others[1], "bob"), (others[2], "cy")]:
        recorded(an_event(project, quantity="5", subject_id=subject))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(REFUSE_POISON)

    roll_up(chunk=chunk)
    roll_up(chunk=chunk)

    [(subject, failure)] = PendingContribution.objects.values_list("subject_id", "failure")
    assert subject == "poison"
    assert failure.startswith("poison can not be merged")
    assert {row[2] for row in table()} == {"total", "ada", "bob", "cy"}
    assert total_of(metric) == (20 if aggregation == "SUM" else 5)


@pytest.mark.parametrize("seed", range(3))
def test_marks_of_steps_taken_hour_by_hour_come_to_what_all_at_once_do(seed: int) -> None:
    chance = random.Random(seed)
    by_chunks = a_metric("by-chunks", event_name="reading", is_incremental=False)
    readings = [
        an_event(
            event_name="reading",
            quantity=chance.randint(0, 50),
            subject_id=f"s-{chance.randint(0, 1)}",
            occurred_at=HOUR_12 + dt.timedelta(minutes=chance.randint(0, 600)),
        )
        for _ in range(40)
    ]
    recorded(*readings[:20])
    taken: list[int] = []

    roll_up(chunk=2, on_progress=taken.append)
    recorded(*readings[20:])
    roll_up(chunk=2, on_progress=taken.append)

    assert len(taken) > 8  # several hours each, never all of them
    columns = ("record_count", "value_sum", "last_value")
    found = table(*columns, metric=by_chunks)
    UsageMeterRollup.objects.all().delete()
    rebuild_rollups(by_chunks, position=ledger_end())
    assert found == table(*columns, metric=by_chunks)


def test_a_tick_shows_distinct_counts_and_levels_of_a_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"data_type": "STRING", "value_property": "who"}
    a_metric("visitors", event_name="visit", aggregation="UNIQUE_COUNT", **texts)
    a_metric("seats", event_name="seats", aggregation="TIME_WEIGHTED_AVG")
    recorded(
        *(an_event(event_name="visit", labels={"who": who}) for who in ("ada", "bob", "ada")),
        an_event(event_name="seats", quantity=12, occurred_at="2024-05-15T06:00:00Z"),
    )

    call_command("roll_up", period_type="daily")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["seats", "acme", "acme", "9", "1"] in lines
    assert ["visitors", "acme", "acme", "2", "3"] in lines


@pytest.mark.parametrize("table", ["metering_metricdefinition", "metering_project"])
def test_what_has_rollups_cannot_be_deleted_by_sql_either(table: str) -> None:
    a_metric()
    recorded(an_event(quantity="5"))
    roll_up()

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(f"DELETE FROM {table}")

    assert total_of("tokens") == 5


def test_metric_without_usage_can_be_deleted() -> None:
    metric = a_metric()

    assert metric.delete()[0] == 1
