"""The routes of quotas, below /api/v1/."""

from django.urls import path

from .quotas import QuotasView, QuotaView

urlpatterns = [
    path("quotas/", QuotasView.as_view(), name="quotas"),
    path("quotas/<int:quota_id>/", QuotaView.as_view(), name="quota"),
]
