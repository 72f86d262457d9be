"""Who changed which limit, when, from what to what, and why: whoever did it and however."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from metering.accountability import changed_by
from metering.models import Project
from quotas.enforcement import change_quota, remove_quota
from quotas.models import ProjectQuota, QuotaChange
from tests.factories import a_metric, a_project
from tests.metering.api.callers import Caller, fields_of

from .factories import a_quota

pytestmark = pytest.mark.django_db

LIST = "admin:quotas_quotachange_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


def history() -> list[tuple]:
    return [
        (change.pgh_label, str(change.limit.normalize()), change.mode, change.pgh_context)
        for change in QuotaChange.objects.order_by("pgh_id")
    ]


def test_each_change_is_kept_with_who_and_why(acme):
    quota = a_quota(acme, a_metric(), limit="5")
    with changed_by("ada", reason="they pay more", through="admin"):
        change_quota(quota, limit="7", mode="soft")
    with changed_by("Backend (mbk_x…)", through="API"):
        remove_quota(quota)

    assert history() == [
        ("set", "5", "hard", None),
        ("changed", "7", "soft", {"actor": "ada", "reason": "they pay more", "through": "admin"}),
        ("removed", "7", "soft", {"actor": "Backend (mbk_x…)", "reason": "", "through": "API"}),
    ]


def test_change_by_bare_sql_is_kept_too(acme):
    quota = a_quota(acme, a_metric(), limit="5")

    with connection.cursor() as cursor:
        cursor.execute('UPDATE quotas_projectquota SET "limit" = 9')
    ProjectQuota.objects.filter(pk=quota.pk).update(mode="monitor")
    ProjectQuota.objects.filter(pk=quota.pk).update(mode="monitor")  # changes nothing

    assert history()[1:] == [("changed", "9", "hard", None), ("changed", "9", "monitor", None)]


def test_history_is_never_changed(acme):
    a_quota(acme, a_metric(), limit="5")

    for change in (lambda rows: rows.update(limit=1), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change(QuotaChange.objects.all())


def test_api_says_which_key_and_why(acme):
    a_metric()
    call = Caller(acme)
    body = {"project": "acme", "metric": "tokens", "limit": 5, "mode": "hard", "period": "month"}

    quota_id = call.post("/quotas/", {**body, "reason": "new contract"}).json()["id"]
    call("PATCH", f"/quotas/{quota_id}/", {"limit": 6})
    call("DELETE", f"/quotas/{quota_id}/?reason=gone")

    who = f"test (mbk_{call.row.key_id}…)"
    assert [context for *_, context in history()] == [
        {"actor": who, "reason": "new contract", "through": "API"},
        {"actor": who, "reason": "", "through": "API"},
        {"actor": who, "reason": "gone", "through": "API"},
    ]
    too_long = call.post("/quotas/", {**body, "reason": "x" * 1001})
    assert fields_of(too_long) == [("invalid_field", "reason")]


def test_page_reads_as_sentences_newest_first(acme, staff):
    metric = a_metric(unit="token")
    quota = a_quota(acme, metric, limit="1000")
    url = reverse("admin:quotas_projectquota_change", args=[quota.pk])
    staff.post(url, {"limit": "2500", "mode": "soft", "counting": "rollups", "reason": "they grew"})
    other = a_quota(a_project("globex"), metric, limit="1")

    listed = staff.get(reverse("admin:quotas_projectquota_history", args=[quota.pk]), follow=True)
    rows = listed.context["cl"].result_list
    page = listed.content.decode()

    assert [(row.pgh_obj_id, row.pgh_label) for row in rows] == [(quota.pk, "changed"), (quota.pk, "set")]
    assert "Limit from 1,000 token to 2,500 token, mode from Hard to Soft." in page
    assert "Set to 1,000 token · Month · Hard." in page
    assert "they grew" in page
    assert "ada" in page
    assert "not known: past the verbs" in page
    assert f"#{other.pk}<" not in page
    detail = staff.get(reverse("admin:quotas_quotachange_change", args=[rows[0].pk])).content.decode()
    assert "Limit from 1,000 token to 2,500 token" in detail


def test_change_and_removal_in_the_admin_need_a_reason(acme, staff):
    quota = a_quota(acme, a_metric(), limit="5")

    changed = staff.post(
        reverse("admin:quotas_projectquota_change", args=[quota.pk]),
        {"limit": "7", "mode": "hard", "counting": "rollups"},
    )
    removed = staff.post(reverse("admin:quotas_projectquota_remove", args=[quota.pk]))

    assert list(changed.context["adminform"].form.errors) == ["reason"]
    assert removed.status_code == 200
    quota.refresh_from_db()
    assert quota.limit == 5
    staff.post(reverse("admin:quotas_projectquota_remove", args=[quota.pk]), {"reason": "lapsed"})
    assert history()[-1][3]["reason"] == "lapsed"
    assert not ProjectQuota.objects.exists()


def test_history_outlives_its_quota(acme, staff):
    remove_quota(a_quota(acme, a_metric(), limit="5"))

    page = staff.get(reverse(LIST)).content.decode()

    assert "Removed; it was 5 · Month · Hard." in page


def test_list_asks_as_often_for_many_as_for_one(acme, staff, django_assert_max_num_queries):
    metric = a_metric()
    for number in range(20):
        change_quota(a_quota(a_project(f"p-{number}"), metric, limit="5"), limit="6")

    with django_assert_max_num_queries(12):
        staff.get(reverse(LIST))
