"""Usage of one project over time: metric, windows, days and whose, as a chart and as a file."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from metering.models import Project
from tests.factories import a_metric, a_project, an_event, recorded

from .conftest import World
from .test_project_page import page_of, url_of


def heights(card: Any) -> list[float | None]:
    data: list[float | None] = json.loads(card.chart.data)["datasets"][0]["data"]
    return data


def labels(card: Any) -> list[str]:
    names: list[str] = json.loads(card.chart.data)["labels"]
    return names


def test_chart_opens_on_the_latest_days_of_the_metric_used_last(staff: Client, world: World) -> None:
    usage = page_of(staff, world.shop)["usage"]

    assert (usage.name, usage.value, usage.record_count) == ("Tokens", "15,000", "5")
    assert (str(usage.interval.first_day), str(usage.interval.last_day)) == ("2024-04-16", "2024-05-15")
    assert heights(usage)[-6:] == [None, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0]


@pytest.mark.parametrize(
    ("window", "days", "label", "height", "count"),
    [
        ("hour", ("2024-05-12", "2024-05-12"), "2024-05-12 12:00", 2000.0, 24),
        ("week", ("2024-05-06", "2024-05-19"), "2024-05-06", 3000.0, 2),
        ("month", ("2024-01-01", "2024-05-31"), "2024-05", 15000.0, 5),
    ],
)
def test_windows_are_hours_weeks_and_months(
    staff: Client, world: World, window: str, days: tuple[str, str], label: str, height: float, count: int
) -> None:
    query = {"window": window, "from": days[0], "to": days[1]}

    usage = page_of(staff, world.shop, **query)["usage"]

    assert len(heights(usage)) == count
    assert dict(zip(labels(usage), heights(usage), strict=True))[label] == height


def test_whose_usage_is_a_choice(staff: Client, world: World) -> None:
    recorded(an_event(world.tenant, id="own", quantity=7, occurred_at="2024-05-15T00:00:00Z"))

    values = {
        scope: page_of(staff, world.tenant, scope=scope)["usage"].value for scope in ("own", "tree", "billed")
    }
    unasked = page_of(staff, world.tenant)["usage"]

    assert values == {"own": "7", "tree": "15,007", "billed": "15,007"}
    assert (unasked.value, unasked.form.initial["scope"]) == ("15,007", "tree")


def test_metric_of_a_project_below_is_offered_for_the_tree_alone(staff: Client, world: World) -> None:
    own = a_metric("seats", project=world.shop, display_name="Seats")

    def offered(**query: str) -> list[str]:
        choices = page_of(staff, world.tenant, **query)["usage"].form.fields["metric"].choices
        return [name for _value, name in choices]

    assert "Seats" in offered(scope="tree")
    assert "Seats" not in offered(scope="own")
    assert page_of(staff, world.shop, metric=str(own.pk))["usage"].chart is None


def test_too_many_windows_are_cut_and_said_to_be(staff: Client, world: World) -> None:
    usage = page_of(staff, world.shop, window="hour", **{"from": "2024-01-01", "to": "2024-05-15"})["usage"]

    assert len(heights(usage)) == 16 * 24
    assert usage.notes == ["Only the latest 16 of these days: for more, choose longer windows."]


@pytest.mark.parametrize(
    "query",
    [
        {"metric": "x"},
        {"metric": "0", "window": "second", "scope": "all"},
        {"from": "never", "to": "2024-01-01"},
        {"from": "2024-02-01", "to": "2024-01-01"},
        {"from": "1970-01-01"},
        {"to": "1970-01-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"window": "month", "to": "9997-12-31"},
    ],
)
def test_made_up_query_still_answers(staff: Client, world: World, query: dict[str, str]) -> None:
    assert staff.get(url_of(world.shop), query).status_code == 200
    assert staff.get(url_of(world.shop, "project_usage_csv"), query).status_code == 200


def test_days_without_usage_are_said_to_be(staff: Client, world: World) -> None:
    response = staff.get(url_of(world.shop), {"from": "2023-01-01", "to": "2023-01-31"})

    assert "Nothing was used from 2023-01-01 to 2023-01-31 (UTC)." in response.content.decode()


def test_file_holds_the_numbers_of_the_chart(staff: Client, world: World) -> None:
    card = page_of(staff, world.shop, **{"from": "2024-05-13", "to": "2024-05-14"})["usage"]

    file = staff.get(card.csv_url)

    assert file["Content-Disposition"] == 'attachment; filename="shop-tokens-day.csv"'
    assert file.content.decode().splitlines() == [
        "project,scope,metric,unit,window_start,window_end,value,record_count",
        "shop,own,tokens,,2024-05-13T00:00:00Z,2024-05-14T00:00:00Z,3000,1",
        "shop,own,tokens,,2024-05-14T00:00:00Z,2024-05-15T00:00:00Z,4000,1",
    ]


def test_file_needs_the_right_to_view_usage(onlooker: Client, world: World) -> None:
    assert onlooker.get(url_of(world.shop, "project_usage_csv")).status_code == 200
    assert onlooker.get(reverse("admin:metering_project_usage_csv", args=[0])).status_code == 404


def test_pending_usage_is_in_the_chart_before_a_tick(staff: Client, world: World) -> None:
    recorded(an_event(world.shop, id="now", quantity=7, occurred_at="2024-05-16T00:00:00Z"))

    assert heights(page_of(staff, world.shop)["usage"])[-2:] == [5000.0, 7.0]


def test_project_without_usage_of_a_metric_offers_others(staff: Client, world: World) -> None:
    idle = a_project("idle", parent=world.tenant)

    text = staff.get(url_of(idle)).content.decode()

    assert "Nothing was ever used of this metric here." in text
    assert Project.objects.get(key="idle").name in text
