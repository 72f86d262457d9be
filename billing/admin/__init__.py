"""Pages for money, one file per noun."""

from . import account, explain, invoice, number_series, plan, seller, subscription

__all__ = ["account", "explain", "invoice", "number_series", "plan", "seller", "subscription"]
