"""The month so far in money, a card on Home: what was issued beside last month, and what waits in drafts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.reporting.month_revenue import Days, Part, Revenue, days_so_far, month_revenue
from metering.admin.home_usage import Bars, Number, change_in_words
from metering.admin.panels import Panel, panel_body

from .billing_links import documents_url
from .document_words import bare

SHOWN = 8
ZERO = Decimal(0)


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
    currencies = []
    for each in found:
        most = max((max(part.revenue.now, part.revenue.same) for part in each.accounts), default=ZERO)
        currencies.append(
            {
                "currency": each.currency,
                "whole": [_line(_("All documents"), each.whole, each.currency, days)],
                "accounts": _with_rest(
                    [_account_line(part, each.currency, days, most=most) for part in each.accounts],
                    each.whole.less(each.accounts),
                    each.account_count - len(each.accounts),
                    each.currency,
                ),
                "metrics": _with_rest(
                    [_metric_line(part, each.currency) for part in each.metrics],
                    each.whole.less(each.metrics),
                    each.metric_count - len(each.metrics),
                    each.currency,
                ),
            }
        )
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


def _line(
    name: str,
    revenue: Revenue,
    currency: str,
    days: Days | None,
    *,
    url: str = "",
    bars: Bars | None = None,
    **filters: object,
) -> Line:
    """Without `days` its numbers lead nowhere: no list of documents holds what they are made of alone."""

    def issued(amount: Decimal, first: dt.date, end: dt.date) -> Number:
        narrowed = {"issued_on__gte": first, "issued_on__lt": end, "currency__exact": currency, **filters}
        return Number(bare(amount, currency), documents_url(**narrowed) if amount else "")

    if days is None:
        now, drafts, same, before = (
            Number(bare(amount, currency))
            for amount in (revenue.now, revenue.drafted, revenue.same, revenue.before)
        )
    else:
        drafts_url = documents_url(standing="drafts", currency__exact=currency, **filters)
        now = issued(revenue.now, days.first, days.end)
        drafts = Number(bare(revenue.drafted, currency), drafts_url if revenue.drafted else "")
        same = issued(revenue.same, days.before, days.same_end)
        before = issued(revenue.before, days.before, days.first)
    change = change_in_words(revenue.now, revenue.same)
    return Line(name, now, drafts, same, before, change, url=url, bars=bars)


def _account_line(part: Part, currency: str, days: Days, *, most: Decimal) -> Line:
    def length(amount: Decimal) -> str:
        return f"{100 * max(amount, ZERO) / most:.1f}" if most > 0 else "0"

    return _line(
        part.name,
        part.revenue,
        currency,
        days,
        url=reverse("admin:billing_billingaccount_change", args=[part.row_id]),
        bars=Bars(length(part.revenue.now), length(part.revenue.same)),
        account__id__exact=part.row_id,
    )


def _metric_line(part: Part, currency: str) -> Line:
    if part.row_id is None:
        return _line(_("Fees and what has no metric"), part.revenue, currency, None)
    url = reverse("admin:metering_metricdefinition_change", args=[part.row_id])
    return _line(part.name, part.revenue, currency, None, url=url)


def _with_rest(lines: list[Line], rest: Revenue, count: int, currency: str) -> Sequence[Line]:
    if count <= 0:
        return lines
    return [*lines, _line(ngettext("%s other", "%s others", count) % f"{count:,}", rest, currency, None)]
