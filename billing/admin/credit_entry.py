"""Where prepaid credit went, entry by entry."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter

from billing.models import CreditEntry, CreditGrant
from metering.admin import cells
from metering.admin.paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id

from . import file_columns
from .billing_links import account_link, document_link
from .money_words import signed_cell


@admin.register(CreditEntry)
class CreditEntryAdmin(LargeTableAdmin):
    """Newest first, by primary key; of one account through its own index."""

    intro = _(
        "Every movement of credit. A balance is the sum of its entries; none is ever changed or removed."
    )
    empty_title = _("No credit moved yet")
    empty_text = _("Entries appear when credit is given, drawn by an invoice, or expires. Check the filters.")
    csv_columns = file_columns.CREDIT_ENTRIES
    list_display = ("entered", "customer", "kind_badge", "moved", "grant_shown", "document", "by")
    list_display_links = None
    list_filter = (("account", AutocompleteSelectFilter), ("kind", ChoicesDropdownFilter))
    search_fields = ("grant__name",)
    search_help_text = _("Name of the credit")
    fields = ("entered", "customer", "kind_badge", "moved", "grant_shown", "document", "by", "reason")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("grant", "account__project", "invoice")

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        return page_by_id(changelist.queryset, place=Place.from_text(place), size=self.list_per_page)

    @admin.display(description=_("when"))
    def entered(self, entry: CreditEntry) -> SafeString:
        return cells.moment(entry.entered_at)

    @admin.display(description=_("account"))
    def customer(self, entry: CreditEntry) -> SafeString:
        return account_link(entry.account)

    @admin.display(description=_("what"))
    def kind_badge(self, entry: CreditEntry) -> SafeString:
        return _kind_badge(entry)

    @admin.display(description=_("amount"))
    def moved(self, entry: CreditEntry) -> SafeString:
        return signed_cell(entry.amount, entry.grant.currency)

    @admin.display(description=_("credit"))
    def grant_shown(self, entry: CreditEntry) -> SafeString:
        url = reverse("admin:billing_creditgrant_change", args=[entry.grant_id])
        return cells.link(url, entry.grant.name)

    @admin.display(description=_("document"))
    def document(self, entry: CreditEntry) -> SafeString | str:
        return document_link(entry.invoice)

    @admin.display(description=_("by"))
    def by(self, entry: CreditEntry) -> SafeString:
        return cells.two_lines(entry.entered_by or gettext("by itself"), entry.reason)


def _kind_badge(entry: CreditEntry) -> SafeString:
    colours = {"granted": "success", "returned": "success", "drawn": "info", "expired": "warning"}
    return cells.badge(entry.get_kind_display(), colours.get(entry.kind, "danger"))


def entry_line(entry: CreditEntry, grant: CreditGrant) -> dict[str, Any]:
    """One entry on the page of its grant."""
    return {
        "entered": cells.moment(entry.entered_at),
        "badge": _kind_badge(entry),
        "amount": signed_cell(entry.amount, grant.currency),
        "document": document_link(entry.invoice),
        "by": entry.entered_by or gettext("by itself"),
        "reason": entry.reason,
    }
