"""The histories of thresholds and temporary limits: who changed what, when, and why."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from metering.accountability import changed_by
from metering.models import MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import change_quota, remove_quota
from quotas.models import (
    OverrideChange,
    ProjectQuota,
    QuotaChange,
    QuotaOverride,
    ThresholdChange,
    UsageThreshold,
)
from quotas.overrides import end_override, override_quota
from quotas.thresholds import change_threshold, remove_threshold
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.metering.api.callers import Caller, fields_of

from .factories import a_quota, a_threshold

pytestmark = pytest.mark.django_db

FAR = at("2999-01-01T00:00:00Z")
THRESHOLDS = "admin:quotas_thresholdchange_changelist"
OVERRIDES = "admin:quotas_overridechange_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric(unit="token")


def an_override(quota: ProjectQuota, **overrides) -> QuotaOverride:
    return override_quota(
        quota, **{"limit": "20", "effective_until": FAR, "reason": "a fair", "actor": "ann", **overrides}
    )


def of_thresholds() -> list[tuple]:
    return [
        (change.pgh_label, change.amount, change.action, change.removed_at is not None, change.pgh_context)
        for change in ThresholdChange.objects.order_by("pgh_id")
    ]


def of_overrides() -> list[tuple]:
    return [
        (change.pgh_label, change.limit, change.ended_by, change.pgh_context)
        for change in OverrideChange.objects.order_by("pgh_id")
    ]


def test_each_change_of_a_threshold_is_kept_with_who_and_why(acme, tokens):
    threshold = a_threshold(acme, tokens)
    with changed_by("ada", reason="they pay late", through="admin"):
        change_threshold(threshold, amount="70", action="block")
    with changed_by("Backend (mbk_x…)", through="API"):
        remove_threshold(threshold)

    assert of_thresholds() == [
        ("set", 100, "alert", False, None),
        ("changed", 70, "block", False, {"actor": "ada", "reason": "they pay late", "through": "admin"}),
        ("changed", 70, "block", True, {"actor": "Backend (mbk_x…)", "reason": "", "through": "API"}),
    ]


def test_each_temporary_limit_is_kept_from_its_giving_to_its_ending(acme, tokens):
    override = an_override(a_quota(acme, tokens, limit="5"))
    with changed_by("ada", reason="paid", through="admin"):
        end_override(override, actor="ada")

    assert of_overrides() == [
        ("set", 20, "", None),
        ("changed", 20, "ada", {"actor": "ada", "reason": "paid", "through": "admin"}),
    ]


def test_temporary_limit_that_goes_with_its_quota_is_kept(acme, tokens):
    quota = a_quota(acme, tokens, limit="5")
    an_override(quota)

    with changed_by("ada", reason="lapsed", through="admin"):
        remove_quota(quota)

    assert not QuotaOverride.objects.exists()
    assert of_overrides()[1] == (
        "removed",
        20,
        "",
        {"actor": "ada", "reason": "lapsed", "through": "admin"},
    )


def test_changes_by_bare_sql_are_kept_too(acme, tokens):
    a_threshold(acme, tokens)
    an_override(a_quota(acme, tokens, limit="5"))

    with connection.cursor() as cursor:
        cursor.execute("UPDATE quotas_usagethreshold SET amount = 9")
        cursor.execute("UPDATE quotas_usagethreshold SET amount = 9")  # changes nothing
        cursor.execute('UPDATE quotas_quotaoverride SET "limit" = 9')

    assert of_thresholds()[1:] == [("changed", 9, "alert", False, None)]
    assert of_overrides()[1:] == [("changed", 9, "", None)]


def test_level_that_follows_a_quota_and_ticks_leave_no_trace(acme, tokens):
    quota = a_quota(acme, tokens, limit="100", mode="monitor")
    threshold = a_threshold(acme, tokens, quota_fraction="0.5", subject_id="*")
    change_quota(quota, limit="200")
    recorded(an_event("acme", quantity=150))
    roll_up()

    threshold.refresh_from_db()
    assert (threshold.level, threshold.version) == (100, 2)
    assert [change.pgh_label for change in ThresholdChange.objects.all()] == ["set"]


@pytest.mark.parametrize("model", [ThresholdChange, OverrideChange])
def test_histories_are_never_changed(acme, tokens, model):
    a_threshold(acme, tokens)
    an_override(a_quota(acme, tokens, limit="5"))
    assert model.objects.count() == 1

    for change in (lambda rows: rows.update(pgh_label="x"), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change(model.objects.all())


# By API


def test_api_says_which_key_changed_a_threshold_and_why(acme, tokens):
    call = Caller(acme)
    body = {"project": "acme", "metric": "tokens", "threshold": 5}

    threshold_id = call.post("/thresholds/", {**body, "reason": "new contract"}).json()["id"]
    call("PATCH", f"/thresholds/{threshold_id}/", {"threshold": 6})
    assert call("DELETE", f"/thresholds/{threshold_id}/?reason=gone").status_code == 204

    who = f"test (mbk_{call.row.key_id}…)"
    assert [context for *_, context in of_thresholds()] == [
        {"actor": who, "reason": "new contract", "through": "API"},
        {"actor": who, "reason": "", "through": "API"},
        {"actor": who, "reason": "gone", "through": "API"},
    ]
    for reason in ("x" * 1001, "a\x00b", 5):
        answer = call.post("/thresholds/", {**body, "reason": reason})
        assert fields_of(answer) == [("invalid_field", "reason")]
    assert UsageThreshold.objects.kept().count() == 0


def test_api_says_which_key_gave_and_ended_a_temporary_limit(acme, tokens):
    quota = a_quota(acme, tokens, limit="5")
    call = Caller(acme)
    path = f"/quotas/{quota.pk}/overrides/"

    given = call.post(path, {"limit": 9, "effective_until": "2999-01-01T00:00:00Z", "reason": "a fair"})
    wrong = call.post(f"{path}{given.json()['id']}/end/", {"reason": "x" * 1001})
    ended = call.post(f"{path}{given.json()['id']}/end/", {"reason": "paid"})

    assert fields_of(wrong) == [("invalid_field", "reason")]
    assert ended.status_code == 200
    who = f"test (mbk_{call.row.key_id}…)"
    assert [context for *_, context in of_overrides()] == [
        {"actor": who, "reason": "a fair", "through": "API"},
        {"actor": who, "reason": "paid", "through": "API"},
    ]


def test_temporary_limit_ends_without_a_body_as_ever(acme, tokens):
    override = an_override(a_quota(acme, tokens, limit="5"))
    call = Caller(acme)

    assert call("POST", f"/quotas/{override.quota_id}/overrides/{override.pk}/end/").status_code == 200
    assert of_overrides()[-1][3]["reason"] == ""


# In the admin


def test_threshold_reads_as_sentences_newest_first(acme, tokens, staff):
    threshold = a_threshold(acme, tokens, amount="1000", subject_id="*")
    url = reverse("admin:quotas_usagethreshold_change", args=[threshold.pk])
    form = {"amount": "2500", "approach_percent": "80", "action": "block", "is_enabled": "on"}
    staff.post(url, {**form, "notify_emails": "ops@example.com", "reason": "they grew"})
    other = a_threshold(a_project("globex"), tokens)

    listed = staff.get(reverse("admin:quotas_usagethreshold_history", args=[threshold.pk]), follow=True)
    rows = listed.context["cl"].result_list
    page = listed.content.decode()

    assert [(row.pgh_obj_id, row.pgh_label) for row in rows] == [
        (threshold.pk, "changed"),
        (threshold.pk, "set"),
    ]
    assert (
        "Amount from 1,000 token to 2,500 token, action from Alert to Block, "
        "addresses from nobody to ops@example.com." in page
    )
    assert "Set to 1,000 token · Month · Alert." in page
    assert "all usage together" in page
    assert "they grew" in page
    assert f"#{other.pk}<" not in page
    detail = staff.get(reverse("admin:quotas_thresholdchange_change", args=[rows[0].pk])).content.decode()
    assert "Amount from 1,000 token to 2,500 token" in detail


def test_threshold_in_the_admin_is_changed_and_removed_with_a_reason_only(acme, tokens, staff):
    threshold = a_threshold(acme, tokens, amount="5")
    form = {"amount": "7", "approach_percent": "80", "action": "alert", "is_enabled": "on"}
    remove = reverse("admin:quotas_usagethreshold_remove", args=[threshold.pk])

    changed = staff.post(reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]), form)
    removed = staff.post(remove)

    assert list(changed.context["adminform"].form.errors) == ["reason"]
    assert removed.status_code == 200
    threshold.refresh_from_db()
    assert (threshold.amount, threshold.removed_at) == (5, None)
    staff.post(remove, {"reason": "lapsed"})
    assert of_thresholds()[-1][4] == {"actor": "ada", "reason": "lapsed", "through": "admin"}
    assert "Removed; it was 5 token · Month · Alert." in staff.get(reverse(THRESHOLDS)).content.decode()


def test_temporary_limit_reads_as_sentences_and_is_ended_with_a_reason_only(acme, tokens, staff):
    quota = a_quota(acme, tokens, limit="5")
    override = an_override(quota, limit="2000")
    end = reverse("admin:quotas_quotaoverride_end", args=[override.pk])

    assert staff.post(end).status_code == 200
    override.refresh_from_db()
    assert override.ended_by == ""
    staff.post(end, {"reason": "paid"})
    listed = staff.get(reverse("admin:quotas_quotaoverride_history", args=[override.pk]), follow=True)
    page = listed.content.decode()

    rows = listed.context["cl"].result_list
    assert [row.pgh_label for row in rows] == ["changed", "set"]
    assert "Given: 2,000 token from " in page
    assert "until 2999-01-01 00:00:00 UTC." in page
    assert "Ended early, at " in page
    assert "instead of 2999-01-01 00:00:00 UTC." in page
    assert "paid" in page
    detail = staff.get(reverse("admin:quotas_overridechange_change", args=[rows[0].pk])).content.decode()
    assert "Ended early" in detail


def test_histories_outlive_their_limits_and_are_found_by_project_and_metric(acme, tokens, staff):
    quota = a_quota(acme, tokens, limit="5")
    an_override(quota)
    a_threshold(acme, tokens)
    remove_quota(quota)

    for name in (OVERRIDES, THRESHOLDS):
        for term, is_found in (("acme", True), ("tokens", True), ("globex", False), ("#x", False)):
            rows = staff.get(reverse(name), {"q": term}).context["cl"].result_list
            assert bool(rows) is is_found, (name, term)
    page = staff.get(reverse(OVERRIDES)).content.decode()
    assert "Removed with its quota; it was 20 token from" in page
    assert "acme" in page


@pytest.mark.parametrize("name", [OVERRIDES, THRESHOLDS])
def test_empty_history_says_what_it_would_hold(staff, name):
    assert "No changes yet" in staff.get(reverse(name)).content.decode()


def test_lists_ask_as_often_for_many_as_for_one(acme, tokens, staff, django_assert_max_num_queries):
    for number in range(20):
        project = a_project(f"p-{number}")
        change_threshold(a_threshold(project, tokens), amount="6")
        end_override(an_override(a_quota(project, tokens, limit="5")), actor="ada")

    for name in (OVERRIDES, THRESHOLDS):
        with django_assert_max_num_queries(12):
            staff.get(reverse(name))


def test_a_reason_in_the_header_is_kept_of_limits_and_thresholds(acme, tokens, staff):
    call = Caller(acme)
    quota, threshold = a_quota(acme, tokens, limit="5"), a_threshold(acme, tokens, amount="50")
    for_sales = {"Change-Reason": "sales asked"}

    call("PATCH", f"/quotas/{quota.pk}/", {"limit": "9"}, headers=for_sales)
    call("PATCH", f"/thresholds/{threshold.pk}/", {"amount": "7"}, headers=for_sales)
    call("PATCH", f"/quotas/{quota.pk}/", {"limit": "8", "reason": "a fair"}, headers=for_sales)
    call("DELETE", f"/thresholds/{threshold.pk}/", headers=for_sales)

    told = [change.pgh_context for change in QuotaChange.objects.order_by("-pgh_id")[:2]]
    told += [change.pgh_context for change in ThresholdChange.objects.order_by("-pgh_id")[:2]]
    assert [each["reason"] for each in told] == ["a fair", "sales asked", "sales asked", "sales asked"]
    assert {each["actor"] for each in told} == {f"test (mbk_{call.row.key_id}…)"}
