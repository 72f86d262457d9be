"""One example for the body of each operation that has none at its route: the story of README's tour."""

from typing import Any

_REASON = {"reason": "rows were counted twice"}
_METRIC = {"key": "exports", "unit": "row", "aggregation": "SUM"}
_TIERS = [{"up_to": "25", "unit_amount": "0.10"}, {"unit_amount": "0.08"}]
_PRICES = [
    {"name": "Base fee", "price": {"model": "flat", "amount": "19"}, "charged": "advance"},
    {
        "name": "Rows",
        "metric": "exports",
        "included_quantity": "20",
        "price": {"model": "graduated", "tiers": _TIERS},
    },
]
_CHANGE = {"plan": "starter", "plan_version": 2, "when": "period_end"}

BODIES: dict[str, Any] = {
    "attribution_create": {
        "billing_attribution_project": "acme",
        "effective_from": "2026-11-01T00:00:00Z",
    },
    "attribution_end": {"effective_until": "2026-12-01T00:00:00Z"},
    "billing_accounts_change": {"payment_terms_days": 14, "invoice_emails": ["billing@example.com"]},
    "billing_accounts_open": {
        "project": "my-app",
        "legal_name": "My App GmbH",
        "currency": "EUR",
        "country": "DE",
        "timezone": "Europe/Berlin",
        "tax_rates": [{"name": "VAT", "percent": "19"}],
        "payment_terms_days": 30,
        "invoice_emails": ["billing@example.com"],
    },
    "billing_runs_start": {"project": "my-app"},
    "credit_grants_grant": {
        "project": "my-app",
        "amount": "50.00",
        "kind": "promotional",
        "name": "Welcome credit",
        "expires_at": "2027-01-01T00:00:00Z",
        "key": "welcome-my-app",
        "reason": "first customer of the month",
    },
    "credit_grants_withdraw": {"reason": "granted twice"},
    "exports_request": {"kind": "journal", "filters": {"from": "2026-10-01"}},
    "invoices_add_discount": {"name": "Goodwill", "reason": "outage of 3 November", "percent": "10"},
    "invoices_add_line": {"name": "Migration of data", "quantity": "2", "unit_amount": "120.00"},
    "invoices_approve": {"note": "compared with the contract"},
    "invoices_begin": {
        "project": "my-app",
        "notes": "As agreed by telephone.",
        "lines": [{"name": "Migration of data", "amount": "240.00"}],
    },
    "invoices_change": {"notes": "Thank you for your business."},
    "invoices_credit": {
        "reason": "outage of 3 November",
        "lines": [{"name": "Goodwill for the outage", "amount": "12.50"}],
    },
    "invoices_issue": {"early": True},
    "invoices_record_payment": {
        "amount": "25.90",
        "received_on": "2026-12-04",
        "method": "bank_transfer",
        "reference": "INV-000001",
        "key": "bank-2026-12-04-17",
    },
    "invoices_take_back_payment": {"reason": "booked to the wrong invoice"},
    "invoices_void": {"reason": "billed to the wrong company"},
    "metrics_add_ready_made": {"keys": ["reads", "writes"], "project": "my-app"},
    "metrics_change": {"display_name": "Exported rows", "description": "Rows that left by an export."},
    "metrics_clone": {"key": "exports-2", "event_label_filter": {"region": "eu"}, "archive": True},
    "metrics_define": {**_METRIC, "display_name": "Exported rows", "primary_labels": ["region"]},
    "metrics_preview": {"event_label_filter": {"region": "eu"}, "days": 30},
    "metrics_preview_draft": {**_METRIC, "project": "my-app", "days": 30},
    "period_corrections_approve": {"reason": "agreed with the customer"},
    "period_corrections_write_off": {"reason": "less than the postage"},
    "plans_change": {
        "prices": [
            {"name": "Rows", "metric": "exports", "price": {"model": "per_unit", "unit_amount": "0.25"}}
        ]
    },
    "plans_clone": {"name": "Starter 2027"},
    "plans_define": {"key": "starter", "name": "Starter", "currency": "EUR", "prices": _PRICES},
    "pricing_what_if": {"plan": "starter", "from": "2026-10-01", "until": "2026-11-01", "accounts": [1]},
    "projects_change": {"name": "My application"},
    "projects_create": {"key": "my-app", "name": "My app", "timezone": "Europe/Berlin"},
    "quota_overrides_create": {
        "limit": "200",
        "effective_until": "2026-12-01T00:00:00Z",
        "reason": "migration of their data",
    },
    "quota_overrides_end": {"reason": "done earlier than planned"},
    "quotas_change": {"limit": "150", "reason": "larger contract"},
    "quotas_check": {"project": "my-app", "metric": "exports", "quantity": "61"},
    "quotas_create": {
        "project": "my-app",
        "metric": "exports",
        "limit": "100",
        "mode": "hard",
        "period": "month",
    },
    "quotas_holds_commit": {"quantity": "5"},
    "quotas_holds_create": {
        "project": "my-app",
        "metric": "exports",
        "quantity": "25",
        "expires_in": 600,
        "idempotency_key": "job-17",
    },
    "subscriptions_cancel": {"when": "period_end"},
    "subscriptions_change_plan": _CHANGE,
    "subscriptions_move_anchor": {"anchor": "anniversary", "anchor_on": "2026-11-15"},
    "subscriptions_preview_cancel": {"when": "period_end"},
    "subscriptions_preview_change_plan": _CHANGE,
    "subscriptions_subscribe": {
        "project": "my-app",
        "plan": "starter",
        "effective_from": "2026-11-01T00:00:00Z",
    },
    "surfaces_install": {"project": "my-app", "key": "support-bot", "name": "Support bot"},
    "surfaces_rename": {"name": "Support assistant"},
    "thresholds_change": {"quota_fraction": "0.5", "reason": "warned too early"},
    "thresholds_create": {
        "project": "my-app",
        "metric": "exports",
        "subject_id": "*",
        "quota_fraction": "0.4",
        "notify_emails": ["ada@example.com"],
    },
    "usage_events_amend": {"quantity": "20", **_REASON},
    "usage_events_void": _REASON,
    "usage_events_void_batch": {"ids": [17, 18], **_REASON},
    "webhook_deliveries_resend_failed": {"since": "2026-11-01T00:00:00Z"},
    "webhook_endpoints_add": {
        "project": "my-app",
        "url": "https://example.com/hooks",
        "kinds": ["quota.exceeded"],
    },
    "webhook_endpoints_change": {"is_enabled": True},
    "webhook_endpoints_rotate_secret": {"overlap_hours": 24},
}
