"""Positions up to which the ledger is final."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from metering import numerals
from metering.models import Fence

from . import cells
from .base import ReadOnlyAdmin


@admin.register(Fence)
class FenceAdmin(ReadOnlyAdmin):
    intro = _(
        "Ledger positions up to which everything was committed and final at that moment. Reads “as of” a "
        "time will be cut at fences."
    )
    empty_title = _("No fences yet")
    empty_text = _("The job “Fence the ledger” makes one a minute while usage arrives.")
    list_display = ("position_number", "fenced")
    ordering = ("-position", "-id")
    sortable_by = ()
    fields = ("position_number", "fenced")

    @admin.display(description=_("position"))
    def position_number(self, fence: Fence) -> str:
        return numerals.count(fence.position)

    @admin.display(description=_("fenced at"))
    def fenced(self, fence: Fence) -> SafeString:
        return cells.moment(fence.fenced_at)
