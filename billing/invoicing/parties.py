"""Who a document is from and to, as it shows them. What is issued keeps its copy."""

from typing import Any

from billing.models import BillingAccount, Seller

SELLER_MEMBERS = (
    "legal_name",
    "address_lines",
    "country",
    "tax_id",
    "email",
    "payment_details",
    "footer",
)


def seller_copy(seller: Seller) -> dict[str, Any]:
    """The seller as documents show it."""
    return {name: getattr(seller, name) for name in SELLER_MEMBERS}


def customer_copy(account: BillingAccount) -> dict[str, Any]:
    """The customer as documents show it. Needs its project loaded."""
    return {
        "legal_name": account.legal_name,
        "address_lines": list(account.address_lines),
        "country": account.country,
        "tax_id": account.tax_id,
        "timezone": account.timezone,
        "payment_terms_days": account.payment_terms_days,
        "project_key": account.project.key,
        "project_name": account.project.name,
    }
