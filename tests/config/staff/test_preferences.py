"""Preferences of staff: what they change, and what they never touch."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from config.models import StaffPreferences
from config.staff.preferences import Wishes, keep_wishes, wishes_of

PAGE = "/admin/account/"


@pytest.fixture
def kim(db: None, client: Client) -> User:
    kim = User.objects.create_user("kim", password="right-password", is_staff=True, is_superuser=True)
    client.force_login(kim)
    kim.refresh_from_db()
    return kim


def test_page_keeps_zone_and_language_of_one_person(client: Client, kim: User) -> None:
    answer = client.post(PAGE, {"time_zone": "Europe/Berlin", "language": "de"})

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert list(StaffPreferences.objects.values_list("user", "time_zone", "language")) == [
        (kim.pk, "Europe/Berlin", "de")
    ]


def test_choosing_nothing_goes_back_to_the_defaults(client: Client, kim: User) -> None:
    keep_wishes(kim, Wishes("Europe/Berlin", "de"))

    client.post(PAGE, {"time_zone": "", "language": ""})

    assert wishes_of(User.objects.get(pk=kim.pk)) == Wishes("", "")


@pytest.mark.parametrize("field", ["time_zone", "language"])
def test_what_is_not_on_the_list_is_refused(client: Client, kim: User, field: str) -> None:
    answer = client.post(PAGE, {field: "Mars/Phobos"})

    assert answer.status_code == 200
    assert "Mars/Phobos is not one of the available choices" in answer.content.decode()
    assert not StaffPreferences.objects.exists()


def test_pages_show_times_in_the_persons_zone(client: Client, kim: User) -> None:
    User.objects.update(last_login="2026-07-01T10:00:00Z")
    keep_wishes(kim, Wishes("Asia/Kolkata"))

    page = client.get("/admin/auth/user/").content.decode()

    assert (
        'title="2026-07-01 10:00:00 UTC">2026-07-01 15:30:00 <span class="mb-quiet">IST</span></time>' in page
    )
    assert timezone.get_current_timezone_name() == "UTC"  # the next request begins anew


def test_forms_read_times_in_the_persons_zone_and_say_so(client: Client, kim: User) -> None:
    keep_wishes(kim, Wishes("Europe/Berlin"))
    page = client.get(f"/admin/auth/user/{kim.pk}/change/").content.decode()
    assert "The time is in your time zone, Europe/Berlin." in page

    client.post(
        f"/admin/auth/user/{kim.pk}/change/",
        {
            "username": "kim",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "date_joined_0": "2026-07-01",
            "date_joined_1": "00:00:00",
        },
    )

    assert User.objects.get().date_joined.isoformat() == "2026-06-30T22:00:00+00:00"


def test_a_time_that_no_clock_shows_is_refused(client: Client, kim: User) -> None:
    keep_wishes(kim, Wishes("Europe/Berlin"))

    answer = client.post(
        f"/admin/auth/user/{kim.pk}/change/",
        {"username": "kim", "date_joined_0": "2026-03-29", "date_joined_1": "02:30:00"},
    )

    assert answer.status_code == 200
    assert "couldn’t be interpreted in time zone Europe/Berlin" in answer.content.decode()


def test_language_of_the_person_beats_that_of_the_browser(client: Client, kim: User) -> None:
    keep_wishes(kim, Wishes(language="fr"))

    answer = client.get(PAGE, HTTP_ACCEPT_LANGUAGE="de")

    assert answer["Content-Language"] == "fr"
    assert '<html lang="fr"' in answer.content.decode()


def test_without_a_choice_the_browser_decides(client: Client, kim: User) -> None:
    assert client.get(PAGE, HTTP_ACCEPT_LANGUAGE="de")["Content-Language"] == "de"


def test_api_speaks_utc_and_english_to_everybody(client: Client, kim: User) -> None:
    keep_wishes(kim, Wishes("Asia/Kolkata", "fr"))

    answer = client.get("/api/v1/metrics/?page_size=x", HTTP_ACCEPT_LANGUAGE="de")

    assert answer["Content-Language"] == "en"


def test_a_zone_that_is_gone_is_utc(kim: User) -> None:
    keep_wishes(kim, Wishes("Atlantis/Capital", "tlh"))

    wishes = wishes_of(User.objects.get(pk=kim.pk))
    assert (wishes.zone, wishes.spoken) == (None, "")


def test_page_needs_a_session(client: Client, db: None) -> None:
    assert client.get(PAGE)["Location"] == f"/admin/login/?next={PAGE}"


def test_page_tells_roles_and_sign_ins(client: Client, kim: User, django_assert_max_num_queries: Any) -> None:
    client.post("/admin/login/", {"username": "kim", "password": "wrong"}, REMOTE_ADDR="203.0.113.9")

    with django_assert_max_num_queries(20):
        page = client.get(PAGE).content.decode()

    assert "Everything: you are an administrator." in page
    assert page.count("203.0.113.9") == 1
    assert "With your password alone" in page
