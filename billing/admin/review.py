"""The review queue: drafts before they are issued, those that need eyes first."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import Invoice, InvoiceLine
from billing.reporting.draft_review import Difference, QuantityChange, Review, review_queue
from metering import numerals
from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.admin.row_ids import id_from
from metering.clock import database_now

from .billing_links import account_link, document_link, document_url
from .document_words import bare, in_words, kind_in_words, period_of
from .money_words import percent, signed

PAGE_SIZE = 25


class ReviewPage(ReadOnlyAdmin):
    """Adds the page to the URLs of the model that makes drafts."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.review)
        return [path("review/", page, name="billing_review"), *super().get_urls()]

    def review(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("billing.view_invoice"):
            raise PermissionDenied
        now = database_now()
        number = max(id_from(request.GET.get("page")) or 1, 1)
        queue = review_queue(now=now, size=PAGE_SIZE, offset=min(number - 1, 10**6) * PAGE_SIZE)
        corrected = _corrected_by([review.draft.pk for review in queue.reviews])
        first = (number - 1) * PAGE_SIZE + 1
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/billing/review.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Review queue"),
                "may_start": request.user.has_perm("billing.start_billingrun"),
                "rows": [
                    _row(review, corrected.get(review.draft.pk, []), now=now) for review in queue.reviews
                ],
                "count": queue.count,
                "first": first,
                "last": first + len(queue.reviews) - 1,
                "newer": number - 1 if number > 1 else None,
                "older": number + 1 if queue.reviews and first - 1 + PAGE_SIZE < queue.count else None,
            },
        )


def _corrected_by(draft_ids: Sequence[int]) -> dict[int, list[Invoice]]:
    """The issued documents whose lines each draft takes back, by draft."""
    lines = InvoiceLine.objects.filter(invoice__in=draft_ids, reverses__isnull=False)
    pairs = lines.order_by().values_list("invoice", "reverses__invoice").distinct()
    documents = Invoice.objects.in_bulk({document_id for _draft_id, document_id in pairs})
    corrected: dict[int, list[Invoice]] = {}
    for draft_id, document_id in sorted(pairs):
        corrected.setdefault(draft_id, []).append(documents[document_id])
    return corrected


def _row(review: Review, corrected: Sequence[Invoice], *, now: dt.datetime) -> dict[str, Any]:
    draft, currency = review.draft, review.draft.currency
    change = review.change
    return {
        "url": document_url(draft),
        "customer": cells.two_lines(account_link(draft.account), _bills(draft)),
        "flags": _flags(review, now=now),
        "net": in_words(review.net, currency),
        "total": in_words(draft.total, currency),
        "has_tax": draft.total != review.net,
        "is_by_hand": draft.origin == Invoice.Origin.MANUAL,
        "previous": None if review.previous is None else document_link(review.previous),
        "previous_net": None if review.previous_net is None else bare(review.previous_net, currency),
        "change": None if change is None else signed(change, currency),
        "percent": percent(review.change_fraction),
        "is_loud": review.is_unusual,
        "lines": _lines(review),
        "corrected": [document_link(one) for one in corrected],
        "differences": [_difference(each, currency) for each in review.differences],
        "quantities": [_quantity(each) for each in review.quantity_changes],
    }


def _bills(draft: Invoice) -> str:
    """The days that a run found due; how else it came about."""
    return period_of(draft) or f"{kind_in_words(draft)}, {draft.get_origin_display()}"


def _flags(review: Review, *, now: dt.datetime) -> list[SafeString]:
    flags = []
    if review.is_unusual:
        flags.append(cells.badge(_("Unusual change"), "danger"))
    if review.is_outdated:
        flags.append(cells.badge(_("Out of date"), "warning"))
    if review.needs_approval:
        flags.append(cells.badge(_("Needs approval"), "warning"))
    if review.is_approved:
        flags.append(cells.badge(_("Approved"), "success"))
    if review.grace_until is not None:
        until = cells.ago(review.grace_until, now=now)
        flags.append(cells.badge(_("Late usage may come: ready %s") % until, "info"))
    return flags or [cells.badge(_("Ready"), "success")]


def _lines(review: Review) -> str:
    """“2 new lines, 1 missing”."""
    words = []
    if review.new_count:
        words.append(ngettext("%d new line", "%d new lines", review.new_count) % review.new_count)
    if review.missing_count:
        words.append(
            ngettext("%d line is gone", "%d lines are gone", review.missing_count) % review.missing_count
        )
    return ", ".join(words)


def _difference(difference: Difference, currency: str) -> dict[str, Any]:
    amount, previous = difference.amount, difference.previous_amount
    return {
        "name": difference.name,
        "amount": cells.DASH if amount is None else bare(amount, currency),
        "previous": cells.DASH if previous is None else bare(previous, currency),
        "change": signed(difference.change, currency),
        "note": _("new") if previous is None else _("gone") if amount is None else "",
    }


def _quantity(change: QuantityChange) -> dict[str, str]:
    sign = numerals.MINUS if change.change < 0 else "+"
    fraction = change.change / change.previous_quantity if change.previous_quantity else None
    return {
        "metric": change.metric_name,
        "unit": change.unit,
        "quantity": cells.readable(change.quantity),
        "previous": cells.readable(change.previous_quantity),
        "change": sign + cells.readable(abs(change.change)),
        "percent": percent(fraction),
    }
