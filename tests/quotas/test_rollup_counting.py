"""Decisions by rollups: from what was read a moment ago and what this process has recorded since."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from metering import admission, ledger
from metering.correcting.corrections import void_events
from metering.models import Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from quotas.admission import QuotaAdmission
from quotas.bus import topics_of
from quotas.enforcement import change_quota
from quotas.errors import QuotaExceeded, QuotaUnavailable
from quotas.models import ProjectQuota
from tests.factories import a_metric, a_project, an_event, meaning_of, outcomes, recorded, total_of

from .factories import a_quota

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> QuotaAdmission:
    """The policy of this process, which remembers nothing yet."""
    policy = QuotaAdmission()
    monkeypatch.setattr(ledger, "admission_policy", lambda: policy)
    return policy


def use(quantity: str | int = 1, **overrides: Any) -> dict[str, Any]:
    return an_event("acme", quantity=quantity, **overrides)


@contextmanager
def elsewhere() -> Iterator[None]:
    """As another process would: with a policy of its own."""
    policy = QuotaAdmission()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "admission_policy", lambda: policy)
        yield


def a_limit(limit: int, **overrides: Any) -> ProjectQuota:
    metric = overrides.pop("metric", None) or a_metric()
    return a_quota(Project.objects.get(key="acme"), metric, limit=limit, period="never", **overrides)


def queries_of(event: dict[str, Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        recorded(event)
    return [query["sql"] for query in queries]


def test_decision_that_is_remembered_asks_the_database_nothing(here):
    a_limit(100)
    recorded(use())

    assert queries_of(use()) == []  # recording itself goes past Django's cursor


@pytest.mark.parametrize("counting", ["rollups", "ledger"])
def test_one_process_alone_never_overshoots(here, counting):
    a_limit(10, counting=counting)

    for _ in range(10):
        assert outcomes(recorded(use())) == ["created"]
    for _ in range(2):
        with pytest.raises(QuotaExceeded) as refusal:
            recorded(use())
        assert refusal.value.facts["used"] == "10"

    assert total_of("tokens") == 10


@pytest.mark.parametrize(
    ("definition", "readings", "refused"),
    [
        ({"aggregation": "COUNT"}, [9, 9, 9, 9, 9], 0),
        ({"aggregation": "MAX"}, [5, 3, 4, 5, 1], 6),
        ({"aggregation": "LATEST", "meter_type": "gauge"}, [5, 1, 5, 2, 4], 6),
        ({"meter_type": "gauge"}, [4, -2, 3, -1, 1], 1),
        ({"aggregation": "UNIQUE_COUNT"}, [1, 2, 3, 4, 5], 6),
        ({"is_incremental": False}, [100, 101, 103, 104, 105], 106),
    ],
    ids=str,
)
def test_every_metric_is_limited_by_what_was_recorded_here_and_by_what_was_read(
    here, definition, readings, refused
):
    a_limit(5, metric=a_metric(**{"aggregation": "SUM", **definition}))

    for minute, reading in enumerate(readings):
        recorded(use(reading, occurred_at=f"2024-05-15T12:{minute:02}:00Z"))
    with pytest.raises(QuotaExceeded):
        recorded(use(refused, occurred_at="2024-05-15T13:00:00Z"))

    assert UsageEvent.objects.count() == 5


def test_what_others_record_is_seen_after_a_while_or_when_the_bus_says_so(here, settings):
    a_limit(10)
    recorded(use(1))
    with elsewhere():
        recorded(use(8))

    assert outcomes(recorded(use(5))) == ["created"]  # it knows of one
    here._forget(topics_of(f'{{"usage": [[{meaning_of("tokens").metric_id}, {acme_id()}, {acme_id()}]]}}'))

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(1))
    assert refusal.value.facts["used"] == "14"


def acme_id() -> int:
    return Project.objects.get(key="acme").pk


def test_no_time_to_live_reads_anew_each_time(here, settings: LazySettings):
    settings.QUOTA_USAGE_TTL = 0
    a_limit(10)
    recorded(use(1))
    with elsewhere():
        recorded(use(8))

    with pytest.raises(QuotaExceeded):
        recorded(use(5))


def test_exact_quota_remembers_nothing(here):
    a_limit(10, counting="ledger")
    recorded(use(1))
    with elsewhere():
        recorded(use(8))

    with pytest.raises(QuotaExceeded):
        recorded(use(5))


def test_refusal_rests_on_a_reading_of_the_last_second(here, monkeypatch):
    """Room that somebody else made is used as soon as it is needed."""
    a_limit(10)
    (result,) = recorded(use(10))
    monkeypatch.setattr("quotas.admission.REFUSAL_AGE_SECONDS", 0)
    with elsewhere():
        void_events([result.id], reason="twice", actor="tests")

    assert outcomes(recorded(use(10))) == ["created"]


def test_what_is_rolled_back_is_not_remembered(here):
    a_limit(10)
    recorded(use(1))

    with transaction.atomic():
        recorded(use(9))
        with pytest.raises(QuotaExceeded):
            recorded(use(1))
        transaction.set_rollback(True)

    assert outcomes(recorded(use(9))) == ["created"]


def test_what_a_callers_transaction_commits_is_remembered(here):
    a_limit(10)
    recorded(use(1))

    with transaction.atomic():
        recorded(use(9))

    with pytest.raises(QuotaExceeded):
        recorded(use(1))


def test_refused_batch_is_not_remembered(here):
    a_limit(10)
    recorded(use(1))

    with pytest.raises(QuotaExceeded):
        recorded(use(9), use(9))

    assert outcomes(recorded(use(9))) == ["created"]


def test_changed_quota_is_obeyed_at_once_whatever_is_remembered(here):
    quota = a_limit(10)
    recorded(use(5))

    with elsewhere():
        change_quota(quota, limit=5)
    with pytest.raises(QuotaExceeded):
        recorded(use(1))
    change_quota(quota, limit=6)

    assert outcomes(recorded(use(1))) == ["created"]


def test_change_behind_the_verbs_is_obeyed_when_definitions_have_lived_out_their_time(here, settings):
    quota = a_limit(10)
    recorded(use(5))
    ProjectQuota.objects.filter(pk=quota.pk).update(limit=5)
    assert outcomes(recorded(use(1))) == ["created"]

    settings.QUOTA_DEFINITIONS_TTL = 0

    with pytest.raises(QuotaExceeded) as refusal:
        recorded(use(1))
    assert refusal.value.facts["limit"] == "5"


def test_without_rollups_usage_counts_as_zero(here):
    a_limit(1)

    assert outcomes(recorded(use(1))) == ["created"]
    roll_up()


def test_what_is_remembered_does_not_help_a_quota_that_cannot_be_read(here):
    a_limit(10)
    recorded(use(1))
    with out_of_reach("metering_usagemeterrollup"):
        assert outcomes(recorded(use(1))) == ["created"]  # from what was read a moment ago
        here._forget(None)
        with pytest.raises(QuotaUnavailable):
            recorded(use(1))

    assert total_of("tokens") == 2


def test_soft_quota_that_cannot_be_read_refuses_nobody(here, settings):
    settings.QUOTA_USAGE_TTL = 0
    a_limit(1, mode="soft")

    with out_of_reach("metering_usagemeterrollup"):
        (alone,) = recorded(use(5))
        with transaction.atomic():
            (within,) = recorded(use(5))

    assert (alone.outcome, list(alone.warnings)) == ("created", [])
    assert (within.outcome, list(within.warnings)) == ("created", [])
    assert total_of("tokens") == 10


@contextmanager
def out_of_reach(table: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO out_of_reach")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE out_of_reach RENAME TO {table}")


def test_policy_of_the_settings_is_one_per_process():
    assert admission.admission_policy() is admission.admission_policy()
    assert isinstance(admission.admission_policy(), QuotaAdmission)


def test_clock_of_the_database_judges(here):
    """A process whose clock is wrong decides as the others do."""
    a_limit(10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: dt.datetime(2001, 1, 1).timestamp())
        assert outcomes(recorded(use(1, occurred_at=None))) == ["created"]
