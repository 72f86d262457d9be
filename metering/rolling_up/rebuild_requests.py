"""Rebuilds that staff ask for: kept in the database, done by whichever worker finds them."""

import logging

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now

from metering.errors import MeterbookError, RebuildUnderWay
from metering.locks import try_to_hold_rebuild
from metering.models import MetricDefinition, RollupRebuild

from .rebuilding import rebuild_rollups

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # one on which so many workers died isn't tried for ever


def request_rebuild(metric: MetricDefinition, *, requested_by: str) -> RollupRebuild:
    """Ask for a rebuild of a metric's rollups; the one that waits already, where there is one."""
    waiting = RollupRebuild.objects.filter(metric=metric, finished_at=None)
    try:
        with transaction.atomic():
            return waiting.first() or RollupRebuild.objects.create(
                metric=metric, requested_by=requested_by[:150]
            )
    except IntegrityError:  # somebody else asked a moment ago
        return waiting.get()


def rebuild_requested() -> int:
    """Do the rebuilds that wait, in the order asked; how many were finished, failures included."""
    finished_count = 0
    for request in RollupRebuild.objects.filter(finished_at=None).select_related("metric").order_by("id"):
        if _begin(request):
            finished_count += _finish(request)
    return finished_count


def _begin(request: RollupRebuild) -> bool:
    """Count an attempt, before it can be killed. False: somebody is at it, or too many died on it."""
    with transaction.atomic():
        if not try_to_hold_rebuild(request.metric_id):
            return False
        waiting = RollupRebuild.objects.select_for_update().filter(pk=request.pk, finished_at=None)
        attempt_count = waiting.values_list("attempt_count", flat=True).first()
        if attempt_count is None:
            return False
        if attempt_count >= MAX_ATTEMPTS:
            waiting.update(finished_at=Now(), failure=f"Given up: it was interrupted {attempt_count} times.")
            return False
        waiting.update(attempt_count=attempt_count + 1)
    return True


def _finish(request: RollupRebuild) -> bool:
    """Whether it has come to an end, good or bad."""
    waiting = RollupRebuild.objects.filter(pk=request.pk, finished_at=None)
    try:
        rebuild_rollups(request.metric, request=request)
    except RebuildUnderWay:
        waiting.update(attempt_count=F("attempt_count") - 1)
        return False
    except (OperationalError, InterfaceError):
        raise  # the database is in trouble, not the rebuild: tried again
    except (MeterbookError, DatabaseError) as error:
        logger.exception("Rollups of metric %s can't be rebuilt", request.metric.key)
        waiting.update(finished_at=Now(), failure=str(error)[:1000] or type(error).__name__)
    return True
