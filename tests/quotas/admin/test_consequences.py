"""What a limit does at once is shown before it is saved, and only then."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.models import MetricDefinition, Project
from quotas.models import ProjectQuota, QuotaOverride, UsageThreshold
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_quota, a_threshold

SEEN = "_consequences_seen"


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    """Of which acme has used 812: kim 800, lee 12."""
    metric = a_metric("tokens", unit="token")
    now = timezone.now().isoformat()
    recorded(
        an_event(acme, quantity=800, subject_type="user", subject_id="kim", occurred_at=now),
        an_event(acme, quantity=12, subject_type="user", subject_id="lee", occurred_at=now),
    )
    return metric


def quota_form(**given: Any) -> dict[str, Any]:
    return {"limit": "1000", "mode": "hard", "counting": "rollups", "reason": "agreed", **given}


def asked(answer: Any) -> list[str]:
    """The sentences of the second step; none where it was saved at once."""
    if answer.status_code == 302:
        return []
    return [str(sentence) for sentence in answer.context["sentences"]]


def confirmed(client: Client, url: str, answer: Any, **more: Any) -> Any:
    """What the page's button sends: what was typed, and that it was seen."""
    kept: dict[str, list[Any]] = {}
    for name, value in answer.context["kept"]:
        kept.setdefault(name, []).append(value)
    return client.post(url, {**kept, SEEN: answer.context["seen"], **more})


def test_limit_below_usage_is_shown_before_it_is_saved(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000")
    url = reverse("admin:quotas_projectquota_change", args=[quota.pk])

    answer = staff.post(url, quota_form(limit="800"))
    quota.refresh_from_db()
    before = quota.limit
    saved = confirmed(staff, url, answer)

    [sentence] = asked(answer)
    assert sentence.startswith("812 of 800 token are used already: all further usage is refused at once")
    assert before == 1000
    assert saved.status_code == 302
    quota.refresh_from_db()
    assert quota.limit == 800


@pytest.mark.parametrize(
    ("stored", "given", "says"),
    [
        ({}, {"limit": "900"}, ""),
        ({}, {"limit": "2000"}, ""),
        ({}, {"limit": "500", "mode": "soft"}, ""),
        ({"limit": "100"}, {"limit": "200"}, ""),
        ({"limit": "100"}, {"limit": "100"}, ""),
        ({}, {"limit": "0"}, "All usage is refused from now on. Used so far in this period: 812 token."),
        (
            {"mode": "soft"},
            {},
            "812 of 1,000 token are used. Usage that goes beyond the limit is refused",
        ),
        ({"mode": "soft", "limit": "100"}, {"limit": "100"}, "812 of 100 token are used already"),
    ],
)
def test_second_step_of_a_quota_appears_exactly_where_more_is_refused(
    staff: Client,
    acme: Project,
    tokens: MetricDefinition,
    stored: dict[str, str],
    given: dict[str, str],
    says: str,
) -> None:
    quota = a_quota(acme, tokens, **{"limit": "1000", **stored})

    answer = staff.post(reverse("admin:quotas_projectquota_change", args=[quota.pk]), quota_form(**given))

    sentences = asked(answer)
    assert bool(sentences) == bool(says)
    assert not says or sentences[0].startswith(says)


def test_new_quota_that_is_used_up_is_shown_first(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    url = reverse("admin:quotas_projectquota_add")
    form = quota_form(project=acme.pk, metric=tokens.pk, period="month", limit="812")

    answer = staff.post(url, form)
    nothing = ProjectQuota.objects.count()
    confirmed(staff, url, answer)

    assert asked(answer)[0].startswith("812 of 812 token are used already")
    assert (nothing, ProjectQuota.objects.get().limit) == (0, 812)


def test_back_to_the_form_keeps_what_was_typed(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000")
    url = reverse("admin:quotas_projectquota_change", args=[quota.pk])
    answer = staff.post(url, quota_form(limit="800", reason="less <b>paid</b>"))

    form = confirmed(staff, url, answer, _back_to_form="1")

    page = form.content.decode()
    assert (form.status_code, form.context["errors"]) == (200, [])
    assert 'value="800"' in page
    assert "less &lt;b&gt;paid&lt;/b&gt;" in page
    assert ProjectQuota.objects.get().limit == 1000


def test_consequence_that_came_up_in_between_is_shown_before_saving(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000", mode="soft")
    url = reverse("admin:quotas_projectquota_change", args=[quota.pk])
    first = staff.post(url, quota_form())
    recorded(an_event(acme, quantity=300, occurred_at=timezone.now().isoformat()))

    second = confirmed(staff, url, first)
    saved = confirmed(staff, url, second)

    assert asked(first)[0].startswith("812 of 1,000 token are used. Usage that goes beyond")
    assert asked(second)[0].startswith("1,112 of 1,000 token are used already")
    assert saved.status_code == 302
    assert ProjectQuota.objects.get().mode == "hard"


def test_temporary_limit_in_force_defers_the_consequence(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000")
    QuotaOverride.objects.create(
        quota=quota,
        limit=5000,
        effective_from=timezone.now() - dt.timedelta(days=1),
        effective_until=timezone.now() + dt.timedelta(days=1),
        reason="a fair",
        created_by="ann",
    )

    answer = staff.post(reverse("admin:quotas_projectquota_change", args=[quota.pk]), quota_form(limit="800"))

    assert asked(answer) == [
        "A temporary limit of 5,000 token holds now. When it ends, this one takes its place; 812 token are "
        "used in the period that runs."
    ]


def test_temporary_limit_below_usage_is_shown_first(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000")
    url = reverse("admin:quotas_quotaoverride_add")
    form = {
        "quota": quota.pk,
        "limit": "100",
        "effective_from_0": "",
        "effective_from_1": "",
        "effective_until_0": "2999-01-01",
        "effective_until_1": "00:00:00",
        "reason": "until they pay",
    }

    answer = staff.post(url, form)
    nothing = QuotaOverride.objects.count()
    at_once = staff.post(url, {**form, "limit": "900"})

    assert asked(answer)[0].startswith("812 of 100 token are used already")
    assert (nothing, at_once.status_code) == (0, 302)


def threshold_form(**given: Any) -> dict[str, Any]:
    return {
        "amount": "",
        "percent_of_quota": "",
        "approach_percent": "",
        "action": "block",
        "notify_emails": "",
        "is_enabled": "on",
        "reason": "agreed",
        **given,
    }


def test_blocking_threshold_names_those_who_are_blocked_at_once(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    threshold = a_threshold(acme, tokens, amount="10")
    url = reverse("admin:quotas_usagethreshold_change", args=[threshold.pk])

    answer = staff.post(url, threshold_form(amount="10"))
    threshold.refresh_from_db()
    before = threshold.action
    confirmed(staff, url, answer)

    assert asked(answer) == [
        "2 subjects are at 10 token or beyond now, and blocked at once: user kim (800), user lee (12)."
    ]
    threshold.refresh_from_db()
    assert (before, threshold.action) == ("alert", "block")


@pytest.mark.parametrize(
    "given", [{"amount": "801"}, {"amount": "10", "action": "alert"}, {"amount": "10", "is_enabled": ""}]
)
def test_threshold_that_blocks_nobody_now_is_saved_at_once(
    staff: Client, acme: Project, tokens: MetricDefinition, given: dict[str, str]
) -> None:
    threshold = a_threshold(acme, tokens, amount="2000")

    answer = staff.post(
        reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]),
        {name: value for name, value in threshold_form(**given).items() if value},
    )

    assert asked(answer) == []


def test_new_blocking_step_of_all_usage_is_shown_first(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    a_quota(acme, tokens, limit="1000", mode="soft")
    url = reverse("admin:quotas_usagethreshold_add")
    form = threshold_form(project=acme.pk, metric=tokens.pk, period="month", subject_id="*")

    answer = staff.post(url, {**form, "percent_of_quota": "80, 100"})
    nothing = UsageThreshold.objects.count()
    confirmed(staff, url, answer)

    assert asked(answer) == [
        "Usage is blocked at once (all usage together): 812 token are used, and the level is 800 token."
    ]
    assert nothing == 0
    assert sorted(UsageThreshold.objects.values_list("quota_fraction", flat=True)) == [Decimal("0.8"), 1]


def test_soft_limit_that_a_blocking_share_follows_is_shown_first(
    staff: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="10000", mode="soft")
    a_threshold(acme, tokens, quota_fraction="0.9", subject_id="*", action="block")

    answer = staff.post(
        reverse("admin:quotas_projectquota_change", args=[quota.pk]), quota_form(limit="900", mode="soft")
    )

    assert asked(answer) == [
        "Usage is blocked at once (all usage together): 812 token are used, and the level is 810 token."
    ]


def test_who_may_not_change_limits_is_shown_no_consequence(
    client: Client, acme: Project, tokens: MetricDefinition
) -> None:
    quota = a_quota(acme, tokens, limit="1000")
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_projectquota"))
    client.force_login(clerk)

    answer = client.post(
        reverse("admin:quotas_projectquota_change", args=[quota.pk]), quota_form(limit="800")
    )

    assert answer.status_code == 403
