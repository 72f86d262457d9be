"""Pages for money, one file per noun."""

from . import account, billing_run, credit, parked_account, period_correction, plan, subscription

__all__ = ["account", "billing_run", "credit", "parked_account", "period_correction", "plan", "subscription"]
