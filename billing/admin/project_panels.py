"""What billing has to say on the page of a project: its account, what it is on, its last documents."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from billing.invoicing.standing import status_of
from billing.models import BillingAccount, Invoice
from metering.admin import cells
from metering.admin.panels import Panel, asked_at, panel_body
from metering.measuring.windows import zone_named
from metering.models import Project

from .billing_links import document_link, documents_url
from .document_words import money_cell, status_badge
from .subscription_words import LocalTimes, in_a_line

SHOWN_INVOICES = 10
SHOWN_SUBSCRIPTIONS = 5


def account_panel(request: HttpRequest, project: Project) -> Panel | None:
    """Who is billed for what the project pays for, and by which plans."""
    if not request.user.has_perm("billing.view_billingaccount"):
        return None
    account = BillingAccount.objects.filter(project=project).first()
    may_open = account is None and request.user.has_perm("billing.add_billingaccount")
    open_url = reverse("admin:billing_billingaccount_add") + "?" + urlencode({"project": project.pk})
    body = panel_body(
        "admin/billing/panels/account.html",
        request,
        {
            "account": account,
            "open_url": open_url if may_open else "",
            "subscriptions": _subscription_lines(request, account) if account else None,
            "subscribe_url": reverse("admin:billing_subscription_add") + f"?account={account.pk}"
            if account and request.user.has_perm("billing.add_subscription")
            else "",
        },
    )
    if account is None:
        return Panel(_("Billing account"), body)
    url = reverse("admin:billing_billingaccount_change", args=[account.pk])
    return Panel(_("Billing account"), body, url=url, link_text=_("The account"))


def _subscription_lines(request: HttpRequest, account: BillingAccount) -> list[dict[str, Any]] | None:
    """The latest, scheduled ones first. None: not for this person."""
    if not request.user.has_perm("billing.view_subscription"):
        return None
    now, times = asked_at(request), LocalTimes(zone_named(account.timezone))
    latest = account.subscriptions.lasting().select_related("plan").order_by("-effective_from", "-id")
    return [in_a_line(each, times=times, now=now) for each in latest[:SHOWN_SUBSCRIPTIONS]]


def invoices_panel(request: HttpRequest, project: Project) -> Panel | None:
    """The latest documents of its account, drafts included; nothing where it has none. Index:
    invoice_by_account."""
    if not request.user.has_perm("billing.view_invoice"):
        return None
    newest = (
        Invoice.objects.with_open_amount()
        .filter(account__project=project)
        .select_related("account")
        .order_by("-id")[:SHOWN_INVOICES]
    )
    invoices = list(newest)
    if not invoices:
        return None
    account = invoices[0].account
    today = asked_at(request).astimezone(zone_named(account.timezone)).date()
    lines = [
        {
            "link": document_link(invoice),
            "kind": invoice.get_kind_display(),
            "issued_on": invoice.issued_on or cells.DASH,
            "badge": status_badge(status_of(invoice, on=today)),
            "total": money_cell(invoice.total, invoice.currency),
        }
        for invoice in invoices
    ]
    body = panel_body("admin/billing/panels/invoices.html", request, {"invoices": lines})
    url = documents_url(account__id__exact=account.pk)
    return Panel(_("Invoices"), body, url=url, link_text=_("All its documents"))
