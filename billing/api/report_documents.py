"""The shapes of reports, for the OpenAPI schema."""

from rest_framework import serializers

from billing.models import InvoiceLine


class RunningTaxDocument(serializers.Serializer):
    name = serializers.CharField()
    percent = serializers.CharField()
    base = serializers.CharField()
    amount = serializers.CharField()


class RunningLineDocument(serializers.Serializer):
    """A line as the next draft would hold it."""

    kind = serializers.ChoiceField(choices=InvoiceLine.Kind.choices)
    name = serializers.CharField()
    plan = serializers.CharField(help_text="Its name.")
    metric = serializers.CharField(allow_null=True)
    unit = serializers.CharField()
    project = serializers.CharField(allow_null=True, help_text="Where lines are by project.")
    labels = serializers.DictField(help_text="Where lines are by label.")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    quantity = serializers.CharField(allow_null=True)
    days = serializers.IntegerField(allow_null=True)
    amount = serializers.CharField(help_text="Before tax.")
    tax_amount = serializers.CharField()
    is_correction = serializers.BooleanField(help_text="Of a period that was invoiced before.")
    is_running = serializers.BooleanField(help_text="Its period isn't over.")


class RunningPeriodDocument(serializers.Serializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    first_day = serializers.DateField()
    days = serializers.IntegerField()
    of_days = serializers.IntegerField()
    elapsed_fraction = serializers.CharField(help_text="How much of it is over, 0 to 1.")


class RunningChargeDocument(serializers.Serializer):
    """One price over one running period."""

    name = serializers.CharField()
    plan = serializers.CharField()
    metric = serializers.CharField(allow_null=True)
    period_end = serializers.DateTimeField()
    quantity = serializers.CharField(allow_null=True)
    amount = serializers.CharField()
    projected_amount = serializers.CharField(allow_null=True)


class ProjectionDocument(serializers.Serializer):
    """A straight line: usage so far x length of the period / what of it is over, priced as usual."""

    method = serializers.ChoiceField(choices=["linear"])
    subtotal = serializers.CharField()
    tax_total = serializers.CharField()
    total = serializers.CharField()
    credit_drawn = serializers.CharField()
    amount_due = serializers.CharField()


class RunningDocument(serializers.Serializer):
    """What an account would be billed were its running periods over now. It is no invoice."""

    account = serializers.IntegerField()
    project = serializers.CharField()
    currency = serializers.CharField()
    at = serializers.DateTimeField()
    position = serializers.IntegerField(help_text="The ledger position that it was read at.")
    running_amount = serializers.CharField(help_text="Of running periods alone, before tax.")
    periods = RunningPeriodDocument(many=True)
    charges = RunningChargeDocument(many=True, help_text="Of running periods, a row for each price.")
    lines = RunningLineDocument(many=True, help_text="All that the next draft would hold.")
    subtotal = serializers.CharField()
    taxes = RunningTaxDocument(many=True)
    tax_total = serializers.CharField()
    total = serializers.CharField()
    credit_available = serializers.CharField()
    credit_drawn = serializers.CharField()
    amount_due = serializers.CharField()
    projection = ProjectionDocument(
        allow_null=True,
        help_text="At the end of the running periods. Null in the first tenth of one with a price of usage.",
    )


class WhatIfRequestDocument(serializers.Serializer):
    plan = serializers.CharField(help_text="Key.")
    version = serializers.IntegerField(
        required=False, help_text="Default: the draft where there is one, else the latest published one."
    )
    project = serializers.CharField(required=False, help_text="Owner of the plan, where several have one.")
    accounts = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Ids. Default: all that the key sees and that were on a plan in the plan's currency.",
    )
    on_plan = serializers.CharField(
        required=False, help_text="Without `accounts`: only those on a version of this plan."
    )

    until = serializers.DateField(
        help_text="Day after the last. Whole billing periods compare best: a cut one is charged by days."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        # "from" is a word of Python's own.
        fields["from"] = serializers.DateField(help_text="First day, on each account's clocks.")
        return fields


class AmountsDocument(serializers.Serializer):
    current = serializers.CharField(help_text="Under the plans in force, before discounts and tax.")
    hypothetical = serializers.CharField(help_text="Under the other plan.")
    difference = serializers.CharField(help_text="Positive where the other plan costs more.")
    fraction = serializers.CharField(allow_null=True, help_text="Of `current`; null where that is 0.")


class SubjectAmountsDocument(AmountsDocument):
    kind = serializers.ChoiceField(choices=["fee", "usage"])
    name = serializers.CharField(help_text="Key of the metric, or name of the fee.")


class UnpricedDocument(serializers.Serializer):
    """Usage that is billed now and that no price of the other plan takes."""

    metric = serializers.CharField()
    unit = serializers.CharField()
    event_count = serializers.IntegerField()
    quantity = serializers.CharField(allow_null=True, help_text="Null where quantities don't add up.")


class UnpricedTotalDocument(UnpricedDocument):
    account_count = serializers.IntegerField()


class WhatIfAccountDocument(AmountsDocument):
    account = serializers.IntegerField()
    project = serializers.CharField()
    legal_name = serializers.CharField()
    plans = serializers.ListField(child=serializers.CharField(), help_text="Names of those in force.")
    is_prorated = serializers.BooleanField(help_text="A period was charged by days.")
    by_subject = SubjectAmountsDocument(many=True)
    unpriced = UnpricedDocument(many=True)


class DifferenceBucketDocument(serializers.Serializer):
    above = serializers.CharField(allow_null=True, help_text="Fraction; null: unbounded.")
    below = serializers.CharField(allow_null=True)
    is_new = serializers.BooleanField(help_text="Those that pay nothing now.")
    count = serializers.IntegerField()


class WhatIfDocument(serializers.Serializer):
    plan = serializers.CharField()
    version = serializers.IntegerField()
    is_draft = serializers.BooleanField(help_text="Whether the plan is yet to be published.")
    currency = serializers.CharField()
    position = serializers.IntegerField()
    totals = AmountsDocument()
    cheaper_count = serializers.IntegerField(help_text="Accounts that would have paid less.")
    dearer_count = serializers.IntegerField()
    unchanged_count = serializers.IntegerField()
    without_plan_count = serializers.IntegerField(help_text="That were on no plan in these days.")
    by_subject = SubjectAmountsDocument(many=True)
    buckets = DifferenceBucketDocument(many=True, help_text="How many accounts would have moved by how much.")
    unpriced = UnpricedTotalDocument(many=True)
    accounts = WhatIfAccountDocument(many=True, help_text="Who would have paid most more comes first.")

    until = serializers.DateField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.DateField()  # a word of Python's own
        return fields
