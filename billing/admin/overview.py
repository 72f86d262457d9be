"""The first page of billing: what waits, what is owed, what came in."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import (
    BillingRun,
    ParkedAccount,
    PeriodCorrection,
)
from billing.reporting.receivables import (
    AGES,
    Amount,
    Owed,
    corrections_waiting,
    credit_balances,
    drafts,
    owed,
)
from billing.reporting.revenue import month_after, months_until, revenue_by_metric, revenue_by_month
from metering import numerals
from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.clock import database_now

from .billing_links import documents_url, issued_in, listed
from .document_words import bare, in_words
from .first_steps import steps_to_first_invoice
from .money_words import count_of, figures
from .revenue_charts import metrics_chart, named, revenue_chart

MONTHS = 12
TOP_METRICS = 8
SHOWN_REASONS = 5


class OverviewPage(ReadOnlyAdmin):
    """Adds the page to the URLs of the model that stands for billing as a whole."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.overview)
        return [path("overview/", page, name="billing_overview"), *super().get_urls()]

    def overview(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("billing.view_invoice"):
            raise PermissionDenied
        now = database_now()
        steps = steps_to_first_invoice()
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/billing/overview.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Overview of billing"),
                "may_start": request.user.has_perm("billing.start_billingrun"),
                "first_steps": steps,
                **({} if steps else _figures(now)),
            },
        )


def _figures(now: dt.datetime) -> dict[str, Any]:
    debts = owed(on=now.date())
    return {
        "cards": _cards(debts, now=now),
        "ages": _ages(debts, on=now.date()),
        "revenue": _revenue(now.date()),
        "run": _last_run(now),
        "parked": _parked(),
        "review_url": reverse("admin:billing_review"),
    }


def _cards(debts: Sequence[Owed], *, now: dt.datetime) -> list[dict[str, Any]]:
    waiting, corrections, credits = drafts(), corrections_waiting(), credit_balances(at=now)
    overdue = {each.currency: each.overdue for each in debts if each.overdue.count}
    return [
        _card(
            _("To review"),
            waiting,
            _count_words(count_of(waiting), ngettext("%s draft", "%s drafts", count_of(waiting))),
            reverse("admin:billing_review"),
            empty=_("No drafts"),
        ),
        _card(
            _("Issued and open"),
            {each.currency: each.open for each in debts},
            _documents(sum(each.open.count for each in debts)),
            documents_url(standing="open"),
            empty=_("Nothing is owed"),
        ),
        _card(
            _("Overdue"),
            overdue,
            _documents(count_of(overdue)),
            documents_url(standing="overdue"),
            empty=_("Nothing"),
            is_bad=bool(overdue),
        ),
        _card(
            _("Prepaid credit"),
            credits,
            _count_words(count_of(credits), ngettext("of %s account", "of %s accounts", count_of(credits))),
            listed("creditgrant", standing="usable"),
            empty=_("None"),
        ),
        _card(
            _("Corrections that wait"),
            corrections,
            _count_words(
                count_of(corrections),
                ngettext("%s to be decided", "%s to be decided", count_of(corrections)),
            ),
            listed("periodcorrection", state__exact=PeriodCorrection.State.WAITING.value),
            empty=_("None"),
            is_bad=bool(corrections),
        ),
    ]


def _card(
    title: str, amounts: Mapping[str, Amount], note: str, url: str, *, empty: str, is_bad: bool = False
) -> dict[str, Any]:
    return {
        "title": title,
        "value": figures(amounts, empty=empty),
        "note": note if amounts else "",
        "url": url,
        "is_bad": is_bad,
    }


def _count_words(count: int, words: str) -> str:
    return words % numerals.count(count)


def _documents(count: int) -> str:
    return _count_words(count, ngettext("%s invoice", "%s invoices", count))


def _ages(debts: Sequence[Owed], *, on: dt.date) -> list[dict[str, Any]]:
    """Open amounts by how long they are overdue, one line per currency; each cell with its share."""
    lines = []
    for each in debts:
        whole = each.open.amount
        cells_of_line = [
            {
                "amount": bare(part.amount, each.currency),
                "count": part.count,
                "share": f"{100 * part.amount / whole:.1f}",
                "url": _age_url(age, each.currency, on=on),
            }
            for age, part in zip(AGES, each.ages, strict=True)
        ]
        lines.append(
            {
                "currency": each.currency,
                "cells": cells_of_line,
                "sum": bare(whole, each.currency),
                "url": documents_url(standing="open", currency__exact=each.currency),
            }
        )
    return lines


def _age_url(age: tuple[int | None, int | None], currency: str, *, on: dt.date) -> str:
    first, last = age
    bounds = {} if first is None else {"due_on__lte": on - dt.timedelta(days=first)}
    if last is not None:
        bounds["due_on__gte"] = on - dt.timedelta(days=last)
    return documents_url(standing="open", currency__exact=currency, **bounds)


def _revenue(today: dt.date) -> list[dict[str, Any]]:
    months = months_until(today, count=MONTHS)
    end = month_after(months[-1])
    by_metric = revenue_by_metric(months[0], end, count=TOP_METRICS)
    return [
        {
            "currency": currency,
            "chart": revenue_chart(found, currency),
            "months": [
                (
                    f"{month.first_day:%Y-%m}",
                    in_words(month.total, currency),
                    issued_in(month.first_day, month.end, currency),
                )
                for month in reversed(found)
                if month.total
            ],
            "sum": in_words(sum((month.total for month in found), start=found[0].total * 0), currency),
            "metrics": metrics_chart(by_metric[currency], currency) if currency in by_metric else None,
            "metric_links": [
                (
                    named(metric),
                    bare(metric.amount, currency),
                    reverse("admin:metering_metricdefinition_change", args=[metric.metric_id])
                    if metric.metric_id
                    else "",
                )
                for metric in by_metric.get(currency, [])
            ],
        }
        for currency, found in sorted(revenue_by_month(months).items())
    ]


def _last_run(now: dt.datetime) -> dict[str, Any] | None:
    run = BillingRun.objects.order_by("-id").first()
    if run is None:
        return None
    return {
        "state": run.state,
        "badge": cells.badge(run.get_state_display(), RUN_COLOURS.get(run.state, "info")),
        "when": cells.ago(run.started_at, now=now),
        "up_to": cells.moment(run.as_of),
        "words": _("%(done)s of %(count)s accounts so far")
        % {"done": numerals.count(run.done_count), "count": numerals.count(run.account_count)}
        if run.state == BillingRun.State.RUNNING
        else _("%(drafts)s drafted, %(issued)s issued, %(parked)s parked")
        % {
            "drafts": numerals.count(run.drafted_count),
            "issued": numerals.count(run.issued_count),
            "parked": numerals.count(run.parked_count),
        },
        "url": reverse("admin:billing_billingrun_change", args=[run.pk]),
    }


RUN_COLOURS = {"finished": "success", "interrupted": "warning"}


def _parked() -> dict[str, Any]:
    """How many accounts couldn't be billed, by the reason's code."""
    by_code = ParkedAccount.objects.order_by().values("code").annotate(count=Count("pk"))
    found = [(row["code"], row["count"]) for row in by_code.order_by("-count", "code")]
    return {
        "count": sum(count for _code, count in found),
        "reasons": [
            (code, numerals.count(count), listed("parkedaccount", code__exact=code))
            for code, count in found[:SHOWN_REASONS]
        ],
        "url": listed("parkedaccount"),
    }
