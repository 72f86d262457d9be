"""Pages for money, one file per noun."""

from . import (
    account,
    billing_run,
    credit_entry,
    credit_grant,
    explain,
    invoice,
    number_series,
    parked_account,
    period_correction,
    plan,
    seller,
    subscription,
)

__all__ = [
    "account",
    "billing_run",
    "credit_entry",
    "credit_grant",
    "explain",
    "invoice",
    "number_series",
    "parked_account",
    "period_correction",
    "plan",
    "seller",
    "subscription",
]
