"""Documents as a list: what is to be reviewed, what is owed and since when."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import F, Max, Q, QuerySet, Sum
from django.db.models.functions import Abs
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from billing.invoicing.standing import Status, status_of, with_status_now
from billing.models import (
    BillingAccount,
    Invoice,
    InvoiceApproval,
    InvoiceDiscount,
    InvoiceDispatch,
    InvoiceLine,
)
from billing.reporting.approvals_waiting import drafts_to_approve
from metering import numerals
from metering.admin import cells
from metering.admin.paging import Place, PlaceChangeList, RowPage, page_by_id
from metering.clock import database_now
from metering.texts.numbers import EXACT

from . import file_columns
from .document_numbers import named_by_number
from .document_pages import DocumentPages, today_of
from .document_words import (
    bare,
    kind_in_words,
    lateness,
    money_cell,
    period_of,
    status_badge,
    title_of,
    zone_of,
)
from .list_sums import sums_of

MOST_ACCOUNTS_FOUND = 500  # by name; whoever types less than that narrows it down
TABS = (
    ("", _("All")),
    ("drafts", _("Drafts to review")),
    ("to_approve", _("To approve")),
    ("open", _("Open")),
    ("overdue", _("Overdue")),
    ("paid", _("Paid")),
    ("void", pgettext_lazy("state of invoices", "Void")),
    ("credit_notes", _("Credit notes")),
    ("unsent", _("Not sent")),
)


# Documents as revenue counts them, and as customers pay them.
_SUMS = {_("Net"): F("subtotal") + F("discount_total"), _("Total, with tax"): F("total")}


class StandingFilter(admin.SimpleListFilter):
    """The tabs above the list. Due days pass on each customer's own clocks, as the rows say."""

    title = _("standing")
    parameter_name = "standing"
    template = "admin/billing/invoice/no_filter.html"
    own_count = 0  # drafts that wait for an agreement which isn't for whoever looks to give

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [tab for tab in TABS if tab[0]]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        now = database_now()
        match self.value():
            case "drafts":
                return queryset.drafts()
            case "to_approve":
                found = drafts_to_approve(by=request.user.get_username())
                self.own_count = sum(draft.is_own for draft in found)
                return queryset.filter(pk__in=[draft.invoice_id for draft in found if not draft.is_own])
            case "unsent":
                return queryset.filter(dispatch__state=InvoiceDispatch.State.FAILED)
            case "open":
                return queryset.open()
            case "overdue":
                return with_status_now(queryset, Status.OVERDUE, at=now)
            case "paid":
                return with_status_now(queryset, Status.PAID, at=now)
            case "void":
                return with_status_now(queryset, Status.VOID, at=now)
            case "credit_notes":
                return queryset.credit_notes()
        return queryset


class InvoiceList(DocumentPages):
    """Newest first, by primary key: drafts are the newest there are."""

    intro = _(
        "Invoices and credit notes. Billing runs make drafts; a draft is reviewed, changed and issued. What "
        "is issued never changes: it is paid, credited or voided."
    )
    empty_title = _("No documents yet")
    empty_text = _(
        "Billing runs draft one invoice per account once a period is over. One can also be made by hand."
    )
    list_before_template = "admin/billing/invoice/tabs.html"
    csv_key = "number"
    csv_columns = file_columns.INVOICES
    list_display = ("title", "customer_shown", "period", "total_shown", "open_shown", "due", "standing")
    list_display_links = ("title",)
    list_filter = (StandingFilter, ("account", AutocompleteSelectFilter), "origin")
    # Numbers of Home and of the overview lead to the documents that they are made of.
    linked_lookups = (
        "currency__exact",
        "issued_on__gte",
        "issued_on__lt",
        "due_on__gte",
        "due_on__lte",
    )
    search_fields = ("number",)
    search_help_text = _("Number, customer or project")

    def get_queryset(self, request: HttpRequest) -> Any:
        return Invoice.objects.with_open_amount().select_related("account__project")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Accounts are found first, so that documents are found through their indexes."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = (
            Q(legal_name__icontains=term) | Q(project__key__icontains=term) | Q(project__name__icontains=term)
        )
        accounts = BillingAccount.objects.filter(found).order_by("id").values_list("pk", flat=True)
        wanted = Q(account__in=list(accounts[:MOST_ACCOUNTS_FOUND])) | named_by_number(term)
        return queryset.filter(wanted), False

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        chosen = changelist.spec(StandingFilter)
        query = changelist.get_query_string
        changelist.tabs = [
            {
                "title": title,
                "url": query({StandingFilter.parameter_name: name} if name else {}, ["standing"]),
                "is_chosen": (chosen.value() or "") == name,
            }
            for name, title in TABS
        ]
        changelist.sums = sums_of(changelist, _SUMS, currency="currency")
        changelist.tab_note = _left_out(chosen.own_count)
        return page_by_id(changelist.queryset, place=Place.from_text(place), size=self.list_per_page)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        drafts = [row for row in rows if row.is_draft]
        notes = review_notes(drafts, now=now) if drafts else {}
        for row in rows:
            row.today = today_of(row, now)
            row.status = status_of(row, on=row.today)
            row.review = notes.get(row.pk, "")

    @admin.display(description=_("document"))
    def title(self, invoice: Invoice) -> SafeString:
        made = gettext("by hand") if invoice.origin == Invoice.Origin.MANUAL else ""
        words = f"{kind_in_words(invoice)}, {made}" if made else kind_in_words(invoice)
        return cells.two_lines(title_of(invoice), words)

    @admin.display(description=_("customer"))
    def customer_shown(self, invoice: Invoice) -> SafeString:
        name = invoice.customer.get("legal_name") or invoice.account.legal_name
        return cells.two_lines(name, cells.project_link(invoice.account.project))

    @admin.display(description=_("period"))
    def period(self, invoice: Invoice) -> str:
        return period_of(invoice) or cells.DASH

    @admin.display(description=_("total"))
    def total_shown(self, invoice: Invoice) -> SafeString:
        net = EXACT.add(invoice.subtotal, invoice.discount_total)
        amount = money_cell(invoice.total, invoice.currency)
        if net == invoice.total:
            return amount
        words = gettext("net %s") % bare(net, invoice.currency)
        return format_html('{}<div class="mb-number mb-quiet mb-small">{}</div>', amount, words)

    @admin.display(description=_("open"))
    def open_shown(self, invoice: Any) -> SafeString:
        if invoice.is_draft or invoice.is_credit_note or invoice.open_amount <= 0:
            return format_html('<span class="mb-number">{}</span>', cells.DASH)
        return money_cell(invoice.open_amount, invoice.currency)

    @admin.display(description=_("due"))
    def due(self, invoice: Any) -> SafeString | str:
        if invoice.is_draft or invoice.is_credit_note:
            return cells.DASH
        if invoice.status not in {Status.ISSUED, Status.PARTLY_PAID, Status.OVERDUE}:
            return invoice.due_on.isoformat()
        return cells.two_lines(invoice.due_on, lateness(invoice.due_on, on=invoice.today))

    @admin.display(description=_("state"))
    def standing(self, invoice: Any) -> SafeString:
        badge = status_badge(invoice.status)
        return cells.two_lines(badge, invoice.review) if invoice.review else badge


def _left_out(count: int) -> str:
    """That drafts one worked on wait for somebody else; empty where none do."""
    if not count:
        return ""
    return ngettext(
        "%(count)s more draft waits for approval that you worked on yourself: somebody else approves it.",
        "%(count)s more drafts wait for approval that you worked on yourself: somebody else approves them.",
        count,
    ) % {"count": numerals.count(count)}


def review_notes(drafts: Sequence[Invoice], *, now: dt.datetime) -> dict[int, str]:
    """What holds drafts back, a few words each; those that seem ready say so. Asks once for all of them.

    Whether an approval is of the draft as it is now, its page says.
    """
    ids = [draft.pk for draft in drafts]
    by_hand = _sums(InvoiceLine.objects.filter(invoice__in=ids, kind=InvoiceLine.Kind.MANUAL))
    cut = _sums(InvoiceDiscount.objects.filter(invoice__in=ids))
    usage = InvoiceLine.objects.filter(invoice__in=ids, kind=InvoiceLine.Kind.USAGE, is_adjustment=False)
    ends = dict(usage.order_by().values_list("invoice").annotate(end=Max("period_end")))
    approved = set(InvoiceApproval.objects.filter(invoice__in=ids).values_list("invoice", flat=True))
    notes = {}
    for draft in drafts:
        account, limit = draft.account, draft.account.approval_above
        to_approve = (
            abs(draft.total)
            if draft.is_credit_note
            else EXACT.add(by_hand.get(draft.pk, Decimal(0)), cut.get(draft.pk, Decimal(0)))
        )
        grace_end = ends.get(draft.pk)
        until = grace_end + dt.timedelta(days=account.issue_grace_days) if grace_end else None
        if draft.origin == Invoice.Origin.RUN and draft.account_revision != account.revision:
            notes[draft.pk] = gettext("out of date")
        elif limit is not None and to_approve > limit and draft.pk not in approved:
            notes[draft.pk] = gettext("to be approved")
        elif until is not None and until > now:
            notes[draft.pk] = gettext("late usage until %s") % until.astimezone(zone_of(draft)).date()
        else:
            notes[draft.pk] = gettext("ready")
    return notes


def _sums(rows: QuerySet) -> dict[int, Decimal]:
    return dict(rows.order_by().values_list("invoice").annotate(sum=Sum(Abs("amount"))))
