"""Re-exports; other apps import from here."""

from .account import BillingAccount
from .billed import BilledPeriod, BillingRun, LateUsageWatch, ParkedAccount, PeriodCorrection
from .history import (
    AccountChange,
    PlanChange,
    PriceChange,
    SellerChange,
    SeriesChange,
    SubscriptionChange,
)
from .invoice import (
    MAX_DISCOUNTS,
    MAX_MANUAL_LINES,
    Invoice,
    InvoiceApproval,
    InvoiceDiscount,
    InvoiceDispatch,
    InvoiceLine,
)
from .payment import CreditEntry, CreditGrant, Payment
from .plan import MAX_INTERVAL_COUNT, MAX_PRICES, Plan, Price
from .series import NumberSeries, Seller
from .subscription import BillingCycle, Subscription, SubscriptionItem

__all__ = [
    "MAX_DISCOUNTS",
    "MAX_INTERVAL_COUNT",
    "MAX_MANUAL_LINES",
    "MAX_PRICES",
    "AccountChange",
    "BilledPeriod",
    "BillingAccount",
    "BillingCycle",
    "BillingRun",
    "CreditEntry",
    "CreditGrant",
    "Invoice",
    "InvoiceApproval",
    "InvoiceDiscount",
    "InvoiceDispatch",
    "InvoiceLine",
    "LateUsageWatch",
    "NumberSeries",
    "ParkedAccount",
    "Payment",
    "PeriodCorrection",
    "Plan",
    "PlanChange",
    "Price",
    "PriceChange",
    "Seller",
    "SellerChange",
    "SeriesChange",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionItem",
]
