"""What the simulated projects may use, and where staff want to be told.

Everything is added where it is missing, nothing is changed. Limits are such that there is something to see:
usage at most of a limit, and a level that is reached already. The numbers are made up.
"""

from dataclasses import dataclass
from decimal import Decimal

from metering.models import MetricDefinition, Project
from quotas.enforcement import set_quota
from quotas.models import Alert, ProjectQuota, UsageThreshold
from quotas.thresholds import set_threshold

MODE, PERIOD = ProjectQuota.Mode, ProjectQuota.Period
# project, metric, limit, mode, period
QUOTAS = (
    ("simulated-shop", "api_calls", "30000", MODE.HARD, PERIOD.MONTH),
    ("simulated-shop", "active_seats", "200", MODE.SOFT, PERIOD.MONTH),
    ("simulated-shop", "stored_gb", "500", MODE.MONITOR, PERIOD.NEVER),
    ("simulated-chat", "api_calls", "20000", MODE.SOFT, PERIOD.MONTH),
)
# project, metric, share of the quota
THRESHOLDS = (
    ("simulated-shop", "api_calls", "0.8"),
    ("simulated-shop", "active_seats", "0.9"),
    ("simulated-shop", "stored_gb", "0.8"),
    ("simulated-chat", "api_calls", "0.8"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is after setting them."""

    quota_count: int
    threshold_count: int
    open_alert_count: int


def set_limits() -> Limits:
    """Quotas and thresholds of the simulated projects; what is reached already is alerted at once."""
    projects = {one.key: one for one in Project.objects.filter(key__in={row[0] for row in QUOTAS})}
    metrics = {one.key: one for one in MetricDefinition.objects.filter(key__in={row[1] for row in QUOTAS})}
    for project_key, metric_key, limit, mode, period in QUOTAS:
        project, metric = projects[project_key], metrics[metric_key]
        if not ProjectQuota.objects.filter(project=project, metric=metric).exists():
            set_quota(project, metric=metric, limit=Decimal(limit), mode=mode, period=period)
    for project_key, metric_key, fraction in THRESHOLDS:
        project, metric = projects[project_key], metrics[metric_key]
        if not UsageThreshold.objects.filter(project=project, metric=metric).exists():
            quota = ProjectQuota.objects.get(project=project, metric=metric)
            set_threshold(
                project,
                metric=metric,
                quota_fraction=Decimal(fraction),
                subject_id="*",
                period=quota.period,
            )
    return Limits(
        ProjectQuota.objects.count(),
        UsageThreshold.objects.filter(removed_at=None).count(),
        Alert.objects.filter(acknowledged_at=None).count(),
    )
