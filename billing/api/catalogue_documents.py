"""The shapes of plans, accounts and subscriptions, for the OpenAPI schema."""

from rest_framework import serializers

from billing.models import BillingCycle, Plan, Price
from billing.selling.price_lists import MAX_SPLITS, SPLIT_LENGTH

from .documents import PriceField


class PlanPriceDocument(serializers.Serializer):
    """One price of a plan. Of those on one metric the first whose labels match takes the usage."""

    name = serializers.CharField(required=False, help_text="Default: the metric's name.")
    kind = serializers.ChoiceField(
        choices=Price.Kind.choices, required=False, help_text="Default: usage where there is a metric."
    )
    metric = serializers.CharField(required=False, allow_null=True, help_text="Key; of a price of usage.")
    price = PriceField()
    included_quantity = serializers.CharField(
        required=False, help_text="Free units of the period: another name of the price's usage_discount."
    )
    label_match = serializers.DictField(
        required=False, help_text="Only usage whose labels match, written like a metric's filter."
    )
    per_project = serializers.BooleanField(required=False, help_text="Each project is priced on its own.")
    split_by = serializers.ListField(
        child=serializers.CharField(max_length=SPLIT_LENGTH),
        required=False,
        max_length=MAX_SPLITS,
        help_text="A line for each: `project`, `labels.<name>`. The amount is worked out of the whole and "
        "split by quantity. Empty: one line.",
    )
    charged = serializers.ChoiceField(
        choices=Price.Charged.choices,
        required=False,
        help_text="When a fixed fee is charged. Usage: always in arrears.",
    )


class PlanChangeDocument(serializers.Serializer):
    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    currency = serializers.CharField(required=False, help_text="ISO 4217.")
    interval = serializers.ChoiceField(choices=Plan.Interval.choices, required=False)
    interval_count = serializers.IntegerField(required=False, help_text="3 months make a quarter.")
    prices = PlanPriceDocument(many=True, required=False, help_text="All there are from then on, in order.")


class PlanRequestDocument(PlanChangeDocument):
    key = serializers.CharField()
    project = serializers.CharField(
        required=False,
        help_text="Key of the owner, whose accounts and those below may subscribe. Default: the API key's "
        "project; none for staff, which makes the plan global.",
    )


class PlanDocument(serializers.Serializer):
    """One version of a plan."""

    id = serializers.IntegerField()
    key = serializers.CharField()
    version = serializers.IntegerField()
    project = serializers.CharField(allow_null=True, help_text="Owner; null: a global plan.")
    name = serializers.CharField()
    description = serializers.CharField()
    currency = serializers.CharField()
    interval = serializers.ChoiceField(choices=Plan.Interval.choices)
    interval_count = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Plan.State.choices)
    prices = PlanPriceDocument(many=True)
    created_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)
    archived_at = serializers.DateTimeField(allow_null=True)


class PlanPage(serializers.Serializer):
    results = PlanDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class PlanCloneDocument(serializers.Serializer):
    key = serializers.CharField(required=False, help_text="A plan of its own; default: the next version.")
    name = serializers.CharField(required=False)


class TaxRateDocument(serializers.Serializer):
    name = serializers.CharField()
    percent = serializers.CharField(help_text="Decimal string, 0 to 100.")


class BillingAccountChangeDocument(serializers.Serializer):
    legal_name = serializers.CharField(required=False)
    address_lines = serializers.ListField(child=serializers.CharField(), required=False)
    country = serializers.CharField(required=False, help_text="Two letters, ISO 3166.")
    tax_id = serializers.CharField(required=False)
    tax_rates = TaxRateDocument(many=True, required=False)
    currency = serializers.CharField(required=False, help_text="ISO 4217. Kept once there are subscriptions.")
    timezone = serializers.CharField(
        required=False, help_text="Default: the project's. A change holds from the next period on."
    )
    payment_terms_days = serializers.IntegerField(required=False)
    invoice_emails = serializers.ListField(child=serializers.EmailField(), required=False)
    issue_grace_days = serializers.IntegerField(required=False)
    issues_automatically = serializers.BooleanField(
        required=False, help_text="Billing runs issue drafts whose days of grace are over."
    )
    approval_above = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Credit notes and lines by hand above this amount need a second person. Null: none does.",
    )
    approve_corrections_above = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Corrections of invoiced periods above this amount wait for approval. Null: none does.",
    )
    write_off_below = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Corrections of invoiced periods below this amount are written off. Null: none is.",
    )


class BillingAccountRequestDocument(BillingAccountChangeDocument):
    project = serializers.CharField(
        required=False,
        help_text="Who pays. Default: the key's project, where it has none below it.",
    )
    legal_name = serializers.CharField()
    currency = serializers.CharField(help_text="ISO 4217.")


class BillingAccountDocument(serializers.Serializer):
    """The commercial profile of a project that pays."""

    id = serializers.IntegerField()
    project = serializers.CharField()
    legal_name = serializers.CharField()
    address_lines = serializers.ListField(child=serializers.CharField())
    country = serializers.CharField()
    tax_id = serializers.CharField()
    tax_rates = TaxRateDocument(many=True)
    currency = serializers.CharField()
    timezone = serializers.CharField()
    payment_terms_days = serializers.IntegerField()
    invoice_emails = serializers.ListField(child=serializers.EmailField())
    issue_grace_days = serializers.IntegerField()
    issues_automatically = serializers.BooleanField()
    approval_above = serializers.CharField(allow_null=True)
    approve_corrections_above = serializers.CharField(allow_null=True)
    write_off_below = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class BillingAccountPage(serializers.Serializer):
    results = BillingAccountDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class SubscriptionRequestDocument(serializers.Serializer):
    account = serializers.IntegerField(required=False, help_text="Id; or name the project.")
    project = serializers.CharField(required=False, help_text="Key of the project that pays.")
    plan = serializers.CharField(help_text="Key.")
    plan_version = serializers.IntegerField(required=False, help_text="Default: the latest published one.")
    effective_from = serializers.DateTimeField(required=False, help_text="Default: now. May lie in the past.")
    effective_until = serializers.DateTimeField(required=False, allow_null=True)
    trial_until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Nothing is charged before it."
    )
    anchor = serializers.ChoiceField(choices=BillingCycle.Anchor.choices, required=False)
    anchor_on = serializers.DateField(
        required=False, allow_null=True, help_text="Default: the local day on which charging begins."
    )


class SubscriptionAnchorDocument(serializers.Serializer):
    anchor = serializers.ChoiceField(choices=BillingCycle.Anchor.choices)
    anchor_on = serializers.DateField(required=False, help_text="For an anniversary.")


class BillingPeriodDocument(serializers.Serializer):
    """Half-open. `days` of `of_days` are charged; nothing is for a trial."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    first_day = serializers.DateField()
    days = serializers.IntegerField()
    of_days = serializers.IntegerField()
    is_trial = serializers.BooleanField()


class SubscriptionDocument(serializers.Serializer):
    """From one instant to another, an account is on one version of a plan."""

    id = serializers.IntegerField()
    account = serializers.IntegerField()
    project = serializers.CharField()
    plan = serializers.CharField()
    plan_version = serializers.IntegerField()
    currency = serializers.CharField()
    effective_from = serializers.DateTimeField()
    effective_until = serializers.DateTimeField(allow_null=True)
    trial_until = serializers.DateTimeField(allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    anchor = serializers.ChoiceField(choices=BillingCycle.Anchor.choices)
    anchor_on = serializers.DateField(allow_null=True)
    replaces = serializers.IntegerField(allow_null=True, help_text="The one before a change of plan.")
    replaced_by = serializers.IntegerField(allow_null=True)
    current_period = BillingPeriodDocument(allow_null=True)


class SubscriptionPage(serializers.Serializer):
    results = SubscriptionDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class PeriodsDocument(serializers.Serializer):
    results = BillingPeriodDocument(many=True)


class WhenDocument(serializers.Serializer):
    when = serializers.ChoiceField(
        choices=["now", "period_end"], required=False, help_text="Default: period_end. Or send `at`."
    )
    at = serializers.DateTimeField(required=False, help_text="Any instant while it is in force.")


class PlanChangeOrderDocument(WhenDocument):
    plan = serializers.CharField(help_text="Key.")
    plan_version = serializers.IntegerField(required=False, help_text="Default: the latest published one.")


class PreviewLineDocument(serializers.Serializer):
    kind = serializers.ChoiceField(choices=["credit", "charge"])
    name = serializers.CharField()
    amount = serializers.CharField(help_text="Before tax; credits are negative.")
    days = serializers.IntegerField()
    of_days = serializers.IntegerField()
    due = serializers.ChoiceField(choices=["now", "period_end"])


class ChangePreviewDocument(serializers.Serializer):
    """What would be billed for fees, those in advance taken to be paid. Usage comes on top, by its plan."""

    at = serializers.DateTimeField()
    currency = serializers.CharField()
    ended_period = BillingPeriodDocument(allow_null=True)
    begun_period = BillingPeriodDocument(allow_null=True)
    restarts_cycle = serializers.BooleanField()
    lines = PreviewLineDocument(many=True)
    due_now = serializers.CharField()
    metrics_lost = serializers.ListField(child=serializers.CharField())
    metrics_gained = serializers.ListField(child=serializers.CharField())
