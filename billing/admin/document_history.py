"""What happened to a document, in order; and what should be known before it is issued."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.errors import DraftOutdated, SellerUnknown
from billing.invoicing.approvals import approval_of, needs_approval
from billing.invoicing.issuing import grace_until
from billing.invoicing.sellers import seller
from billing.models import (
    Invoice,
    InvoiceApproval,
    InvoiceDispatch,
    ParkedAccount,
    Payment,
    PeriodCorrection,
)
from metering.admin.refusals import worded

from .document_words import in_words, lateness, zone_of

# What is edited on a draft, as the pages note it.
EDITED = ("lines", "discounts", "notes")


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is None for what has a name but no time: that somebody edited it."""

    at: dt.datetime | None
    text: str
    who: str = ""
    note: str = ""
    url: str = ""


def history_of(invoice: Any, *, payments: list[Payment], notes: list[Invoice]) -> list[Happening]:
    """From the first draft to what became of it. `payments` and credit `notes` are those of the document."""
    # A run takes the time before it writes the row, so its draft is computed an instant before it is there.
    # Who issues as of a past day, as the demo does, may have drafted it later: shown no later than its issue.
    made = [at for at in (invoice.created_at, invoice.computed_at, invoice.issued_at) if at is not None]
    drafted_at = min(made)
    computed_at = min(filter(None, (invoice.computed_at, invoice.issued_at)), default=None)
    found = [Happening(drafted_at, _("Drafted"), _maker(invoice))]
    if invoice.computed_at is not None and computed_at is not None and invoice.as_of is not None:
        billed_to = invoice.as_of.astimezone(zone_of(invoice))
        found.append(
            Happening(computed_at, _("Computed"), note=_("billed up to %s") % f"{billed_to:%Y-%m-%d %H:%M}")
        )
    if invoice.edited_by:
        found.append(Happening(_edited_at(invoice), _("Last edited"), invoice.edited_by))
    found += [
        Happening(one.approved_at, _("Approved"), one.approved_by, one.note)
        for one in InvoiceApproval.objects.filter(invoice=invoice)
    ]
    if invoice.issued_at is not None:
        found.append(Happening(invoice.issued_at, _("Issued"), invoice.issued_by))
        found += _mailing(invoice)
    found += [_paid(payment) for payment in payments]
    found += [
        Happening(
            note.issued_at,
            _("Voided by %s") % note.number
            if note.origin == Invoice.Origin.VOID
            else _("Credited by %s") % note.number,
            note.issued_by,
            note.reason,
            reverse("admin:billing_invoice_change", args=[note.pk]),
        )
        for note in notes
        if note.issued_at is not None
    ]
    # What has no time comes behind the last time that the draft was computed.
    undated_at = computed_at or drafted_at
    return sorted(found, key=lambda one: one.at or undated_at)


def _edited_at(invoice: Invoice) -> dt.datetime | None:
    """When whoever edited it last did so on these pages; None where that was elsewhere."""
    done = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Invoice),
        object_id=str(invoice.pk),
        user__username=invoice.edited_by,
        change_message__regex=f'"({"|".join(EDITED)})"',
    )
    return done.values_list("action_time", flat=True).order_by("-action_time").first()


def _maker(invoice: Invoice) -> str:
    return _("a billing run") if invoice.origin == Invoice.Origin.RUN else ""


def _mailing(invoice: Invoice) -> list[Happening]:
    dispatch = InvoiceDispatch.objects.filter(invoice=invoice).first()
    if dispatch is None or dispatch.posted_at is None:
        return []
    url = reverse("admin:metering_outgoingmail_change", args=[dispatch.mail_id]) if dispatch.mail_id else ""
    return [Happening(dispatch.posted_at, _("Mailed"), url=url)]


def _paid(payment: Payment) -> Happening:
    amount = in_words(abs(payment.amount), payment.invoice.currency)
    if payment.credit_note_id is not None:
        assert payment.credit_note is not None
        text = _("%(amount)s settled by %(number)s") % {
            "amount": amount,
            "number": payment.credit_note.number,
        }
    elif payment.reverses_id is not None:
        text = _("Payment of %s taken back") % amount
    else:
        text = _("%s paid") % amount
    return Happening(payment.recorded_at, text, payment.recorded_by, payment.reason or payment.reference)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know or to do. `links` are (url, words)."""

    text: str
    links: tuple[tuple[str, str], ...] = ()
    is_bad: bool = True


def warnings_of(invoice: Any, request: HttpRequest, *, now: dt.datetime) -> list[Notice]:
    """What somebody who opens the document should see first."""
    if invoice.is_draft:
        return [*_of_draft(invoice, request, now=now), *_of_account(invoice)]
    return list(_of_issued(invoice, now=now))


def _of_draft(invoice: Any, request: HttpRequest, *, now: dt.datetime) -> list[Notice]:
    account, found = invoice.account, []
    may_edit = request.user.has_perm("billing.change_invoice")
    if invoice.origin == Invoice.Origin.RUN and invoice.account_revision != account.revision:
        link = (_page("recompute", invoice), _("Compute it again")) if may_edit else None
        found.append(Notice(worded(DraftOutdated()), (link,) if link else ()))
    if needs_approval(invoice, account):
        found.append(_approval(invoice, request, zone=zone_of(invoice)))
    until = grace_until(invoice, account)
    if until is not None and until > now:
        days = -(-(until - now) // dt.timedelta(days=1))
        text = ngettext(
            "%(days)d day of grace is left: usage may still arrive until %(until)s.",
            "%(days)d days of grace are left: usage may still arrive until %(until)s.",
            days,
        ) % {"days": days, "until": f"{until.astimezone(zone_of(invoice)):%Y-%m-%d %H:%M}"}
        found.append(Notice(text, is_bad=False))
    if not seller().legal_name:
        found.append(
            Notice(worded(SellerUnknown()), ((reverse("admin:billing_seller_changelist"), _("Seller")),))
        )
    return found


def _approval(invoice: Any, request: HttpRequest, *, zone: ZoneInfo) -> Notice:
    approval = approval_of(invoice)
    limit = in_words(invoice.account.approval_above, invoice.currency)
    if approval is not None:
        words = {"who": approval.approved_by, "at": f"{approval.approved_at.astimezone(zone):%Y-%m-%d %H:%M}"}
        return Notice(_("Approved as it is now by %(who)s, %(at)s.") % words, is_bad=False)
    if invoice.is_credit_note:
        text = _("It needs approval by a second person: a credit note of more than %s.") % limit
    else:
        text = (
            _("It needs approval by a second person: what was added by hand comes to more than %s.") % limit
        )
    may_approve = request.user.has_perm("billing.approve_invoice")
    return Notice(text, ((_page("approve", invoice), _("Approve")),) if may_approve else ())


def _of_account(invoice: Any) -> list[Notice]:
    found = []
    parked = ParkedAccount.objects.filter(account=invoice.account_id).first()
    if parked is not None:
        found.append(Notice(_("The last billing run couldn't bill this account: %s") % parked.reason))
    waiting = PeriodCorrection.objects.filter(
        account=invoice.account_id, state=PeriodCorrection.State.WAITING
    ).count()
    if waiting:
        text = ngettext(
            "%d correction of an invoiced period waits for approval and isn't on it.",
            "%d corrections of invoiced periods wait for approval and aren't on it.",
            waiting,
        )
        found.append(Notice(text % waiting, is_bad=False))
    if not invoice.account.invoice_emails:
        link = (reverse("admin:billing_billingaccount_change", args=[invoice.account_id]), _("Account"))
        found.append(
            Notice(_("The account has no e-mail address: it won't be mailed."), (link,), is_bad=False)
        )
    return found


def _of_issued(invoice: Any, *, now: dt.datetime) -> list[Notice]:
    found = []
    is_owing = not invoice.is_credit_note and not invoice.is_void and invoice.open_amount > 0
    today = now.astimezone(zone_of(invoice)).date()
    if is_owing and invoice.due_on < today:
        words = {
            "amount": in_words(invoice.open_amount, invoice.currency),
            "late": lateness(invoice.due_on, on=today),
        }
        found.append(Notice(_("%(amount)s are open, %(late)s.") % words))
    dispatch = InvoiceDispatch.objects.filter(invoice=invoice).first()
    if dispatch is not None and dispatch.state == InvoiceDispatch.State.FAILED:
        found.append(Notice(_("It couldn't be mailed: %s") % dispatch.last_error))
    if dispatch is not None and dispatch.state == InvoiceDispatch.State.NO_ADDRESS:
        found.append(Notice(_("It was not mailed: the account had no e-mail address."), is_bad=False))
    return found


def _page(name: str, invoice: Invoice) -> str:
    return reverse(f"admin:billing_invoice_{name}", args=[invoice.pk])
