"""Subscriptions and their periods in words, on the clocks of the account."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import BillingCycle, Plan, Subscription
from billing.periods import BillingPeriod
from metering.admin import cells
from metering.measuring.windows import first_instant

from .price_words import interval_in_words

ONE_DAY = dt.timedelta(days=1)


class LocalTimes:
    """Instants as people of the zone write them."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def short(self, instant: dt.datetime | None, *, empty: str = cells.DASH) -> str:
        """The day; with the time where that isn't midnight."""
        if instant is None:
            return empty
        local = instant.astimezone(self.zone)
        if local.time() == dt.time():
            return f"{local:%Y-%m-%d}"
        return f"{local:%Y-%m-%d %H:%M}" + (f":{local:%S}" if local.second else "")

    def last(self, end: dt.datetime | None, *, empty: str = cells.DASH) -> str:
        """Until when something holds that ends at an instant: “2026-12-31 (included)”, where a day ends then;
        else the time."""
        if end is None:
            return empty
        day = end.astimezone(self.zone).date()
        if first_instant(day, self.zone) != end:
            return self.short(end)
        return _("%s (included)") % (day - ONE_DAY)


def until_words(subscription: Subscription, times: LocalTimes) -> str:
    """Until when it is in force; a dash where it never is."""
    if subscription.is_empty:
        return cells.DASH
    return times.last(subscription.effective_until, empty=_("further notice"))


def in_a_line(subscription: Subscription, *, times: LocalTimes, now: dt.datetime) -> dict[str, Any]:
    """What lists on other pages say of it. Needs its plan."""
    return {
        "url": reverse("admin:billing_subscription_change", args=[subscription.pk]),
        "plan": subscription.plan.name,
        "version": subscription.plan.version,
        "badge": state_badge(subscription, now=now),
        "since": times.short(subscription.effective_from),
        "until": until_words(subscription, times),
    }


def state_of(subscription: Subscription, *, now: dt.datetime) -> str:
    """One word: what is true of it now."""
    if subscription.is_empty:
        return "withdrawn"
    if subscription.effective_from > now:
        return "scheduled"
    if not subscription.covers(now):
        return "ended"
    if subscription.trial_until is not None and subscription.trial_until > now:
        return "trial"
    return "cancelled" if subscription.cancelled_at is not None else "active"


def state_badge(subscription: Subscription, *, now: dt.datetime) -> SafeString:
    words = {
        "withdrawn": (_("Never began"), ""),
        "scheduled": (_("Scheduled"), "info"),
        "ended": (_("Ended"), ""),
        "trial": (_("Trial"), "info"),
        "cancelled": (_("Active, cancelled"), "warning"),
        "active": (_("Active"), "success"),
    }
    return cells.badge(*words[state_of(subscription, now=now)])


def period_in_words(period: BillingPeriod) -> str:
    """“2026-03-01 to 2026-03-31, 31 days”: the last day is the last one of service."""
    last = max(period.service.end - ONE_DAY, period.service.start)
    days = period.service.count
    text = _("%(first)s to %(last)s") % {"first": period.service.start, "last": last}
    if period.is_trial:
        return text + ", " + _("free trial")
    if period.is_partial:
        return text + ", " + _("%(days)d of %(all)d days") % {"days": days, "all": period.full.count}
    return text + ", " + ngettext("%d day", "%d days", days) % days


def rhythm_in_words(plan: Plan, cycle: BillingCycle) -> str:
    """“monthly, by the calendar (Europe/Berlin)”."""
    if cycle.anchor == BillingCycle.Anchor.CALENDAR:
        counted = _("by the calendar")
    else:
        counted = _("counted from %s") % cycle.anchor_on
    return f"{interval_in_words(plan)}, {counted} ({cycle.timezone})"
