"""Which quotas the caller may know of."""

from django.db.models import QuerySet
from rest_framework.request import Request

from metering.api.visibility import principal_of_request
from metering.errors import NotFound
from metering.principal import Principal
from metering.texts.cursors import LARGEST_ID
from quotas.models import ProjectQuota


def visible_quotas(principal: Principal) -> QuerySet[ProjectQuota]:
    """The quotas of the projects that the caller sees, each with its project and metric."""
    quotas = ProjectQuota.objects.select_related("project", "metric")
    if principal.project_path is not None:
        quotas = quotas.filter(project__path__startswith=principal.project_path)
    return quotas


def visible_quota(request: Request, quota_id: int) -> ProjectQuota:
    """One of them. Raises `NotFound`."""
    quota = None
    if quota_id <= LARGEST_ID:
        quota = visible_quotas(principal_of_request(request)).filter(pk=quota_id).first()
    if quota is None:
        raise NotFound(f"There is no quota {quota_id}.")
    return quota
