"""Limits in the admin: set, changed and removed by their verbs, and shown with what is used now."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.attributing.scope_tree import attribute
from quotas.enforcement import set_quota
from quotas.models import ProjectQuota
from tests.factories import a_metric, a_project, an_event, recorded

LIST = "admin:quotas_projectquota_changelist"


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_quota_is_set_by_the_form(staff: Client) -> None:
    project, metric = a_project("acme"), a_metric("tokens")

    response = staff.post(
        reverse("admin:quotas_projectquota_add"),
        {
            "project": project.pk,
            "metric": metric.pk,
            "limit": "1000.5",
            "mode": "soft",
            "period": "week",
            "counting": "rollups",
        },
    )

    quota = ProjectQuota.objects.get()
    assert response.status_code == 302
    assert (quota.limit, quota.mode, quota.period) == (Decimal("1000.5"), "soft", "week")


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"limit": "-1"}, "limit"),
        ({"period": "month"}, "period"),
        ({"mode": "hard", "metric": "mean"}, "mode"),
    ],
)
def test_refused_quota_names_the_field(staff: Client, overrides: dict[str, str], field: str) -> None:
    project = a_project("acme")
    metrics = {"tokens": a_metric("tokens"), "mean": a_metric("mean", aggregation="AVG")}
    set_quota(project, metric=metrics["tokens"], limit=5, period="month")
    fields = {"metric": "tokens", "limit": "1", "mode": "monitor", "period": "day", "counting": "rollups"}
    fields |= overrides

    response = staff.post(
        reverse("admin:quotas_projectquota_add"),
        {**fields, "project": project.pk, "metric": metrics[fields["metric"]].pk},
    )

    assert list(response.context["adminform"].form.errors) == [field]
    assert ProjectQuota.objects.count() == 1


def test_limit_and_mode_change_and_nothing_else(staff: Client) -> None:
    quota = set_quota(a_project("acme"), metric=a_metric("tokens"), limit=5, period="month")
    url = reverse("admin:quotas_projectquota_change", args=[quota.pk])

    page = staff.get(url).content.decode()
    staff.post(url, {"limit": "7", "mode": "monitor", "period": "day", "reason": "it grew"})

    quota.refresh_from_db()
    assert 'value="5"' in page
    assert (quota.limit, quota.mode, quota.period) == (7, "monitor", "month")


def test_removing_asks_first(staff: Client) -> None:
    quota = set_quota(a_project("acme"), metric=a_metric("tokens"), limit=5)
    url = reverse("admin:quotas_projectquota_remove", args=[quota.pk])

    asked = staff.get(url)
    staff.post(url, {"reason": "no longer needed"})

    assert "Usage of this metric is unlimited" in asked.content.decode()
    assert ProjectQuota.objects.count() == 0


def test_used_is_own_usage_and_what_is_paid_for(staff: Client) -> None:
    payer = a_project("payer")
    paid, alone = a_project("paid", parent=payer), a_project("alone", parent=payer)
    attribute(paid, payer=payer)
    metric = a_metric("tokens")
    now = timezone.now().isoformat()
    recorded(
        an_event(payer, quantity=1, occurred_at=now),
        an_event(paid, quantity=20, occurred_at=now),
        an_event(alone, quantity=300, occurred_at=now),
    )
    quota = set_quota(payer, metric=metric, limit=84)

    row = staff.get(reverse(LIST)).context["cl"].result_list[0]
    page = staff.get(reverse("admin:quotas_projectquota_change", args=[quota.pk])).content.decode()

    assert row.utilisation.used == 21
    assert row.utilisation.fraction == Decimal("0.25")
    assert "Not counted, because they pay for themselves or others do: alone" in page


def test_limit_of_zero_refuses_all_and_divides_nothing(staff: Client) -> None:
    set_quota(a_project("acme"), metric=a_metric("tokens"), limit=0)

    assert "Refuses all" in staff.get(reverse(LIST)).content.decode()


def test_list_asks_at_most_once_for_each_quota(staff: Client) -> None:
    metric = a_metric("tokens")
    set_quota(a_project(), metric=metric, limit=1)
    with CaptureQueriesContext(connection) as one:
        staff.get(reverse(LIST))
    for _ in range(5):
        set_quota(a_project(), metric=metric, limit=1)
    staff.get(reverse(LIST))  # reloads the catalogue, which the new quotas have moved
    with CaptureQueriesContext(connection) as six:
        staff.get(reverse(LIST))

    assert len(six) - len(one) <= 5
