"""So far this period: what an account would be billed now, as a page."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.models import BillingAccount, InvoiceLine
from billing.reporting.final_positions import final_position
from billing.reporting.projection import elapsed_fraction
from billing.reporting.running_period import Preview, preview_of_running
from billing.reporting.running_usage import usages_over_time
from metering import numerals
from metering.admin import cells
from metering.admin.charts import Chart
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.answering.answers import answer
from metering.clock import database_now
from metering.errors import Unavailable
from metering.measuring.windows import zone_named

from .document_words import days_in_words
from .price_words import Words
from .report_charts import amounts_chart, usage_over_time_chart
from .subscription_words import period_in_words

MAX_USAGE_CHARTS = 4
TEMPLATE = "admin/billing/billingaccount/running.html"


def running_page(request: HttpRequest, object_id: str, *, context: dict[str, Any]) -> HttpResponse:
    """What the account would be billed were its running periods over now."""
    if not request.user.has_perm("billing.view_billingaccount"):
        raise PermissionDenied
    accounts = BillingAccount.objects.select_related("project")
    account = accounts.filter(pk=id_from(object_id) or 0).first()
    if account is None:
        raise Http404
    context = {
        **context,
        "title": _("So far this period"),
        "original": account,
        "account": account,
        "back_url": reverse("admin:billing_billingaccount_change", args=[account.pk]),
    }
    try:
        position, now = final_position(), database_now()

        def read(_catalogue: Any) -> tuple[Preview, list[tuple[str, Chart]]]:
            preview = preview_of_running(account, now=now, position=position)
            return preview, _usage_charts(preview)

        preview, usage_charts = answer(read)
    except Unavailable as error:
        return TemplateResponse(request, TEMPLATE, {**context, "unavailable": worded(error)}, status=503)
    return TemplateResponse(
        request, TEMPLATE, {**context, **running_card(preview), "usage_charts": usage_charts}
    )


def running_card(preview: Preview) -> dict[str, Any]:
    """The preview in words and amounts."""
    account, document = preview.account, preview.document
    words = Words(account.currency)
    zone = zone_named(account.timezone)

    def amount(value: Any) -> str:
        return cells.DASH if value is None else words.bare(Fraction(value))

    running = {id(line) for charge in preview.running for line in charge.lines}
    lines = [_line(line, words, is_running=id(line) in running) for line in preview.lines]
    projected = preview.projected
    return {
        "preview": preview,
        "currency": account.currency,
        "at": f"{preview.at.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}",
        "periods": [
            {
                "words": period_in_words(period),
                "percent": int(elapsed_fraction(period, now=preview.at) * 100),
            }
            for period in preview.running_periods
        ],
        "figures": [
            (
                _("So far, before tax"),
                words.amount(Fraction(preview.running_amount)),
                _("running periods alone"),
            ),
            (
                _("Next draft"),
                words.amount(Fraction(document.total)),
                _("with tax %s") % amount(document.tax_total),
            ),
            (
                _("Paid by credit"),
                words.amount(Fraction(document.credit_drawn)),
                _("of %s available") % amount(preview.credit_available),
            ),
            (
                _("At the end, if it goes on"),
                words.amount(Fraction(projected.total)) if projected else cells.DASH,
                _("a straight line, with tax") if projected else _("too early to tell"),
            ),
        ],
        "lines": lines,
        "has_others": any(not line["is_running"] for line in lines),
        "totals": [
            (_("Before tax"), amount(document.subtotal)),
            *((_tax_in_words(tax), amount(tax["amount"])) for tax in document.taxes),
            (_("Total"), amount(document.total)),
            *([(_("Paid by credit"), amount(-document.credit_drawn))] if document.credit_drawn else []),
            (_("To be paid"), amount(document.amount_due)),
        ],
        "amounts_chart": amounts_chart(preview) if preview.running else None,
    }


def _tax_in_words(tax: dict[str, Any]) -> str:
    """“VAT 19%”."""
    return f"{tax['name']} {numerals.with_percent_sign(numerals.exact(Decimal(tax['percent'])))}"


def _line(line: InvoiceLine, words: Words, *, is_running: bool) -> dict[str, Any]:
    if line.quantity is not None:
        quantity = numerals.with_unit(cells.readable(line.quantity), line.unit)
    elif line.day_count is not None and line.full_day_count:
        quantity = _("%(days)d of %(all)d days") % {"days": line.day_count, "all": line.full_day_count}
    else:
        quantity = cells.DASH
    labels = [f"{name}: {text}" for name, text in line.group.items()]
    return {
        "name": line.name,
        "note": ", ".join([*([line.project_key] if line.project_key else []), *labels]),
        "kind": line.get_kind_display(),
        "period": days_in_words(line.service_start_on, line.service_end_on) or cells.DASH,
        "state": _("correction") if line.is_adjustment else _("running") if is_running else _("over"),
        "is_running": is_running,
        "quantity": quantity,
        "amount": words.bare(Fraction(line.amount)),
    }


def _usage_charts(preview: Preview) -> list[tuple[str, Chart]]:
    """Of the prices that cost most."""
    charges = sorted(
        (charge for charge in preview.running if charge.usage is not None and charge.usage.event_count),
        key=lambda charge: -charge.amount,
    )
    zone = zone_named(preview.account.timezone)
    shown = charges[:MAX_USAGE_CHARTS]
    usages = usages_over_time(shown, now=preview.at, position=preview.position)
    return [
        (charge.priced.price.name, usage_over_time_chart(charge, points, zone=zone))
        for charge, points in zip(shown, usages, strict=True)
    ]
