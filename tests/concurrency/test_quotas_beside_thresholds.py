"""A quota and the threshold that is a share of it, changed at the same moment: nobody waits in a circle."""

from typing import Any

import pytest
from django.db import connection, transaction

from quotas import thresholds
from quotas.enforcement import change_quota
from quotas.models import ProjectQuota, UsageThreshold
from quotas.thresholds import change_threshold
from tests.concurrency.rivals import Rival, wait_until
from tests.factories import a_metric, a_project
from tests.quotas.factories import a_quota, a_threshold

pytestmark = pytest.mark.django_db(transaction=True)


def someone_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_change_of_a_quota_waits_for_that_of_its_threshold(monkeypatch: Any) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    quota = a_quota(acme, tokens, limit="100")
    threshold = a_threshold(acme, tokens, quota_fraction="0.8", action="block")
    move_version, rivals = thresholds.move_version, []

    def move_version_once_the_quota_is_being_changed() -> None:
        rivals.append(Rival(lambda: change_quota(ProjectQuota.objects.get(pk=quota.pk), limit="50")))
        wait_until(someone_waits_for_a_lock)
        move_version()

    monkeypatch.setattr(thresholds, "move_version", move_version_once_the_quota_is_being_changed)
    with transaction.atomic():
        change_threshold(threshold, quota_fraction="0.5")

    assert rivals[0].result.limit == 50
    assert UsageThreshold.objects.get().level == 25
