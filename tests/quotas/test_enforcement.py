import datetime as dt
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from metering.catalogue import current
from metering.defining.definitions import archive_metric, change_metric
from metering.errors import Conflict, Invalid, NotFound
from metering.models import MetricDefinition
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


def test_quota_counts_by_the_ledger_where_that_is_asked_for():
    quota = a_quota(a_project("acme"), a_metric(), counting="ledger")

    change_quota(quota, counting="rollups")
    change_quota(quota, counting="ledger", limit="7")

    assert ProjectQuota.objects.values_list("counting", "limit").get() == ("ledger", 7)


def test_anchor_is_kept_and_may_be_lifted():
    quota = a_quota(a_project("acme"), a_metric(), period="month", anchor=dt.date(2024, 1, 31))

    assert ProjectQuota.objects.get().anchor == dt.date(2024, 1, 31)
    change_quota(quota, limit="3")
    assert ProjectQuota.objects.get().anchor == dt.date(2024, 1, 31)
    change_quota(quota, anchor=None, period="hour")

    assert ProjectQuota.objects.values_list("period", "anchor").get() == ("hour", None)


@pytest.mark.parametrize(
    ("period", "anchor"),
    [
        ("hour", dt.date(2024, 1, 1)),
        ("never", dt.date(2024, 1, 1)),
        ("month", dt.date(1969, 12, 31)),
        ("month", dt.date(3000, 1, 1)),
    ],
)
def test_anchor_that_makes_no_sense_is_refused(period, anchor):
    acme, tokens = a_project("acme"), a_metric()

    with pytest.raises(Invalid) as refusal:
        a_quota(acme, tokens, period=period, anchor=anchor)

    assert refusal.value.field == "anchor"


def test_change_to_a_period_that_is_taken_is_a_conflict():
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, period="day")
    quota = a_quota(acme, tokens, period="month")
    a_quota(acme, tokens, period="month", anchor=dt.date(2024, 1, 15))

    with pytest.raises(Conflict):
        change_quota(quota, period="day")
    with pytest.raises(Conflict):
        change_quota(quota, anchor=dt.date(2024, 1, 15))

    assert ProjectQuota.objects.filter(period="month").count() == 2


def test_metric_that_limits_stand_on_does_not_become_one_that_can_only_be_monitored():
    acme, tokens = a_project("acme"), a_metric()
    quota = a_quota(acme, tokens, mode="soft")

    with pytest.raises(Conflict, match="'tokens' is limited by quotas"):
        change_metric(tokens, {"aggregation": "AVG"})
    change_quota(quota, mode="monitor")
    change_metric(MetricDefinition.objects.get(), {"aggregation": "AVG"})

    assert MetricDefinition.objects.get().aggregation == "AVG"


@pytest.mark.parametrize(
    "definition",
    [
        {"aggregation": "AVG"},
        {"aggregation": "MIN"},
        {"aggregation": "TIME_WEIGHTED_AVG"},
        {"aggregation": "TIME_WEIGHTED_AVG", "is_incremental": True},
    ],
    ids=str,
)
def test_value_that_may_fall_with_more_use_can_only_be_monitored(definition):
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
