"""What billing can answer instead of doing as asked."""

import datetime as dt

from metering.errors import Conflict
from metering.texts.timestamps import iso

from .models import Plan, Subscription


class PlanIsFixed(Conflict):
    """The plan was published, and published plans never change."""

    code = "plan_is_fixed"

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            f"Version {plan.version} of '{plan.key}' was published and never changes; clone it, change the "
            "clone and publish that."
        )


class PlanNotForSale(Conflict):
    """Nobody can subscribe to the plan: it is a draft, or archived."""

    code = "plan_not_for_sale"

    def __init__(self, plan: Plan) -> None:
        state = "is a draft; publish it first" if plan.is_draft else "is archived"
        super().__init__(f"Version {plan.version} of '{plan.key}' {state}.", field="plan")


class WrongCurrency(Conflict):
    """Plan and account have different currencies."""

    code = "wrong_currency"

    def __init__(self, *, plan: Plan, account_currency: str) -> None:
        super().__init__(
            f"The plan '{plan.key}' is in {plan.currency}, the account in {account_currency}.", field="plan"
        )


class UsageTakenAlready(Conflict):
    """Another subscription of the account takes usage of the same metric at some of the same instants."""

    code = "usage_taken_already"

    def __init__(self, *, metric_key: str, other: Subscription) -> None:
        until = iso(other.effective_until) if other.effective_until else "further notice"
        super().__init__(
            f"Usage of '{metric_key}' belongs to the subscription {other.pk} ('{other.plan.key}') from"
            f" {iso(other.effective_from)} until {until}; cancel that one, or change its plan.",
            field="plan",
        )


class ChangeScheduledAlready(Conflict):
    """Another plan follows already."""

    code = "change_scheduled_already"

    def __init__(self, successor: Subscription) -> None:
        super().__init__(
            f"A change to '{successor.plan.key}' is scheduled for {iso(successor.effective_from)}; take that"
            " back first."
        )


class NotInForce(Conflict):
    """The subscription has ended, or will have by the instant that is asked for."""

    code = "subscription_not_in_force"

    def __init__(self, subscription: Subscription, *, at: dt.datetime) -> None:
        super().__init__(f"The subscription {subscription.pk} isn't in force at {iso(at)}.", field="at")
