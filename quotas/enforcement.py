"""Setting, changing and removing quotas. Each change is obeyed by every process from its commit on."""

from decimal import Decimal
from typing import cast

import psycopg
from django.db import IntegrityError, transaction

from metering.catalogue import move_version
from metering.errors import Conflict, Invalid, NotFound
from metering.measuring.meaning import steps_of
from metering.models import MetricDefinition, Project
from metering.texts.numbers import NotANumber, decimal_from

from .models import ProjectQuota

ONCE_PER_PERIOD = "quota_once_per_period"

# Their value can fall with more use, so a limit on it says nothing about the next request.
MONITORED_ONLY = frozenset(
    {
        MetricDefinition.Aggregation.AVG,
        MetricDefinition.Aggregation.MIN,
        MetricDefinition.Aggregation.TIME_WEIGHTED_AVG,
    }
)


def set_quota(
    project: Project,
    *,
    metric: MetricDefinition,
    limit: Decimal | int | str,
    mode: str = ProjectQuota.Mode.HARD,
    period: str = ProjectQuota.Period.MONTH,
    counting: str = ProjectQuota.Counting.ROLLUPS,
) -> ProjectQuota:
    """Limit what a project may use of a metric in each period; usage recorded before counts.

    Raises `Invalid` naming the field: for a limit that is negative or not exact, an unknown mode, period or
    counting, a metric that is archived, that the project doesn't see or whose values can only be monitored;
    `Conflict` when the project has a quota on this metric and period already.
    """
    _ensure_known(period, ProjectQuota.Period.values, field="period")
    _ensure_counting(counting)
    quota = ProjectQuota(
        project=project, metric=metric, limit=limit_from(limit), mode=mode, period=period, counting=counting
    )
    if metric.project is not None and not project.path.startswith(metric.project.path):
        raise Invalid(f"Project '{project.key}' has no metric '{metric.key}'.", field="metric")
    if metric.is_archived:
        raise Invalid(f"Metric '{metric.key}' is archived and counts no more usage.", field="metric")
    _ensure_mode(mode, metric)
    try:
        with transaction.atomic():
            quota.save(force_insert=True)
            move_version()
    except IntegrityError as error:
        if _violated(error) != ONCE_PER_PERIOD:
            raise
        raise Conflict(
            f"Project '{project.key}' has a quota on '{metric.key}' for the period '{period}' already.",
            field="period",
        ) from None
    quota.refresh_from_db(fields=["created_at"])
    return quota


def change_quota(
    quota: ProjectQuota, *, limit: Decimal | int | str | None = None, mode: str | None = None
) -> ProjectQuota:
    """Give a quota another limit or mode; what is None stays. Recorded usage stays, whatever the new limit.

    Raises `Invalid` naming the field, and `NotFound` when the quota was removed meanwhile.
    """
    changes: dict[str, Decimal | str] = {}
    if limit is not None:
        changes["limit"] = limit_from(limit)
    if mode is not None:
        _ensure_mode(mode, quota.metric)
        changes["mode"] = mode
    if changes:
        with transaction.atomic():
            if not ProjectQuota.objects.filter(pk=quota.pk).update(**changes):
                raise NotFound("The quota was removed.")
            move_version()
        quota.refresh_from_db(fields=["limit", "mode"])
    return quota


def remove_quota(quota: ProjectQuota) -> None:
    """Lift a limit: usage is unlimited from now on. Removing again changes nothing."""
    with transaction.atomic():
        ProjectQuota.objects.filter(pk=quota.pk).delete()
        move_version()


def limit_from(limit: Decimal | int | str) -> Decimal:
    """The exact limit. Raises `Invalid` for what isn't a number that the ledger can hold, or is negative."""
    if isinstance(limit, bool) or not isinstance(limit, Decimal | int | str):
        raise Invalid("The limit is a decimal number, as text or exact.", field="limit")
    try:
        value = decimal_from(str(limit))
    except NotANumber as error:
        raise Invalid(f"The limit can't be read: {error}.", field="limit") from None
    if value < 0:
        raise Invalid("A limit can't be negative; 0 refuses all usage.", field="limit")
    return value


def _ensure_mode(mode: str, metric: MetricDefinition) -> None:
    _ensure_known(mode, ProjectQuota.Mode.values, field="mode")
    if mode == ProjectQuota.Mode.MONITOR:
        return
    if metric.aggregation == MetricDefinition.Aggregation.UNIQUE_COUNT or steps_of(metric) is not None:
        # What one more event adds depends on values and readings that admission doesn't look up yet.
        raise Invalid(
            f"'{metric.key}' counts distinct values or steps between readings: it can be monitored, not"
            " limited yet.",
            field="mode",
        )
    if metric.aggregation in MONITORED_ONLY:
        raise Invalid(
            f"'{metric.key}' is {metric.aggregation}: its values can be monitored but not limited.",
            field="mode",
        )


def _ensure_counting(counting: str) -> None:
    if counting == "ledger":
        raise Invalid("Counting by the ledger isn't available yet; use 'rollups'.", field="counting")
    _ensure_known(counting, ProjectQuota.Counting.values, field="counting")


def _ensure_known(value: str, known: list[str], *, field: str) -> None:
    if value not in known:
        raise Invalid(f"Unknown {field} '{value[:50]}'; use {', '.join(known)}.", field=field)


def _violated(error: IntegrityError) -> str | None:
    cause = cast(psycopg.Error | None, error.__cause__)
    return None if cause is None else cause.diag.constraint_name
