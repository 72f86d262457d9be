"""The quotas in force, as they are held in memory."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import FilteredRelation, Q
from django.db.models.functions import Now

from metering.measuring.windows import zone_named
from metering.models import MetricDefinition

from .models import ProjectQuota
from .periods import Period, period_holding

HARD, SOFT = "hard", "soft"
LEDGER = "ledger"

# Their value can fall with more use, so a limit on it says nothing about the next request.
MONITORED_ONLY = frozenset(
    {
        MetricDefinition.Aggregation.AVG,
        MetricDefinition.Aggregation.MIN,
        MetricDefinition.Aggregation.TIME_WEIGHTED_AVG,
    }
)


@dataclass(frozen=True, slots=True)
class Override:
    """Another limit, from one instant to another."""

    limit: Decimal
    effective_from: dt.datetime
    effective_until: dt.datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """One enforced quota."""

    id: int
    project_id: int
    project_key: str
    zone: ZoneInfo
    metric_id: int
    limit: Decimal
    mode: str
    period: str
    anchor: dt.date | None = None
    counting: str = ProjectQuota.Counting.ROLLUPS.value
    overrides: tuple[Override, ...] = ()

    @property
    def counts_by_ledger(self) -> bool:
        return self.counting == LEDGER

    @property
    def is_exact(self) -> bool:
        """Whether what it refuses is decided under a lock."""
        return self.mode == HARD and self.counts_by_ledger

    def limit_at(self, now: dt.datetime) -> Decimal:
        """The limit in force, by the clock that judges and not by when usage happened."""
        for override in self.overrides:
            if override.effective_from <= now < override.effective_until:
                return override.limit
        return self.limit

    def period_holding(self, instant: dt.datetime) -> Period:
        return period_holding(instant, kind=self.period, zone=self.zone, anchor=self.anchor)


# The enforced quotas of each (project, metric), oldest first.
QuotaBook = Mapping[tuple[int, int], Sequence[Quota]]


def enforced_quotas() -> QuotaBook:
    """All hard and soft quotas; monitored ones never decide anything. One query."""
    rows: Any = (
        ProjectQuota.objects.exclude(mode=ProjectQuota.Mode.MONITOR)
        .exclude(metric__aggregation__in=MONITORED_ONLY)
        .alias(coming=FilteredRelation("overrides", condition=Q(overrides__effective_until__gt=Now())))
        .order_by("id", "coming__effective_from")
        .values_list(
            "id",
            "project_id",
            "project__key",
            "project__timezone",
            "metric_id",
            "limit",
            "mode",
            "period",
            "anchor",
            "counting",
            "coming__limit",
            "coming__effective_from",
            "coming__effective_until",
        )
    )
    facts: dict[int, Sequence[Any]] = {}
    overrides: dict[int, list[Override]] = defaultdict(list)
    for row in rows:
        of_quota, of_override = row[:10], row[10:]
        facts[row[0]] = of_quota
        if of_override[0] is not None:
            overrides[row[0]].append(Override(*of_override))
    book: dict[tuple[int, int], list[Quota]] = defaultdict(list)
    for of_quota in facts.values():
        quota_id, project_id, key, zone, metric_id, limit, mode, period, anchor, counting = of_quota
        book[project_id, metric_id].append(
            Quota(
                quota_id,
                project_id,
                key,
                zone_named(zone),
                metric_id,
                limit,
                mode,
                period,
                anchor,
                counting,
                tuple(overrides[quota_id]),
            )
        )
    return dict(book)
