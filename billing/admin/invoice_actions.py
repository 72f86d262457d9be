"""Issuing, approving and voiding a document, each after a page that says what it means."""

import datetime as dt
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from billing.errors import OwnWorkNotApproved
from billing.invoicing.approvals import (
    approve,
    exceeds_limit,
    is_work_of,
)
from billing.invoicing.issuing import ensure_issuable, grace_until, issue
from billing.invoicing.number_series import next_number
from billing.invoicing.voiding import ensure_voidable, void
from billing.models import BilledPeriod, CreditEntry, Invoice, Payment
from billing.settling.credits import draws_for
from metering import numerals
from metering.admin.refusals import worded
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.texts.numbers import EXACT

from .document_pages import DocumentPages, ReasonForm, SeenForm
from .document_words import in_words, kind_in_words, zone_of

ZERO = Decimal(0)


class IssueForm(SeenForm):
    is_early = forms.BooleanField(
        label=_("Issue it early"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_(
            "The days of grace aren't over. Usage that arrives later is corrected on the next invoice."
        ),
    )

    def __init__(self, data: Any, *, invoice: Invoice, is_early: bool) -> None:
        super().__init__(data, invoice=invoice)
        if not is_early:
            del self.fields["is_early"]


class ApproveForm(SeenForm):
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("For colleagues and auditors."),
    )


class InvoiceActions(DocumentPages):
    """What makes a document final, and what takes it back."""

    @action(
        description=_("Issue"),
        url_path="issue",
        icon="send",
        permissions=["issue"],
        variant=ActionVariant.PRIMARY,
    )
    def issue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice, now = self.document(object_id), database_now()
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        by = request.user.get_username()
        until = grace_until(invoice, invoice.account)
        is_early = until is not None and until > now
        form = IssueForm(
            request.POST if request.method == "POST" else None, invoice=invoice, is_early=is_early
        )

        def carry_out() -> Invoice:
            is_meant = bool(form.cleaned_data.get("is_early"))
            return issue(invoice, now=now, issued_by=by, is_early=is_meant, seen=form.digest)

        def answer(issued: Invoice) -> HttpResponse:
            return self.changed(
                request, issued, gettext_noop("issued"), gettext("%s is issued.") % issued.number
            )

        return self.ask(
            request,
            invoice,
            title=_("Issue the credit note") if invoice.is_credit_note else _("Issue the invoice"),
            button=_("Issue it early") if is_early else _("Issue it"),
            sentences=[
                _("It gets its number and never changes from then on. What is wrong is credited or voided."),
                *_grace_words(invoice, until if is_early else None),
            ],
            facts=issue_facts(invoice, now=now),
            obstacle=obstacle_to(invoice, now=now, issued_by=by),
            form=form,
            verb=carry_out,
            answer=answer,
            is_harmless=not is_early,
        )

    @action(description=_("Approve"), url_path="approve", icon="verified", permissions=["approve"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice = self.document(object_id)
        refusal = self.not_a_draft(request, invoice)
        if refusal is not None:
            return refusal
        by = request.user.get_username()
        form = ApproveForm(request.POST if request.method == "POST" else None, invoice=invoice)

        def carry_out() -> Any:
            return approve(invoice, approved_by=by, note=form.cleaned_data["note"], seen=form.digest)

        by_hand = [
            (f"{_('By hand')}: {line.name}", in_words(line.amount, invoice.currency))
            for line in invoice.lines.filter(kind="manual").order_by("position")[:50]
        ]
        discounts = [
            (f"{_('Discount')}: {one.name}", in_words(one.amount, invoice.currency))
            for one in invoice.discounts.order_by("position")
        ]
        return self.ask(
            request,
            invoice,
            title=_("Approve the draft"),
            button=_("Approve it as it is"),
            sentences=[
                _("You agree to exactly what is on it now; when it changes, it has to be approved again."),
                gettext("Last edited by %s.") % invoice.edited_by if invoice.edited_by else "",
            ],
            obstacle=worded(OwnWorkNotApproved()) if is_work_of(by, invoice) else "",
            facts=[*by_hand, *discounts, *_totals(invoice)],
            form=form,
            verb=carry_out,
            answer=lambda _approval: self.changed(
                request, invoice, gettext_noop("approvals"), gettext("It is approved.")
            ),
            is_harmless=True,
        )

    @action(
        description=_("Void"),
        url_path="void",
        icon="block",
        permissions=["void"],
        variant=ActionVariant.DANGER,
    )
    def void(self, request: HttpRequest, object_id: str) -> HttpResponse:
        invoice, now = self.document(object_id), database_now()
        refusal = self.not_issued(request, invoice)
        if refusal is not None:
            return refusal
        form = ReasonForm(request.POST if request.method == "POST" else None)

        def answer(note: Invoice) -> HttpResponse:
            if note.is_draft:
                text = gettext("The credit note waits for the approval of a second person.")
                return self.changed(request, note, gettext_noop("drafted"), text)
            text = gettext("%(invoice)s is void; %(note)s takes it back.") % {
                "invoice": invoice.number,
                "note": note.number,
            }
            return self.changed(request, invoice, gettext_noop("voided"), text)

        return self.ask(
            request,
            invoice,
            title=_("Void the invoice"),
            button=_("Void the invoice"),
            sentences=_void_words(invoice),
            facts=[*_totals(invoice), (_("Mailed to"), _recipients(invoice))],
            obstacle=_obstacle_to_void(invoice),
            form=form,
            verb=lambda: void(
                invoice,
                now=now,
                reason=form.cleaned_data["reason"],
                voided_by=request.user.get_username(),
            ),
            answer=answer,
        )


def obstacle_to(invoice: Invoice, *, now: dt.datetime, issued_by: str) -> str:
    """What `issue` would refuse even where it is early; empty where it wouldn't."""
    try:
        ensure_issuable(invoice, invoice.account, now=now, issued_by=issued_by, is_early=True)
    except MeterbookError as refusal:
        return worded(refusal)
    return ""


def _obstacle_to_void(invoice: Invoice) -> str:
    try:
        ensure_voidable(invoice)
    except MeterbookError as refusal:
        return worded(refusal)
    return ""


def issue_facts(invoice: Invoice, *, now: dt.datetime) -> list[tuple[Any, Any]]:
    """Totals, what is paid by credit, the number, and who gets it."""
    facts = _totals(invoice)
    due = invoice.total
    if not invoice.is_credit_note:
        draws = draws_for(invoice.account_id, up_to=max(invoice.total, ZERO), at=now)
        for draw in draws:
            facts.append(
                (
                    gettext("Paid by credit: %s") % draw.grant.name,
                    in_words(EXACT.minus(draw.amount), invoice.currency),
                )
            )
            due = EXACT.subtract(due, draw.amount)
        facts.append((_("To be paid"), in_words(due, invoice.currency)))
        facts.append((_("Due"), gettext("%d days after issue") % invoice.account.payment_terms_days))
    elif invoice.credits is not None:
        facts.append((_("Settles"), invoice.credits.number))
    else:
        facts.append((_("Becomes"), gettext("credit of the account")))
    facts.append((_("Number"), gettext("the next one, now %s") % next_number(invoice.kind)))
    facts.append((_("Mailed to"), _recipients(invoice)))
    return facts


def _recipients(invoice: Invoice) -> str:
    return ", ".join(invoice.account.invoice_emails) or gettext("nobody: the account has no address")


def _totals(invoice: Invoice) -> list[tuple[Any, Any]]:
    facts: list[tuple[Any, Any]] = [
        (kind_in_words(invoice) + ", " + gettext("net"), in_words(invoice.subtotal, invoice.currency))
    ]
    if invoice.discount_total:
        facts.append((_("Discounts"), in_words(invoice.discount_total, invoice.currency)))
    facts.append((_("Tax"), in_words(invoice.tax_total, invoice.currency)))
    facts.append((_("Total"), in_words(invoice.total, invoice.currency)))
    return facts


def _grace_words(invoice: Invoice, until: dt.datetime | None) -> list[str]:
    if until is None:
        return []
    moment = f"{until.astimezone(zone_of(invoice)):%Y-%m-%d %H:%M}"
    return [gettext("This is early: usage of its periods may still arrive until %s.") % moment]


def _reopened_words(period_count: int, price_count: int) -> str:
    """What is billed anew: each period with all of its prices that the document billed."""
    prices = ngettext("%(count)s price", "%(count)s prices", price_count) % {
        "count": numerals.count(price_count)
    }
    return ngettext(
        "%(count)s billed period (%(prices)s) is open again; the next billing run bills it anew.",
        "%(count)s billed periods (%(prices)s) are open again; the next billing run bills them anew.",
        period_count,
    ) % {"count": numerals.count(period_count), "prices": prices}


def _void_words(invoice: Any) -> list[str]:
    """The credit note, the periods, the credit, and the draft that there may be."""
    words = [
        gettext("A credit note takes it back in full, with the next number, now %s. Both stay on record.")
        % next_number(Invoice.Kind.CREDIT_NOTE)
    ]
    if exceeds_limit(invoice.total, invoice.account):
        limit = in_words(invoice.account.approval_above, invoice.currency)
        words.append(
            gettext(
                "It comes to more than %s: the credit note is drafted, and takes effect when a second person "
                "has approved it and it is issued."
            )
            % limit
        )
    periods = BilledPeriod.objects.filter(lines__invoice=invoice).distinct()
    price_count = periods.count()
    if price_count:
        days = periods.order_by().values("subscription", "period_start", "period_end").distinct().count()
        words.append(_reopened_words(days, price_count))
    drawn = invoice.credit_entries.filter(kind=CreditEntry.Kind.DRAWN)
    amount = EXACT.minus(sum((entry.amount for entry in drawn), ZERO))
    if amount:
        words.append(gettext("%s of credit goes back to the account.") % in_words(amount, invoice.currency))
    if Invoice.objects.drafts().filter(account=invoice.account_id, origin=Invoice.Origin.RUN).exists():
        words.append(
            gettext("What was computed on the account's draft is taken off; compute it again afterwards.")
        )
    paid = sum((one.amount for one in invoice.payments.exclude(method=Payment.Method.CREDIT_NOTE)), ZERO)
    if paid:
        words.append(
            gettext("Payments of %s are allocated to it: take them back first.")
            % in_words(paid, invoice.currency)
        )
    return words
