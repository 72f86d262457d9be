"""Quotas as the verb makes them, and requests as the ledger hands them to a policy."""

import datetime as dt
from decimal import Decimal
from typing import Any

from metering.admission import Request, Verdicts
from metering.catalogue import current
from metering.models import MetricDefinition, Project
from metering.principal import Principal
from quotas.admission import QuotaAdmission
from quotas.enforcement import set_quota
from quotas.models import ProjectQuota
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
