"""How a document stands: one word, which follows from its payments and credit notes and from the day.

Questions only. The words exclude each other and every document has one.
"""

import datetime as dt
from typing import Any

from django.db.models import Q, TextChoices
from django.utils.translation import gettext_lazy as _

from billing.models import Invoice
from billing.models.invoice import InvoiceQuerySet


class Status(TextChoices):
    """Credit notes are drafts or issued; the rest is of invoices. Overdue comes before partly paid."""

    DRAFT = "draft", _("Draft")
    ISSUED = "issued", _("Issued")
    PARTLY_PAID = "partly_paid", _("Partly paid")
    PAID = "paid", _("Paid")
    OVERDUE = "overdue", _("Overdue")
    VOID = "void", _("Void")


def status_of(invoice: Invoice, *, on: dt.date) -> Status:
    """How the document stands on a day. Needs it loaded by `with_open_amount`.

    An invoice is overdue from the day after its due day on. One on which nothing is owed, because credit or
    credit notes settled it or it came to nothing, is paid.
    """
    loaded: Any = invoice
    if invoice.is_draft:
        return Status.DRAFT
    if invoice.is_credit_note:
        return Status.ISSUED
    if loaded.is_void:
        return Status.VOID
    if loaded.open_amount <= 0:
        return Status.PAID
    if invoice.due_on is not None and invoice.due_on < on:
        return Status.OVERDUE
    return Status.PARTLY_PAID if loaded.paid_amount > 0 else Status.ISSUED


def with_status(queryset: InvoiceQuerySet, status: Status, *, on: dt.date) -> InvoiceQuerySet:
    """Those of a set that stand so on a day, loaded by `with_open_amount`."""
    return queryset.with_open_amount().filter(_condition(Status(status), on))


def _condition(status: Status, on: dt.date) -> Q:
    issued = Q(issued_at__isnull=False)
    standing = issued & Q(kind=Invoice.Kind.INVOICE, is_void=False)
    owing = standing & Q(open_amount__gt=0)
    on_time = owing & (Q(due_on__gte=on) | Q(due_on=None))
    conditions = {
        Status.DRAFT: Q(issued_at=None),
        Status.ISSUED: (issued & Q(kind=Invoice.Kind.CREDIT_NOTE)) | (on_time & Q(paid_amount__lte=0)),
        Status.PARTLY_PAID: on_time & Q(paid_amount__gt=0),
        Status.PAID: standing & Q(open_amount__lte=0),
        Status.OVERDUE: owing & Q(due_on__lt=on),
        Status.VOID: issued & Q(kind=Invoice.Kind.INVOICE, is_void=True),
    }
    return conditions[status]
