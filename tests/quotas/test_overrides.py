import datetime as dt
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from metering.admission import Verdicts
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import Conflict, Invalid, NotFound
from quotas.admission import QuotaAdmission
from quotas.enforcement import remove_quota
from quotas.models import ProjectQuota, QuotaOverride
from quotas.overrides import end_override, override_quota
from tests.factories import a_metric, a_project, at

from .factories import a_quota, a_request, verdicts_on

pytestmark = pytest.mark.django_db

FAR = at("2999-01-01T00:00:00Z")
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def quota() -> ProjectQuota:
    return a_quota(a_project("acme"), a_metric(), limit="10", period="never")


def overridden(quota: ProjectQuota, **overrides: object) -> QuotaOverride:
    return override_quota(
        quota, **{"limit": "20", "effective_until": FAR, "reason": "a fair", "actor": "ann", **overrides}
    )


def verdicts_at(quota: ProjectQuota, now: dt.datetime, quantity: str) -> Verdicts:
    request = a_request(quota.project, quota.metric, quantity, at=at("2024-05-15T12:00:00Z"))
    return verdicts_on(request, now=now)


def limit_at(quota: ProjectQuota, now: dt.datetime) -> object:
    return verdicts_at(quota, now, "1000").refused[0].facts["limit"]


def test_other_limit_holds_from_its_beginning_and_no_longer_at_its_end(quota):
    start = database_now() + HOUR
    overridden(quota, effective_from=start, effective_until=start + HOUR)
    moment = dt.timedelta(microseconds=1)

    limits = [limit_at(quota, start + offset) for offset in (-moment, 0 * HOUR, HOUR - moment, HOUR)]

    assert limits == ["10", "20", "20", "10"]


@pytest.mark.parametrize("counting", ["rollups", "ledger"])
def test_clock_that_judges_decides_and_not_when_usage_happened(counting):
    quota = a_quota(a_project("acme"), a_metric(), limit="10", period="never", counting=counting)
    overridden(quota, limit="0")

    assert verdicts_at(quota, database_now(), "1").refused[0].facts["limit"] == "0"
    assert not verdicts_at(quota, FAR, "1").refused


def test_other_limits_never_overlap_and_may_follow_each_other(quota):
    start = database_now() + HOUR
    overridden(quota, effective_from=start, effective_until=start + HOUR)

    with pytest.raises(Conflict):
        overridden(quota, effective_from=start + HOUR / 2, effective_until=start + 2 * HOUR)
    with pytest.raises(Conflict):
        overridden(quota)
    overridden(quota, effective_from=start + HOUR, limit="30")

    assert [limit_at(quota, start + n * HOUR / 2) for n in (1, 3)] == ["20", "30"]
    assert QuotaOverride.objects.count() == 2


def test_database_refuses_what_overlaps(quota):
    override = overridden(quota)
    override.pk = None

    with pytest.raises(IntegrityError, match="override_without_overlap"), transaction.atomic():
        override.save(force_insert=True)


def test_ended_early_it_stays_as_a_record_and_makes_room(quota):
    override = overridden(quota)

    ended = end_override(override, actor="bob")
    again = end_override(QuotaOverride.objects.get(), actor="carl")

    assert ended.ended_by == again.ended_by == "bob"
    assert ended.effective_until == again.effective_until < database_now()
    assert limit_at(quota, database_now()) == "10"
    overridden(quota, limit="30")
    assert limit_at(quota, database_now()) == "30"


def test_ended_before_it_begins_it_never_holds(quota):
    start = database_now() + HOUR
    override = overridden(quota, effective_from=start)

    end_override(override, actor="bob")

    assert override.effective_until == start
    assert limit_at(quota, start) == "10"


def test_each_change_is_obeyed_at_once(quota):
    version = current().version

    override = overridden(quota)
    assert current().version > version
    version = current().version
    end_override(override, actor="bob")

    assert current().version > version


def test_removed_quota_takes_its_other_limits_along(quota):
    stale = ProjectQuota.objects.get()
    overridden(quota)

    remove_quota(quota)

    assert not QuotaOverride.objects.exists()
    with pytest.raises(NotFound):
        overridden(stale)


def test_reason_must_be_a_text_that_can_be_kept(quota):
    for reason in ("", " ", "x" * 1001, "\x00", "\ud800", None):
        with pytest.raises(Invalid) as refusal:
            overridden(quota, reason=reason)
        assert refusal.value.field == "reason"

    assert overridden(quota, reason=" why ").reason == "why"


def test_many_quotas_and_their_other_limits_are_read_at_once(quota, django_assert_num_queries):
    overridden(quota, limit="7.5")
    start = database_now() + HOUR
    other = a_quota(quota.project, quota.metric, limit="3", period="day")
    for number in range(3):
        overridden(other, effective_from=start + number * HOUR, effective_until=start + (number + 1) * HOUR)
    request = a_request(quota.project, quota.metric, "5", at=at("2024-05-15T12:00:00Z"))
    catalogue, now = current(), database_now()

    with django_assert_num_queries(4):  # who may be blocked, definitions, what is held, what is used
        verdicts = QuotaAdmission().judge([request], catalogue=catalogue, now=now, may_backfill=True)

    assert verdicts.refused[0].facts["limit"] == "3"
    assert ProjectQuota.objects.get(pk=quota.pk).limit == Decimal(10)
