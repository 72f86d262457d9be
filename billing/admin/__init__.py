"""Pages for money, one file per noun."""

from . import account, explain, plan, subscription

__all__ = ["account", "explain", "plan", "subscription"]
