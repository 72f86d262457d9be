"""What tests of documents share: a customer with a rich invoice, and the texts of a PDF."""

import re
from decimal import Decimal
from typing import Any

from billing.documents.document_view import DocumentView
from billing.documents.pdf import pdf_from
from billing.invoicing.draft_edits import ManualLine, add_discount, add_line, set_notes
from billing.models import BillingAccount, CreditGrant, Invoice
from billing.settling.credits import grant_credit
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

VAT = {"name": "VAT", "percent": "19"}
LEVY = {"name": "City levy", "percent": "2.5"}
THREE_TIERS = {
    "model": "graduated",
    "tiers": [
        {"up_to": "1000", "unit_amount": "0.10"},
        {"up_to": "10000", "unit_amount": "0.08"},
        {"up_to": None, "unit_amount": "0.0525", "flat_amount": "5"},
    ],
}
_SHOWN = re.compile(rb"\(((?:\\.|[^\\()])*)\) Tj", re.DOTALL)


def a_customer(**overrides: Any) -> BillingAccount:
    fields = {
        "legal_name": "Acme Chat GmbH",
        "address_lines": ["12 Harbour Road", "8001 Zürich"],
        "country": "CH",
        "tax_id": "CHE-123.456.789",
        "tax_rates": [VAT],
        "invoice_emails": ["books@acme.example"],
        **overrides,
    }
    return an_account(a_project("acme", name="Acme Chat"), **fields)


def a_simple_invoice(**overrides: Any) -> Invoice:
    """March at 0.10 a token and April's fee."""
    account = a_customer(**overrides)
    a_seller(email="billing@meterbook.example", payment_details="IBAN DE89 3704", footer="HRB 12345")
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    currency = account.currency
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens), name="Team", currency=currency))
    used(account.project, "123400", "23.5")
    billed("2026-04-01T00:00:00Z")
    return issued(account, "2026-04-01T01:00:00Z")


def a_rich_draft() -> Invoice:
    """Three tiers, a correction of March, a discount, a line by hand, two taxes, credit."""
    account = a_customer(tax_rates=[VAT, LEVY])
    a_seller()
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    a_subscription(account, a_plan(a_fee("490"), a_usage_price(tokens, THREE_TIERS), name="Business"))
    used(account.project, "12345.5")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(account.project, "800", on="2026-03-20T12:00:00Z")
    used(account.project, "23456", on="2026-04-10T12:00:00Z")
    grant_credit(
        account,
        amount=Decimal(250),
        kind=CreditGrant.Kind.PROMOTIONAL,
        name="Welcome",
        granted_by="ada",
        now=at("2026-04-10T00:00:00Z"),
    )
    billed("2026-05-02T00:00:00Z")
    draft = draft_of(account)
    add_discount(draft, name="Loyalty", percent=Decimal(10), reason="A year with us.", added_by="ada")
    add_line(draft, ManualLine("Workshop", quantity=Decimal(3), unit_amount=Decimal(150)), added_by="ada")
    set_notes(draft, "Thank you.\nSee you in June.", edited_by="")
    return draft_of(account)


def texts_of(view: DocumentView) -> list[str]:
    """What the PDF shows, run by run, letters beyond ASCII left out."""
    return texts_in(pdf_from(view, is_compressed=False))


def texts_in(content: bytes) -> list[str]:
    found = []
    for text in _SHOWN.findall(content):
        plain = re.sub(rb"\\[0-7]{3}", b"", text).replace(b"\\(", b"(").replace(b"\\)", b")")
        found.append(plain.decode("ascii", "ignore").strip())
    return found
