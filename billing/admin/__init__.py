"""Pages for money, one file per noun."""

from . import account, plan, subscription

__all__ = ["account", "plan", "subscription"]
