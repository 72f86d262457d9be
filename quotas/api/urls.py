"""The routes of quotas, below /api/v1/."""

from django.urls import path

from .check import CheckView
from .decisions import DecisionsView, DecisionView
from .holds import HoldCommitView, HoldReleaseView, HoldsView, HoldView
from .overrides import OverrideEndView, OverridesView, OverrideView
from .quotas import QuotasView, QuotaView
from .standing import StandingView
from .thresholds import ThresholdsView, ThresholdView

urlpatterns = [
    path("quotas/", QuotasView.as_view(), name="quotas"),
    path("quotas/decisions/", DecisionsView.as_view(), name="quota-decisions"),
    path("quotas/decisions/<str:reference>/", DecisionView.as_view(), name="quota-decision"),
    path("quotas/check/", CheckView.as_view(), name="quota-check"),
    path("quotas/holds/", HoldsView.as_view(), name="quota-holds"),
    path("quotas/holds/<str:hold_id>/", HoldView.as_view(), name="quota-hold"),
    path("quotas/holds/<str:hold_id>/commit/", HoldCommitView.as_view(), name="quota-hold-commit"),
    path("quotas/holds/<str:hold_id>/release/", HoldReleaseView.as_view(), name="quota-hold-release"),
    path("quotas/standing/", StandingView.as_view(), name="quota-standing"),
    path("quotas/<int:quota_id>/", QuotaView.as_view(), name="quota"),
    path("quotas/<int:quota_id>/overrides/", OverridesView.as_view(), name="quota-overrides"),
    path("quotas/<int:quota_id>/overrides/<int:override_id>/", OverrideView.as_view(), name="quota-override"),
    path(
        "quotas/<int:quota_id>/overrides/<int:override_id>/end/",
        OverrideEndView.as_view(),
        name="quota-override-end",
    ),
    path("thresholds/", ThresholdsView.as_view(), name="thresholds"),
    path("thresholds/<int:threshold_id>/", ThresholdView.as_view(), name="threshold"),
]
