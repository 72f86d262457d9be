"""How limits are put back as they were: by their verbs, which judge again."""

from copy import copy
from typing import Any

from metering.admin.undoing import Undo, Values
from metering.catalogue import current
from metering.errors import NotFound
from metering.models import MetricDefinition, Project
from quotas.enforcement import change_quota, set_quota
from quotas.models import ProjectQuota, UsageThreshold
from quotas.thresholds import change_threshold, set_threshold

from .consequences import of_threshold, standing_and_consequences


def _whose(values: Values) -> tuple[Project, MetricDefinition]:
    """Raises `NotFound` where either is gone."""
    project = Project.objects.filter(pk=values["project"]).first()
    metric = MetricDefinition.objects.select_related("project").filter(pk=values["metric"]).first()
    if project is None or metric is None:
        raise NotFound("Its project or its metric was removed.")
    return project, metric


def _quota(row: ProjectQuota, values: Values) -> None:
    change_quota(row, **values)


def _quota_again(values: Values) -> None:
    project, metric = _whose(values)
    rest = {name: value for name, value in values.items() if name not in ("project", "metric")}
    set_quota(project, metric=metric, **rest)


def _quota_warnings(row: ProjectQuota | None, values: Values) -> list[Any]:
    after = _with(ProjectQuota, row, values)
    return [] if after is None else standing_and_consequences(row, after)


def _threshold(row: UsageThreshold, values: Values) -> None:
    change_threshold(row, **_both_levels(row, values))


def _threshold_again(values: Values) -> None:
    project, metric = _whose(values)
    rest = {name: value for name, value in values.items() if name not in ("project", "metric", "removed_at")}
    set_threshold(project, metric=metric, **rest)


def _both_levels(row: UsageThreshold, values: Values) -> dict[str, Any]:
    """An amount and a share exclude each other: whoever names one says the other as well."""
    given = dict(values)
    if "amount" in given or "quota_fraction" in given:
        given.setdefault("amount", row.amount)
        given.setdefault("quota_fraction", row.quota_fraction)
    return given


def _threshold_warnings(row: UsageThreshold | None, values: Values) -> list[Any]:
    after = _with(UsageThreshold, row, values)
    return [] if after is None else [one.words for one in of_threshold(row, after)]


def _with(model: Any, row: Any, values: Values) -> Any:
    """The row as it will be; None where its project or metric is gone, or no process knows them yet."""
    if row is None:
        after = model()
        after.project_id, after.metric_id = values["project"], values["metric"]
    else:
        after = copy(row)
    for name, value in values.items():
        if name not in ("project", "metric", "removed_at"):
            setattr(after, name, value)
    catalogue = current()
    is_known = after.project_id in catalogue.keys_of([after.project_id])
    return after if is_known and after.metric_id in catalogue.meanings else None


QUOTAS = Undo(
    ("limit", "mode", "period", "anchor", "counting"),
    _quota,
    _quota_again,
    same_by=("project", "metric", "period"),
    warnings=_quota_warnings,
)
THRESHOLDS = Undo(
    ("amount", "quota_fraction", "action", "notify_emails", "approach_fraction", "is_enabled"),
    _threshold,
    _threshold_again,
    same_by=(
        "project",
        "metric",
        "period",
        "subject_type",
        "subject_id",
        "amount",
        "quota_fraction",
    ),
    removed_field="removed_at",
    warnings=_threshold_warnings,
)
