"""Subscriptions, their periods and what a change would mean, as the API writes them."""

import datetime as dt
from typing import Any

from billing.models import BillingCycle, Subscription
from billing.money import amount_text
from billing.periods import BillingPeriod
from billing.selling.billing_cycles import period_at
from billing.selling.change_previews import ChangePreview
from metering.texts.timestamps import iso


def shown(subscription: Subscription, *, now: dt.datetime) -> dict[str, Any]:
    cycles = sorted(subscription.cycles.all(), key=lambda row: (row.after is not None, row.after))
    cycle, period = cycles[-1], period_at(subscription, now)
    successor = next((each for each in subscription.replacements.all() if not each.is_empty), None)
    is_calendar = cycle.anchor == BillingCycle.Anchor.CALENDAR
    return {
        "id": subscription.pk,
        "account": subscription.account_id,
        "project": subscription.account.project.key,
        "plan": subscription.plan.key,
        "plan_version": subscription.plan.version,
        "currency": subscription.currency,
        "effective_from": iso(subscription.effective_from),
        "effective_until": _iso_or_none(subscription.effective_until),
        "trial_until": _iso_or_none(subscription.trial_until),
        "cancelled_at": _iso_or_none(subscription.cancelled_at),
        "anchor": cycle.anchor,
        "anchor_on": None if is_calendar else cycle.anchor_on.isoformat(),
        "replaces": subscription.replaces_id,
        "replaced_by": successor.pk if successor else None,
        "current_period": None if period is None else shown_period(period),
    }


def shown_period(period: BillingPeriod) -> dict[str, Any]:
    return {
        "start": iso(period.start),
        "end": iso(period.end),
        "first_day": period.service.start.isoformat(),
        "days": period.service.count,
        "of_days": period.full.count,
        "is_trial": period.is_trial,
    }


def shown_preview(preview: ChangePreview) -> dict[str, Any]:
    def amount(value: Any) -> str:
        return amount_text(value, preview.currency)

    return {
        "at": iso(preview.at),
        "currency": preview.currency,
        "ended_period": shown_period(preview.cut) if preview.cut else None,
        "begun_period": shown_period(preview.rest) if preview.rest else None,
        "restarts_cycle": preview.restarts_cycle,
        "lines": [
            {
                "kind": line.kind,
                "name": line.name,
                "amount": amount(line.amount),
                "days": line.days,
                "of_days": line.of_days,
                "due": line.due,
            }
            for line in preview.lines
        ],
        "due_now": amount(preview.due_now),
        "metrics_lost": list(preview.metrics_lost),
        "metrics_gained": list(preview.metrics_gained),
    }


def _iso_or_none(instant: dt.datetime | None) -> str | None:
    return None if instant is None else iso(instant)
