"""The money of one account on its page: what it owes, what it has, its last documents, what waits."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.invoicing.standing import Status, status_of
from billing.invoicing.totals import total
from billing.models import BillingAccount, Invoice, ParkedAccount, PeriodCorrection
from billing.reporting.receivables import Amount, owed
from billing.settling.credits import usable_grants
from metering.admin import cells
from metering.measuring.windows import zone_named

from .billing_links import document_link, documents_url, listed
from .document_words import in_words, money_cell, status_badge
from .money_words import signed_cell
from .subscription_words import LocalTimes

SHOWN_DOCUMENTS = 6
SHOWN_CORRECTIONS = 5
_OPEN = (PeriodCorrection.State.WAITING, PeriodCorrection.State.APPROVED, PeriodCorrection.State.DRAFTED)


def money_card(account: BillingAccount, *, now: dt.datetime) -> dict[str, Any]:
    """What the page shows about money, in five statements however much the account has."""
    today = now.astimezone(zone_named(account.timezone)).date()
    parked = ParkedAccount.objects.filter(account=account).first()
    corrections = list(
        PeriodCorrection.objects.filter(account=account, state__in=_OPEN)
        .select_related("billed_period__price__metric", "invoice")
        .order_by("-id")[: SHOWN_CORRECTIONS + 1]
    )
    return {
        "cards": _cards(account, now=now, today=today),
        "documents": _documents(account, today=today),
        "documents_url": documents_url(account__id__exact=account.pk),
        "corrections": [_correction_line(each, account) for each in corrections[:SHOWN_CORRECTIONS]],
        "has_more_corrections": len(corrections) > SHOWN_CORRECTIONS,
        "corrections_url": listed("periodcorrection", account__id__exact=account.pk),
        "credit_url": listed("creditgrant", account__id__exact=account.pk),
        "grant_url": reverse("admin:billing_creditgrant_add") + f"?account={account.pk}",
        "parked": parked,
        "again_url": reverse("admin:billing_parkedaccount_try_again", args=[parked.pk]) if parked else "",
    }


def _cards(account: BillingAccount, *, now: dt.datetime, today: dt.date) -> list[dict[str, Any]]:
    debts = {each.currency: each for each in owed(on=today, account_id=account.pk)}
    debt = debts.get(account.currency)
    whole, late = (debt.open, debt.overdue) if debt else (Amount(), Amount())
    return [
        {
            "title": _("Owed"),
            "value": in_words(whole.amount, account.currency),
            "note": ngettext("%d open invoice", "%d open invoices", whole.count) % whole.count,
            "url": documents_url(account__id__exact=account.pk, standing="open"),
        },
        {
            "title": _("Overdue"),
            "value": in_words(late.amount, account.currency),
            "note": ngettext("%d invoice", "%d invoices", late.count) % late.count if late.count else "",
            "url": documents_url(account__id__exact=account.pk, standing="overdue"),
            "is_bad": bool(late.count),
        },
        _credit_card(account, now=now),
    ]


def _credit_card(account: BillingAccount, *, now: dt.datetime) -> dict[str, Any]:
    """What there is to draw, and until when the first of it is valid."""
    grants: list[Any] = list(usable_grants(account.pk, at=now))
    note = _("drawn as soon as an invoice is issued")
    limited = [grant for grant in grants if grant.expires_at is not None]
    if limited:
        first = min(limited, key=lambda grant: grant.expires_at)
        note = _("drawn as soon as an invoice is issued; %(amount)s of it is valid until %(until)s") % {
            "amount": in_words(first.balance, account.currency),
            "until": LocalTimes(zone_named(account.timezone)).last(first.expires_at),
        }
    return {
        "title": _("Prepaid credit"),
        "value": in_words(total(grant.balance for grant in grants), account.currency),
        "note": note,
        "url": listed("creditgrant", account__id__exact=account.pk),
    }


def _documents(account: BillingAccount, *, today: dt.date) -> list[dict[str, Any]]:
    """Drafts and the latest that were issued."""
    newest = Invoice.objects.with_open_amount().filter(account=account).order_by("-id")[:SHOWN_DOCUMENTS]
    return [_document_line(invoice, today=today) for invoice in newest]


def _document_line(invoice: Any, *, today: dt.date) -> dict[str, Any]:
    status = status_of(invoice, on=today)
    is_owed = status in {Status.ISSUED, Status.PARTLY_PAID, Status.OVERDUE} and not invoice.is_credit_note
    return {
        "link": document_link(invoice),
        "kind": invoice.get_kind_display(),
        "issued_on": invoice.issued_on or cells.DASH,
        "due_on": cells.DASH if invoice.is_draft or invoice.is_credit_note else invoice.due_on,
        "total": money_cell(invoice.total, invoice.currency),
        "open": money_cell(invoice.open_amount, invoice.currency) if is_owed else cells.DASH,
        "badge": status_badge(status),
    }


def _correction_line(correction: PeriodCorrection, account: BillingAccount) -> dict[str, Any]:
    price = correction.billed_period.price
    zone = zone_named(account.timezone)
    return {
        "url": reverse("admin:billing_periodcorrection_change", args=[correction.pk]),
        "name": price.name or (price.metric.display_name if price.metric else ""),
        "period": f"{correction.billed_period.period_start.astimezone(zone):%Y-%m-%d}",
        "difference": signed_cell(correction.difference, account.currency),
        "badge": cells.badge(
            correction.get_state_display(),
            "warning" if correction.state == PeriodCorrection.State.WAITING else "info",
        ),
    }
