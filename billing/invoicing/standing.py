"""How a document stands: one word, which follows from its payments and credit notes and from the day.

Questions only. The words exclude each other and every document has one.
"""

import datetime as dt
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.db.models import (
    Case,
    DateField,
    F,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextChoices,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, NullIf
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.models import Invoice, Payment
from billing.models.amount import AmountField
from billing.models.invoice import InvoiceQuerySet


class Status(TextChoices):
    """Credit notes are drafts or issued; the rest is of invoices. Overdue comes before partly paid."""

    DRAFT = "draft", _("Draft")
    ISSUED = "issued", _("Issued")
    PARTLY_PAID = "partly_paid", _("Partly paid")
    PAID = "paid", _("Paid")
    OVERDUE = "overdue", _("Overdue")
    VOID = "void", pgettext_lazy("state of an invoice", "Void")


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


def with_status_now(queryset: InvoiceQuerySet, status: Status, *, at: dt.datetime) -> InvoiceQuerySet:
    """Those of a set that stand so at an instant, each on the day that it is on its customer's clocks.

    Days are looked up by the names of zones, for the database's own list of zones may lack a new one.
    """
    names: dict[dt.date, list[str]] = {}
    for zone in _zones():
        names.setdefault(at.astimezone(zone).date(), []).append(zone.key)
    issued_for = NullIf(KeyTextTransform("timezone", "customer"), Value(""), output_field=TextField())
    zone_name = Coalesce(issued_for, F("account__timezone"), output_field=TextField())
    days = (When(own_zone__in=found, then=Value(day)) for day, found in names.items())
    own_day = Case(*days, default=Value(at.astimezone(dt.UTC).date()), output_field=DateField())
    return with_status(queryset.alias(own_zone=zone_name).alias(own_day=own_day), status, on=F("own_day"))


@cache
def _zones() -> tuple[ZoneInfo, ...]:
    return tuple(ZoneInfo(name) for name in sorted(available_timezones()))


def with_status(queryset: InvoiceQuerySet, status: Status, *, on: dt.date | F) -> InvoiceQuerySet:
    """Those of a set that stand so on a day, loaded by `with_open_amount`. `on` may be a column."""
    return queryset.with_open_amount().filter(_condition(Status(status), on))


def _condition(status: Status, on: dt.date | F) -> Q:
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


def credited_amount() -> Coalesce:
    """What credit notes settled of each invoice, as an annotation. Index: payment_by_invoice."""
    by_notes = Payment.objects.filter(invoice=OuterRef("pk"), method=Payment.Method.CREDIT_NOTE).order_by()
    credited = by_notes.values("invoice").annotate(total=Sum("amount")).values("total")
    return Coalesce(Subquery(credited), Decimal(0), output_field=AmountField())
