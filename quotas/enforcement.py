"""Setting, changing and removing quotas. Each change is obeyed by every process from its commit on."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from decimal import Decimal
from functools import partial
from typing import Any, cast

import psycopg
from django.db import IntegrityError, connection, transaction

from metering.catalogue import move_version
from metering.errors import Conflict, Invalid, NotFound
from metering.locks import no_recorder_running
from metering.models import MetricDefinition, Project
from metering.texts.numbers import NotANumber, decimal_from

from .book import LEDGER, MONITORED_ONLY
from .bus import announce_change
from .evaluation import evaluate_shares
from .models import ProjectQuota
from .periods import ANCHORED_KINDS

ONCE_PER_PERIOD = "quota_once_per_period"
EARLIEST_ANCHOR, LATEST_ANCHOR = dt.date(1970, 1, 1), dt.date(2999, 12, 31)

UNCHANGED: Any = object()  # where None is an answer, too


def set_quota(
    project: Project,
    *,
    metric: MetricDefinition,
    limit: Decimal | int | str,
    mode: str = ProjectQuota.Mode.HARD,
    period: str = ProjectQuota.Period.MONTH,
    anchor: dt.date | None = None,
    counting: str = ProjectQuota.Counting.ROLLUPS,
) -> ProjectQuota:
    """Limit what a project may use of a metric in each period; usage recorded before counts.

    Raises `Invalid` naming the field: for a limit that is negative or not exact, an unknown mode, period or
    counting, an anchor for a period that has none, a metric that is archived, that the project doesn't see or
    whose values can only be monitored; `Conflict` when the project has a quota on this metric and period
    already. One that counts by the ledger waits for recorders under way, and raises `DefinitionsBusy` where
    that takes too long.
    """
    quota = ProjectQuota(
        project=project,
        metric=metric,
        limit=limit_from(limit),
        mode=mode,
        period=period,
        anchor=anchor,
        counting=counting,
    )
    _ensure_sound(quota)
    if metric.project is not None and not project.path.startswith(metric.project.path):
        raise Invalid(
            "Project '{key}' has no metric '{metric_key}'.",
            key=project.key,
            metric_key=metric.key,
            field="metric",
        )
    try:
        with changing_quotas(counting) as changed:
            metric = _held_metric(metric)
            if metric.is_archived:
                raise Invalid(
                    "Metric '{key}' is archived and counts no more usage.", key=metric.key, field="metric"
                )
            _ensure_mode(mode, metric)
            quota.save(force_insert=True)
            changed.append(quota)
    except IntegrityError as error:
        raise _taken(quota, error) from None
    quota.refresh_from_db(fields=["created_at"])
    return quota


def change_quota(
    quota: ProjectQuota,
    *,
    limit: Decimal | int | str | None = None,
    mode: str | None = None,
    period: str | None = None,
    anchor: dt.date | None = UNCHANGED,
    counting: str | None = None,
) -> ProjectQuota:
    """Change a quota; what isn't named stays. Recorded usage stays and counts, whatever is changed.

    Raises what `set_quota` raises, and `NotFound` when the quota was removed meanwhile.
    """
    changes: dict[str, Any] = {
        name: value
        for name, value in (("mode", mode), ("period", period), ("counting", counting))
        if value is not None
    }
    if limit is not None:
        changes["limit"] = limit_from(limit)
    if anchor is not UNCHANGED:
        changes["anchor"] = anchor
    if not changes:
        return quota
    try:
        with changing_quotas(quota.counting, counting) as changed:
            stored = held_quota(quota)
            changed.append(copy(stored))
            for name, value in changes.items():
                setattr(stored, name, value)
            _ensure_sound(stored)
            _ensure_mode(stored.mode, _held_metric(stored.metric))
            stored.save(update_fields=list(changes))
            changed.append(stored)
    except IntegrityError as error:
        raise _taken(quota, error) from None
    quota.refresh_from_db(fields=["limit", "mode", "period", "anchor", "counting"])
    return quota


def remove_quota(quota: ProjectQuota) -> None:
    """Lift a limit: usage is unlimited from now on. Removing again changes nothing."""
    with changing_quotas() as changed:
        changed.append(quota)
        ProjectQuota.objects.filter(pk=quota.pk).delete()


@contextmanager
def changing_quotas(*countings: str | None) -> Iterator[list[ProjectQuota]]:
    """The transaction of a change of quotas that count as named; with its commit every process knows.

    Where one counts by the ledger no recorder is under way: none decides by what was, or without its lock.
    Thresholds that are a share of the quotas put into the list follow them: in the transaction, or, where
    that would keep recorders waiting, after it.
    """
    changed: list[ProjectQuota] = []
    is_exact = LEDGER in countings
    with no_recorder_running() if is_exact else transaction.atomic():
        yield changed
        keys = dict.fromkeys((quota.project_id, quota.metric_id, quota.period) for quota in changed)
        for project_id, metric_id, period in keys:
            evaluate = partial(evaluate_shares, project_id=project_id, metric_id=metric_id, period=period)
            if is_exact:
                transaction.on_commit(evaluate, robust=True)
            else:
                evaluate()
        # After the rows of thresholds, as a change of a threshold does: nobody waits in a circle.
        move_version()
        transaction.on_commit(announce_change)


def held_quota(quota: ProjectQuota) -> ProjectQuota:
    """The quota as it is stored, its row ours until the transaction ends.

    Raises `NotFound`, and `Conflict` where it became exact since it was read: changing it needs more.
    """
    stored = (
        ProjectQuota.objects.select_for_update(of=("self",))
        .select_related("project", "metric")
        .filter(pk=quota.pk)
        .first()
    )
    if stored is None:
        raise NotFound("The quota was removed.")
    if stored.counting == LEDGER != quota.counting:
        raise Conflict("The quota was changed a moment ago; look at it again.")
    return stored


def limit_from(limit: Decimal | int | str) -> Decimal:
    """The exact limit. Raises `Invalid` for what isn't a number that the ledger can hold, or is negative."""
    if isinstance(limit, bool) or not isinstance(limit, Decimal | int | str):
        raise Invalid("The limit is a decimal number, as text or exact.", field="limit")
    try:
        value = decimal_from(str(limit))
    except NotANumber as error:
        raise Invalid("The limit can't be read: {why}.", why=error, field="limit") from None
    if value < 0:
        raise Invalid("A limit can't be negative; 0 refuses all usage.", field="limit")
    return value


def _held_metric(metric: MetricDefinition) -> MetricDefinition:
    """The metric as it is stored, which nobody changes until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM metering_metricdefinition WHERE id = %s FOR SHARE", [metric.pk])
    return MetricDefinition.objects.get(pk=metric.pk)


def _ensure_sound(quota: ProjectQuota) -> None:
    """Each rule of a quota that needs no look at others. Raises `Invalid`."""
    _ensure_known(quota.mode, ProjectQuota.Mode.values, field="mode")
    _ensure_known(quota.period, ProjectQuota.Period.values, field="period")
    _ensure_known(quota.counting, ProjectQuota.Counting.values, field="counting")
    if quota.anchor is None:
        return
    if quota.period not in ANCHORED_KINDS:
        raise Invalid(
            "The period '{period}' has no anchor; {known} may have one.",
            period=quota.period,
            known=", ".join(ANCHORED_KINDS),
            field="anchor",
        )
    if not EARLIEST_ANCHOR <= quota.anchor <= LATEST_ANCHOR:
        raise Invalid(
            "An anchor lies between {earliest} and {latest}.",
            earliest=EARLIEST_ANCHOR,
            latest=LATEST_ANCHOR,
            field="anchor",
        )


def _ensure_mode(mode: str, metric: MetricDefinition) -> None:
    if mode != ProjectQuota.Mode.MONITOR and metric.aggregation in MONITORED_ONLY:
        raise Invalid(
            "'{key}' is {aggregation}: its values can be monitored but not limited.",
            key=metric.key,
            aggregation=metric.aggregation,
            field="mode",
        )


def _ensure_known(value: str, known: list[str], *, field: str) -> None:
    if value not in known:
        raise Invalid(
            "Unknown {what} '{value}'; use {known}.",
            what=field,
            value=value[:50],
            known=", ".join(known),
            field=field,
        )


def _taken(quota: ProjectQuota, error: IntegrityError) -> Exception:
    cause = cast(psycopg.Error | None, error.__cause__)
    if cause is None or cause.diag.constraint_name != ONCE_PER_PERIOD:
        return error
    return Conflict(
        "Project '{project}' has a quota on '{metric}' for this period already.",
        project=quota.project.key,
        metric=quota.metric.key,
        field="period",
    )
