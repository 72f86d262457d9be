"""Re-exports; other apps import from here."""

from .account import BillingAccount
from .plan import MAX_INTERVAL_COUNT, MAX_PRICES, Plan, Price
from .subscription import BillingCycle, Subscription, SubscriptionItem

__all__ = [
    "MAX_INTERVAL_COUNT",
    "MAX_PRICES",
    "BillingAccount",
    "BillingCycle",
    "Plan",
    "Price",
    "Subscription",
    "SubscriptionItem",
]
