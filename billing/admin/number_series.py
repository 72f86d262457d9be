"""How documents are numbered."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from billing.invoicing.number_series import change_series
from billing.models import NumberSeries
from metering import numerals
from metering.admin import cells
from metering.admin.base import EditableAdmin


@admin.register(NumberSeries)
class NumberSeriesAdmin(EditableAdmin):
    """Prefix and digits; counting is done by issuing alone."""

    intro = _(
        "Invoices and credit notes are numbered apart, without gaps: a number is taken in the very moment a "
        "document is issued. A change holds for documents issued from now on."
    )
    list_display = ("kind_shown", "next", "last")
    list_display_links = ("kind_shown",)
    sortable_by = ()
    fieldsets = ((None, {"fields": ("prefix", "digits", "last", "next")}),)
    readonly_fields = ("last", "next")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        stored = NumberSeries.objects.get(pk=obj.pk)
        self.adopt(obj, change_series(stored, prefix=given["prefix"], digits=given["digits"]))

    @admin.display(description=_("numbers"))
    def kind_shown(self, series: NumberSeries) -> str:
        return series.get_kind_display()

    @admin.display(description=_("last number"))
    def last(self, series: NumberSeries) -> str:
        return numerals.count(series.last_number) if series.last_number else cells.DASH

    @admin.display(description=_("next number"))
    def next(self, series: NumberSeries) -> SafeString:
        return cells.code(series.text_of(series.last_number + 1))
