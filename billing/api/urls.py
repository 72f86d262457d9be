"""The routes of billing, below /api/v1/."""

from django.urls import path

from . import (
    accounts,
    credits,
    explain,
    invoice_edits,
    invoice_files,
    invoice_verbs,
    invoices,
    period_corrections,
    plans,
    runs,
    subscriptions,
)
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
    path("invoices/<int:invoice_id>/pdf/", invoice_files.InvoicePdfView.as_view(), name="invoice-pdf"),
    path("invoices/<int:invoice_id>/csv/", invoice_files.InvoiceCsvView.as_view(), name="invoice-csv"),
    path(
        "invoices/<int:invoice_id>/lines/<int:line_id>/explain/",
        explain.LineExplainView.as_view(),
        name="invoice-line-explain",
    ),
    path(
        "invoices/<int:invoice_id>/lines/<int:line_id>/explain/events/",
        explain.LineEventsView.as_view(),
        name="invoice-line-events",
    ),
    path(
        "billing-accounts/<int:account_id>/credit/",
        credits.AccountCreditView.as_view(),
        name="billing-account-credit",
    ),
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
    path("invoices/", invoices.InvoicesView.as_view(), name="invoices"),
    path("invoices/<int:invoice_id>/", invoices.InvoiceView.as_view(), name="invoice"),
    path("credit-notes/", invoices.CreditNotesView.as_view(), name="credit-notes"),
    path("credit-notes/<int:invoice_id>/", invoices.CreditNoteView.as_view(), name="credit-note"),
    *(
        path(f"invoices/<int:invoice_id>/{route}/", view.as_view(), name=f"invoice-{name}")
        for route, name, view in (
            ("lines", "lines", invoice_edits.InvoiceLinesView),
            ("lines/<int:line_id>", "line", invoice_edits.InvoiceLineView),
            ("discounts", "discounts", invoice_edits.InvoiceDiscountsView),
            ("discounts/<int:discount_id>", "discount", invoice_edits.InvoiceDiscountView),
            ("recompute", "recompute", invoice_edits.InvoiceRecomputeView),
            ("issue", "issue", invoice_verbs.InvoiceIssueView),
            ("void", "void", invoice_verbs.InvoiceVoidView),
            ("approve", "approve", invoice_verbs.InvoiceApproveView),
            ("credit", "credit", invoice_verbs.InvoiceCreditView),
            ("payments", "payments", invoice_verbs.InvoicePaymentsView),
            ("payments/<int:payment_id>/take-back", "payment-take-back", invoice_verbs.PaymentTakeBackView),
        )
    ),
    path("credit-grants/", credits.CreditGrantsView.as_view(), name="credit-grants"),
    path("credit-grants/<int:grant_id>/", credits.CreditGrantView.as_view(), name="credit-grant"),
    path(
        "credit-grants/<int:grant_id>/withdraw/",
        credits.CreditWithdrawView.as_view(),
        name="credit-grant-withdraw",
    ),
    # `/corrections/` is of events.
    path(
        "period-corrections/", period_corrections.PeriodCorrectionsView.as_view(), name="period-corrections"
    ),
    path(
        "period-corrections/<int:correction_id>/approve/",
        period_corrections.CorrectionApproveView.as_view(),
        name="period-correction-approve",
    ),
    path(
        "period-corrections/<int:correction_id>/write-off/",
        period_corrections.CorrectionWriteOffView.as_view(),
        name="period-correction-write-off",
    ),
    path("billing-runs/", runs.BillingRunsView.as_view(), name="billing-runs"),
]
