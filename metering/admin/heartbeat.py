"""When recurring jobs last finished."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.clock import database_now
from metering.models import Heartbeat

from . import cells
from .base import ReadOnlyAdmin


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    intro = _(
        "When each recurring job last finished, and what it did. A job that falls silent has no worker."
    )
    empty_title = _("No job has finished yet")
    empty_text = _("Start a worker and beat, or run manage.py roll_up.")
    linked_lookups = ("job__exact",)
    list_display = ("job", "age", "finished", "what")
    ordering = ("job",)
    sortable_by = ()
    fields = ("job", "finished", "what")

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.age_now = cells.ago(row.finished_at, now=now)

    @admin.display(description=_("last finished"))
    def age(self, heartbeat: Any) -> str:
        return str(heartbeat.age_now)

    @admin.display(description=_("finished at"))
    def finished(self, heartbeat: Heartbeat) -> SafeString:
        return cells.moment(heartbeat.finished_at)

    @admin.display(description=_("what it did"))
    def what(self, heartbeat: Heartbeat) -> str:
        return ", ".join(
            f"{name}: {numerals.exact(Decimal(str(value + 0))) if isinstance(value, int | float) else value}"
            for name, value in heartbeat.facts.items()
        )
