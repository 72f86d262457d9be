"""The month so far in money, a card on Home: what was issued beside last month, and what waits in drafts."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.reporting.month_revenue import (
    Days,
    MonthRevenue,
    Part,
    Revenue,
    days_so_far,
    month_revenue,
)
from metering import numerals
from metering.admin.home_usage import Bars, Number, change_in_words
from metering.admin.panels import Panel, panel_body

from .billing_links import documents_url, listed
from .document_words import bare

SHOWN = 5
ZERO = Decimal(0)
Rows = Mapping[str, str]  # the list behind each amount, by the name that Revenue has for it


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table in one currency, as templates/admin/includes/compared.html shows it."""

    name: str
    now: Number
    drafts: Number
    same: Number
    before: Number
    change: str
    url: str = ""
    note: str = ""
    unit: str = ""
    bars: Bars | None = None


def revenue_panel(request: HttpRequest, subject: Any) -> Panel | None:
    """For those who may see invoices; `subject` is the instant at which Home is looked at."""
    if not request.user.has_perm("billing.view_invoice"):
        return None
    days = days_so_far(subject.date())
    found = month_revenue(days, count=SHOWN)
    if not found:
        return None
    pages = _Pages(request, days)
    currencies = [
        {
            "currency": each.currency,
            "whole": [_line(_("All documents"), each.whole, each.currency, pages.documents(each.currency))],
            "accounts": _with_rest(
                _by_account(each, pages), each.whole.less(each.accounts), each.account_count, each.currency
            ),
            "metrics": _with_rest(
                _by_metric(each, pages), each.whole.less(each.metrics), each.metric_count, each.currency
            ),
        }
        for each in found
    ]
    context = {
        "currencies": currencies,
        "same_span": _("%(first)s to %(last)s")
        % {"first": days.before, "last": days.same_end - dt.timedelta(days=1)},
        "last_month": f"{days.before:%Y-%m}",
    }
    return Panel(
        title=_("Revenue in %s so far") % f"{days.first:%Y-%m}",
        body=panel_body("admin/billing/home_revenue.html", request, context),
        url=reverse("admin:billing_overview"),
        link_text=_("Twelve months"),
        is_wide=True,
    )


@dataclass(frozen=True, slots=True)
class _Pages:
    """Where the rows behind each of the four amounts are listed, and pages that this person may open."""

    request: HttpRequest
    days: Days

    def documents(self, currency: str, **filters: object) -> Rows:
        narrowed = {"currency__exact": currency, **filters}
        return {
            "drafted": documents_url(standing="drafts", **narrowed),
            **{
                span: documents_url(issued_on__gte=first, issued_on__lt=end, **narrowed)
                for span, (first, end) in self._spans.items()
            },
        }

    def lines(self, currency: str, **filters: object) -> Rows:
        narrowed = {"invoice__currency__exact": currency, **filters}
        return {
            "drafted": listed("invoiceline", invoice__number__isnull=True, **narrowed),
            **{
                span: listed(
                    "invoiceline", invoice__issued_on__gte=first, invoice__issued_on__lt=end, **narrowed
                )
                for span, (first, end) in self._spans.items()
            },
        }

    def page(self, model: str, row_id: int) -> str:
        if not self.request.user.has_perm(model.replace(".", ".view_")):
            return ""
        return reverse(f"admin:{model.replace('.', '_')}_change", args=[row_id])

    @property
    def _spans(self) -> dict[str, tuple[dt.date, dt.date]]:
        days = self.days
        return {
            "now": (days.first, days.end),
            "same": (days.before, days.same_end),
            "before": (days.before, days.first),
        }


def _line(
    name: str, revenue: Revenue, currency: str, rows: Rows, *, url: str = "", bars: Bars | None = None
) -> Line:
    """Amounts of 0 lead nowhere, and neither do those without `rows`."""

    def number(span: str, amount: Decimal) -> Number:
        return Number(bare(amount, currency), rows.get(span, "") if amount else "")

    return Line(
        name=name,
        now=number("now", revenue.now),
        drafts=number("drafted", revenue.drafted),
        same=number("same", revenue.same),
        before=number("before", revenue.before),
        change=change_in_words(revenue.now, revenue.same),
        url=url,
        bars=bars,
    )


def _by_account(month: MonthRevenue, pages: _Pages) -> list[Line]:
    most = _most(month.accounts)
    return [
        _line(
            part.name,
            part.revenue,
            month.currency,
            pages.documents(month.currency, account__id__exact=part.row_id),
            url=pages.page("billing.billingaccount", part.row_id or 0),
            bars=Bars.of(part.revenue.now, part.revenue.same, most=most),
        )
        for part in month.accounts
    ]


def _by_metric(month: MonthRevenue, pages: _Pages) -> list[Line]:
    most = _most(month.metrics)
    return [
        _line(
            part.name if part.row_id else _("Fees and what has no metric"),
            part.revenue,
            month.currency,
            pages.lines(
                month.currency,
                **({"metric__id__exact": part.row_id} if part.row_id else {"metric__isnull": True}),
            ),
            url=pages.page("metering.metricdefinition", part.row_id) if part.row_id else "",
            bars=Bars.of(part.revenue.now, part.revenue.same, most=most),
        )
        for part in month.metrics
    ]


def _most(parts: Sequence[Part]) -> Decimal:
    return max((max(part.revenue.now, part.revenue.same) for part in parts), default=ZERO)


def _with_rest(lines: list[Line], rest: Revenue, count: int, currency: str) -> Sequence[Line]:
    """The lines, and one for those of the `count` that they leave out."""
    left_out = count - len(lines)
    if left_out <= 0:
        return lines
    return [
        *lines,
        _line(ngettext("%s other", "%s others", left_out) % numerals.count(left_out), rest, currency, {}),
    ]
