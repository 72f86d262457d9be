"""Who is on which plan, from when until when."""

import datetime as dt

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import IdRange, MetricDefinition

from .account import BillingAccount
from .plan import Plan


class During(Func):
    """The half-open interval between two instants; None is unbounded, equal ones are empty."""

    function = "tstzrange"
    output_field = DateTimeRangeField()


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def lasting(self) -> "SubscriptionQuerySet":
        """Those that are in force at some instant; others were taken back before they began."""
        return self.filter(Q(effective_until=None) | Q(effective_until__gt=F("effective_from")))

    def at(self, instant: dt.datetime) -> "SubscriptionQuerySet":
        """Those in force at an instant."""
        return self.filter(
            Q(effective_until=None) | Q(effective_until__gt=instant), effective_from__lte=instant
        )

    def over(self, now: dt.datetime) -> "SubscriptionQuerySet":
        """Those that have ended, or were taken back before they began."""
        return self.filter(Q(effective_until__lte=now) | Q(effective_until__lte=F("effective_from")))

    def unended(self, now: dt.datetime) -> "SubscriptionQuerySet":
        """Those that are in force or will be."""
        return self.lasting().filter(Q(effective_until=None) | Q(effective_until__gt=now))


class Subscription(models.Model):
    """From one instant to another, an account is on one plan version. Written by `selling.subscriptions`.

    A change of plan ends it and begins another that `replaces` it. Until `trial_until` nothing is charged.
    """

    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="subscriptions",
    )
    plan = models.ForeignKey(
        Plan, verbose_name=_("plan"), on_delete=models.PROTECT, related_name="subscriptions"
    )
    currency = models.CharField(_("currency"), max_length=3, editable=False)  # of both, by foreign keys
    effective_from = models.DateTimeField(_("effective from"))
    effective_until = models.DateTimeField(
        _("effective until"), null=True, blank=True, help_text=_("Empty: until further notice.")
    )
    trial_until = models.DateTimeField(
        _("trial until"), null=True, blank=True, help_text=_("Nothing is charged before this instant.")
    )
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, editable=False)
    replaces = models.ForeignKey(
        "self",
        verbose_name=_("replaces"),
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="replacements",
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    during = models.GeneratedField(
        expression=During("effective_from", "effective_until"),
        output_field=DateTimeRangeField(),
        db_persist=True,
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        db_table_comment = "From one instant to another, an account is on one version of a plan."
        ordering = ["account_id", "effective_from", "id"]
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [
            models.CheckConstraint(
                name="subscription_ends_after_it_begins",
                condition=Q(effective_until=None) | Q(effective_until__gte=F("effective_from")),
            ),
            models.CheckConstraint(
                name="trial_ends_after_it_begins",
                condition=Q(trial_until=None) | Q(trial_until__gt=F("effective_from")),
            ),
            models.UniqueConstraint(
                fields=["id", "account", "during"], name="subscription_interval_to_refer_to"
            ),
        ]

    def __str__(self) -> str:
        """By customer and plan, where they were loaded along: never by a query."""
        if self._state.fields_cache.keys() >= {"account", "plan"}:
            return f"{self.account.legal_name} · {self.plan.name}"
        return gettext("Subscription %s") % self.pk

    @property
    def billable_from(self) -> dt.datetime:
        """When charging begins."""
        return self.trial_until or self.effective_from

    @property
    def is_empty(self) -> bool:
        """Whether it was taken back before it began."""
        return self.effective_until is not None and self.effective_until <= self.effective_from

    def covers(self, instant: dt.datetime) -> bool:
        return self.effective_from <= instant and (
            self.effective_until is None or instant < self.effective_until
        )


class BillingCycle(models.Model):
    """On which local days the periods of a subscription begin, and on whose clocks; a row per change.

    Written by `selling.subscriptions` and, when the account's zone changes, by `selling.accounts`. `after`
    is a boundary of the cycle before: the row rules the boundaries that follow it. Rows are only added, or
    overwritten while their day lies ahead.
    """

    class Anchor(models.TextChoices):
        CALENDAR = "calendar", _("Calendar: the first of the month or year, Mondays")
        ANNIVERSARY = "anniversary", _("Anniversary: counted from a day")

    subscription = models.ForeignKey(
        Subscription,
        verbose_name=_("subscription"),
        on_delete=models.PROTECT,
        related_name="cycles",
        db_index=False,  # the unique constraint begins with it
    )
    after = models.DateField(_("after"), null=True)
    anchor = models.CharField(_("anchor"), max_length=11, choices=Anchor.choices)
    anchor_on = models.DateField(_("anchor day"))
    timezone = models.CharField(_("time zone"), max_length=64)

    class Meta:
        db_table_comment = "On which local days the periods of a subscription begin; a row per change."
        ordering = ["subscription_id", F("after").asc(nulls_first=True)]
        verbose_name = _("billing cycle")
        verbose_name_plural = _("billing cycles")
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "after"], name="cycle_once_per_day", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"cycle {self.pk}"


class SubscriptionItem(models.Model):
    """A subscription takes an account's usage of a metric, for as long as it lasts. No other does meanwhile.

    Written with its subscription. Account and interval are the subscription's own: a foreign key over all
    three carries changes along.
    """

    subscription = models.ForeignKey(
        Subscription, verbose_name=_("subscription"), on_delete=models.PROTECT, related_name="items"
    )
    account = models.ForeignKey(
        BillingAccount,
        verbose_name=_("billing account"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    metric = models.ForeignKey(
        MetricDefinition, verbose_name=_("metric"), on_delete=models.PROTECT, related_name="+"
    )
    during = DateTimeRangeField(_("during"))

    class Meta:
        db_table_comment = "A subscription takes an account's usage of a metric, and no other does meanwhile."
        ordering = ["subscription_id", "metric_id"]
        verbose_name = _("subscription item")
        verbose_name_plural = _("subscription items")
        constraints = [
            models.UniqueConstraint(fields=["subscription", "metric"], name="item_once_per_metric"),
            ExclusionConstraint(
                name="usage_taken_once",
                expressions=[
                    (IdRange("account_id", "account_id"), RangeOperators.OVERLAPS),
                    (IdRange("metric_id", "metric_id"), RangeOperators.OVERLAPS),
                    ("during", RangeOperators.OVERLAPS),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"
