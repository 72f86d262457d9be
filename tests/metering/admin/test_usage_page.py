"""The page of usage opens on the latest days that have some, and says how the ledger is."""

import datetime as dt
import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from metering.health import ledger_health, row_count_of
from metering.models import Fence, Heartbeat, OwedObservation, UsageEvent
from tests.factories import a_metric, a_project, an_event, recorded

from .conftest import World

USAGE = "admin:metering_usage"


def heights(page: object, name: str = "usage_chart") -> list[float | None]:
    return json.loads(page.context[name].data)["datasets"][0]["data"]  # type: ignore[attr-defined, no-any-return]


def test_without_metrics_it_leads_to_the_first_steps(staff: Client) -> None:
    page = staff.get(reverse(USAGE)).content.decode()

    assert "Nothing is measured yet" in page
    assert "The first steps are on Home" in page


def test_chart_opens_on_the_latest_days_with_usage(staff: Client, world: World) -> None:
    page = staff.get(reverse(USAGE), {"metric": world.tokens.pk})

    interval = page.context["interval"]
    assert (interval.first_day, interval.last_day) == (dt.date(2024, 4, 16), dt.date(2024, 5, 15))
    assert heights(page)[-6:] == [None, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0]
    assert page.context["value"] == "15,000"


def test_asked_days_are_shown_by_hours_when_few(staff: Client, world: World) -> None:
    page = staff.get(reverse(USAGE), {"metric": world.tokens.pk, "from": "2024-05-12", "to": "2024-05-12"})

    assert len(heights(page)) == 24
    assert heights(page)[12] == 2000.0
    assert page.context["usage_chart"].rows == [("2024-05-12 12:00", "2,000", "1")]


def test_days_without_usage_are_shown_as_such(staff: Client, world: World) -> None:
    page = staff.get(reverse(USAGE), {"metric": world.tokens.pk, "from": "2023-01-01", "to": "2023-01-31"})

    assert "Nobody used this metric in these days." in page.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"metric": "x"},
        {"metric": "0"},
        {"from": "never", "to": "2024-01-01"},
        {"from": "2024-02-01", "to": "2024-01-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"from": "1970-01-01", "to": "2024-05-15"},
        {"days": "-1"},
    ],
)
def test_made_up_query_still_answers(staff: Client, world: World, query: dict[str, str]) -> None:
    assert staff.get(reverse(USAGE), query).status_code == 200


def test_pending_usage_is_in_the_chart_before_a_tick(staff: Client, world: World) -> None:
    recorded(an_event(world.shop, id="now", quantity=7, occurred_at="2024-05-16T00:00:00Z"))

    page = staff.get(reverse(USAGE), {"metric": world.tokens.pk})

    assert heights(page)[-2:] == [5000.0, 7.0]
    assert page.context["counts"][0]["value"] == "6"


def test_the_page_never_reads_the_ledgers_rows(staff: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as queries:
        staff.get(reverse(USAGE))

    reading = [query["sql"] for query in queries if "FROM metering_usageevent e" in query["sql"]]
    assert reading == []


def test_level_is_a_line_and_an_amount_a_bar(staff: Client, world: World) -> None:
    amount = staff.get(reverse(USAGE), {"metric": world.tokens.pk}).context["usage_chart"]
    peak = a_metric("sessions", aggregation="MAX", meter_type="gauge")
    recorded(an_event(world.shop, event_name="sessions", quantity=9))
    level = staff.get(reverse(USAGE), {"metric": peak.pk}).context["usage_chart"]

    assert (amount.kind, level.kind) == ("bar", "line")


def test_silent_tick_is_late_and_a_recent_one_is_not(world: World) -> None:
    assert ledger_health().tick_is_late is False

    Heartbeat.objects.update(finished_at=timezone.now() - dt.timedelta(minutes=10))

    assert ledger_health().tick_is_late is True


def test_never_ticked_is_late_only_where_something_waits(db: None) -> None:
    assert ledger_health().tick_is_late is False

    a_metric("tokens")
    recorded(an_event(a_project("acme")))
    health = ledger_health()

    assert health.tick_is_late is True
    assert health.pending.count == 1
    assert health.oldest_pending_at is not None


def test_merged_usage_that_an_observer_owes_to_evaluate_is_shown(
    staff: Client, world: World, settings: Settings
) -> None:
    hour, path = (
        dt.datetime(2024, 5, 15, 12, tzinfo=dt.UTC),
        "tests.metering.rolling_up.test_tick_observers.Witness",
    )
    ids = {"metric_id": world.tokens.pk, "project_id": 1, "billing_scope_id": 1}
    for observer in (path, "of.old.days"):
        OwedObservation.objects.create(
            observer=observer, **ids, first_hour=hour, last_hour=hour, failure="no"
        )
    assert "Not evaluated yet" not in staff.get(reverse(USAGE)).content.decode()

    settings.METERING_TICK_OBSERVERS = [path]

    assert ledger_health().owed_count == 1
    assert "Not evaluated yet" in staff.get(reverse(USAGE)).content.decode()


def test_health_tells_positions(world: World) -> None:
    fence = Fence.objects.get()
    recorded(an_event(world.shop), an_event(world.shop))

    health = ledger_health()

    assert health.fence == fence
    assert health.ledger_end - fence.position == 2


def test_pending_is_counted_whatever_the_statistics_say(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "metering.health.EXACT_UP_TO", -10
    )  # every estimate would do, even that of no statistics
    estimated = row_count_of(UsageEvent)
    monkeypatch.setattr("metering.health.EXACT_UP_TO", 100)
    recorded(an_event(world.shop))

    assert estimated.is_exact is False
    assert ledger_health().pending.count == 2


def test_rows_are_counted_up_to_the_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.health._estimated", lambda row_count: None)  # whatever autovacuum has seen
    exact = row_count_of(UsageEvent)
    monkeypatch.setattr("metering.health.EXACT_UP_TO", 3)
    capped = row_count_of(UsageEvent)

    assert (exact.count, exact.is_exact) == (5, True)
    assert (capped.count, capped.is_exact) == (3, False)
