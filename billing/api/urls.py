"""The routes of billing, below /api/v1/."""

from django.urls import path

from . import accounts, plans, subscriptions
from .pricing_preview import PricingPreviewView
from .running import BillingAccountRunningView
from .what_if import WhatIfView

urlpatterns = [
    path("pricing/preview/", PricingPreviewView.as_view(), name="pricing-preview"),
    path("pricing/what-if/", WhatIfView.as_view(), name="pricing-what-if"),
    path("plans/", plans.PlansView.as_view(), name="plans"),
    path("plans/<str:key>/", plans.PlanView.as_view(), name="plan"),
    path("plans/<str:key>/publish/", plans.PlanPublishView.as_view(), name="plan-publish"),
    path("plans/<str:key>/archive/", plans.PlanArchiveView.as_view(), name="plan-archive"),
    path("plans/<str:key>/clone/", plans.PlanCloneView.as_view(), name="plan-clone"),
    path("billing-accounts/", accounts.BillingAccountsView.as_view(), name="billing-accounts"),
    path("billing-accounts/<int:account_id>/", accounts.BillingAccountView.as_view(), name="billing-account"),
    path(
        "billing-accounts/<int:account_id>/running/",
        BillingAccountRunningView.as_view(),
        name="billing-account-running",
    ),
    path("subscriptions/", subscriptions.SubscriptionsView.as_view(), name="subscriptions"),
    path(
        "subscriptions/<int:subscription_id>/", subscriptions.SubscriptionView.as_view(), name="subscription"
    ),
    *(
        path(
            f"subscriptions/<int:subscription_id>/{route}/",
            view.as_view(),
            name=f"subscription-{route.replace('/', '-')}",
        )
        for route, view in (
            ("periods", subscriptions.SubscriptionPeriodsView),
            ("change-plan", subscriptions.SubscriptionChangePlanView),
            ("change-plan/preview", subscriptions.SubscriptionChangePlanPreviewView),
            ("withdraw-change", subscriptions.SubscriptionWithdrawChangeView),
            ("cancel", subscriptions.SubscriptionCancelView),
            ("cancel/preview", subscriptions.SubscriptionCancelPreviewView),
            ("withdraw-cancellation", subscriptions.SubscriptionWithdrawCancellationView),
        )
    ),
]
