"""Past usage gets other payers on a page that shows first what would move."""

import pytest
from django.test import Client
from django.urls import reverse

from metering.admin import reattribution
from metering.attributing.scope_tree import attribute
from metering.models import Correction, UsageEvent
from tests.factories import a_project

from .conftest import World


@pytest.fixture
def url(world: World) -> str:
    """The shop's five events of 11 to 15 May were paid by the tenant; a sponsor should have."""
    sponsor = a_project("sponsor", parent=world.tenant)
    world.shop.attribution_rules.all().delete()
    attribute(world.shop, payer=sponsor)
    return reverse("admin:metering_project_reattribute", args=[world.shop.pk])


DAYS = {"first_day": "2024-05-12", "last_day": "2024-05-13", "reason": "agreed late"}


def test_page_shows_what_would_move_and_moves_nothing(staff: Client, url: str) -> None:
    asked = staff.get(url).content.decode()
    page = staff.post(url, DAYS).content.decode()

    assert "Move " not in asked
    assert "Move 2 events" in page
    assert "sponsor" in page
    assert UsageEvent.objects.count() == 5


def test_confirmed_it_moves_and_says_by_whom_and_why(staff: Client, url: str) -> None:
    done = staff.post(url, {**DAYS, "confirmed": "1"}, follow=True).content.decode()

    assert "2 events have the payers of today" in done
    assert UsageEvent.objects.filter(billing_scope__key="sponsor").count() == 2
    assert set(Correction.objects.values_list("kind", "reason", "actor")) == {
        ("reattribution", "agreed late", "root")
    }
    assert "there is nothing to move" in staff.post(url, DAYS).content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"first_day": "soon"}, "first_day"),
        ({"last_day": "2024-05-11"}, "last_day"),
        ({"first_day": "0001-01-01"}, "first_day"),
        ({"last_day": "9999-12-31"}, "last_day"),
    ],
)
def test_wrong_input_is_said_at_its_field(staff: Client, url: str, changes: dict, field: str) -> None:
    response = staff.post(url, {**DAYS, "confirmed": "1", **changes})

    assert (response.status_code, list(response.context["form"].errors)) == (200, [field])
    assert UsageEvent.objects.count() == 5


def test_too_much_for_a_page_is_left_to_the_command(
    staff: Client, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reattribution, "MAX_EVENTS_HERE", 1)

    page = staff.post(url, {**DAYS, "confirmed": "1"}).content.decode()

    assert "manage.py reattribute shop" in page
    assert UsageEvent.objects.count() == 5


def test_onlooker_moves_nothing(onlooker: Client, url: str) -> None:
    assert onlooker.get(url).status_code == 403
    assert onlooker.post(url, {**DAYS, "confirmed": "1"}).status_code == 403
    assert UsageEvent.objects.count() == 5
