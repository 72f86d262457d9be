"""Where the rows behind a number are listed."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from billing.models import BillingAccount, Invoice
from metering.admin import cells

from .document_words import title_of


def documents_url(**filters: Any) -> str:
    """The list of documents, narrowed down: `standing` is one of its tabs, others are lookups."""
    return listed("invoice", **filters)


def listed(model: str, **filters: Any) -> str:
    """The list of a model of billing, narrowed down."""
    url = reverse(f"admin:billing_{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def issued_in(first: dt.date, end: dt.date, currency: str) -> str:
    """Documents issued from a day until before another."""
    return documents_url(issued_on__gte=first, issued_on__lt=end, currency__exact=currency)


def document_url(invoice: Invoice) -> str:
    return reverse("admin:billing_invoice_change", args=[invoice.pk])


def document_link(invoice: Invoice | None) -> SafeString | str:
    """The document by its number; a draft by its id."""
    if invoice is None:
        return cells.DASH
    return cells.link(document_url(invoice), title_of(invoice))


def account_link(account: BillingAccount) -> SafeString:
    """The account by its legal name. Needs its project loaded, for the tooltip."""
    url = reverse("admin:billing_billingaccount_change", args=[account.pk])
    return cells.link(url, account.legal_name, title=account.project.key)
