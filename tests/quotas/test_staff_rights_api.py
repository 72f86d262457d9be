"""Staff sessions at the API of quotas: the rights that the admin asks for, no others."""

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from metering.clock import database_now
from metering.models import Project
from quotas.models import ProjectQuota, UsageThreshold
from tests.factories import a_metric, a_project

from .factories import a_quota, a_threshold

pytestmark = pytest.mark.django_db

A_QUOTA = {"project": "acme", "metric": "tokens", "limit": "5", "mode": "hard", "period": "day"}
A_THRESHOLD = {"project": "acme", "metric": "tokens", "threshold": "5"}
AN_OVERRIDE = {"limit": "5", "effective_until": "2999-01-01T00:00:00Z", "reason": "a test"}


@pytest.fixture
def acme() -> Project:
    acme = a_project("acme")
    tokens = a_metric()
    a_quota(acme, tokens)
    a_threshold(acme, tokens)
    return acme


def answered(right: str, method: str, path: str, body: str | None) -> int:
    """The status that somebody with that one right is answered, in a browser's session."""
    app, codename = right.split(".")
    user = User.objects.create_user(f"ada {database_now()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    quota, threshold = ProjectQuota.objects.get(), UsageThreshold.objects.get()
    url = f"/api/v1{path.format(quota=quota.pk, threshold=threshold.pk)}"
    return client.generic(
        method, url, "" if body is None else body, content_type="application/json"
    ).status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "right"),
    [
        ("POST", "/quotas/", A_QUOTA, "quotas.add_projectquota"),
        ("PATCH", "/quotas/{quota}/", {"limit": "900"}, "quotas.change_projectquota"),
        ("DELETE", "/quotas/{quota}/", None, "quotas.delete_projectquota"),
        ("POST", "/quotas/{quota}/overrides/", AN_OVERRIDE, "quotas.add_quotaoverride"),
        ("POST", "/thresholds/", A_THRESHOLD, "quotas.add_usagethreshold"),
        ("PATCH", "/thresholds/{threshold}/", {"threshold": "900"}, "quotas.change_usagethreshold"),
        ("DELETE", "/thresholds/{threshold}/", None, "quotas.delete_usagethreshold"),
        ("GET", "/quotas/", None, "quotas.view_projectquota"),
        ("GET", "/quotas/standing/", None, "quotas.view_projectquota"),
        ("GET", "/quotas/{quota}/overrides/", None, "quotas.view_quotaoverride"),
        ("GET", "/quotas/decisions/", None, "quotas.view_quotadecision"),
        ("GET", "/quotas/holds/", None, "quotas.view_quotahold"),
        ("GET", "/thresholds/", None, "quotas.view_usagethreshold"),
    ],
)
def test_who_may_define_metrics_may_not_change_limits(acme, method, path, body, right):
    text = None if body is None else json.dumps(body)
    others = "metering.view_usageevent" if method == "GET" else "metering.change_metricdefinition"

    assert answered(others, method, path, text) == 403
    assert answered(right, method, path, text) in {200, 201, 204}
