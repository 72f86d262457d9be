"""Home tells of alerts that nobody has seen to."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metering.clock import database_now
from metering.rolling_up.rollups import roll_up
from quotas.alerting import acknowledge
from quotas.models import Alert
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_threshold

pytestmark = pytest.mark.django_db


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("kim", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def _three_alerts() -> None:
    """Of three subjects, one of which somebody has seen to."""
    acme = a_project("acme")
    a_threshold(acme, a_metric("tokens"))
    now = database_now().isoformat()
    recorded(*(an_event(acme, quantity=100, subject_id=name, occurred_at=now) for name in ("a", "b", "c")))
    roll_up()
    acknowledge([Alert.objects.order_by("id")[0]], actor="ada")


def test_open_alerts_are_as_many_as_their_list_has():
    client = staff_with("view_alert")

    [each] = client.get(reverse("admin:index")).context["matters"]
    listed = client.get(each["matter"].url).context["cl"]

    assert (each["matter"].title, each["count"], listed.result_count) == ("Open alerts", "2", 2)
    assert each["matter"].since == Alert.objects.order_by("id")[1].created_at


def test_alerts_are_for_those_who_may_see_them():
    assert staff_with("view_quotahold").get(reverse("admin:index")).context["matters"] == []
