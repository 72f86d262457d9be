"""From ids in a request to documents, credit and corrections that the caller may see; the rest is 404."""

from typing import TypeVar

from django.db.models import Model, Prefetch, QuerySet
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from billing.models import (
    BillingAccount,
    BillingRun,
    CreditEntry,
    CreditGrant,
    Invoice,
    InvoiceDiscount,
    InvoiceLine,
    Payment,
    PeriodCorrection,
)
from billing.models.invoice import InvoiceQuerySet
from billing.settling.credits import with_balance
from metering.api.parsing import Query
from metering.api.visibility import principal_of_request, visible_project
from metering.errors import NotFound
from metering.principal import Principal

from .visible import MAX_ID, ensure_bills, visible_account

ACTOR_LENGTH = 120

Row = TypeVar("Row", bound=Model)


def actor_of(principal: Principal) -> str:
    """Who did it, as rows keep it: a key by its name and by the part of it that may be shown."""
    if principal.key_id is None:
        return principal.name
    return f"{principal.name[:ACTOR_LENGTH]} (mbk_{principal.key_id}…)"


def visible_documents(principal: Principal) -> InvoiceQuerySet:
    """Invoices and credit notes, drafts too, of accounts that the caller sees."""
    documents = Invoice.objects.with_open_amount().select_related("account__project", "credits")
    if principal.project_path is not None:
        documents = documents.filter(account__project__path__startswith=principal.project_path)
    return documents


def visible_document(request: Request, document_id: int, *, kind: str | None = None) -> Invoice:
    """One of them with all that is on it; of any kind unless told otherwise. Raises `NotFound`."""
    documents = visible_documents(principal_of_request(request)).prefetch_related(
        Prefetch("lines", InvoiceLine.objects.order_by("position")),
        Prefetch("discounts", InvoiceDiscount.objects.order_by("position")),
        Prefetch("payments", Payment.objects.select_related("credit_note").order_by("id")),
        Prefetch("credit_entries", CreditEntry.objects.select_related("grant").order_by("id")),
        "approvals",
        "credit_notes",
    )
    if kind is not None:
        documents = documents.filter(kind=kind)
    what = "credit note" if kind == Invoice.Kind.CREDIT_NOTE else "invoice"
    document = _one(documents, document_id, what)
    _ensure_may_change(request, document.account)
    return document


def visible_payment(invoice: Invoice, payment_id: int) -> Payment:
    """A payment of an invoice that the caller sees. Raises `NotFound`."""
    return _one(invoice.payments.select_related("invoice__account"), payment_id, "payment on this invoice")


def visible_grants(principal: Principal) -> QuerySet[CreditGrant]:
    """Credit grants with their `balance`."""
    grants = with_balance(CreditGrant.objects.select_related("account__project", "credit_note"))
    if principal.project_path is not None:
        grants = grants.filter(account__project__path__startswith=principal.project_path)
    return grants


def visible_grant(request: Request, grant_id: int) -> CreditGrant:
    grant = _one(visible_grants(principal_of_request(request)), grant_id, "credit grant")
    _ensure_may_change(request, grant.account)
    return grant


def visible_corrections(principal: Principal) -> QuerySet[PeriodCorrection]:
    """Corrections of invoiced periods."""
    corrections = PeriodCorrection.objects.select_related(
        "account__project", "invoice", "billed_period__price__metric"
    )
    if principal.project_path is not None:
        corrections = corrections.filter(account__project__path__startswith=principal.project_path)
    return corrections


def visible_correction(request: Request, correction_id: int) -> PeriodCorrection:
    correction = _one(
        visible_corrections(principal_of_request(request)), correction_id, "correction of a period"
    )
    _ensure_may_change(request, correction.account)
    return correction


def visible_runs(principal: Principal) -> QuerySet[BillingRun]:
    """All for staff; a key sees those that it asked for, for a run counts accounts of everybody."""
    runs = BillingRun.objects.prefetch_related("parked_accounts")
    return runs if principal.project_path is None else runs.filter(requested_by=actor_of(principal))


def narrowed(rows: QuerySet[Row], query: Query, principal: Principal) -> QuerySet[Row]:
    """Those of the account or the project that the query names. Raises `NotFound` for one unseen."""
    account_id, project_key = query.row_id("account"), query.text("project")
    if account_id is not None:
        rows = rows.filter(account=visible_account(principal, account_id))
    if project_key is not None:
        rows = rows.filter(account__project=visible_project(principal, project_key))
    return rows


def _ensure_may_change(request: Request, account: BillingAccount) -> None:
    if request.method not in SAFE_METHODS:
        ensure_bills(principal_of_request(request), account)


def _one(rows: QuerySet[Row], row_id: int, what: str) -> Row:
    found = rows.filter(pk=row_id).first() if row_id <= MAX_ID else None
    if found is None:
        raise NotFound(f"There is no {what} {row_id}.")
    return found
