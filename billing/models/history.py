"""Who changed what is sold, to whom and on which terms, when, and why."""

from django.utils.translation import gettext_lazy as _

from metering.models import ChangeMeta, changes_of

from .account import BillingAccount
from .plan import Plan, Price
from .series import NumberSeries, Seller
from .subscription import Subscription


class PlanChange(
    changes_of(  # type: ignore[misc]
        Plan,
        fields=[
            "project",
            "key",
            "version",
            "name",
            "description",
            "currency",
            "interval",
            "interval_count",
            "state",
            "published_at",
            "archived_at",
        ],
    )
):
    """What a plan became by one change: as a draft, by its publication, when it was archived."""

    named_by = ("key", "version")

    class Meta(ChangeMeta):
        db_table_comment = "What a plan became by one change. Written by trigger, append-only."
        verbose_name = _("change of a plan")
        verbose_name_plural = _("changes of plans")


class PriceChange(
    changes_of(  # type: ignore[misc]
        Price,
        fields=[
            "plan",
            "position",
            "name",
            "kind",
            "metric",
            "price",
            "label_match",
            "per_project",
            "split_by",
            "charged",
        ],
    )
):
    """What a price became by one change while its plan was a draft."""

    named_by = ("plan", "name")
    page_of = "plan"

    class Meta(ChangeMeta):
        db_table_comment = "What a price became by one change. Written by trigger, append-only."
        verbose_name = _("change of a price")
        verbose_name_plural = _("changes of prices")


class AccountChange(
    changes_of(  # type: ignore[misc]
        BillingAccount,
        fields=[
            "project",
            "legal_name",
            "address_lines",
            "country",
            "tax_id",
            "tax_rates",
            "currency",
            "timezone",
            "payment_terms_days",
            "invoice_emails",
            "issue_grace_days",
            "issues_automatically",
            "approval_above",
            "approve_corrections_above",
            "write_off_below",
        ],
    )
):
    """What a billing account became by one change. What billing runs note on it leaves no row."""

    named_by = ("legal_name",)

    class Meta(ChangeMeta):
        db_table_comment = "What a billing account became by one change. Written by trigger, append-only."
        verbose_name = _("change of a billing account")
        verbose_name_plural = _("changes of billing accounts")


class SubscriptionChange(
    changes_of(  # type: ignore[misc]
        Subscription,
        fields=[
            "account",
            "plan",
            "effective_from",
            "effective_until",
            "trial_until",
            "cancelled_at",
            "replaces",
        ],
    )
):
    """What a subscription became by one change."""

    named_by = ("account", "plan")

    class Meta(ChangeMeta):
        db_table_comment = "What a subscription became by one change. Written by trigger, append-only."
        verbose_name = _("change of a subscription")
        verbose_name_plural = _("changes of subscriptions")


class SellerChange(
    changes_of(  # type: ignore[misc]
        Seller,
        fields=["legal_name", "address_lines", "country", "tax_id", "email", "payment_details", "footer"],
    )
):
    """What the seller's particulars became by one change."""

    named_by = ("legal_name",)

    class Meta(ChangeMeta):
        db_table_comment = "What the seller became by one change. Written by trigger, append-only."
        verbose_name = _("change of the seller")
        verbose_name_plural = _("changes of the seller")


class SeriesChange(
    changes_of(NumberSeries, fields=["kind", "prefix", "digits"])  # type: ignore[misc]
):
    """What a number series became by one change. The numbers that it gives leave no row."""

    named_by = ("kind",)

    class Meta(ChangeMeta):
        db_table_comment = "What a number series became by one change. Written by trigger, append-only."
        verbose_name = _("change of a number series")
        verbose_name_plural = _("changes of number series")
