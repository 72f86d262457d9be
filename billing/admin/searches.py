"""What of billing is found by search everywhere: customers, documents, payments, plans."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from billing.models import BillingAccount, Invoice, Payment, Plan
from metering.admin.searching import Asked, Hit, RowSearch, Search

from .billing_links import document_url
from .document_numbers import named_by_number
from .document_words import in_words, kind_in_words, title_of


def _customer(account: BillingAccount) -> str:
    return " · ".join(filter(None, [account.project.key, account.tax_id, *account.invoice_emails]))


def _document(invoice: Invoice) -> str:
    customer = invoice.customer.get("legal_name") or invoice.account.legal_name
    return f"{kind_in_words(invoice)} · {customer} · {in_words(invoice.total, invoice.currency)}"


def _plan(plan: Plan) -> str:
    owner = [plan.project.key] if plan.project else []
    return " · ".join([str(plan), str(plan.get_state_display()), *owner])


CUSTOMERS = RowSearch(
    model="billing.BillingAccount",
    kind=_("customers"),
    icon="business",
    by=_("legal name, project, tax id or e-mail"),
    example="Acme GmbH",
    row_title=lambda account: account.legal_name,
    row_detail=_customer,
    exact=lambda text: Q(legal_name__iexact=text) | Q(project__key=text.lower()) | Q(tax_id=text),
    ordering=("legal_name", "id"),
    related=("project",),
)
DOCUMENTS = RowSearch(
    model="billing.Invoice",
    kind=_("invoices and credit notes"),
    icon="request_quote",
    by=_("number or its beginning; a draft by its id"),
    example="INV-000042",
    row_title=title_of,
    row_detail=_document,
    matching=named_by_number,
    exact=lambda text: Q(number__in={text, text.upper(), text.lower()}),
    ordering=("-id",),
    related=("account",),
)
PLANS = RowSearch(
    model="billing.Plan",
    icon="sell",
    by=_("key or name"),
    example="professional",
    row_title=lambda plan: plan.name,
    row_detail=_plan,
    exact=lambda text: Q(key=text.lower()),
    ordering=("key", "-version", "id"),
    related=("project",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSearch(Search):
    """Payments by any part of their reference; each leads to the page of its invoice, which lists it."""

    def look(self, request: HttpRequest, asked: Asked) -> Sequence[Hit]:
        named = Payment.objects.filter(reference__icontains=asked.text).select_related("invoice")
        return [self._hit(payment, asked) for payment in named.order_by("-id")[: asked.most + 1]]

    def all_url(self, asked: Asked) -> str:
        return ""

    def _hit(self, payment: Payment, asked: Asked) -> Hit:
        invoice = payment.invoice
        amount = in_words(payment.amount, invoice.currency)
        return Hit(
            title=payment.reference,
            url=document_url(invoice),
            detail=f"{amount} · {title_of(invoice)} · {payment.received_on}",
            is_exact=payment.reference.casefold() == asked.text.casefold(),
        )


PAYMENTS = PaymentSearch(
    model="billing.Invoice",
    kind=_("payments"),
    icon="payments",
    by=_("reference on the bank statement"),
    example="E2E-2031",
)
