"""What limits, alerts and billing know of a project. Its page loads these cards by a request of their own, so
that none of them keeps the page waiting."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from metering.errors import Unavailable
from metering.models import Project

from .links import project_url
from .panels import Panel, panels_of
from .refusals import worded


def project_cards(
    request: HttpRequest, project: Project, *, context: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """The cards alone for the page that asks by htmx, else a page with them. Each card checks its rights."""
    panels: list[Panel] = []
    problem = ""
    try:
        panels = panels_of("project", request, project)
    except Unavailable as refusal:
        problem = worded(refusal)
    facts: dict[str, Any] = {"panels": panels, "problem": problem, "back_url": project_url(project.pk)}
    if request.headers.get("HX-Request") == "true":
        return TemplateResponse(request, "admin/metering/project/cards.html", facts)
    facts |= {"title": project.name, "content_title": project.name, "original": project}
    return TemplateResponse(request, "admin/metering/project/cards_page.html", {**context(), **facts})
