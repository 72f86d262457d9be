"""Where the rows that a page of the kernel shows a part of are listed."""

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from metering.models import Project


def listed(model: str, **filters: Any) -> str:
    """The list of a model of the kernel, narrowed down."""
    url = reverse(f"admin:metering_{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def adding(model: str, **initial: Any) -> str:
    """The form that adds one, filled in so far."""
    return reverse(f"admin:metering_{model}_add") + "?" + urlencode(initial)


def project_url(project_id: int) -> str:
    return reverse("admin:metering_project_change", args=[project_id])


def tree_url(project: Project) -> str:
    """What lies below a project, with who pays for it."""
    return reverse("admin:metering_attributionrule_tree") + f"?tree={project.pk}"
