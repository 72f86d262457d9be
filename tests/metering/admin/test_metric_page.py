"""A metric's page opens with its meaning and who uses it; the form shows its effect while it is filled in."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.defining.definitions import archive_metric
from metering.defining.first_uses import first_use_of
from metering.models import MetricDefinition
from tests.factories import a_metric, a_project, an_event, meaning_of, recorded

from .conftest import World
from .test_forms import metric_fields

ADD = "/admin/metering/metricdefinition/add/"
LIVE = {"_preview": "7", "_live": "1"}


def url_of(metric: MetricDefinition, page: str = "change") -> str:
    return reverse(f"admin:metering_metricdefinition_{page}", args=[metric.pk])


def page_of(client: Client, metric: MetricDefinition) -> dict[str, Any]:
    response: Any = client.get(url_of(metric))
    assert response.status_code == 200
    page: dict[str, Any] = response.context["page"]
    return page


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("-".join(codenames), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def test_page_opens_with_the_meaning_in_words(staff: Client, world: World) -> None:
    page = page_of(staff, world.tokens)

    assert page["words"] == "Sum of the quantity of events “tokens”, kept apart by model, per month."
    assert page["reading"] == "It takes numbers that are never negative."
    assert (page["usage"]["value"], page["usage"]["record_count"]) == ("15,000", "5")


def test_frozen_metric_names_the_event_and_what_to_do(staff: Client, world: World) -> None:
    page = page_of(staff, world.tokens)

    assert "Frozen" in page["state"][0]
    assert reverse("admin:metering_usageevent_change", args=[world.event.pk]) in page["first"]
    assert page["actions"] == [
        ("Clone it with your change", url_of(world.tokens, "clone")),
        ("Archive it", url_of(world.tokens, "archive")),
    ]


def test_metric_that_may_still_change_says_so(staff: Client, world: World) -> None:
    page = page_of(staff, a_metric("fresh"))

    assert "Free to change" in page["state"][0]
    assert (page["first"], page["actions"], page["usage"]) == ("", [], None)


def test_archived_metric_can_be_cloned_and_not_archived_again(staff: Client, world: World) -> None:
    archive_metric(world.tokens)

    page = page_of(staff, world.tokens)

    assert "Archived" in page["state"][0]
    assert [words for words, _url in page["actions"]] == ["Clone it with your change"]


def test_first_use_is_the_first_recorded_event_that_counts(world: World) -> None:
    elsewhere = a_project("elsewhere")
    seats = a_metric("seats", project=world.tenant, event_label_filter={"kind": "desk"})
    a_metric("chairs", event_name="seats")
    recorded(an_event(elsewhere, event_name="seats", labels={"kind": "desk"}))
    recorded(an_event(world.shop, event_name="seats", labels={"kind": "room"}))
    assert first_use_of(meaning_of(seats)) is None
    counted = recorded(
        an_event(world.shop, event_name="seats", labels={"kind": "desk"}, occurred_at="2024-05-20T00:00:00Z")
    )
    recorded(
        an_event(world.shop, event_name="seats", labels={"kind": "desk"}, occurred_at="2024-01-01T00:00:00Z")
    )

    first = first_use_of(meaning_of(seats))

    assert first is not None
    assert first.id == counted[0].id


def test_who_uses_it_is_shown_by_the_apps_that_know(staff: Client, world: World) -> None:
    page = page_of(staff, world.tokens)

    assert [str(panel.title) for panel in page["panels"]] == ["Prices", "Limits on it"]


def test_what_one_may_not_see_is_not_shown(world: World) -> None:
    page = page_of(staff_with("view_metricdefinition"), world.tokens)

    assert (page["usage"], page["may_see_usage"], page["panels"], page["actions"]) == (None, False, [], [])
    assert "href" not in page["first"]


def test_page_asks_eighteen_times(staff: Client, world: World) -> None:
    staff.get(url_of(world.tokens))

    with CaptureQueriesContext(connection) as queries:
        staff.get(url_of(world.tokens))

    asked = [one["sql"] for one in queries if not one["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(asked) == 18


# -- looking ahead while somebody types ----------------------------------------------------------------------


def test_form_looks_ahead_while_it_is_filled_in(staff: Client, world: World) -> None:
    fresh = a_metric("fresh", event_name="tokens")

    for url in (ADD, url_of(fresh)):
        page = staff.get(url).content.decode()
        assert 'name="_preview"' in page  # the button, without scripts
        assert f'hx-post="{url}"' in page
    assert "hx-post" not in staff.get(url_of(world.tokens)).content.decode()


def test_live_preview_says_the_sentence_and_the_effect(staff: Client, world: World) -> None:
    fresh = a_metric("fresh", event_name="tokens")
    fields = metric_fields(
        event_name="tokens", aggregation="COUNT", event_label_filter='{"model": "large"}', data_type="FLOAT"
    )

    response = staff.post(url_of(fresh), fields | LIVE)

    fresh.refresh_from_db()
    text = response.content.decode()
    assert "<html" not in text
    assert (
        "Number of events “tokens” where model is large, kept apart by region and model, per month." in text
    )
    assert response.context["preview"]["facts"][0][1:] == ("5", "15,000")
    assert fresh.aggregation == "SUM"


def test_live_preview_of_a_new_metric_saves_nothing(staff: Client, world: World) -> None:
    response = staff.post(ADD, metric_fields(key="peak-2", event_name="tokens", aggregation="MAX") | LIVE)

    assert "Largest quantity of events “tokens”" in response.content.decode()
    assert not MetricDefinition.objects.filter(key="peak-2").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"key": ""}, "Key: This field is required."),
        ({"event_label_filter": '{"a": '}, "Event label filter: This isn&#x27;t JSON: line 1, column 7"),
        ({"data_type": "STRING", "aggregation": "SUM"}, "Aggregation: Texts can only be counted"),
    ],
)
def test_live_preview_says_what_is_missing(
    staff: Client, world: World, overrides: dict[str, object], message: str
) -> None:
    response = staff.post(ADD, metric_fields(**overrides) | LIVE)

    assert response.status_code == 200
    assert message in response.content.decode()


def test_live_preview_is_for_those_who_may_write(onlooker: Client, world: World) -> None:
    fresh = a_metric("fresh", event_name="tokens")

    assert onlooker.post(ADD, metric_fields() | LIVE).status_code == 403
    assert onlooker.post(url_of(fresh), metric_fields() | LIVE).status_code == 403
    assert "hx-post" not in onlooker.get(url_of(fresh)).content.decode()
