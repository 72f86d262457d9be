"""Home: what needs somebody today, and the month so far. Everybody sees what they may, and nothing else."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from metering import numerals
from metering.clock import database_now

from . import cells
from .first_steps import first_steps
from .home_usage import usage_of_month
from .matters import matters_of
from .panels import panels_of


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What templates/admin/index.html shows."""
    now = database_now()
    found = matters_of(request, now=now)
    usage = usage_of_month(request, now=now)
    return {
        **context,
        "title": _("Home"),
        "matters": [
            {
                "matter": matter,
                "count": ""
                if matter.count is None
                else numerals.count(matter.count) + ("+" if matter.is_capped else ""),
                "age": "" if matter.since is None else cells.ago(matter.since, now=now),
                "since": matter.since,
            }
            for matter in found
        ],
        "looked_at": cells.moment(now),
        "first_steps": [] if usage is not None and usage.has_usage else first_steps(request),
        "usage": usage,
        "panels": panels_of("home", request, now),
    }
