"""What a key may not see is not found, on every route there is."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from billing.invoicing.draft_edits import ManualLine, add_discount, begin_credit_note, begin_invoice
from billing.invoicing.issuing import issue
from billing.models import (
    BilledPeriod,
    BillingAccount,
    BillingCycle,
    BillingRun,
    CreditEntry,
    CreditGrant,
    Invoice,
    InvoiceApproval,
    InvoiceDiscount,
    InvoiceLine,
    Payment,
    PeriodCorrection,
    Plan,
    Price,
    Subscription,
    SubscriptionItem,
)
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from metering.announcing.outbox import announce
from metering.answering.event_listing import Cursor
from metering.attributing.scope_tree import attribute, install_surface
from metering.clock import ledger_end
from metering.delivering.endpoints import add_endpoint
from metering.models import (
    ApiKey,
    AttributionRule,
    Correction,
    Export,
    ExportPiece,
    MetricDefinition,
    PendingContribution,
    Project,
    SurfaceInstallation,
    UsageEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import set_quota
from quotas.errors import QuotaExceeded
from quotas.holds import reserve
from quotas.models import (
    ProjectQuota,
    QuotaDecision,
    QuotaHold,
    QuotaHoldEnding,
    QuotaOverride,
    UsageThreshold,
)
from quotas.notebook import NOTEBOOK
from quotas.overrides import override_quota
from quotas.thresholds import set_threshold
from tests.billing.billed import a_seller, billed, draft_of, used
from tests.billing.factories import a_draft, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded
from tests.metering.api.callers import Caller, nothing_stays

pytestmark = pytest.mark.django_db

SECRET = "zebra"  # part of everything that the other tenant owns and of nothing else


def routes(patterns=None, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """(route, methods) of everything below /api/v1/."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if "api/v1/".startswith(route) or route.startswith("api/v1/"):
                yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and route.startswith("api/v1/") and route != "api/v1/":
            view = pattern.callback.view_class
            methods = {m.upper() for m in view.http_method_names if hasattr(view, m)} - {"OPTIONS", "HEAD"}
            yield route.removeprefix("api/v1"), methods


# Stand for ids of rows in bodies; `filled` puts them in.
EVENT_ID, MY_EVENT_ID = "$event", "$mine"
EVENT = {"event_name": "zebra-calls", "quantity": 1}
WEBHOOK_URL = "https://198.51.99.7/hook"
OCTANE_METER = {
    "name": "from-octane",
    "event_name": "calls",
    "meter_type": "COUNTER",
    "data_type": "INT",
    "aggregation": "SUM",
    "is_incremental": True,
    "reporting_method": "periodic",
}
ZEBRA_PRICE = {"metric": "zebra-calls", "price": {"model": "per_unit", "unit_amount": "1"}}
MAY_DAYS = {"from": "2026-05-01", "until": "2026-06-01"}
# Each route and method with what a stranger may try: path and query, body, and the status it must get.
# 200 means a list, which must hold nothing of the other tenant's.
TRIES: dict[tuple[str, str], list[tuple[str, object, int]]] = {
    ("GET", "/usage-events/"): [
        ("/usage-events/", None, 200),
        ("/usage-events/?project=zebra", None, 404),
        ("/usage-events/?project=zebra-chat", None, 404),
        ("/usage-events/?event_name=zebra-calls", None, 200),
        ("/usage-events/?event_id=zebra-1", None, 200),
        ("/usage-events/?subject_id=zebra-subject", None, 200),
        ("/usage-events/?labels[animal]=zebra-label", None, 200),
        ("/usage-events/?cursor=$event_cursor", None, 200),
    ],
    ("POST", "/usage-events/"): [
        ("/usage-events/", {**EVENT, "project": "zebra"}, 422),
        ("/usage-events/", {**EVENT, "project": "zebra-chat"}, 422),
        ("/usage-events/", {**EVENT, "project": "mine"}, 422),
        ("/usage-events/", {"metric_key": "zebra-calls", "project": "mine"}, 422),
        ("/usage-events/", {"event_name": "shared", "project": "mine", "surface": "zebra-bot"}, 422),
        ("/usage-events/", [{**EVENT, "project": "zebra", "id": "zebra-1"}], 422),
    ],
    ("GET", "/usage-events/<int:event_id>/"): [("/usage-events/$event/", None, 404)],
    ("POST", "/usage-events/void/"): [
        ("/usage-events/void/", {"reason": "no", "ids": [EVENT_ID]}, 404),
        ("/usage-events/void/", {"reason": "no", "ids": [MY_EVENT_ID, EVENT_ID]}, 404),
    ],
    ("POST", "/usage-events/<int:event_id>/void/"): [
        ("/usage-events/$event/void/", {"reason": "no"}, 404),
        ("/usage-events/$void/void/", {"reason": "no"}, 404),
    ],
    ("POST", "/usage-events/<int:event_id>/amend/"): [
        ("/usage-events/$event/amend/", {"reason": "no", "quantity": 1}, 404),
        ("/usage-events/$void/amend/", {"reason": "no", "project": "mine"}, 404),
        ("/usage-events/$mine/amend/", {"reason": "no", "project": "zebra"}, 422),
        ("/usage-events/$mine/amend/", {"reason": "no", "event_name": "zebra-calls"}, 422),
        ("/usage-events/$mine/amend/", {"reason": "no", "surface": "zebra-bot"}, 422),
    ],
    ("GET", "/corrections/"): [
        ("/corrections/", None, 200),
        ("/corrections/?project=zebra", None, 404),
        ("/corrections/?event=$voided", None, 200),
        ("/corrections/?kind=void", None, 200),
    ],
    ("GET", "/usage/"): [
        ("/usage/?metric=zebra-calls", None, 404),
        ("/usage/?metric=zebra-calls&project=mine", None, 404),
        ("/usage/?metric=shared&project=zebra", None, 404),
        ("/usage/?metric=shared&project=zebra&scope=tree", None, 404),
        ("/usage/?metric=shared&project=zebra-chat&scope=billed", None, 404),
        ("/usage/?metric=shared&group_by=project,billing_scope,subject_id,labels.animal", None, 200),
        ("/usage/?metric=shared&window=hour&group_by=project", None, 200),
        ("/usage/?metric=shared&subject_id=zebra-subject&group_by=project", None, 200),
        ("/usage/?metric=shared&labels[animal]=zebra-label&group_by=project", None, 200),
        ("/usage/?metric=shared&scope=tree&project=mine&group_by=project", None, 200),
        ("/usage/?metric=shared&scope=billed&group_by=project", None, 200),
    ],
    ("GET", "/usage/export/"): [
        ("/usage/export/", None, 200),
        ("/usage/export/?project=zebra", None, 404),
        ("/usage/export/?event_id=zebra-1", None, 200),
        ("/usage/export/?type=rollups&metric=zebra-calls", None, 404),
        ("/usage/export/?type=rollups&metric=shared", None, 200),
        ("/usage/export/?type=rollups&metric=shared&project=zebra", None, 404),
        ("/usage/export/?type=rollups&metric=shared&project=zebra&scope=billed", None, 404),
    ],
    ("GET", "/exports/"): [
        ("/exports/", None, 200),
        ("/exports/?kind=usage_events", None, 200),
        ("/exports/?state=finished", None, 200),
    ],
    ("POST", "/exports/"): [
        ("/exports/", {"kind": "usage_events", "filters": {"project": "zebra"}}, 404),
        ("/exports/", {"kind": "usage_rollups", "filters": {"metric": "zebra-calls"}}, 404),
        (
            "/exports/",
            {"kind": "usage_rollups", "filters": {"metric": "shared", "project": "zebra-chat"}},
            404,
        ),
        ("/exports/", {"kind": "invoice_register", "filters": {"account": "$account"}}, 404),
        ("/exports/", {"kind": "journal", "filters": {"account": "$account"}}, 404),
    ],
    ("GET", "/exports/<int:export_id>/"): [("/exports/$export/", None, 404)],
    ("DELETE", "/exports/<int:export_id>/"): [("/exports/$export/", None, 404)],
    ("GET", "/exports/<int:export_id>/download/"): [("/exports/$export/download/", None, 404)],
    ("GET", "/usage-summaries/"): [
        ("/usage-summaries/?metric=zebra-calls", None, 404),
        ("/usage-summaries/?metric=shared", None, 200),
        ("/usage-summaries/?metric=shared&subject_id=zebra-subject", None, 200),
        ("/usage-summaries/?metric=shared&project=zebra", None, 404),
    ],
    ("GET", "/ledger-seals/"): [("/ledger-seals/", None, 200)],
    ("GET", "/projects/"): [
        ("/projects/", None, 200),
        ("/projects/?parent=zebra", None, 404),
        ("/projects/?kind=organisation", None, 200),
    ],
    ("POST", "/projects/"): [("/projects/", {"key": "new", "name": "New", "parent": "zebra"}, 404)],
    ("GET", "/projects/<str:key>/"): [("/projects/zebra/", None, 404), ("/projects/zebra-chat/", None, 404)],
    ("PATCH", "/projects/<str:key>/"): [("/projects/zebra/", {"name": "mine now"}, 404)],
    ("DELETE", "/projects/<str:key>/"): [
        ("/projects/zebra/", None, 404),
        ("/projects/zebra-empty/", None, 404),
    ],
    ("GET", "/projects/<str:key>/attribution/"): [("/projects/zebra-chat/attribution/", None, 404)],
    ("POST", "/projects/<str:key>/attribution/"): [
        ("/projects/zebra-chat/attribution/", {"billing_attribution_project": "mine"}, 404),
        ("/projects/mine/attribution/", {"billing_attribution_project": "zebra"}, 404),
        ("/projects/mine/attribution/", {"payer": "mine", "surface": "zebra-bot"}, 422),
    ],
    ("GET", "/projects/<str:key>/attribution/<int:rule_id>/"): [
        ("/projects/zebra-chat/attribution/$rule/", None, 404),
        ("/projects/mine-chat/attribution/$rule/", None, 404),
    ],
    ("DELETE", "/projects/<str:key>/attribution/<int:rule_id>/"): [
        ("/projects/zebra-chat/attribution/$rule/", None, 404),
        ("/projects/mine-chat/attribution/$rule/", None, 404),
    ],
    ("POST", "/projects/<str:key>/attribution/<int:rule_id>/end/"): [
        ("/projects/zebra-chat/attribution/$rule/end/", {}, 404),
        ("/projects/mine-chat/attribution/$rule/end/", {}, 404),
    ],
    ("GET", "/projects/<str:key>/payer/"): [
        ("/projects/zebra-chat/payer/", None, 404),
        ("/projects/zebra/payer/?at=2024-05-01&surface=zebra-bot", None, 404),
        ("/projects/mine/payer/?surface=zebra-bot", None, 422),
    ],
    ("GET", "/surfaces/"): [
        ("/surfaces/", None, 200),
        ("/surfaces/?project=zebra", None, 404),
        ("/surfaces/?key=zebra-bot", None, 200),
        ("/surfaces/?kind=organisation", None, 200),
    ],
    ("POST", "/surfaces/"): [("/surfaces/", {"project": "zebra", "key": "new", "name": "New"}, 404)],
    ("GET", "/surfaces/<int:surface_id>/"): [("/surfaces/$surface/", None, 404)],
    ("PATCH", "/surfaces/<int:surface_id>/"): [("/surfaces/$surface/", {"name": "mine now"}, 404)],
    ("DELETE", "/surfaces/<int:surface_id>/"): [("/surfaces/$surface/", None, 404)],
    ("GET", "/metrics/"): [
        ("/metrics/", None, 200),
        ("/metrics/?project=zebra", None, 404),
        ("/metrics/?event_name=zebra-calls", None, 200),
    ],
    ("POST", "/metrics/"): [("/metrics/", {"key": "new", "project": "zebra"}, 404)],
    ("GET", "/metrics/<str:key>/"): [
        ("/metrics/zebra-calls/", None, 404),
        ("/metrics/zebra-calls/?project=zebra", None, 404),
    ],
    ("PATCH", "/metrics/<str:key>/"): [
        ("/metrics/zebra-calls/", {"unit": "x"}, 404),
        ("/metrics/zebra-calls/?project=zebra", {"unit": "x"}, 404),
        ("/metrics/shared/", {"unit": "x"}, 404),  # global: of nobody's key
    ],
    ("POST", "/metrics/octane/"): [
        ("/metrics/octane/?project=zebra", [OCTANE_METER], 404),
        ("/metrics/octane/?project=zebra-chat", OCTANE_METER, 404),
    ],
    ("GET", "/metrics/<str:key>/octane/"): [
        ("/metrics/zebra-calls/octane/", None, 404),
        ("/metrics/zebra-calls/octane/?project=zebra", None, 404),
    ],
    ("POST", "/metrics/preview/"): [
        ("/metrics/preview/", {"event_name": "zebra-calls"}, 200),
        ("/metrics/preview/", {"event_name": "shared", "primary_labels": ["animal"]}, 200),
        ("/metrics/preview/", {"event_name": "zebra-calls", "project": "zebra"}, 404),
    ],
    ("POST", "/metrics/<str:key>/preview/"): [
        ("/metrics/zebra-calls/preview/", {}, 404),
        ("/metrics/zebra-calls/preview/?project=zebra", {}, 404),
        ("/metrics/shared/preview/", {"primary_labels": ["animal"], "days": 90}, 200),
        ("/metrics/shared/preview/", {"event_name": "zebra-calls", "expected_labels": ["no"]}, 200),
    ],
    ("POST", "/metrics/<str:key>/clone/"): [
        ("/metrics/zebra-calls/clone/", {"key": "mine-now"}, 404),
        ("/metrics/zebra-calls/clone/?project=zebra", {"key": "mine-now"}, 404),
        ("/metrics/shared/clone/", {"key": "shared-2", "archive": True}, 404),
    ],
    ("GET", "/metrics/ready-made/"): [("/metrics/ready-made/?project=zebra", None, 404)],
    ("POST", "/metrics/ready-made/"): [("/metrics/ready-made/", {"project": "zebra"}, 404)],
    ("DELETE", "/metrics/<str:key>/"): [
        ("/metrics/zebra-calls/", None, 404),
        ("/metrics/zebra-calls/?project=zebra", None, 404),
        ("/metrics/shared/", None, 404),
    ],
    ("GET", "/webhook-endpoints/"): [
        ("/webhook-endpoints/", None, 200),
        ("/webhook-endpoints/?project=zebra", None, 404),
    ],
    ("POST", "/webhook-endpoints/"): [("/webhook-endpoints/", {"project": "zebra", "url": WEBHOOK_URL}, 404)],
    ("GET", "/webhook-endpoints/<int:endpoint_id>/"): [("/webhook-endpoints/$endpoint/", None, 404)],
    ("PATCH", "/webhook-endpoints/<int:endpoint_id>/"): [
        ("/webhook-endpoints/$endpoint/", {"url": WEBHOOK_URL}, 404)
    ],
    ("DELETE", "/webhook-endpoints/<int:endpoint_id>/"): [("/webhook-endpoints/$endpoint/", None, 404)],
    ("POST", "/webhook-endpoints/<int:endpoint_id>/test/"): [
        ("/webhook-endpoints/$endpoint/test/", None, 404)
    ],
    ("POST", "/webhook-endpoints/<int:endpoint_id>/rotate-secret/"): [
        ("/webhook-endpoints/$endpoint/rotate-secret/", None, 404),
        ("/webhook-endpoints/$endpoint/rotate-secret/", {"overlap_hours": 0}, 404),
    ],
    ("GET", "/webhook-endpoints/<int:endpoint_id>/deliveries/"): [
        ("/webhook-endpoints/$endpoint/deliveries/", None, 404)
    ],
    ("POST", "/webhook-endpoints/<int:endpoint_id>/deliveries/<int:delivery_id>/resend/"): [
        ("/webhook-endpoints/$endpoint/deliveries/$delivery/resend/", None, 404),
        ("/webhook-endpoints/$my_endpoint/deliveries/$delivery/resend/", None, 404),
    ],
    ("POST", "/webhook-endpoints/<int:endpoint_id>/deliveries/resend-failed/"): [
        ("/webhook-endpoints/$endpoint/deliveries/resend-failed/", None, 404)
    ],
    ("GET", "/quotas/"): [
        ("/quotas/", None, 200),
        ("/quotas/?project=zebra", None, 404),
        ("/quotas/?metric=zebra-calls", None, 200),
    ],
    ("POST", "/quotas/"): [
        (
            "/quotas/",
            {"project": "zebra", "metric": "shared", "limit": 0, "mode": "hard", "period": "day"},
            404,
        ),
        (
            "/quotas/",
            {"project": "mine", "metric": "zebra-calls", "limit": 0, "mode": "hard", "period": "day"},
            404,
        ),
    ],
    ("GET", "/quotas/<int:quota_id>/"): [("/quotas/$quota/", None, 404)],
    ("GET", "/quotas/standing/"): [
        ("/quotas/standing/", None, 200),
        ("/quotas/standing/?project=zebra", None, 404),
        ("/quotas/standing/?metric=zebra-calls", None, 200),
    ],
    ("POST", "/quotas/check/"): [
        ("/quotas/check/", {"project": "zebra", "metric": "shared"}, 422),
        ("/quotas/check/", {"project": "mine", "metric": "zebra-calls"}, 422),
        ("/quotas/check/", {"project": "mine", "event_name": "shared", "surface": "zebra-bot"}, 422),
    ],
    ("GET", "/quotas/decisions/"): [
        ("/quotas/decisions/", None, 200),
        ("/quotas/decisions/?project=zebra", None, 404),
        ("/quotas/decisions/?metric=zebra-calls", None, 200),
        ("/quotas/decisions/?decision=$decision", None, 200),
        ("/quotas/decisions/?quota=$quota", None, 200),
    ],
    ("GET", "/quotas/decisions/<str:reference>/"): [("/quotas/decisions/$decision/", None, 404)],
    ("GET", "/quotas/holds/"): [
        ("/quotas/holds/", None, 200),
        ("/quotas/holds/?project=zebra", None, 404),
        ("/quotas/holds/?metric=zebra-calls", None, 200),
    ],
    ("POST", "/quotas/holds/"): [
        ("/quotas/holds/", {"project": "zebra", "metric": "shared", "quantity": 1, "expires_in": 60}, 404),
        (
            "/quotas/holds/",
            {"project": "mine", "metric": "zebra-calls", "quantity": 1, "expires_in": 60},
            422,
        ),
    ],
    ("GET", "/quotas/holds/<str:hold_id>/"): [
        ("/quotas/holds/$hold/", None, 404),
        ("/quotas/holds/zebra-job/", None, 404),
    ],
    ("POST", "/quotas/holds/<str:hold_id>/commit/"): [
        ("/quotas/holds/$hold/commit/", {}, 404),
        ("/quotas/holds/zebra-job/commit/", {"quantity": 1}, 404),
    ],
    ("POST", "/quotas/holds/<str:hold_id>/release/"): [("/quotas/holds/$hold/release/", {}, 404)],
    ("PATCH", "/quotas/<int:quota_id>/"): [("/quotas/$quota/", {"limit": 0}, 404)],
    ("DELETE", "/quotas/<int:quota_id>/"): [("/quotas/$quota/", None, 404)],
    ("GET", "/quotas/<int:quota_id>/overrides/"): [("/quotas/$quota/overrides/", None, 404)],
    ("POST", "/quotas/<int:quota_id>/overrides/"): [
        (
            "/quotas/$quota/overrides/",
            {"limit": 0, "effective_until": "2999-01-01T00:00:00Z", "reason": "mine"},
            404,
        )
    ],
    ("GET", "/quotas/<int:quota_id>/overrides/<int:override_id>/"): [
        ("/quotas/$quota/overrides/$override/", None, 404)
    ],
    ("POST", "/quotas/<int:quota_id>/overrides/<int:override_id>/end/"): [
        ("/quotas/$quota/overrides/$override/end/", {}, 404)
    ],
    ("POST", "/pricing/preview/"): [
        ("/pricing/preview/", {"price": {"model": "flat", "amount": "1"}, "currency": "USD"}, 200),
    ],
    ("POST", "/pricing/what-if/"): [
        ("/pricing/what-if/", {"plan": "zebra-plan", **MAY_DAYS}, 404),
        ("/pricing/what-if/", {"plan": "zebra-draft", "project": "zebra", **MAY_DAYS}, 404),
        ("/pricing/what-if/", {"plan": "everybody", "accounts": ["$account"], **MAY_DAYS}, 404),
        ("/pricing/what-if/", {"plan": "everybody", **MAY_DAYS}, 200),
        ("/pricing/what-if/", {"plan": "everybody", "on_plan": "zebra-plan", **MAY_DAYS}, 200),
    ],
    ("GET", "/thresholds/"): [
        ("/thresholds/", None, 200),
        ("/thresholds/?project=zebra", None, 404),
        ("/thresholds/?metric=zebra-calls", None, 200),
        ("/thresholds/?subject_id=zebra-subject", None, 200),
    ],
    ("POST", "/thresholds/"): [
        ("/thresholds/", {"project": "zebra", "metric": "shared", "threshold": 0}, 404),
        ("/thresholds/", {"project": "mine", "metric": "zebra-calls", "threshold": 0}, 404),
    ],
    ("GET", "/thresholds/<int:threshold_id>/"): [("/thresholds/$threshold/", None, 404)],
    ("PATCH", "/thresholds/<int:threshold_id>/"): [("/thresholds/$threshold/", {"threshold": 0}, 404)],
    ("DELETE", "/thresholds/<int:threshold_id>/"): [("/thresholds/$threshold/", None, 404)],
    ("GET", "/plans/"): [
        ("/plans/", None, 200),
        ("/plans/?project=zebra", None, 404),
        ("/plans/?key=zebra-plan", None, 200),
    ],
    ("POST", "/plans/"): [
        ("/plans/", {"key": "x", "currency": "EUR", "project": "zebra"}, 404),
        ("/plans/", {"key": "x", "currency": "EUR", "project": "zebra-chat"}, 404),
        ("/plans/", {"key": "x", "currency": "EUR", "prices": [ZEBRA_PRICE]}, 422),
    ],
    ("GET", "/plans/<str:key>/"): [
        ("/plans/zebra-plan/", None, 404),
        ("/plans/zebra-plan/?project=zebra", None, 404),
        ("/plans/zebra-draft/?version=1", None, 404),
    ],
    ("PATCH", "/plans/<str:key>/"): [
        ("/plans/zebra-draft/", {"name": "x"}, 404),
        ("/plans/mine-draft/", {"prices": [ZEBRA_PRICE]}, 422),
    ],
    ("DELETE", "/plans/<str:key>/"): [("/plans/zebra-draft/", None, 404)],
    ("POST", "/plans/<str:key>/publish/"): [("/plans/zebra-draft/publish/", {}, 404)],
    ("POST", "/plans/<str:key>/archive/"): [("/plans/zebra-plan/archive/", {}, 404)],
    ("POST", "/plans/<str:key>/clone/"): [("/plans/zebra-plan/clone/", {"key": "x"}, 404)],
    ("GET", "/billing-accounts/"): [
        ("/billing-accounts/", None, 200),
        ("/billing-accounts/?project=zebra", None, 404),
    ],
    ("POST", "/billing-accounts/"): [
        ("/billing-accounts/", {"project": "zebra-chat", "legal_name": "x", "currency": "EUR"}, 404),
    ],
    ("GET", "/billing-accounts/<int:account_id>/"): [("/billing-accounts/$account/", None, 404)],
    ("GET", "/billing-accounts/<int:account_id>/running/"): [
        ("/billing-accounts/$account/running/", None, 404)
    ],
    ("PATCH", "/billing-accounts/<int:account_id>/"): [
        ("/billing-accounts/$account/", {"legal_name": "x"}, 404)
    ],
    ("GET", "/subscriptions/"): [
        ("/subscriptions/", None, 200),
        ("/subscriptions/?project=zebra", None, 404),
        ("/subscriptions/?account=$account", None, 404),
        ("/subscriptions/?plan=zebra-plan", None, 200),
    ],
    ("POST", "/subscriptions/"): [
        ("/subscriptions/", {"account": "$account", "plan": "everybody"}, 404),
        ("/subscriptions/", {"project": "zebra", "plan": "everybody"}, 404),
        ("/subscriptions/", {"project": "mine", "plan": "zebra-plan"}, 404),
    ],
    ("GET", "/subscriptions/<int:subscription_id>/"): [("/subscriptions/$subscription/", None, 404)],
    ("PATCH", "/subscriptions/<int:subscription_id>/"): [
        ("/subscriptions/$subscription/", {"anchor": "calendar"}, 404)
    ],
    ("GET", "/subscriptions/<int:subscription_id>/periods/"): [
        ("/subscriptions/$subscription/periods/", None, 404)
    ],
    **{
        ("POST", f"/subscriptions/<int:subscription_id>/{verb}/"): [
            (f"/subscriptions/$subscription/{verb}/", body, 404)
        ]
        for verb, body in (
            ("change-plan", {"plan": "everybody"}),
            ("change-plan/preview", {"plan": "everybody"}),
            ("withdraw-change", {}),
            ("cancel", {}),
            ("cancel/preview", {}),
            ("withdraw-cancellation", {}),
        )
    },
    ("GET", "/invoices/<int:invoice_id>/pdf/"): [
        ("/invoices/$draft/pdf/", None, 404),
        ("/invoices/$invoice/pdf/", None, 404),
    ],
    ("GET", "/invoices/<int:invoice_id>/csv/"): [
        ("/invoices/$draft/csv/", None, 404),
        ("/invoices/$invoice/csv/", None, 404),
    ],
    ("GET", "/invoices/<int:invoice_id>/lines/<int:line_id>/explain/"): [
        ("/invoices/$explained_invoice/lines/$explained_line/explain/", None, 404),
    ],
    ("GET", "/invoices/<int:invoice_id>/lines/<int:line_id>/explain/events/"): [
        ("/invoices/$explained_invoice/lines/$explained_line/explain/events/", None, 404),
        ("/invoices/$explained_invoice/lines/$explained_line/explain/events/?format=csv", None, 404),
    ],
    ("GET", "/billing-accounts/<int:account_id>/credit/"): [
        ("/billing-accounts/$account/credit/", None, 404)
    ],
    ("GET", "/invoices/"): [
        ("/invoices/", None, 200),
        ("/invoices/?project=zebra", None, 404),
        ("/invoices/?account=$account", None, 404),
        ("/invoices/?kind=any&number=INV-000001", None, 200),
        ("/invoices/?kind=any&status=draft", None, 200),
    ],
    ("POST", "/invoices/"): [
        ("/invoices/", {"account": "$account"}, 404),
        ("/invoices/", {"project": "zebra"}, 404),
    ],
    ("GET", "/invoices/<int:invoice_id>/"): [
        ("/invoices/$invoice/", None, 404),
        ("/invoices/$draft/", None, 404),
        ("/invoices/$note/", None, 404),
    ],
    ("PATCH", "/invoices/<int:invoice_id>/"): [("/invoices/$draft/", {"notes": "x"}, 404)],
    ("DELETE", "/invoices/<int:invoice_id>/"): [("/invoices/$draft/", None, 404)],
    ("POST", "/invoices/<int:invoice_id>/lines/"): [
        ("/invoices/$draft/lines/", {"name": "x", "amount": "1"}, 404)
    ],
    ("DELETE", "/invoices/<int:invoice_id>/lines/<int:line_id>/"): [
        ("/invoices/$draft/lines/$line/", None, 404),
        ("/invoices/$my_draft/lines/$line/", None, 404),
    ],
    ("POST", "/invoices/<int:invoice_id>/discounts/"): [
        ("/invoices/$draft/discounts/", {"name": "x", "reason": "x", "percent": "1"}, 404)
    ],
    ("DELETE", "/invoices/<int:invoice_id>/discounts/<int:discount_id>/"): [
        ("/invoices/$draft/discounts/$discount/", None, 404),
        ("/invoices/$my_draft/discounts/$discount/", None, 404),
    ],
    **{
        ("POST", f"/invoices/<int:invoice_id>/{verb}/"): [
            (f"/invoices/$draft/{verb}/", body, 404),
            (f"/invoices/$invoice/{verb}/", body, 404),
        ]
        for verb, body in (
            ("recompute", {}),
            ("issue", {}),
            ("void", {"reason": "x"}),
            ("approve", {}),
            ("credit", {"reason": "x", "lines": [{"name": "x", "amount": "1"}]}),
            ("payments", {"amount": "1", "received_on": "2026-04-01"}),
        )
    },
    ("POST", "/invoices/<int:invoice_id>/payments/<int:payment_id>/take-back/"): [
        ("/invoices/$invoice/payments/$payment/take-back/", {"reason": "x"}, 404),
        ("/invoices/$my_draft/payments/$payment/take-back/", {"reason": "x"}, 404),
    ],
    ("GET", "/credit-notes/"): [
        ("/credit-notes/", None, 200),
        ("/credit-notes/?project=zebra", None, 404),
        ("/credit-notes/?number=CN-000001", None, 200),
    ],
    ("GET", "/credit-notes/<int:invoice_id>/"): [("/credit-notes/$note/", None, 404)],
    ("GET", "/credit-grants/"): [
        ("/credit-grants/", None, 200),
        ("/credit-grants/?project=zebra", None, 404),
        ("/credit-grants/?account=$account", None, 404),
    ],
    ("POST", "/credit-grants/"): [
        ("/credit-grants/", {"account": "$account", "amount": "1", "kind": "paid"}, 404),
        ("/credit-grants/", {"project": "zebra", "amount": "1", "kind": "paid"}, 404),
    ],
    ("GET", "/credit-grants/<int:grant_id>/"): [("/credit-grants/$grant/", None, 404)],
    ("POST", "/credit-grants/<int:grant_id>/withdraw/"): [
        ("/credit-grants/$grant/withdraw/", {"reason": "x"}, 404)
    ],
    ("GET", "/period-corrections/"): [
        ("/period-corrections/", None, 200),
        ("/period-corrections/?project=zebra", None, 404),
        ("/period-corrections/?account=$account", None, 404),
        ("/period-corrections/?state=waiting", None, 200),
    ],
    ("POST", "/period-corrections/<int:correction_id>/approve/"): [
        ("/period-corrections/$correction/approve/", {}, 404)
    ],
    ("POST", "/period-corrections/<int:correction_id>/write-off/"): [
        ("/period-corrections/$correction/write-off/", {"reason": "x"}, 404)
    ],
    ("GET", "/billing-runs/"): [("/billing-runs/", None, 200)],
    ("POST", "/billing-runs/"): [
        ("/billing-runs/", {"account": "$account"}, 404),
        ("/billing-runs/", {"project": "zebra"}, 404),
    ],
}


# The same for whoever may read, or only what this very key asked for.
OF_NO_TENANT = {"/ledger-seals/", "/billing-runs/"}


def everything_stored():
    """Every row that a request could change; keys without the time of their last use."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (
            UsageEvent,
            PendingContribution,
            Project,
            MetricDefinition,
            AttributionRule,
            SurfaceInstallation,
            ProjectQuota,
            QuotaOverride,
            UsageThreshold,
            Correction,
            QuotaDecision,
            QuotaHold,
            QuotaHoldEnding,
            WebhookEndpoint,
            WebhookSecret,
            WebhookDelivery,
            Export,
            ExportPiece,
            Plan,
            Price,
            BillingAccount,
            Subscription,
            SubscriptionItem,
            BillingCycle,
            Invoice,
            InvoiceLine,
            InvoiceDiscount,
            InvoiceApproval,
            Payment,
            CreditGrant,
            CreditEntry,
            PeriodCorrection,
            BillingRun,
        )
    ] + [list(ApiKey.objects.order_by("pk").values("pk", "revoked_at", "permissions"))]


@pytest.fixture(autouse=True)
def _positions_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the very transaction that the test runs in."""
    for module in ("running", "what_if"):
        monkeypatch.setattr(f"billing.api.{module}.final_position", ledger_end)


@pytest.fixture
def zebra() -> dict[str, str]:
    """Two tenants with usage of one shared metric; the stranger's ids by placeholder."""
    a_metric("shared", primary_labels=["animal"])
    a_plan(key="everybody")
    for key in ("zebra", "mine"):
        tenant = a_project(key, kind="organisation")
        chat = a_project(f"{key}-chat", parent=tenant)
        surface = install_surface(project=tenant, key=f"{key}-bot", name=f"{key} bot")
        metric = a_metric(f"{key}-calls", project=tenant)
        a_project(f"{key}-empty", parent=tenant)
        rule = attribute(chat, payer=tenant)
        quota = set_quota(tenant, metric=metric, limit="1000")
        override = override_quota(
            quota,
            limit="2000",
            effective_until=at("2999-01-01T00:00:00Z"),
            reason=f"{key} grows",
            actor=key,
        )
        threshold = set_threshold(
            tenant, metric=metric, amount="900", subject_id=f"{key}-subject", period="month"
        )
        plan = a_plan(a_usage_price(metric), key=f"{key}-plan", project=tenant)
        a_draft(key=f"{key}-draft", project=tenant)
        subscription = a_subscription(an_account(tenant), plan)
        labels = {"animal": f"{key}-label"}
        for number, project in enumerate((tenant, chat)):
            for name in ("shared", f"{key}-calls"):
                recorded(
                    an_event(
                        project,
                        id=f"{key}-{number}",
                        source=name,
                        event_name=name,
                        quantity=7,
                        subject_type="user",
                        subject_id=f"{key}-subject",
                        labels=labels,
                    )
                )
        endpoint, _secret = add_endpoint(
            project=tenant, url=f"{WEBHOOK_URL}?{key}", kinds=["quota.exceeded"], description=key
        )
        documents = documents_of(subscription, key)
        if key == "zebra":
            zebra_documents = documents
            zebra_endpoint = endpoint
            announce("quota.exceeded", project_id=chat.pk, data={"project": "zebra-chat"})
            zebra_event, zebra_quota = UsageEvent.objects.latest("id"), quota
            zebra_override, zebra_rule, zebra_surface = override, rule, surface
            zebra_threshold, zebra_subscription = threshold, subscription
            [voided] = recorded(an_event(tenant, id="zebra-twice", event_name="shared", labels=labels))
            void_id = a_void_of(voided.id, reason="a zebra's mistake")
            hold = reserve(
                tenant, metric_key="zebra-calls", quantity=1, expires_in=600, idempotency_key="zebra-job"
            ).hold
            with pytest.raises(QuotaExceeded) as refusal:
                recorded(an_event(tenant, id="zebra-much", event_name="zebra-calls", quantity=10_000))
            NOTEBOOK.flush()
            used(tenant, "7", event_name="zebra-calls", labels=labels)
            billed("2026-04-01T00:00:00Z", subscription.account)
            explained_line = draft_of(subscription.account).lines.get()
            roll_up()
            file = b"zebra\n"
            zebra_export = Export.objects.create(
                kind="usage_events",
                project=tenant,
                requested_by="zebra",
                state="finished",
                piece_count=1,
                byte_count=len(file),
                finished_at=at("2999-01-01T00:00:00Z"),
            )
            ExportPiece.objects.create(export=zebra_export, number=0, data=file)
    return {
        "$event_cursor": Cursor(at("2030-01-01T00:00:00Z"), 2**60).text,
        "$event": str(zebra_event.pk),
        "$voided": str(voided.id),
        "$void": str(void_id),
        "$mine": str(UsageEvent.objects.latest("id").pk),
        "$endpoint": str(zebra_endpoint.pk),
        "$my_endpoint": str(endpoint.pk),
        "$delivery": str(WebhookDelivery.objects.filter(endpoint=zebra_endpoint).first().pk),
        "$quota": str(zebra_quota.pk),
        "$hold": hold.public_id,
        "$decision": refusal.value.decision,
        "$override": str(zebra_override.pk),
        "$threshold": str(zebra_threshold.pk),
        "$rule": str(zebra_rule.pk),
        "$surface": str(zebra_surface.pk),
        "$export": str(zebra_export.pk),
        "$account": str(zebra_subscription.account_id),
        "$subscription": str(zebra_subscription.pk),
        "$explained_invoice": str(explained_line.invoice_id),
        "$explained_line": str(explained_line.pk),
        "$my_draft": documents["$draft"],
        **zebra_documents,
    }


def documents_of(subscription: Subscription, name: str) -> dict[str, str]:
    """An invoice with a payment and a credit note, a draft, credit and a correction; ids by placeholder."""
    account, now = subscription.account, at("2026-04-01T00:00:00Z")
    work = ManualLine(f"{name} work", Decimal(10))
    a_seller()
    draft = begin_invoice(account, lines=[work], edited_by=name)
    discount = add_discount(draft, name=name, reason=name, percent=Decimal(10), added_by=name)
    invoice = issue(begin_invoice(account, lines=[work], edited_by=name), now=now, issued_by=name)
    note = begin_credit_note(invoice, lines=[ManualLine(name, Decimal(1))], reason=name, edited_by=name)
    issue(note, now=now, issued_by=name)
    payment = record_payment(invoice, amount=Decimal(1), received_on=now.date(), now=now).payment
    grant = grant_credit(account, amount=Decimal(5), kind="paid", name=name, now=now).grant
    period = BilledPeriod.objects.create(
        account=account,
        subscription=subscription,
        price=subscription.plan.prices.get(),
        period_start=at("2026-02-01T00:00:00Z"),  # none of the subscription's, so that no run looks at it
        period_end=at("2026-03-01T00:00:00Z"),
        position=0,
    )
    correction = PeriodCorrection.objects.create(
        billed_period=period,
        account=account,
        position=0,
        period_end=now,
        billed_amount=0,
        rated_amount=1,
        difference=1,
        state="waiting",
    )
    return {
        "$draft": str(draft.pk),
        "$line": str(draft.lines.get().pk),
        "$discount": str(discount.pk),
        "$invoice": str(invoice.pk),
        "$note": str(note.pk),
        "$payment": str(payment.pk),
        "$grant": str(grant.pk),
        "$correction": str(correction.pk),
    }


def filled(text: str, places: dict[str, str]) -> str:
    for name in sorted(places, key=len, reverse=True):
        text = text.replace(name, places[name])
    return text


def filled_body(body: object, places: dict[str, str]) -> object:
    """The body with ids of rows, which are numbers, in their places."""
    if isinstance(body, dict) and "ids" in body:
        return {**body, "ids": [int(places[name]) for name in body["ids"]]}
    if isinstance(body, dict) and "accounts" in body:
        return {**body, "accounts": [int(places[name]) for name in body["accounts"]]}
    if isinstance(body, dict) and "account" in body.get("filters", {}):
        return {**body, "filters": {"account": int(places["$account"])}}
    if isinstance(body, dict) and "account" in body:
        return {**body, "account": int(places[body["account"]])}
    return body


def test_every_route_and_method_has_a_case():
    existing = {(method, route) for route, methods in routes() for method in methods}

    assert existing - set(TRIES) == set()
    assert len(existing) >= 21  # the walk itself finds what there is


def test_every_case_has_a_route():
    existing = {(method, route) for route, methods in routes() for method in methods}

    assert set(TRIES) - existing == set()


@pytest.mark.parametrize(("method", "route"), TRIES, ids=lambda part: str(part))
def test_stranger_sees_and_changes_nothing(zebra, method, route):
    mine = Caller(Project.objects.get(key="mine"))
    before = everything_stored()

    for path, body, status in TRIES[method, route]:
        answer = mine(method, filled(path, zebra), filled_body(body, zebra))
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content

        assert answer.status_code == status, (path, body, content)
        assert everything_stored() == before, (path, body)
        if status == 200:
            assert SECRET not in re.sub(r'"(?:next|previous)": ?"[^"]*"', "", content.decode()), (
                path,
                content,
            )


def test_owner_sees_what_the_stranger_does_not(zebra):
    """The negative control: the same questions by a key of the tenant find something."""
    owner = Caller(Project.objects.get(key="zebra"))

    for (method, route), tries in TRIES.items():
        for path, body, status in tries:
            if method == "GET" and status in {404, 200} and "mine" not in path:
                answer = owner(method, filled(path, zebra), filled_body(body, zebra))
                content = b"".join(answer.streaming_content) if answer.streaming else answer.content
                assert answer.status_code == 200, (route, path, content)
                if path.endswith("/pdf/"):  # compressed
                    assert content.startswith(b"%PDF-"), path
                    continue
                names_nobody = "kind=" in path or path in OF_NO_TENANT or "ready-made" in path
                if not names_nobody and not path.endswith("/periods/"):
                    assert SECRET in content.decode() or "shared" in content.decode(), (path, content)


@pytest.mark.parametrize(("method", "route"), TRIES, ids=lambda part: str(part))
def test_nobody_without_a_key_is_told_anything(zebra, method, route):
    before = everything_stored()

    for path, body, _ in TRIES[method, route]:
        for key in ("", "mbk_unknown.secret"):
            answer = Caller(None, key=key)(method, filled(path, zebra), filled_body(body, zebra))

            assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed"), (
                path,
                answer.content,
            )
            assert SECRET not in answer.content.decode()
            assert everything_stored() == before


@pytest.mark.parametrize(("method", "route"), TRIES, ids=lambda part: str(part))
def test_key_without_the_permission_is_refused(zebra, method, route):
    """A read key changes nothing; an ingest key reads nothing; neither is told what exists.

    Endpoints are for keys that manage alone, for they say where messages go.
    """
    tenant = Project.objects.get(key="zebra")
    only_asks = method == "GET" or route.endswith(("/preview/", "/what-if/")) or route.startswith("/exports/")
    permissions = ("ingest", "backfill") if only_asks else ("read",)
    if route.endswith("/check/"):  # whoever reads or records may ask
        permissions = ("manage", "backfill")
    weak = Caller(tenant, *permissions)
    before = everything_stored()

    for path, body, _ in TRIES[method, route]:
        with nothing_stays():
            answer = weak(method, filled(path, zebra), filled_body(body, zebra))

            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), (
                path,
                answer.content,
            )
            assert everything_stored() == before


def test_child_sees_neither_its_siblings_nor_its_parent(zebra):
    child = Caller(Project.objects.get(key="zebra-chat"))

    assert [p["key"] for p in child.get("/projects/").json()["results"]] == ["zebra-chat"]
    assert child.get("/projects/zebra/").status_code == 404
    assert child.get("/usage/?metric=shared&project=zebra").status_code == 404
    assert child.get("/usage/?metric=shared").json()["results"][0]["value"] == "7"
    assert child.post("/projects/", {"key": "x", "name": "X", "parent": "zebra"}).status_code == 404
    assert child("DELETE", "/metrics/zebra-calls/").status_code == 404
    assert child("PATCH", "/metrics/zebra-calls/", {"unit": "x"}).status_code == 404
    assert {m["key"] for m in child.get("/metrics/").json()["results"]} == {"shared", "zebra-calls"}
    assert json.loads(child.get("/quotas/").content)["results"] == []
