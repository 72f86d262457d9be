"""Temporary limits in the admin: given and ended by their verbs."""

import datetime as dt
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metering.clock import database_now
from quotas.models import ProjectQuota, QuotaOverride
from quotas.overrides import override_quota
from tests.factories import a_metric, a_project, at
from tests.quotas.factories import a_quota

LIST = "admin:quotas_quotaoverride_changelist"
ADD = "admin:quotas_quotaoverride_add"
CHANGE = "admin:quotas_quotaoverride_change"
END = "admin:quotas_quotaoverride_end"


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def quota(db: None) -> ProjectQuota:
    return a_quota(a_project("acme"), a_metric(display_name="Tokens"), limit="10")


def an_override(quota: ProjectQuota) -> QuotaOverride:
    return override_quota(
        quota, limit="20.5", effective_until=at("2999-01-01T00:00:00Z"), reason="a fair", actor="ann"
    )


def test_empty_list_says_what_to_do(staff: Client) -> None:
    page = staff.get(reverse(LIST)).content.decode()

    assert "No temporary limits yet" in page
    assert "Temporary limits" in page


def test_limit_is_given_until_a_time_from_now_on(staff: Client, quota: ProjectQuota) -> None:
    before = database_now()

    response = staff.post(
        reverse(ADD),
        {
            "quota": quota.pk,
            "limit": "50",
            "effective_from_0": "",
            "effective_from_1": "",
            "effective_until_0": "2999-01-01",
            "effective_until_1": "00:00:00",
            "reason": "a campaign",
        },
    )

    assert response.status_code == 302
    override = QuotaOverride.objects.get()
    assert (override.limit, override.reason, override.created_by) == (50, "a campaign", "root")
    assert override.effective_until == dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
    assert before <= override.effective_from <= database_now()


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"limit": "-1"}, "A limit can&#x27;t be negative"),
        ({"effective_until_0": "2001-01-01"}, "It would be over already."),
        (
            {"effective_from_0": "2001-01-01", "effective_from_1": "00:00:00"},
            "It can&#x27;t begin before now",
        ),
        ({"reason": ""}, "This field is required."),
        ({"effective_until_0": "", "effective_until_1": ""}, "This field is required."),
    ],
)
def test_what_makes_no_sense_is_said_beside_the_field(
    staff: Client, quota: ProjectQuota, overrides: dict[str, str], complaint: str
) -> None:
    fields = {
        "quota": quota.pk,
        "limit": "50",
        "effective_from_0": "",
        "effective_from_1": "",
        "effective_until_0": "2999-01-01",
        "effective_until_1": "00:00:00",
        "reason": "why not",
    }

    response = staff.post(reverse(ADD), fields | overrides)

    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert not QuotaOverride.objects.exists()


def test_list_and_page_show_what_is_in_force_and_why(staff: Client, quota: ProjectQuota) -> None:
    override = an_override(quota)

    listed = staff.get(reverse(LIST)).content.decode()
    page = staff.get(reverse(CHANGE, args=[override.pk])).content.decode()

    for shown in ("Tokens", "acme", "20.5", "In force", "a fair"):
        assert shown in listed
        assert shown in page
    assert "ann" in page


def test_limit_is_ended_after_it_was_confirmed_and_then_no_more(staff: Client, quota: ProjectQuota) -> None:
    override = an_override(quota)
    url = reverse(END, args=[override.pk])

    asked = staff.get(url)
    override.refresh_from_db()
    assert asked.status_code == 200
    assert override.ended_by == ""
    response = staff.post(url, {"reason": "paid"})

    override.refresh_from_db()
    assert response.status_code == 302
    assert override.ended_by == "root"
    assert override.effective_until <= database_now()
    assert LogEntry.objects.filter(object_id=override.pk).exists()
    assert "Over" in staff.get(reverse(LIST)).content.decode()
    assert url not in staff.get(reverse(CHANGE, args=[override.pk])).content.decode()


def test_it_is_neither_edited_nor_deleted(staff: Client, quota: ProjectQuota) -> None:
    override = an_override(quota)

    assert staff.post(reverse(CHANGE, args=[override.pk]), {"limit": "999"}).status_code == 403
    delete = reverse("admin:quotas_quotaoverride_delete", args=[override.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 403

    override.refresh_from_db()
    assert override.limit == Decimal("20.5")


def test_whoever_may_only_look_gives_and_ends_nothing(client: Client, quota: ProjectQuota) -> None:
    override = an_override(quota)
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_quotaoverride"))
    client.force_login(clerk)

    assert client.get(reverse(LIST)).status_code == 200
    assert client.post(reverse(ADD), {}).status_code == 403
    assert client.post(reverse(END, args=[override.pk])).status_code == 403

    override.refresh_from_db()
    assert override.ended_by == ""
