"""The routes of billing, below /api/v1/."""

from django.urls import path

from .pricing_preview import PricingPreviewView

urlpatterns = [
    path("pricing/preview/", PricingPreviewView.as_view(), name="pricing-preview"),
]
