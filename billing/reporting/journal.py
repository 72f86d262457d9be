"""The journal for the bookkeeping: documents, payments, credit and write-offs as balanced postings.

Each entry is dated by its day on the customer's clocks (payments: the day they were received), and rows come
in that order. A payment that is recorded later for an earlier day belongs to that day; `recorded_at` tells.
What was paid beyond an invoice is in the entry of its payment, so that the bank has the sum of its statement.
"""

import datetime as dt
import heapq
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import (
    DateField,
    DateTimeField,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextField,
)
from django.db.models import Value as Constant
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.models import CreditEntry, CreditGrant, Invoice, Payment, PeriodCorrection, Price
from billing.models.amount import AmountField
from billing.settling.payments import CREDIT_KEY, WITHDRAWAL_KEY
from metering.answering.answers import one_snapshot
from metering.exporting.export_kinds import Asked, Column, ExportKind, Filter, Shape
from metering.texts.csv_blocks import Block, Value, csv_blocks

from .asked_documents import ACCOUNT, CURRENCY, RIGHT, ensure_accounts, money
from .ledger_accounts import code_of, codes_in_force
from .postings import (
    REVENUES,
    Posting,
    balanced,
    credit_postings,
    document_postings,
    line_kinds_of,
    payment_postings,
    write_off_postings,
)

COLUMNS = (
    Column("entry", _("What was posted, such as document:12. Rows of one entry balance.")),
    Column("booked_on", _("Day of the entry.")),
    Column("source", _("document, payment, credit or write_off.")),
    Column("document", _("Number of the invoice or credit note that it is about.")),
    Column("account", _("Number of the billing account.")),
    Column("project", _("Key of the paying project.")),
    Column("customer", _("Legal name of the billing account, as it is now.")),
    Column("ledger_account", _("What the posting is, such as receivables.")),
    Column("account_code", _("Its code, as JOURNAL_ACCOUNTS says.")),
    Column("detail", _("Of taxes their name and percentage, of payments the method.")),
    Column("debit", _("Amount on the debit side, or zero.")),
    Column("credit", _("Amount on the credit side, or zero.")),
    Column("currency", _("Of both.")),
    Column("text", _("What happened, in a word, and the reference or reason given.")),
    Column("recorded_at", _("When it was recorded here, UTC.")),
)
_SOURCES = ("document", "payment", "credit", "write_off")


def _key(prefix: str, pk: Any) -> Concat:
    """As `settling.payments` writes it."""
    return Concat(Constant(prefix), Cast(pk, TextField()), output_field=TextField())


# Of a payment: the credit that it left, and of its taking back the credit that went with it.
_LEFT = (
    CreditGrant.objects.filter(
        account=OuterRef("invoice__account"),
        key=_key(CREDIT_KEY, OuterRef("pk")),
    )
    .order_by()
    .values("amount")
)
_WITHDRAWN = (
    CreditEntry.objects.annotate(link=_key(WITHDRAWAL_KEY, "pk"))
    .filter(account=OuterRef("invoice__account"), link=OuterRef("key"), kind=CreditEntry.Kind.WITHDRAWN)
    .order_by()
    .values("amount")
)
_TAKEN_BACK_WITH = Payment.objects.filter(
    invoice__account=OuterRef("account"),
    key=_key(WITHDRAWAL_KEY, OuterRef("pk")),
    reverses__isnull=False,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is posted at once."""

    source: str
    id: int
    booked_on: dt.date
    recorded_at: dt.datetime
    document: str | None
    account: Any
    currency: str
    text: str
    postings: list[Posting]

    @property
    def name(self) -> str:
        return f"{self.source}:{self.id}"


def entries(asked: Asked) -> Iterator[Entry]:
    """All that was posted, by day; within a day documents first, then payments, credit, write-offs.

    Raises `EntryUnbalanced`. Read in flat memory; within `one_snapshot`, of one.
    """
    streams = [
        map(entry_of, rows_of(asked).iterator(chunk_size=500))
        for source, (rows_of, entry_of) in _STREAMS.items()
        if asked["kind"] in {None, source}
    ]
    return heapq.merge(*streams, key=lambda entry: (entry.booked_on, _SOURCES.index(entry.source), entry.id))


def _documents(asked: Asked) -> QuerySet[Invoice]:
    sums = {
        account: Coalesce(Sum("lines__amount", filter=Q(lines__kind__in=line_kinds_of(account))), Decimal(0))
        for account in REVENUES
    }
    documents = Invoice.objects.issued().annotate(booked_on=F("issued_on"), **sums)
    documents = documents.only(
        *("number", "kind", "currency", "issued_at", "total", "discount_total", "taxes"),
        *("account__legal_name", "account__project__key"),
    )
    return _within(_asked(documents, asked, "account", "currency"), asked)


def _document(document: Any) -> Entry:
    return Entry(
        source="document",
        id=document.pk,
        booked_on=document.booked_on,
        recorded_at=document.issued_at,
        document=document.number,
        account=document.account,
        currency=document.currency,
        text=document.kind,
        postings=document_postings(
            total=document.total,
            revenues={account: getattr(document, account) for account in REVENUES},
            discount_total=document.discount_total,
            taxes=[(f"{tax['name']} {tax['percent']}", Decimal(tax["amount"])) for tax in document.taxes],
        ),
    )


def _payments(asked: Asked) -> QuerySet[Payment]:
    received = Payment.objects.exclude(method=Payment.Method.CREDIT_NOTE).annotate(
        booked_on=F("received_on"),
        to_credit=Coalesce(Subquery(_LEFT), Subquery(_WITHDRAWN), Decimal(0), output_field=AmountField()),
    )
    received = received.only(
        *("amount", "method", "reference", "reason", "reverses", "recorded_at"),
        *("invoice__number", "invoice__currency"),
        *("invoice__account__legal_name", "invoice__account__project__key"),
    )
    return _within(_asked(received, asked, "invoice__account", "invoice__currency"), asked)


def _payment(payment: Any) -> Entry:
    kind = "payment" if payment.reverses_id is None else "payment taken back"
    return Entry(
        source="payment",
        id=payment.pk,
        booked_on=payment.booked_on,
        recorded_at=payment.recorded_at,
        document=payment.invoice.number,
        account=payment.invoice.account,
        currency=payment.invoice.currency,
        text=_said(kind, "; ".join(filter(None, [payment.reference, payment.reason]))),
        postings=payment_postings(payment.amount, method=payment.method, to_credit=payment.to_credit),
    )


def _credits(asked: Asked) -> QuerySet[CreditEntry]:
    """All but what payments left and took back, which are in their entries."""
    came = Q(kind=CreditEntry.Kind.GRANTED, grant__key__startswith=CREDIT_KEY)
    went = Q(kind=CreditEntry.Kind.WITHDRAWN, grant__key__startswith=CREDIT_KEY) & Exists(_TAKEN_BACK_WITH)
    moved = CreditEntry.objects.select_related("grant__credit_note", "invoice").exclude(came | went)
    moved = moved.annotate(booked_on=_local_day(F("entered_at"))).only(
        *("kind", "amount", "reason", "entered_at", "invoice__number", "grant__credit_note__number"),
        *("grant__kind", "grant__name", "grant__currency"),
        *("account__legal_name", "account__project__key"),
    )
    return _within(_asked(moved, asked, "account", "grant__currency"), asked)


def _credit(moved: Any) -> Entry:
    grant = moved.grant
    document = moved.invoice or grant.credit_note
    return Entry(
        source="credit",
        id=moved.pk,
        booked_on=moved.booked_on,
        recorded_at=moved.entered_at,
        document=document.number if document is not None else None,
        account=moved.account,
        currency=grant.currency,
        text=_said(f"{grant.kind} credit {moved.kind}", moved.reason or grant.name),
        postings=credit_postings(moved.amount, movement=moved.kind, grant_kind=grant.kind),
    )


def _write_offs(asked: Asked) -> QuerySet[PeriodCorrection]:
    decided = PeriodCorrection.objects.filter(state=PeriodCorrection.State.WRITTEN_OFF)
    decided = decided.select_related("billed_period__price", "invoice")
    decided = decided.annotate(booked_on=_local_day(Coalesce("decided_at", "found_at")))
    return _within(_asked(decided, asked, "account", "account__currency"), asked)


def _write_off(correction: Any) -> Entry:
    is_fee = correction.billed_period.price.kind == Price.Kind.FIXED
    return Entry(
        source="write_off",
        id=correction.pk,
        booked_on=correction.booked_on,
        recorded_at=correction.decided_at or correction.found_at,
        document=correction.invoice.number if correction.invoice is not None else None,
        account=correction.account,
        currency=correction.account.currency,
        text=_said("write-off", correction.reason),
        postings=write_off_postings(correction.difference, line_kind="fee" if is_fee else "usage"),
    )


_STREAMS: dict[str, tuple[Callable[[Asked], QuerySet[Any]], Callable[[Any], Entry]]] = {
    "document": (_documents, _document),
    "payment": (_payments, _payment),
    "credit": (_credits, _credit),
    "write_off": (_write_offs, _write_off),
}


def _asked(rows: QuerySet[Any], asked: Asked, account: str, currency: str) -> QuerySet[Any]:
    """Rows of the accounts and the currency asked for; `account` and `currency` are paths to them."""
    rows = rows.select_related(f"{account}__project")
    if asked.project_path is not None:
        rows = rows.filter(**{f"{account}__project__path__startswith": asked.project_path})
    if asked["account"] is not None:
        rows = rows.filter(**{account: asked["account"]})
    if asked["currency"] is not None:
        rows = rows.filter(**{currency: asked["currency"].upper()})
    return rows


def _within(rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
    if asked["from"] is not None:
        rows = rows.filter(booked_on__gte=asked["from"])
    if asked["until"] is not None:
        rows = rows.filter(booked_on__lt=asked["until"])
    return rows.order_by("booked_on", "id")


def _local_day(instant: Any) -> Cast:
    """The day of an instant on the account's clocks."""
    local = Func(F("account__timezone"), instant, function="timezone", output_field=DateTimeField())
    return Cast(local, DateField())


def _said(kind: str, more: str) -> str:
    return f"{kind}: {more}" if more else kind


def _blocks(asked: Asked) -> Generator[Block, None, None]:
    with one_snapshot():
        yield from csv_blocks([column.name for column in COLUMNS], _rows(asked))


def _rows(asked: Asked) -> Iterator[tuple[Value, ...]]:
    codes = codes_in_force()
    for entry in entries(asked):
        for posting in balanced(entry.document or entry.name, entry.postings):
            yield (
                entry.name,
                entry.booked_on,
                entry.source,
                entry.document,
                entry.account.pk,
                entry.account.project.key,
                entry.account.legal_name,
                posting.account,
                code_of(posting.account, posting.detail, codes=codes),
                posting.detail,
                money(posting.debit, entry.currency),
                money(posting.credit, entry.currency),
                entry.currency,
                entry.text,
                entry.recorded_at,
            )


JOURNAL = ExportKind(
    name="journal",
    title=_("Journal"),
    description=_(
        "Documents, payments, credit and write-offs as double entry, for the bookkeeping. Account codes are "
        "those of JOURNAL_ACCOUNTS."
    ),
    right=RIGHT,
    columns=COLUMNS,
    filters=[
        Filter("from", _("From"), Shape.DAY, help_text=_("The first day of posting.")),
        Filter("until", _("Until"), Shape.DAY, help_text=_("Up to this day of posting, it not included.")),
        ACCOUNT,
        CURRENCY,
        Filter(
            "kind",
            _("Kind"),
            Shape.CHOICE,
            choices=[
                ("document", _("Invoices and credit notes")),
                ("payment", _("Payments")),
                ("credit", pgettext_lazy("balance", "Credit")),
                ("write_off", _("Write-offs")),
            ],
        ),
    ],
    blocks=_blocks,
    ensure=ensure_accounts,
    expected_count=lambda asked: None,
)
