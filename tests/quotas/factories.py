"""Quotas as the verb makes them, and requests as the ledger hands them to a policy."""

import datetime as dt
from decimal import Decimal
from typing import Any

from metering.admission import Request, Verdicts
from metering.catalogue import current
from metering.models import DomainEvent, MetricDefinition, Project
from metering.principal import Principal
from quotas.admission import QuotaAdmission
from quotas.enforcement import set_quota
from quotas.models import Alert, ProjectQuota, ThresholdCrossing, UsageThreshold
from quotas.thresholds import set_threshold
from tests.factories import meaning_of

PRODUCER = Principal(name="producer", permissions=frozenset({"ingest"}))


def a_quota(project: Project, metric: MetricDefinition, **overrides: Any) -> ProjectQuota:
    return set_quota(project, **{"metric": metric, "limit": "100", **overrides})


def a_request(
    project: Project,
    metric: MetricDefinition,
    reading: str = "1",
    *,
    index: int = 0,
    payer: Project | None = None,
    at: dt.datetime,
) -> Request:
    return Request(index, project.pk, (payer or project).pk, at, [(meaning_of(metric), Decimal(reading))])


def verdicts_on(*requests: Request, now: dt.datetime, may_backfill: bool = False) -> Verdicts:
    return QuotaAdmission().judge(requests, catalogue=current(), now=now, may_backfill=may_backfill)


def a_threshold(project: Project, metric: MetricDefinition, **overrides: Any) -> UsageThreshold:
    """At 100 for each subject on its own, told to nobody by mail, unless told otherwise."""
    level = {} if "quota_fraction" in overrides else {"amount": "100"}
    return set_threshold(project, **{"metric": metric, "period": "month", **level, **overrides})


def crossings() -> list[tuple[str, str, Decimal]]:
    """(kind, subject, usage) of all, in the order recorded."""
    return list(ThresholdCrossing.objects.order_by("id").values_list("kind", "subject_id", "value"))


def announced() -> list[DomainEvent]:
    """The domain events about thresholds, in the order of their happening."""
    return list(DomainEvent.objects.filter(kind__startswith="threshold.").order_by("id"))


def alerts() -> list[tuple[str, str]]:
    """(kind, subject) of all, in the order of their crossings."""
    rows = Alert.objects.order_by("crossing_id")
    return list(rows.values_list("crossing__kind", "crossing__subject_id"))
