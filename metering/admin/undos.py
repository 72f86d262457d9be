"""How the kernel's own configuration is put back as it was: by its verbs."""

from typing import Any

from django.utils.translation import gettext as _

from metering.attributing.scope_tree import change_project, rename_surface
from metering.defining.definitions import change_metric
from metering.delivering.endpoints import Changes, change_endpoint
from metering.models import MetricDefinition, Project, SurfaceInstallation, WebhookEndpoint

from .undoing import Undo, Values


def _project(row: Project, values: Values) -> None:
    change_project(row, **values)


def _project_warnings(row: Project | None, values: Values) -> list[Any]:
    if "timezone" not in values:
        return []
    return [
        _(
            "Days, months and the periods of limits follow the other time zone from now on, also those that "
            "run: what is used of a limit may be another amount at once."
        )
    ]


def _metric(row: MetricDefinition, values: Values) -> None:
    change_metric(row, values)


def _endpoint(row: WebhookEndpoint, values: Values) -> None:
    given = {name: value for name, value in values.items() if name != "disabled_reason"}
    change_endpoint(row, Changes(**given))


def _endpoint_warnings(row: WebhookEndpoint | None, values: Values) -> list[Any]:
    if values.get("is_enabled") is True:
        return [_("Messages are sent there again from now on, those that waited as well.")]
    if values.get("is_enabled") is False:
        return [_("Nothing is sent there from now on; what waits, waits on.")]
    if "url" in values:
        return [_("All messages go to the other address from now on, those that wait as well.")]
    return []


def _surface(row: SurfaceInstallation, values: Values) -> None:
    rename_surface(row, name=values["name"])


PROJECTS = Undo(("name", "kind", "timezone"), _project, warnings=_project_warnings)
METRICS = Undo(("display_name", "description", "unit"), _metric)
WEBHOOK_ENDPOINTS = Undo(
    ("url", "description", "kinds", "is_enabled", "disabled_reason"), _endpoint, warnings=_endpoint_warnings
)
SURFACES = Undo(("name",), _surface)
