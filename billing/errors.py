"""What billing can answer instead of doing as asked."""

import datetime as dt
from decimal import Decimal

from metering.errors import Conflict, Figure, Invalid, Moment, Worded

from .models import PeriodCorrection, Plan, Subscription
from .money import amount_text


def money(amount: Decimal, currency: str) -> Figure:
    """An amount within a message: "1234.50 EUR", and to people as their language writes it."""
    return Figure(amount_text(amount, currency), currency)


class PlanIsFixed(Conflict):
    """The plan was published, and published plans never change."""

    code = "plan_is_fixed"

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            "Version {version} of '{key}' was published and never changes; clone it, change the "
            "clone and publish that.",
            version=plan.version,
            key=plan.key,
        )


class PlanNotForSale(Conflict):
    """Nobody can subscribe to the plan: it is a draft, or archived."""

    code = "plan_not_for_sale"

    def __init__(self, plan: Plan) -> None:
        version, key = plan.version, plan.key
        if plan.is_draft:
            super().__init__(
                "Version {version} of '{key}' is a draft; publish it first.",
                version=version,
                key=key,
                field="plan",
            )
        else:
            super().__init__(
                "Version {version} of '{key}' is archived.", version=version, key=key, field="plan"
            )


class WrongCurrency(Conflict):
    """Plan and account have different currencies."""

    code = "wrong_currency"

    def __init__(self, *, plan: Plan, account_currency: str) -> None:
        super().__init__(
            "The plan '{key}' is in {currency}, the account in {account_currency}.",
            key=plan.key,
            currency=plan.currency,
            account_currency=account_currency,
            field="plan",
        )


class UsageTakenAlready(Conflict):
    """Another subscription of the account takes usage of the same metric at some of the same instants."""

    code = "usage_taken_already"

    def __init__(self, *, metric_key: str, other: Subscription) -> None:
        until = Moment(other.effective_until) if other.effective_until else Worded("further notice")
        super().__init__(
            "Usage of '{metric_key}' belongs to the subscription {pk} ('{plan}') from"
            " {effective_from} until {until}; cancel that one, or change its plan.",
            metric_key=metric_key,
            pk=other.pk,
            plan=other.plan.key,
            effective_from=Moment(other.effective_from),
            until=until,
            field="plan",
        )


class ChangeScheduledAlready(Conflict):
    """Another plan follows already."""

    code = "change_scheduled_already"

    def __init__(self, successor: Subscription) -> None:
        super().__init__(
            "A change to '{plan}' is scheduled for {effective_from}; take that back first.",
            plan=successor.plan.key,
            effective_from=Moment(successor.effective_from),
        )


class NotInForce(Conflict):
    """The subscription has ended, or will have by the instant that is asked for."""

    code = "subscription_not_in_force"

    def __init__(self, subscription: Subscription, *, at: dt.datetime) -> None:
        super().__init__(
            "The subscription {pk} isn't in force at {at}.", pk=subscription.pk, at=Moment(at), field="at"
        )


class DocumentIsIssued(Conflict):
    """Issued documents never change."""

    code = "document_is_issued"

    def __init__(self, number: str) -> None:
        super().__init__("{number} is issued and never changes; issue a credit note.", number=number)


class DocumentIsDraft(Conflict):
    """Only issued documents can be paid, voided or credited."""

    code = "document_is_draft"

    def __init__(self) -> None:
        super().__init__("The document is a draft; issue it first.")


class DraftOutdated(Conflict):
    """What the draft is made of changed after it was computed."""

    code = "draft_outdated"

    def __init__(self) -> None:
        super().__init__(
            "The account, its subscriptions or its documents changed after this draft was computed; compute"
            " it again and look at it."
        )


class GraceNotOver(Conflict):
    """The days of grace for late usage aren't over."""

    code = "grace_not_over"

    def __init__(self, *, until: dt.datetime) -> None:
        super().__init__(
            "Usage may still arrive until {until}; issue it then, or say that it is early.",
            until=Moment(until),
        )


class ApprovalMissing(Conflict):
    """Somebody else has to approve it first."""

    code = "approval_missing"

    def __init__(self, *, limit: Decimal, currency: str) -> None:
        super().__init__(
            "What was added by hand, or the credit note, comes to more than {limit}; a second person"
            " has to approve the document as it is now.",
            limit=money(limit, currency),
        )


class DraftChangedSince(Conflict):
    """The draft isn't the one that was looked at."""

    code = "draft_changed_since"

    def __init__(self) -> None:
        super().__init__("The draft has changed since you looked at it; look again.")


class VoidWaits(Conflict):
    """The credit note that takes the invoice back is a draft that waits for approval."""

    code = "void_waits"

    def __init__(self, number: str) -> None:
        super().__init__(
            "A draft that voids {number} is there already; approve and issue it, or discard it.",
            number=number,
        )


class VoidNotEdited(Conflict):
    """A credit note that takes an invoice back in full is its mirror."""

    code = "void_not_edited"

    def __init__(self) -> None:
        super().__init__(
            "It takes back an invoice in full, so nothing on it can be changed; discard it instead."
        )


class LimitNotLoosened(Invalid):
    """Whoever draws documents up doesn't decide that nobody need approve them."""

    code = "limit_not_loosened"

    def __init__(self, field: str) -> None:
        super().__init__("Only somebody who approves can raise or remove this limit.", field=field)


class OwnWorkNotApproved(Conflict):
    """Nobody approves what they edited themselves."""

    code = "own_work_not_approved"

    def __init__(self) -> None:
        super().__init__("You edited this document; somebody else has to approve it.")


class SellerUnknown(Conflict):
    """Documents name who issues them."""

    code = "seller_unknown"

    def __init__(self) -> None:
        super().__init__("Say who issues invoices first: legal name and address of the seller.")


class NothingToIssue(Conflict):
    """A document has at least one line."""

    code = "nothing_to_issue"

    def __init__(self) -> None:
        super().__init__("The draft has no lines.")


class InvoiceIsPaid(Conflict):
    """Payments are allocated to the invoice."""

    code = "invoice_is_paid"

    def __init__(self, number: str) -> None:
        super().__init__(
            "Payments are allocated to {number}; take them back first, or issue a credit note.", number=number
        )


class InvoiceCorrectedSince(Conflict):
    """A later document stands on the lines of this one."""

    code = "invoice_corrected_since"

    def __init__(self, number: str, *, later: str) -> None:
        super().__init__(
            "{later} corrects or credits {number}; void that one first, or issue a credit note.",
            later=later,
            number=number,
        )


class CorrectionDecided(Conflict):
    """What is done about a correction was decided already."""

    code = "correction_decided"

    def __init__(self, correction: PeriodCorrection) -> None:
        state = PeriodCorrection.State(correction.state).label
        super().__init__("This was decided already: {state}.", state=str(state).lower())


class CorrectionOutdated(Conflict):
    """Documents of the corrected period changed after the correction was found."""

    code = "correction_outdated"

    def __init__(self) -> None:
        super().__init__(
            "What is billed for the period changed since this was found; compute the account's draft again"
            " and look at it."
        )


class TooMuch(Conflict):
    """More than there is."""

    code = "too_much"


class BillingRunWaits(Conflict):
    """Another billing run was asked for and has yet to be taken by a worker."""

    code = "billing_run_waits"

    def __init__(self) -> None:
        super().__init__("A billing run is waiting for a worker already.")
