"""The page of a document: everything that stands on it, what became of it, and what can be done with it."""

import datetime as dt
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from billing.documents.countries import country_name
from billing.invoicing.approvals import approval_of, needs_approval
from billing.invoicing.sellers import seller
from billing.invoicing.standing import Status, status_of
from billing.models import CreditEntry, CreditGrant, Invoice, InvoiceLine, Payment
from billing.settling.payments import credit_left_by
from metering import numerals
from metering.admin import cells
from metering.admin.row_ids import id_from
from metering.clock import database_now
from metering.texts.numbers import EXACT

from .bulk_issue_pages import BulkIssuePages
from .credit_note_pages import CreditNotePages
from .document_files import DocumentFiles
from .document_history import history_of, warnings_of
from .document_lines import shown_lines
from .document_pages import today_of
from .document_words import (
    bare,
    in_words,
    kind_in_words,
    lateness,
    local_moment,
    period_of,
    status_badge,
    title_of,
    zone_of,
)
from .draft_pages import DraftPages
from .invoice_actions import InvoiceActions
from .invoice_list import InvoiceList
from .payment_pages import PaymentPages

# Lines, discounts and notes are changed where they stand on the page.
FILES = ("pdf", "csv")
IN_PLACE = ("add_line", "add_discount", "edit_notes")


@admin.register(Invoice)
class InvoiceAdmin(
    InvoiceActions,
    DraftPages,
    PaymentPages,
    CreditNotePages,
    BulkIssuePages,
    DocumentFiles,
    InvoiceList,
):
    """No form changes a document: drafts are changed by pages of their own, issued ones by nobody."""

    change_form_template = "admin/billing/invoice/change_form.html"
    actions_detail = (
        "issue",
        "approve",
        "recompute",
        *IN_PLACE,
        "discard",
        "record_payment",
        "begin_credit_note",
        "void",
        "pdf",
        "csv",
        "resend",
    )
    actions_list = ()
    fieldsets = ((None, {"fields": ("number",)}),)

    class Media:
        css = {"all": ["billing/documents.css"]}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = Invoice.objects.with_open_amount().select_related("account__project", "credits")
        return found.filter(pk=id_from(object_id) or 0).first()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what can be done with it now."""
        invoice = self.get_object(request, str(object_id))
        offered = _offered(invoice) if invoice is not None else ()
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        actions = super().get_actions_detail(request, object_id)
        return [one for one in actions if one.action_name.removeprefix(prefix) in offered]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        invoice = kwargs.get("obj")
        if invoice is not None:
            context |= {"title": title_of(invoice), "subtitle": ""}  # its name is the title
            context["document"] = document_card(invoice, request, now=database_now(), pages=self)
        return super().render_change_form(request, context, *args, **kwargs)


def _offered(invoice: Any) -> tuple[str, ...]:
    if invoice.is_draft:
        is_waiting = needs_approval(invoice, invoice.account) and approval_of(invoice) is None
        approve = ("approve",) if is_waiting else ()
        recompute = ("recompute",) if invoice.origin == Invoice.Origin.RUN else ()
        return ("issue", *approve, *recompute, "discard", *FILES)
    if invoice.is_credit_note or invoice.is_void:
        return (*FILES, "resend")
    actions = ("begin_credit_note", "void", *FILES, "resend")
    return ("record_payment", *actions) if invoice.open_amount > 0 else actions


def document_card(
    invoice: Any, request: HttpRequest, *, now: dt.datetime, pages: InvoiceAdmin
) -> dict[str, Any]:
    """What the page shows, asked once for all lines."""
    is_mirror = invoice.origin == Invoice.Origin.VOID
    may_edit = invoice.is_draft and not is_mirror and pages.has_edit_permission(request)
    may_pay = not invoice.is_draft and pages.has_pay_permission(request)
    currency, zone = invoice.currency, zone_of(invoice)
    today = today_of(invoice, now)
    status = status_of(invoice, on=today)
    lines = list(invoice.lines.select_related("billed_period").order_by("position"))
    payments = list(invoice.payments.select_related("credit_note", "invoice", "reversal").order_by("id"))
    left = credit_left_by(payments)
    notes = list(invoice.credit_notes.order_by("id"))
    owes = status in {Status.ISSUED, Status.PARTLY_PAID, Status.OVERDUE} and not invoice.is_credit_note

    def remove_url(line: InvoiceLine) -> str:
        is_by_hand = line.kind == InvoiceLine.Kind.MANUAL
        return pages.page_url("remove_line", invoice.pk, line.pk) if may_edit and is_by_hand else ""

    return {
        "title": title_of(invoice),
        "kind": kind_in_words(invoice),
        "badge": status_badge(status),
        "is_draft": invoice.is_draft,
        "is_credit_note": invoice.is_credit_note,
        "may_edit": may_edit,
        "currency": currency,
        "zone": zone.key,
        "warnings": warnings_of(invoice, request, now=now),
        "seller": _party(invoice.seller or vars(seller())),
        "customer": _party(invoice.customer or vars(invoice.account)),
        "customer_url": reverse("admin:billing_billingaccount_change", args=[invoice.account_id]),
        "project": cells.project_link(invoice.account.project),
        "period": period_of(invoice),
        "issued_on": invoice.issued_on,
        "issued_at": local_moment(invoice.issued_at, zone),
        "due_on": None if invoice.is_credit_note else invoice.due_on,
        "lateness": lateness(invoice.due_on, on=today) if owes else "",
        "credits": _link(invoice.credits) if invoice.credits is not None else None,
        "reason": invoice.reason,
        "notes": invoice.notes,
        "lines": shown_lines(lines, invoice, remove_url=remove_url),
        "is_void_note": invoice.origin == Invoice.Origin.VOID,
        "discounts": _discounts(invoice, pages, may_edit=may_edit),
        "taxes": [
            {**tax, "amount": _text(tax["amount"], currency), "base": _text(tax["base"], currency)}
            for tax in invoice.taxes
        ],
        "subtotal": bare(invoice.subtotal, currency),
        "total": in_words(invoice.total, currency),
        "credit_drawn": bare(EXACT.minus(invoice.credit_drawn), currency) if invoice.credit_drawn else "",
        "amount_due": in_words(invoice.amount_due, currency),
        "open": in_words(invoice.open_amount, currency) if owes else "",
        "draws": _draws(invoice),
        "payments": [
            _payment(one, pages, invoice, may_pay=may_pay, to_credit=left.get(one.pk)) for one in payments
        ],
        "notes_of_it": [_link(note) | {"total": in_words(note.total, currency)} for note in notes],
        "uses": _uses(invoice),
        "history": [
            {
                "at": local_moment(one.at, zone) if one.at else "",
                "text": one.text,
                "who": one.who,
                "note": one.note,
                "url": one.url,
            }
            for one in history_of(invoice, payments=payments, notes=notes)
        ],
        "urls": {name: pages.page_url(name, invoice.pk) for name in IN_PLACE} if may_edit else {},
    }


def _party(fields: Any) -> dict[str, Any]:
    return {
        "name": fields["legal_name"],
        "lines": [*fields["address_lines"], country_name(fields["country"])],
        "tax_id": fields["tax_id"],
    }


def _text(amount: str, currency: str) -> str:
    return bare(Decimal(amount), currency)


def _link(invoice: Invoice) -> dict[str, Any]:
    return {
        "title": title_of(invoice),
        "url": reverse("admin:billing_invoice_change", args=[invoice.pk]),
        "is_draft": invoice.is_draft,
    }


def _discounts(invoice: Invoice, pages: InvoiceAdmin, *, may_edit: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "percent": "" if one.percent is None else numerals.with_percent_sign(cells.grouped(one.percent)),
            "reason": one.reason,
            "added_by": one.added_by,
            "amount": bare(one.amount, invoice.currency),
            "remove_url": pages.page_url("remove_discount", invoice.pk, one.pk) if may_edit else "",
        }
        for one in invoice.discounts.order_by("position")
    ]


def _draws(invoice: Invoice) -> list[tuple[str, str, str]]:
    """Credit that it drew and gave back: (what of, what happened, amount)."""
    entries = CreditEntry.objects.filter(invoice=invoice).select_related("grant").order_by("id")
    return [
        (one.grant.name, one.get_kind_display(), in_words(EXACT.minus(one.amount), invoice.currency))
        for one in entries
    ]


def _payment(
    payment: Payment, pages: InvoiceAdmin, invoice: Invoice, *, may_pay: bool, to_credit: Decimal | None
) -> dict[str, Any]:
    is_credit_note = payment.credit_note_id is not None
    is_open = payment.reverses_id is None and not hasattr(payment, "reversal") and not is_credit_note
    words = payment.get_method_display()
    if payment.reverses_id is not None:
        words = gettext("%s, taken back") % words
    return {
        "day": payment.received_on,
        "words": words,
        "note": _link(payment.credit_note) if payment.credit_note is not None else None,
        "reference": payment.reference,
        "reason": payment.reason,
        "amount": bare(payment.amount, invoice.currency),
        "beyond": ""
        if to_credit is None
        else gettext("%(received)s received, %(credit)s of it became credit")
        % {
            "received": in_words(EXACT.add(payment.amount, to_credit), invoice.currency),
            "credit": in_words(to_credit, invoice.currency),
        },
        "is_taken_back": hasattr(payment, "reversal"),
        "take_back_url": pages.page_url("take_back_payment", invoice.pk, payment.pk)
        if may_pay and is_open
        else "",
    }


def _uses(note: Invoice) -> list[tuple[str, str, str]]:
    """Where the amount of a credit note went: (what, address, amount)."""
    if not note.is_credit_note or note.is_draft:
        return []
    uses = [
        (
            gettext("settles %s") % one.invoice.number,
            _link(one.invoice)["url"],
            in_words(one.amount, note.currency),
        )
        for one in note.allocations.select_related("invoice")
    ]
    grant = CreditGrant.objects.filter(credit_note=note).first()
    if grant is not None:
        uses.append((gettext("credit of the account"), "", in_words(grant.amount, note.currency)))
    return uses
