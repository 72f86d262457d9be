"""Explained lines and their events, as the API writes them."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from billing.models import InvoiceLine
from billing.money import amount_text, exact_text
from billing.proving.computation import Step
from billing.proving.explaining import Explanation
from billing.proving.line_events import LineEvent
from billing.rating import price_json
from metering.catalogue import current
from metering.texts.numbers import plain
from metering.texts.timestamps import iso


def shown(explanation: Explanation, *, is_staff: bool) -> dict[str, Any]:
    """The whole explanation. Remarks of colleagues are for staff."""
    learned = explanation.learned
    return {
        "line": _line(explanation, is_staff=is_staff),
        "price": _price(explanation),
        "computation": [_step(step) for step in explanation.steps],
        "stands": explanation.stands,
        "evidence": _evidence(explanation),
        "buckets": _buckets(explanation),
        "learned_since": None
        if learned is None
        else {"voided_count": learned.voided_count, "later_count": learned.later_count},
    }


def shown_event(event: LineEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "occurred_at": iso(event.occurred_at),
        "recorded_at": iso(event.recorded_at),
        "project": event.project,
        "source": event.source,
        "event_id": event.event_id,
        "subject_type": event.subject_type or None,
        "subject_id": event.subject_id or None,
        "value": plain(event.value) if isinstance(event.value, Decimal) else event.value,
        "labels": msgspec.Raw(event.labels.encode()),  # as they were sent: no float comes near them
        "voided_by": event.voided_by,
    }


def _line(explanation: Explanation, *, is_staff: bool) -> dict[str, Any]:
    line, currency = explanation.line, explanation.currency
    return {
        "id": line.pk,
        "invoice": line.invoice_id,
        "number": line.invoice.number,
        "kind": line.kind,
        "is_adjustment": line.is_adjustment,
        "reverses": _place(line.reverses),
        "reversed_by": _place(explanation.reversal),
        "name": line.name,
        "plan": line.plan_name,
        "metric": line.metric_key or None,
        "unit": line.unit,
        "project": line.project_key or None,
        "labels": line.group,
        "period_start": _iso_or_none(line.period_start),
        "period_end": _iso_or_none(line.period_end),
        "first_day": line.service_start_on and line.service_start_on.isoformat(),
        "day_after": line.service_end_on and line.service_end_on.isoformat(),
        "quantity": None if line.quantity is None else plain(line.quantity),
        "currency": currency,
        "amount": amount_text(line.amount, currency),
        "discount_amount": amount_text(line.discount_amount, currency),
        "tax_amount": amount_text(line.tax_amount, currency),
        "reason": line.reason if is_staff else None,
        "added_by": line.added_by if is_staff else None,
    }


def _place(line: InvoiceLine | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {"invoice": line.invoice_id, "number": line.invoice.number, "line": line.pk}


def _price(explanation: Explanation) -> dict[str, Any] | None:
    if explanation.price is None:
        return None
    origin = explanation.origin
    return {
        "full_period": origin.price,
        "applied": price_json(explanation.price),
        "share": origin.share or "1",
    }


def _step(step: Step) -> dict[str, Any]:
    def text(value: Fraction | None) -> str | None:
        return None if value is None else exact_text(value)

    return {
        "kind": step.kind,
        "tier": step.tier,
        "name": step.name,
        "quantity": text(step.quantity),
        "of": text(step.of),
        "rate": text(step.rate),
        "flat_amount": text(step.flat),
        "amount": text(step.amount),
    }


def _evidence(explanation: Explanation) -> dict[str, Any] | None:
    line, ask, rerun = explanation.line, explanation.ask, explanation.rerun
    if ask is None or rerun is None or line.evidence is None:
        return None
    return {
        "predicate": {
            "metric": line.metric_key,
            "payer": current().project_by_id(ask.payer_id).key,
            "from": iso(ask.start),
            "to": iso(ask.end),
            "timezone": explanation.zone.key,
            **{name: line.evidence[name] for name in ("match", "excluding", "within", "position")},
        },
        "event_count": line.event_count,
        "digest": bytes(line.event_digest or b"").hex(),
        "matches": rerun.matches,
        "differences": list(rerun.differences),
    }


def _buckets(explanation: Explanation) -> dict[str, Any] | None:
    course = explanation.course
    if course is None:
        return None
    return {
        "window": course.unit,
        "timezone": explanation.zone.key,
        "adds_up": course.adds_up,
        "results": [
            {
                "window_start": bucket.window.start.astimezone(explanation.zone).isoformat(),
                "window_end": bucket.window.end.astimezone(explanation.zone).isoformat(),
                "value": None if bucket.value is None else plain(bucket.value),
                "record_count": bucket.event_count,
            }
            for bucket in course.buckets
            if bucket.event_count or bucket.value
        ],
    }


def _iso_or_none(instant: dt.datetime | None) -> str | None:
    return None if instant is None else iso(instant)
