"""The kernel's routes, below /api/v1/."""

from django.urls import path

from .attribution import AttributionEndView, AttributionRulesView, AttributionRuleView, PayerView
from .corrections import AmendView, CorrectionsView, VoidBatchView, VoidView
from .exports import ExportDownloadView, ExportsView, ExportView
from .ledger_seals import LedgerSealsView
from .metric_octane import OctaneMetersView, OctaneMeterView
from .metric_preview import DraftPreviewView, MetricPreviewView
from .metric_ready_made import ReadyMadeView
from .metrics import MetricCloneView, MetricsView, MetricView
from .projects import ProjectsView, ProjectView
from .surfaces import SurfacesView, SurfaceView
from .usage import UsageSummariesView, UsageView
from .usage_events import UsageEventsView, UsageEventView
from .usage_export import UsageExportView
from .webhooks import (
    WebhookDeliveriesView,
    WebhookEndpointsView,
    WebhookEndpointView,
    WebhookResendFailedView,
    WebhookResendView,
    WebhookSecretView,
    WebhookTestView,
)

urlpatterns = [
    path("usage-events/", UsageEventsView.as_view(), name="usage-events"),
    path("usage-events/<int:event_id>/", UsageEventView.as_view(), name="usage-event"),
    path("usage-events/void/", VoidBatchView.as_view(), name="usage-events-void"),
    path("usage-events/<int:event_id>/void/", VoidView.as_view(), name="usage-event-void"),
    path("usage-events/<int:event_id>/amend/", AmendView.as_view(), name="usage-event-amend"),
    path("corrections/", CorrectionsView.as_view(), name="corrections"),
    path("usage/", UsageView.as_view(), name="usage"),
    path("usage/export/", UsageExportView.as_view(), name="usage-export"),
    path("exports/", ExportsView.as_view(), name="exports"),
    path("exports/<int:export_id>/", ExportView.as_view(), name="export"),
    path("exports/<int:export_id>/download/", ExportDownloadView.as_view(), name="export-download"),
    path("usage-summaries/", UsageSummariesView.as_view(), name="usage-summaries"),
    path("ledger-seals/", LedgerSealsView.as_view(), name="ledger-seals"),
    path("projects/", ProjectsView.as_view(), name="projects"),
    path("projects/<str:key>/", ProjectView.as_view(), name="project"),
    path("projects/<str:key>/payer/", PayerView.as_view(), name="payer"),
    path("projects/<str:key>/attribution/", AttributionRulesView.as_view(), name="attribution"),
    path(
        "projects/<str:key>/attribution/<int:rule_id>/",
        AttributionRuleView.as_view(),
        name="attribution-rule",
    ),
    path(
        "projects/<str:key>/attribution/<int:rule_id>/end/",
        AttributionEndView.as_view(),
        name="attribution-end",
    ),
    path("surfaces/", SurfacesView.as_view(), name="surfaces"),
    path("surfaces/<int:surface_id>/", SurfaceView.as_view(), name="surface"),
    path("webhook-endpoints/", WebhookEndpointsView.as_view(), name="webhook-endpoints"),
    path("webhook-endpoints/<int:endpoint_id>/", WebhookEndpointView.as_view(), name="webhook-endpoint"),
    path("webhook-endpoints/<int:endpoint_id>/test/", WebhookTestView.as_view(), name="webhook-test"),
    path(
        "webhook-endpoints/<int:endpoint_id>/rotate-secret/",
        WebhookSecretView.as_view(),
        name="webhook-rotate-secret",
    ),
    path(
        "webhook-endpoints/<int:endpoint_id>/deliveries/",
        WebhookDeliveriesView.as_view(),
        name="webhook-deliveries",
    ),
    path(
        "webhook-endpoints/<int:endpoint_id>/deliveries/resend-failed/",
        WebhookResendFailedView.as_view(),
        name="webhook-resend-failed",
    ),
    path(
        "webhook-endpoints/<int:endpoint_id>/deliveries/<int:delivery_id>/resend/",
        WebhookResendView.as_view(),
        name="webhook-resend",
    ),
    path("metrics/", MetricsView.as_view(), name="metrics"),
    # Before any key: definitions.RESERVED_KEYS are no metric's.
    path("metrics/octane/", OctaneMetersView.as_view(), name="metrics-octane"),
    path("metrics/preview/", DraftPreviewView.as_view(), name="metrics-preview"),
    path("metrics/ready-made/", ReadyMadeView.as_view(), name="metrics-ready-made"),
    path("metrics/<str:key>/", MetricView.as_view(), name="metric"),
    path("metrics/<str:key>/clone/", MetricCloneView.as_view(), name="metric-clone"),
    path("metrics/<str:key>/octane/", OctaneMeterView.as_view(), name="metric-octane"),
    path("metrics/<str:key>/preview/", MetricPreviewView.as_view(), name="metric-preview"),
]
