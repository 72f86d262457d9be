"""Working rollups out again from the ledger: the same rows, whatever had happened to them."""

from typing import Any

import pytest
from django.db import connection

from metering.attributing.scope_tree import attribute
from metering.clock import ledger_end
from metering.correcting.corrections import void_events
from metering.defining.definitions import archive_metric
from metering.errors import Conflict, Unavailable
from metering.measuring.streams import TOTAL
from metering.models import (
    MetricDefinition,
    PendingContribution,
    Project,
    RollupRebuild,
    UsageMeterRollup,
)
from metering.rolling_up import rebuilding
from metering.rolling_up.rebuilding import Findings, rebuild_rollups
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import rows
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of
from tests.properties.test_every_aggregation import DEFINITIONS

pytestmark = pytest.mark.django_db

ROLLUPS = "metering_usagemeterrollup"
KEY = UsageMeterRollup._meta.constraints[0].fields
COLUMNS = [field.attname for field in UsageMeterRollup._meta.concrete_fields if field.attname != "id"]


@pytest.fixture(autouse=True)
def acme() -> Project:
    acme = a_project("acme")
    attribute(a_project("below", parent=acme), payer=acme, effective_from=at("2024-04-01T00:00:00Z"))
    return acme


def a_metric_of_family(name: str) -> MetricDefinition:
    return a_metric("measured", event_name="tokens", primary_labels=["region"], **DEFINITIONS[name])


def some_usage() -> None:
    """Two projects, two payers, three subjects, two regions, hours, days and months; repeats and voids."""
    events = [
        an_event(
            project,
            id=f"{project}-{number}",
            subject_id=f"s-{number % 3}",
            quantity=str(number % 7) + ".5",
            labels={"size": "s" if number % 2 else "l"} | ({"region": "eu"} if number % 5 else {}),
            occurred_at=f"2024-0{3 + number % 2}-{1 + number % 29:02}T{number % 3:02}:{number % 60:02}:00Z",
        )
        for project in ("acme", "below")
        for number in range(60)
    ]
    outcomes = recorded(*events[:70])
    roll_up()
    recorded(*events[70:], *events[:5])
    void_events([outcomes[7].id, outcomes[8].id, outcomes[66].id], reason="wrong", actor="tests")
    roll_up()


def stored(**conditions: Any) -> dict[int, tuple[Any, ...]]:
    """All rows, by their ids."""
    found = UsageMeterRollup.objects.filter(**conditions).values_list("id", *COLUMNS)
    return {row_id: tuple(columns) for row_id, *columns in found}


def contents(**conditions: Any) -> list[tuple[Any, ...]]:
    """All columns of all rows but the handle, by value, in the order of the natural key."""
    return list(UsageMeterRollup.objects.filter(**conditions).order_by(*KEY).values_list(*COLUMNS))


def rebuilt(metric: MetricDefinition, **options: Any) -> Findings:
    """As of now. A fence would wait for this test's own transaction."""
    return rebuild_rollups(metric, **{"position": ledger_end(), **options})


def wrong(findings: Findings) -> tuple[int, int, int]:
    return findings.missing_count, findings.extra_count, findings.different_count


@pytest.mark.parametrize("family", DEFINITIONS)
def test_rebuild_of_intact_rollups_leaves_every_row_and_its_id(family: str) -> None:
    metric = a_metric_of_family(family)
    some_usage()
    before = stored()

    findings = rebuilt(metric)

    assert stored() == before
    assert len(before) > 100
    assert (wrong(findings), findings.row_count) == ((0, 0, 0), len(before))


def remove_some(cursor: Any) -> None:
    cursor.execute(f"DELETE FROM {ROLLUPS} WHERE id % 3 = 0")


def remove_all(cursor: Any) -> None:
    cursor.execute(f"DELETE FROM {ROLLUPS}")


def change_values(cursor: Any) -> None:
    cursor.execute(
        f"UPDATE {ROLLUPS} SET record_count = record_count + 1, value_sum = value_sum + 0.000000000001,"
        " value_moment = value_moment * 2, value_min = value_min - 1, value_max = value_max + 1,"
        " last_value = last_value + 1, last_at = last_at + interval '1 microsecond' WHERE id % 2 = 0"
    )


def empty_columns(cursor: Any) -> None:
    cursor.execute(
        f"UPDATE {ROLLUPS} SET value_sum = NULL, value_moment = NULL, value_min = NULL, value_max = NULL,"
        " last_value = NULL, last_at = NULL, last_event_id = NULL"
    )


def rename_streams(cursor: Any) -> None:
    cursor.execute(
        f"""UPDATE {ROLLUPS} SET subject_id = 'forged', "group" = '{{"region": "us"}}' WHERE id % 2 = 0"""
    )


def move_buckets(cursor: Any) -> None:
    cursor.execute(f"UPDATE {ROLLUPS} SET bucket_start = bucket_start + interval '100 years'")


def forge_rows(cursor: Any) -> None:
    names = ", ".join(connection.ops.quote_name(name) for name in COLUMNS)
    forged = names.replace('"stream"', "gen_random_uuid()")
    cursor.execute(f"INSERT INTO {ROLLUPS} ({names}) SELECT {forged} FROM {ROLLUPS}")


def swap_levels(cursor: Any) -> None:
    cursor.execute(f"DELETE FROM {ROLLUPS} WHERE granularity = 'hour'")
    cursor.execute(f"UPDATE {ROLLUPS} SET granularity = 'hour' WHERE granularity = 'day'")


DAMAGES = (
    remove_some, remove_all, change_values, empty_columns, rename_streams, move_buckets, forge_rows,
    swap_levels,
)  # fmt: skip
WITHOUT_VALUES = ("count", "unique", "regions")  # whose rows have no columns to empty


@pytest.mark.parametrize("family", DEFINITIONS)
def test_rebuild_restores_exactly_the_rows_that_were(family: str) -> None:
    metric = a_metric_of_family(family)
    some_usage()
    before = contents()
    for damage in DAMAGES:
        with connection.cursor() as cursor:
            damage(cursor)
        was_damaged = contents() != before

        findings = rebuilt(metric)

        assert contents() == before, damage
        assert bool(findings.wrong_count) is was_damaged, damage
        assert was_damaged or (damage is empty_columns and family in WITHOUT_VALUES), damage


def test_rebuild_says_what_was_wrong_and_touches_nothing_else() -> None:
    metric = a_metric_of_family("sum")
    other = a_metric("other", event_name="tokens")
    some_usage()
    before, of_other = stored(metric=metric), stored(metric=other)
    [first, second, third, *_] = sorted(before)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {ROLLUPS} WHERE id = %s", [first])
        cursor.execute(
            f"UPDATE {ROLLUPS} SET value_sum = value_sum + 1 WHERE id IN (%s, %s)", [second, third]
        )
        cursor.execute(
            f"INSERT INTO {ROLLUPS} (project_id, metric_id, granularity, stream, bucket_start,"
            ' billing_scope_id, subject_type, subject_id, "group", record_count, value_sum)'
            " SELECT project_id, metric_id, granularity, stream, '2019-01-01T00:00:00Z', billing_scope_id,"
            f' subject_type, subject_id, "group", record_count, value_sum FROM {ROLLUPS} WHERE id = %s',
            [second],
        )

    findings = rebuilt(metric, requested_by="kim")

    after = stored(metric=metric)
    assert wrong(findings) == (1, 1, 2)
    assert {row_id for row_id in before if after.get(row_id) == before[row_id]} == {*before} - {first}
    assert len(after) == len(before) == findings.row_count
    assert stored(metric=other) == of_other
    kept = RollupRebuild.objects.get()
    assert (kept.metric, kept.state, kept.requested_by) == (metric, "repaired", "kim")
    assert (kept.missing_count, kept.extra_count, kept.different_count) == (1, 1, 2)
    assert (kept.position, kept.row_count) == (findings.position, findings.row_count)


def test_dry_run_finds_the_same_and_changes_nothing() -> None:
    metric = a_metric_of_family("max")
    some_usage()
    with connection.cursor() as cursor:
        change_values(cursor)
    recorded(an_event(quantity="99"))
    before, pending_count = stored(), PendingContribution.objects.count()

    findings = rebuilt(metric, is_dry_run=True)

    assert findings.different_count > 50
    assert stored() == before
    assert PendingContribution.objects.count() == pending_count == findings.pending_count == 1
    assert not RollupRebuild.objects.exists()
    assert rebuilt(metric).different_count == findings.different_count


@pytest.mark.parametrize("family", DEFINITIONS)
def test_rollups_that_are_merely_behind_are_not_called_wrong(family: str) -> None:
    metric = a_metric_of_family(family)
    some_usage()
    outcomes = recorded(
        an_event(subject_id="s-1", quantity="3", occurred_at="2024-03-02T00:10:00Z", labels={"size": "xl"}),
        an_event(subject_id="new", quantity="3", occurred_at="2024-03-02T00:10:00Z", labels={"size": "s"}),
    )
    void_events([outcomes[0].id], reason="wrong", actor="tests")

    findings = rebuilt(metric, is_dry_run=True)

    assert wrong(findings) == (0, 0, 0)
    assert findings.pending_count > 1


def test_contributions_that_could_not_be_merged_are_counted_and_gone() -> None:
    metric = a_metric()
    recorded(an_event(quantity="5"), an_event(quantity="7", occurred_at="2024-05-16T00:00:00Z"))
    PendingContribution.objects.update(failure="could not be merged")

    findings = rebuilt(metric)

    assert not PendingContribution.objects.exists()
    assert findings.pending_count == 2
    totals = UsageMeterRollup.objects.filter(granularity="month", stream=TOTAL)
    assert list(totals.values_list("record_count", "value_sum")) == [(2, 12)]
    assert total_of("tokens") == 12


def test_what_was_recorded_after_the_fence_is_contained() -> None:
    metric = a_metric_of_family("total.weekly")
    some_usage()
    position = ledger_end()
    late = recorded(
        an_event(subject_id="s-1", quantity="2", occurred_at="2024-03-01T00:00:00Z", labels={"size": "s"}),
        an_event(subject_id="s-1", quantity="4", occurred_at="2024-03-20T00:00:00Z", labels={"size": "s"}),
    )
    earlier = rows("SELECT id FROM metering_usageevent WHERE kind = 'usage' ORDER BY id LIMIT 30")
    void_events([late[0].id, *(event_id for (event_id,) in earlier[20:])], reason="wrong", actor="tests")
    roll_up()
    before = stored()

    findings = rebuilt(metric, position=position)

    assert stored() == before
    assert wrong(findings) == (0, 0, 0)
    assert rebuilt(metric, position=0).wrong_count == 0


def test_metric_counts_what_is_under_its_owner_and_before_its_archiving(acme: Project) -> None:
    metric = a_metric("owned", event_name="tokens", project=acme)
    a_metric("tokens")
    a_project("elsewhere")
    recorded(an_event("below", quantity="1"), an_event("elsewhere", quantity="2"))
    a_project("newer", parent=acme)
    recorded(an_event("newer", quantity="4"))
    archive_metric(metric)
    recorded(an_event("below", quantity="8"))
    roll_up()
    before = contents()
    with connection.cursor() as cursor:
        remove_all(cursor)

    rebuilt(metric)
    rebuilt(MetricDefinition.objects.get(key="tokens"))

    assert contents() == before
    assert (total_of("owned"), total_of("tokens")) == (5, 15)


def test_rebuild_of_some_projects_leaves_the_others_as_they_are(acme: Project) -> None:
    metric = a_metric_of_family("sum")
    some_usage()
    right = contents(project=acme)
    with connection.cursor() as cursor:
        change_values(cursor)
    below = Project.objects.get(key="below")
    left = contents(project=below)

    rebuilt(metric, project_ids=[acme.pk])

    assert contents(project=acme) == right
    assert contents(project=below) == left
    assert RollupRebuild.objects.get().project_count == 1


def test_history_that_is_due_is_counted_first(acme: Project) -> None:
    a_metric("tokens")
    recorded(an_event(quantity="5"))
    metric = a_metric("later", event_name="tokens")
    MetricDefinition.objects.filter(pk=metric.pk).update(is_history_due=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE metering_catalogueversion SET version = nextval('metering_catalogue_version_seq')"
        )

    with pytest.raises(Conflict, match="run roll_up first"):
        rebuilt(metric, is_dry_run=True)
    findings = rebuilt(metric)

    assert wrong(findings) == (0, 0, 0)
    assert total_of("later") == 5


def test_definition_that_changes_during_the_rebuild_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = a_metric("tokens")
    a_metric("other", event_name="tokens")
    recorded(an_event(quantity="5"))
    catch_up, versions = rebuilding._catch_up_by, []

    def archived_meanwhile(*args: Any) -> tuple[int, int]:
        if not versions:
            archive_metric(metric)
            recorded(an_event(quantity="7"))
        answer = catch_up(*args)
        versions.append(answer[1])
        return answer

    monkeypatch.setattr(rebuilding, "_catch_up_by", archived_meanwhile)
    rebuilt(metric)

    assert len(versions) == 2
    totals = UsageMeterRollup.objects.filter(metric=metric, granularity="month", stream=TOTAL)
    assert totals.get().value_sum == 5


def test_definitions_that_never_rest_are_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = a_metric()
    recorded(an_event(quantity="5"))
    roll_up()
    before = stored()
    monkeypatch.setattr(rebuilding, "_catch_up_by", lambda *args: (0, -1))

    with pytest.raises(Unavailable):
        rebuilt(metric)

    assert stored() == before


def test_rebuild_without_events_has_nothing_to_do() -> None:
    findings = rebuilt(a_metric())

    assert (findings.row_count, wrong(findings), findings.pending_count) == (0, (0, 0, 0), 0)
    assert RollupRebuild.objects.get().state == "intact"
