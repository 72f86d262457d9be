from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from metering.catalogue import current
from metering.defining.definitions import archive_metric
from metering.errors import Conflict, Invalid, NotFound
from quotas.enforcement import change_quota, remove_quota, set_quota
from quotas.models import ProjectQuota
from tests.factories import a_metric, a_project

from .factories import a_quota

pytestmark = pytest.mark.django_db


def test_quota_is_stored_exactly():
    acme, tokens = a_project("acme"), a_metric()

    quota = set_quota(
        acme, metric=tokens, limit="12345678901234567890123456.123456789012", mode="soft", period="day"
    )

    stored = ProjectQuota.objects.get()
    assert stored.pk == quota.pk
    assert stored.limit == Decimal("12345678901234567890123456.123456789012")
    assert (stored.project, stored.metric) == (acme, tokens)
    assert (stored.mode, stored.period, stored.counting) == ("soft", "day", "rollups")
    assert quota.created_at == stored.created_at


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "NaN"}, "limit"),
        ({"limit": Decimal("Infinity")}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": 0.1}, "limit"),
        ({"limit": "0.0000000000001"}, "limit"),
        ({"limit": "1" * 27}, "limit"),
        ({"mode": "strict"}, "mode"),
        ({"period": "fortnight"}, "period"),
        ({"counting": "guesses"}, "counting"),
    ],
)
def test_quota_that_makes_no_sense_is_refused_with_its_field(wrong, field):
    acme, tokens = a_project("acme"), a_metric()

    with pytest.raises(Invalid) as refusal:
        a_quota(acme, tokens, **wrong)

    assert refusal.value.field == field
    assert not ProjectQuota.objects.exists()


def test_counting_by_the_ledger_is_refused_clearly():
    with pytest.raises(Invalid, match="isn't available yet; use 'rollups'"):
        a_quota(a_project("acme"), a_metric(), counting="ledger")


@pytest.mark.parametrize(
    "definition",
    [
        {"aggregation": "AVG"},
        {"aggregation": "MIN"},
        {"aggregation": "TIME_WEIGHTED_AVG"},
        {"aggregation": "TIME_WEIGHTED_AVG", "is_incremental": True},
        {"aggregation": "UNIQUE_COUNT"},
        {"is_incremental": False},
        {"reporting_method": "total"},
    ],
    ids=str,
)
def test_what_one_more_event_would_add_must_be_known_for_a_limit(definition):
    acme, metric = a_project("acme"), a_metric("level", **definition)

    for mode in ("hard", "soft"):
        with pytest.raises(Invalid) as refusal:
            a_quota(acme, metric, mode=mode)
        assert refusal.value.field == "mode"
    quota = a_quota(acme, metric, mode="monitor")
    with pytest.raises(Invalid):
        change_quota(quota, mode="hard")

    quota.refresh_from_db()
    assert quota.mode == "monitor"


def test_metric_must_be_visible_from_the_project():
    tenant = a_project("tenant")
    acme, globex = a_project("acme", parent=tenant), a_project("globex", parent=tenant)
    chat = a_project("chat", parent=acme)
    of_acme = a_metric("of-acme", project=acme)

    a_quota(acme, of_acme)
    a_quota(chat, of_acme)
    a_quota(globex, a_metric("global"))
    for stranger in (tenant, globex):
        with pytest.raises(Invalid) as refusal:
            a_quota(stranger, of_acme)
        assert refusal.value.field == "metric"

    assert ProjectQuota.objects.count() == 3


def test_archived_metric_is_refused():
    acme, tokens = a_project("acme"), a_metric()
    archive_metric(tokens)

    with pytest.raises(Invalid, match="archived"):
        a_quota(acme, tokens)


def test_second_quota_for_the_same_period_is_a_conflict():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="1", period="day")
    a_quota(acme, tokens, limit="2", period="month")

    with pytest.raises(Conflict):
        a_quota(acme, tokens, limit="3", period="day")

    assert sorted(ProjectQuota.objects.values_list("period", "limit")) == [("day", 1), ("month", 2)]


def test_change_touches_only_what_is_named():
    quota = a_quota(a_project("acme"), a_metric(), limit="5", mode="hard")

    change_quota(quota, limit="7.5")
    change_quota(ProjectQuota.objects.get(), mode="soft")

    assert ProjectQuota.objects.values_list("limit", "mode").get() == (Decimal("7.5"), "soft")


def test_change_of_a_removed_quota_is_not_found():
    quota = a_quota(a_project("acme"), a_metric())
    remove_quota(ProjectQuota.objects.get())

    with pytest.raises(NotFound):
        change_quota(quota, limit="1")


def test_each_change_moves_the_version_and_a_refused_one_does_not():
    acme, tokens = a_project("acme"), a_metric()
    start = current().version

    quota = a_quota(acme, tokens)
    assert current().version == start + 1
    change_quota(quota, limit="5")
    assert current().version == start + 2
    change_quota(quota)
    with pytest.raises(Conflict):
        a_quota(acme, tokens)
    assert current().version == start + 2
    remove_quota(quota)

    assert current().version == start + 3


def test_database_refuses_a_negative_limit():
    acme, tokens = a_project("acme"), a_metric()

    with pytest.raises(IntegrityError, match="quota_limit_not_negative"), transaction.atomic():
        ProjectQuota.objects.create(project=acme, metric=tokens, limit=-1)
