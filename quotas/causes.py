"""What stood against a request: a quota, or a threshold that blocks. Pure; noted while it is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from .book import Quota
from .models import QuotaDecision, UsageThreshold
from .periods import Period


@dataclass(frozen=True, slots=True)
class Cause:
    """Who answered, as it was then. A quota has a limit and a mode; a threshold has a level, and the subject
    whose usage reached it."""

    project_id: int
    project_key: str
    metric_id: int
    period: str
    quota_id: int | None = None
    mode: str = ""
    limit: Decimal | None = None
    threshold_id: int | None = None
    level: Decimal | None = None
    subject: tuple[str, str] | None = None  # type, id


@dataclass(frozen=True, slots=True)
class Judged:
    """What one quota or threshold said of one request."""

    cause: Cause
    period: Period
    metric_key: str
    outcome: str
    facts: Mapping[str, object] = field(default_factory=dict)
    basis: str = QuotaDecision.Basis.ROLLUPS


def quota_as_cause(quota: Quota, *, limit: Decimal | None = None) -> Cause:
    """`limit`: the one in force, where it isn't the quota's own."""
    return Cause(
        quota.project_id,
        quota.project_key,
        quota.metric_id,
        quota.period,
        quota_id=quota.id,
        mode=quota.mode,
        limit=quota.limit if limit is None else limit,
    )


def threshold_as_cause(threshold: UsageThreshold, *, project_key: str, subject: tuple[str, str]) -> Cause:
    return Cause(
        threshold.project_id,
        project_key,
        threshold.metric_id,
        threshold.period,
        threshold_id=threshold.pk,
        level=threshold.level,
        subject=subject,
    )
