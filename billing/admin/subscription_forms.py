"""Subscribing, changing plans and cancelling, as forms. Times are on the clocks of the account's zone."""

import datetime as dt
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from billing.models import BillingAccount, BillingCycle, Plan, Subscription
from metering import moments
from metering.admin.base import VerbForm
from metering.admin.day_fields import DayField
from metering.admin.reason import ReasonForm
from metering.measuring.windows import first_instant, zone_named

NOW, PERIOD_END, AT = "now", "period_end", "at"
ONE_DAY = dt.timedelta(days=1)


class LocalInstantField(forms.CharField):
    """A date, or a date and time. Without an offset it is meant on the account's clocks: see `instant_in`."""

    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-01-31"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=40, **kwargs)


def instant_in(zone: ZoneInfo, text: str) -> dt.datetime | None:
    """The instant that the text names in a zone; a date is its first instant. Raises `ValidationError`."""
    return _instant_in(zone, text, of_day=dt.timedelta(0))


def end_in(zone: ZoneInfo, text: str) -> dt.datetime | None:
    """The instant at which something ends that holds until the text: a date is its last day, and included.

    Raises `ValidationError`.
    """
    return _instant_in(zone, text, of_day=ONE_DAY)


def _instant_in(zone: ZoneInfo, text: str, *, of_day: dt.timedelta) -> dt.datetime | None:
    text = moments.plainly_dated(text)
    if not text:
        return None
    try:
        day = _day_of(text)
        if day is not None:
            return first_instant(day + of_day, zone)
        instant = dt.datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValidationError(moments.no_instant()) from None


def _day_of(text: str) -> dt.date | None:
    """The day, in whichever of ISO's spellings; None where a time is named, too."""
    with suppress(ValueError):
        return dt.date.fromisoformat(text)
    return None


class SubscriptionForm(VerbForm):
    """`instants` holds what the texts name, once the account is known."""

    plan = forms.ModelChoiceField(
        label=_("Plan"),
        queryset=Plan.objects.none(),
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Published ones. Plan and account must have the same currency."),
    )
    effective_from = LocalInstantField(
        label=_("From"),
        required=False,
        help_text=_("A date or a time, on the account's clocks; it may lie in the past. Empty: now."),
    )
    effective_until = LocalInstantField(
        label=_("Until"),
        required=False,
        help_text=_("The last day, included, or a time. Empty: until further notice."),
    )
    trial_until = LocalInstantField(
        label=_("Trial until"),
        required=False,
        help_text=_("The last free day, included, or a time. Empty: no trial."),
    )
    anchor = forms.ChoiceField(
        label=_("Billing periods"),
        choices=BillingCycle.Anchor.choices,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("By the calendar, the first period is usually a shorter one, paid by days."),
    )
    anchor_on = DayField(
        label=_("Counted from"),
        required=False,
        help_text=_("For an anniversary. Empty: the day on which charging begins."),
    )

    class Meta:
        model = Subscription
        fields = ("account", "plan", "effective_from", "effective_until", "trial_until")

    account: ClassVar[BillingAccount | None] = None  # where the page is asked for one: its plans alone

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instants: dict[str, dt.datetime | None] = {}
        if "plan" in self.fields:
            plans = Plan.objects.published().order_by("key", "-version")
            self.fields["plan"].queryset = plans if self.account is None else plans_open_to(self.account)  # type: ignore[attr-defined]
            self.fields["plan"].label_from_instance = plan_label  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        account = self.cleaned_data.get("account")
        if account is not None:
            zone = zone_named(account.timezone)
            self.instants = _instants(self, zone, self.cleaned_data, ends={"effective_until", "trial_until"})
        return super().clean()

    def _post_clean(self) -> None:
        """The row is the verb's; the texts fit no column."""


def _instants(
    form: forms.BaseForm, zone: ZoneInfo, given: Mapping[str, Any], *, ends: Collection[str]
) -> dict[str, dt.datetime | None]:
    """By field; of `ends` a date is the last day."""
    instants: dict[str, dt.datetime | None] = {}
    for name in ("effective_from", "effective_until", "trial_until", AT):
        if name in given:
            try:
                read = end_in if name in ends else instant_in
                instants[name] = read(zone, given[name])
            except ValidationError as error:
                form.add_error(name, error)
    return instants


def plan_label(plan: Plan) -> str:
    return f"{plan.name} ({plan.key} v{plan.version}, {plan.currency})"


def plans_open_to(account: BillingAccount) -> QuerySet[Plan]:
    """What the account may be on."""
    plans = Plan.objects.published().filter(currency=account.currency)
    return plans.seen_from(account.project.path).order_by("key", "-version")


class WhenForm(ReasonForm):
    """When a subscription changes; `instant` is None for the end of the running period."""

    ends: ClassVar[Collection[str]] = ()
    when = forms.ChoiceField(
        label=_("When"),
        choices=(
            (PERIOD_END, _("When the running period ends")),
            (NOW, _("Now")),
            (AT, _("At another time")),
        ),
        initial=PERIOD_END,
        widget=UnfoldAdminRadioSelectWidget(),
    )
    at = LocalInstantField(
        label=_("Time"),
        required=False,
        help_text=_("For another time: a date or a time, on the account's clocks."),
    )

    def __init__(self, *args: Any, subscription: Subscription, now: dt.datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(("plan", "when", "at", "reason"))
        self.subscription, self.now = subscription, now
        self.instant: dt.datetime | None = None

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        when = given.get("when")
        if when == NOW:
            self.instant = self.now
        elif when == AT:
            zone = zone_named(self.subscription.account.timezone)
            self.instant = _instants(self, zone, given, ends=self.ends).get(AT)
            if self.instant is None and "at" not in self.errors:
                self.add_error("at", _("Say when."))
        return given


class CancellationForm(WhenForm):
    """When a subscription ends: a date is its last day."""

    ends = (AT,)
    at = LocalInstantField(
        label=_("Until"),
        required=False,
        help_text=_("For another time: the last day, included, or a time, on the account's clocks."),
    )


class PlanChangeForm(WhenForm):
    plan = forms.ModelChoiceField(
        label=_("New plan"), queryset=Plan.objects.none(), widget=UnfoldAdminSelect2Widget()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plans = plans_open_to(self.subscription.account).exclude(pk=self.subscription.plan_id)
        self.fields["plan"].queryset = plans  # type: ignore[attr-defined]
        self.fields["plan"].label_from_instance = plan_label  # type: ignore[attr-defined]
