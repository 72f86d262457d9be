"""At which amount a threshold lies: its own, or its share of the quota in force."""

from collections.abc import Collection, Sequence
from decimal import Decimal, localcontext

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now

from metering.texts.numbers import EXACT

from .models import ProjectQuota, QuotaOverride, UsageThreshold

QuotaKey = tuple[int, int, str]  # project, metric, period


def limits_in_force(keys: Collection[QuotaKey]) -> dict[QuotaKey, Decimal]:
    """The limits of quotas as they are now, temporary ones included; where there is no quota, nothing.

    Thresholds count by the calendar, so a quota that counts from an anchor isn't theirs.
    """
    temporary = QuotaOverride.objects.filter(
        quota=OuterRef("pk"), effective_from__lte=Now(), effective_until__gt=Now()
    )
    quotas = ProjectQuota.objects.filter(
        anchor=None,
        project_id__in={project_id for project_id, _, _ in keys},
        metric_id__in={metric_id for _, metric_id, _ in keys},
    ).annotate(limit_now=Coalesce(Subquery(temporary.values("limit")[:1]), F("limit")))
    limits = {
        (project_id, metric_id, period): limit
        for project_id, metric_id, period, limit in quotas.values_list(
            "project_id", "metric_id", "period", "limit_now"
        )
    }
    return {key: limits[key] for key in keys if key in limits}


def level_of(threshold: UsageThreshold, limits: dict[QuotaKey, Decimal]) -> Decimal | None:
    """The amount in force; None for a share of a quota that there isn't."""
    if threshold.quota_fraction is None:
        return threshold.amount
    limit = limits.get(quota_key(threshold))
    if limit is None:
        return None
    with localcontext(EXACT):
        return limit * threshold.quota_fraction


def quota_key(threshold: UsageThreshold) -> QuotaKey:
    return (threshold.project_id, threshold.metric_id, threshold.period)


def follow_quotas(thresholds: Sequence[UsageThreshold]) -> None:
    """Give those that are a share of a quota the level that follows from it now, here and in the database.

    Within the caller's transaction. Whoever comes second finds the level set and changes nothing, so that one
    change of a quota is one new version.
    """
    shares = [threshold for threshold in thresholds if threshold.quota_fraction is not None]
    limits = limits_in_force({quota_key(threshold) for threshold in shares})
    stale = {
        threshold.pk: threshold for threshold in shares if level_of(threshold, limits) != threshold.level
    }
    if not stale:
        return
    held = UsageThreshold.objects.select_for_update(of=("self",)).filter(pk__in=stale).order_by("pk")
    for row in held:
        level = level_of(row, limits)
        if level != row.level:
            row.level, row.version = level, row.version + 1
            UsageThreshold.objects.filter(pk=row.pk).update(
                level=level, version=row.version, level_set_at=Now()
            )
        threshold = stale[row.pk]
        threshold.level, threshold.version = row.level, row.version
