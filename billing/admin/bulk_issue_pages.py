"""Issuing drafts that were ticked in the list: first what comes of it, then each in its own transaction."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import Error as DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from billing.errors import DocumentIsIssued
from billing.invoicing.approvals import content_digest, digest_from
from billing.invoicing.issuing import ensure_issuable, issue
from billing.models import Invoice
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.texts.numbers import EXACT

from .document_pages import DocumentPages
from .document_words import in_words, title_of

MOST_AT_ONCE = 200  # by hand: what comes of it is to be read, and fits into an address


@dataclass(frozen=True, slots=True)
class Chosen:
    """A draft that was ticked; `why_not` is what `issue` would refuse."""

    invoice: Invoice
    why_not: str = ""
    seen: str = ""


class BulkIssuePages(DocumentPages):
    """Needs the right to issue. Early drafts are left out: they are issued one by one, on purpose."""

    actions = ("issue_selected",)  # type: ignore[assignment]

    def get_urls(self) -> list[Any]:
        return [self.page("issue/", self.issue_many, "issue_many"), *super().get_urls()]

    @admin.action(description=_("Issue selected drafts"), permissions=["issue"])
    def issue_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        # What was ticked; never all that a filter finds.
        ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
        return HttpResponseRedirect(
            self.page_url("issue_many") + "?" + urlencode({"ids": ",".join(ids[:MOST_AT_ONCE])})
        )

    def issue_many(self, request: HttpRequest) -> HttpResponse:
        self.ensure(self.has_issue_permission(request))
        if request.method == "POST":
            return self._issued(request)
        ids = [id_from(text) for text in request.GET.get("ids", "").split(",")]
        if not 0 < len(ids) <= MOST_AT_ONCE or None in ids:
            messages.error(request, gettext("Tick the drafts to be issued."))
            return HttpResponseRedirect(self.page_url("changelist"))
        now = database_now()
        chosen = [
            _asked(invoice, now=now, issued_by=request.user.get_username())
            for invoice in _documents(one for one in ids if one is not None)
        ]
        ready = [one for one in chosen if not one.why_not]
        return self._page(
            request,
            "admin/billing/invoice/bulk_issue.html",
            title=ngettext("Issue a draft", "Issue %(count)d drafts", len(ready)) % {"count": len(ready)},
            ready=[self._row(one.invoice) | {"seen": one.seen} for one in ready],
            left_out=[self._row(one.invoice) | {"why": one.why_not} for one in chosen if one.why_not],
            totals=_totals(one.invoice for one in ready),
        )

    def _issued(self, request: HttpRequest) -> HttpResponse:
        """Issue what was shown; each result stands for itself."""
        asked = dict(text.partition("-")[::2] for text in request.POST.getlist("seen")[:MOST_AT_ONCE])
        ids = [id_from(text) for text in asked]
        done, refused = [], []
        for invoice in _documents(one for one in ids if one is not None):
            try:
                issued = issue(
                    invoice,
                    now=database_now(),
                    issued_by=request.user.get_username(),
                    seen=digest_from(asked[str(invoice.pk)]),
                )
            except (MeterbookError, DatabaseError) as refusal:
                refused.append(self._row(invoice) | {"why": worded(refusal)})
            else:
                self.log_change(request, issued, [{"changed": {"fields": [gettext_noop("issued")]}}])
                done.append(issued)
        return self._page(
            request,
            "admin/billing/invoice/bulk_issued.html",
            title=ngettext("%d document is issued", "%d documents are issued", len(done)) % len(done),
            issued=[self._row(invoice) for invoice in done],
            left_out=refused,
            totals=_totals(done),
        )

    def _row(self, invoice: Invoice) -> dict[str, Any]:
        return {
            "title": title_of(invoice),
            "url": self.page_url("change", invoice.pk),
            "customer": invoice.account.legal_name,
            "total": in_words(invoice.total, invoice.currency),
        }

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        context |= {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "back_url": self.page_url("changelist") + "?standing=drafts",
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)


def _documents(ids: Iterable[int]) -> list[Invoice]:
    """In the order in which they get their numbers: the oldest first, but those by hand come last.

    Whatever is issued for an account makes the draft of its billing run out of date.
    """
    found = Invoice.objects.with_open_amount().select_related("account__project", "credits")
    return sorted(found.filter(pk__in=list(ids)), key=lambda one: (one.origin != Invoice.Origin.RUN, one.pk))


def _asked(invoice: Invoice, *, now: dt.datetime, issued_by: str) -> Chosen:
    if not invoice.is_draft:
        return Chosen(invoice, worded(DocumentIsIssued(str(invoice.number))))
    try:
        ensure_issuable(invoice, invoice.account, now=now, issued_by=issued_by)
    except MeterbookError as refusal:
        return Chosen(invoice, worded(refusal))
    return Chosen(invoice, seen=f"{invoice.pk}-{content_digest(invoice).hex()}")


def _totals(invoices: Iterable[Invoice]) -> Sequence[tuple[str, int, str]]:
    """(currency, how many, what they come to); credit notes count negative."""
    sums: dict[str, tuple[int, Decimal]] = {}
    for invoice in invoices:
        count, amount = sums.get(invoice.currency, (0, Decimal(0)))
        sums[invoice.currency] = (count + 1, EXACT.add(amount, invoice.total))
    return [
        (currency, count, in_words(amount, currency)) for currency, (count, amount) in sorted(sums.items())
    ]
