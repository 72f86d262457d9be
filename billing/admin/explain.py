"""The page that answers “why so much?”: one line of a document, down to the events it is made of."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from billing.models import InvoiceLine
from billing.proving.explaining import explained, lines_to_explain
from billing.proving.line_events import line_events_csv
from metering.admin import cells
from metering.admin.paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id
from metering.admin.row_ids import id_from
from metering.answering.answers import answer

from . import file_columns
from .document_words import money_cell
from .explain_events import events_of, which_of
from .explain_page import page_of
from .explain_words import document_name
from .list_sums import sums_of

# Lines as revenue counts them.
_SUMS = {
    _("Amount"): F("amount"),
    _("Discount"): F("discount_amount"),
    _("Net"): F("amount") + F("discount_amount"),
}


@admin.register(InvoiceLine)
class InvoiceLineAdmin(LargeTableAdmin):
    """Reached from documents; whoever may see those or their lines may see why."""

    intro = _("What stands on invoices and credit notes, line by line. Open one to see why it is what it is.")
    empty_title = _("No lines yet")
    empty_text = _("Billing runs write them on drafts.")
    csv_columns = file_columns.LINES
    list_display = ("name", "document", "customer", "amount_shown", "discount_shown", "net_shown")
    list_before_template = "admin/billing/invoiceline/before_list.html"
    list_select_related = ("invoice__account",)
    ordering = ("-id",)
    # Numbers of Home lead to the lines that they are made of.
    linked_lookups = (
        "invoice__currency__exact",
        "invoice__issued_on__gte",
        "invoice__issued_on__lt",
        "invoice__number__isnull",
        "metric__id__exact",
        "metric__isnull",
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Lines are no list of their own in the menu."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user = request.user
        return user.has_perm("billing.view_invoiceline") or user.has_perm("billing.view_invoice")

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:line_id>/events.csv",
                self.admin_site.admin_view(self.events_csv),
                name="billing_invoiceline_events",
            ),
            *super().get_urls(),
        ]

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        rows: QuerySet[InvoiceLine] = changelist.queryset.select_related("invoice__account")
        changelist.sums = sums_of(changelist, _SUMS, currency="invoice__currency")
        return page_by_id(rows, place=Place.from_text(place), size=self.list_per_page)

    @admin.display(description=_("document"))
    def document(self, line: InvoiceLine) -> str:
        return document_name(line)

    @admin.display(description=_("customer"))
    def customer(self, line: InvoiceLine) -> str:
        return line.invoice.account.legal_name

    @admin.display(description=_("amount"))
    def amount_shown(self, line: InvoiceLine) -> SafeString:
        return money_cell(line.amount, line.invoice.currency)

    @admin.display(description=_("discount"))
    def discount_shown(self, line: InvoiceLine) -> SafeString:
        if not line.discount_amount:
            return format_html('<span class="mb-number">{}</span>', cells.DASH)
        return money_cell(line.discount_amount, line.invoice.currency)

    @admin.display(description=_("net"))
    def net_shown(self, line: InvoiceLine) -> SafeString:
        return money_cell(line.net_amount, line.invoice.currency)

    # -- the page ----------------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method != "GET" or not self.has_view_permission(request) or object_id is None:
            raise PermissionDenied
        line = self._line(id_from(object_id))
        explanation = answer(lambda catalogue: explained(line))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": line,
            **page_of(explanation),
        }
        if explanation.course is not None:
            context["events"] = events_of(request, explanation)
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/billing/invoiceline/explain.html", context)

    def events_csv(self, request: HttpRequest, line_id: int) -> HttpResponseBase:
        """All events of a line, or of those told apart by `which`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        line = self._line(id_from(str(line_id)))
        stream = line_events_csv(line, which=which_of(request))
        response = StreamingHttpResponse(stream, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="line-{line.pk}-events.csv"'
        return response

    @staticmethod
    def _line(line_id: int | None) -> InvoiceLine:
        line = lines_to_explain().filter(pk=line_id or 0).first()
        if line is None:
            raise Http404
        return line
