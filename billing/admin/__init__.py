"""Pages for money, one file per noun."""

from . import account, invoice, number_series, plan, seller, subscription

__all__ = ["account", "invoice", "number_series", "plan", "seller", "subscription"]
