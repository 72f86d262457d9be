"""Every kind of domain event, with what its data looks like. A name or member that others read stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

METRIC_DEFINED = "metric.defined"
USAGE_RECORDED = "usage.recorded"
USAGE_AGGREGATED = "usage.aggregated"
THRESHOLD_APPROACHING = "threshold.approaching"
THRESHOLD_EXCEEDED = "threshold.exceeded"
QUOTA_EXCEEDED = "quota.exceeded"
QUOTA_SOFT_BREACHED = "quota.soft_breached"
INVOICE_ISSUED = "invoice.issued"
INVOICE_PAID = "invoice.paid"
INVOICE_OVERDUE = "invoice.overdue"
INVOICE_VOIDED = "invoice.voided"
CREDIT_NOTE_ISSUED = "credit_note.issued"
ENDPOINT_TESTED = "endpoint.tested"  # only ever sent to the endpoint that is tested


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind: what it says in a line, which pages translate, and an example of its `data`."""

    name: str
    description: str
    example: Mapping[str, Any]


_PERIOD = {"period_start": "2026-11-01T00:00:00Z", "period_end": "2026-12-01T00:00:00Z"}
_THRESHOLD = {
    "threshold": 7,
    "project": "acme-chat",
    "metric": "tokens",
    "subject_type": "customer",
    "subject_id": "kim",
    "level": "1000000",
    "action": "alert",
    "unit": "token",
    **_PERIOD,
}
_QUOTA = {
    "quota": 3,
    "project": "acme-chat",
    "metric": "tokens",
    "limit": "1000000",
    "used": "999800",
    "held": "0",
    "requested": "500",
    "period": "month",
    "period_start": "2026-11-01T00:00:00Z",
    "resets_at": "2026-12-01T00:00:00Z",
}
_INVOICE = {
    "invoice": 118,
    "number": "INV-000042",
    "kind": "invoice",
    "account": 5,
    "currency": "EUR",
    "total": "1249.50",
    "amount_due": "1249.50",
    "issued_on": "2026-12-02",
    "due_on": "2027-01-01",
    **_PERIOD,
}

KINDS: Mapping[str, EventKind] = {
    kind.name: kind
    for kind in (
        EventKind(
            METRIC_DEFINED,
            "A metric was defined. Without a project it is one that every project sees.",
            {
                "metric": "tokens",
                "display_name": "Tokens",
                "unit": "token",
                "aggregation": "SUM",
                "event_name": "llm.request",
                "project": "acme",
                "counts_from": 182734,
            },
        ),
        EventKind(
            USAGE_RECORDED,
            "Usage was recorded: one for each request, with how many new events of each name.",
            {
                "count": 3,
                "last_id": 182734,
                "events": [{"project": "acme-chat", "event_name": "llm.request", "count": 3}],
            },
        ),
        EventKind(
            USAGE_AGGREGATED,
            "Usage was merged into the rollups: what changed, by metric, project, payer and UTC day.",
            {
                "touched_count": 1,
                "touched": [
                    {
                        "metric": "tokens",
                        "project": "acme-chat",
                        "billing_scope": "acme",
                        "first_hour": "2026-11-22T09:00:00Z",
                        "last_hour": "2026-11-22T11:00:00Z",
                    }
                ],
            },
        ),
        EventKind(
            THRESHOLD_APPROACHING,
            "Usage came near a threshold: to the fraction of it that is set, 80 % by default.",
            {**_THRESHOLD, "value": "812400", "approach_fraction": "0.8"},
        ),
        EventKind(THRESHOLD_EXCEEDED, "Usage reached a threshold.", {**_THRESHOLD, "value": "1000350"}),
        EventKind(QUOTA_EXCEEDED, "Usage was refused because it would have exceeded a hard quota.", _QUOTA),
        EventKind(
            QUOTA_SOFT_BREACHED,
            "Usage went over a soft quota and was recorded; told once in each period.",
            _QUOTA,
        ),
        EventKind(INVOICE_ISSUED, "An invoice was issued: it has its number and never changes.", _INVOICE),
        EventKind(INVOICE_PAID, "Nothing is owed on an invoice any more.", _INVOICE),
        EventKind(INVOICE_OVERDUE, "An invoice wasn't paid by its due day; told once.", _INVOICE),
        EventKind(
            INVOICE_VOIDED,
            "An invoice was taken back in full, by a credit note.",
            {**_INVOICE, "credit_note": "CN-000007", "reason": "Billed to the wrong company."},
        ),
        EventKind(
            CREDIT_NOTE_ISSUED,
            "A credit note was issued; its amounts are negative.",
            {
                **_INVOICE,
                "number": "CN-000007",
                "kind": "credit_note",
                "total": "-70.00",
                "amount_due": "-70.00",
            },
        ),
        EventKind(
            ENDPOINT_TESTED,
            "Somebody tried an endpoint. It is sent to that one alone, whatever it subscribes to.",
            {"message": "It works.", "requested_by": "ada"},
        ),
    )
}

# What an endpoint can choose from.
SUBSCRIBABLE = tuple(name for name in KINDS if name != ENDPOINT_TESTED)
