"""Rebuilds in the background: asked for once, done by whoever finds them, never tried for ever."""

import pytest
from django.db import DataError, OperationalError

from metering.errors import RebuildUnderWay, Unavailable
from metering.models import MetricDefinition, RollupRebuild, UsageMeterRollup
from metering.rolling_up import rebuild_requests
from metering.rolling_up.rebuild_requests import MAX_ATTEMPTS, rebuild_requested, request_rebuild
from metering.rolling_up.rollups import roll_up
from metering.tasks import rebuild_rollups
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tokens() -> MetricDefinition:
    a_project("acme")
    metric = a_metric()
    recorded(an_event(quantity="5"))
    roll_up()
    UsageMeterRollup.objects.filter(granularity="day").delete()
    return metric


def test_request_is_done_by_the_task_and_says_what_was_wrong(tokens: MetricDefinition) -> None:
    request_rebuild(tokens, requested_by="kim")

    rebuild_rollups()

    [done] = RollupRebuild.objects.all()
    assert (done.state, done.missing_count, done.row_count, done.requested_by) == ("repaired", 2, 6, "kim")
    assert (done.attempt_count, done.failure) == (1, "")
    assert UsageMeterRollup.objects.count() == 6
    assert rebuild_requested() == 0


def test_second_request_is_the_first_until_that_is_done(tokens: MetricDefinition) -> None:
    first = request_rebuild(tokens, requested_by="kim")

    assert request_rebuild(tokens, requested_by="lee") == first
    assert rebuild_requested() == 1
    assert request_rebuild(tokens, requested_by="lee") != first
    assert rebuild_requested() == 1
    assert [rebuild.state for rebuild in RollupRebuild.objects.order_by("id")] == ["repaired", "intact"]


@pytest.mark.parametrize("error", [Unavailable("too long"), DataError("too large")])
def test_failure_is_kept_and_the_next_request_goes_on(
    tokens: MetricDefinition, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    request_rebuild(tokens, requested_by="kim")
    request_rebuild(a_metric("other"), requested_by="kim")
    rebuild = rebuild_requests.rebuild_rollups

    def failing(metric: MetricDefinition, **options: object) -> object:
        if metric == tokens:
            raise error
        return rebuild(metric, **options)

    monkeypatch.setattr(rebuild_requests, "rebuild_rollups", failing)

    assert rebuild_requested() == 2
    assert [(one.state, one.failure) for one in RollupRebuild.objects.order_by("id")] == [
        ("failed", str(error)),
        ("intact", ""),
    ]


def test_trouble_of_the_database_leaves_the_request_waiting(
    tokens: MetricDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_rebuild(tokens, requested_by="kim")

    def failing(*args: object, **options: object) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(rebuild_requests, "rebuild_rollups", failing)
        with pytest.raises(OperationalError):
            rebuild_requested()

    assert RollupRebuild.objects.get().state == "waiting"
    assert rebuild_requested() == 1
    assert (RollupRebuild.objects.get().state, RollupRebuild.objects.get().attempt_count) == ("repaired", 2)


def test_request_on_which_workers_died_is_given_up(tokens: MetricDefinition) -> None:
    request_rebuild(tokens, requested_by="kim")
    RollupRebuild.objects.update(attempt_count=MAX_ATTEMPTS)

    assert rebuild_requested() == 0

    given_up = RollupRebuild.objects.get()
    assert (given_up.state, given_up.failure) == ("failed", "Given up: it was interrupted 3 times.")


def test_rebuild_that_another_runs_does_not_count_as_an_attempt(
    tokens: MetricDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_rebuild(tokens, requested_by="kim")

    def refused(metric: MetricDefinition, **options: object) -> None:
        raise RebuildUnderWay(metric.key)

    monkeypatch.setattr(rebuild_requests, "rebuild_rollups", refused)

    assert rebuild_requested() == 0
    assert (RollupRebuild.objects.get().state, RollupRebuild.objects.get().attempt_count) == ("waiting", 0)
