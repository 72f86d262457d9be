"""What is known of a customer at a glance: who pays, subscriptions over time, usage that nothing prices."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Self
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext

from billing.models import BillingAccount, Subscription
from billing.selling.billing_cycles import period_at
from billing.selling.unbilled import Unbilled, unbilled_usage_of
from metering import numerals
from metering.admin import cells
from metering.catalogue import current
from metering.measuring.windows import first_instant, zone_named
from metering.models import Project

from .subscription_words import LocalTimes, in_a_line, period_in_words

UNBILLED_DAYS = 62  # two months: this one and the last
SHORTEST_PAST, LONGEST_PAST = dt.timedelta(days=30), dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Timeline:
    """From when until when the bars of subscriptions are drawn."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def around(cls, now: dt.datetime, *, begun_at: dt.datetime) -> Self:
        """From the first beginning on, a year back at most, and a third of that ahead."""
        past = min(max(now - begun_at, SHORTEST_PAST), LONGEST_PAST)
        return cls(now - past, now + past / 3)

    def place(self, instant: dt.datetime) -> float:
        """Where, from 0 to 100."""
        share = (instant - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * 100, 2)


def customer_card(account: BillingAccount, *, now: dt.datetime) -> dict[str, Any]:
    """What the page shows below the form: who pays, subscriptions over time, usage that nothing prices."""
    zone = zone_named(account.timezone)
    subscriptions = list(
        account.subscriptions.select_related("plan")
        .prefetch_related("cycles")
        .order_by("-effective_from", "-id")
    )
    catalogue = current()
    payer_id = catalogue.payer_at(account.project_id, now)
    first_day = now.astimezone(zone).date() - dt.timedelta(days=UNBILLED_DAYS)
    since = first_instant(first_day, zone)
    unbilled = unbilled_usage_of(account, since=since, until=now, catalogue=catalogue)
    shown = [each for each in subscriptions if not each.is_empty][:50]
    timeline = Timeline.around(now, begun_at=min((each.effective_from for each in shown), default=now))
    return {
        "payer": Project.objects.get(pk=payer_id) if payer_id != account.project_id else None,
        "subscriptions": [_subscription_line(each, zone=zone, now=now, timeline=timeline) for each in shown],
        "timeline": {
            "first": timeline.start.astimezone(zone).date(),
            "last": timeline.end.astimezone(zone).date(),
            "now": timeline.place(now),
        },
        "unbilled": [_unbilled_line(each, zone=zone) for each in unbilled],
        "unbilled_days": UNBILLED_DAYS,
        "subscribe_url": reverse("admin:billing_subscription_add") + f"?account={account.pk}",
    }


def _subscription_line(
    subscription: Subscription, *, zone: ZoneInfo, now: dt.datetime, timeline: Timeline
) -> dict[str, Any]:
    times = LocalTimes(zone)
    period = period_at(subscription, now)
    start = timeline.place(subscription.effective_from)
    end = 100.0 if subscription.effective_until is None else timeline.place(subscription.effective_until)
    return {
        **in_a_line(subscription, times=times, now=now),
        "period": period_in_words(period) if period else cells.DASH,
        "left": start,
        "width": max(end - start, 0.0),
        "is_active": subscription.covers(now),
    }


def _unbilled_line(unbilled: Unbilled, *, zone: ZoneInfo) -> dict[str, Any]:
    times = LocalTimes(zone)
    return {
        "url": reverse("admin:metering_metricdefinition_change", args=[unbilled.metric_id]),
        "metric": unbilled.metric_key,
        "since": times.short(unbilled.start),
        "until": times.last(unbilled.end),
        "value": numerals.with_unit(cells.readable(unbilled.value), unbilled.unit)
        if unbilled.value is not None
        else cells.DASH,
        "record_count": numerals.count(unbilled.record_count),
        "why": gettext("no price of “%s” matches these labels") % unbilled.plan_key
        if unbilled.plan_key
        else gettext("no subscription takes it"),
    }
