"""The shapes of an explained invoice line, for the OpenAPI schema."""

from rest_framework import serializers

from billing.models import InvoiceLine

from .documents import PriceField


class LinePlaceDocument(serializers.Serializer):
    """Where another line is."""

    invoice = serializers.IntegerField()
    number = serializers.CharField(allow_null=True, help_text="Of the document; null for a draft.")
    line = serializers.IntegerField()


class ExplainedLineDocument(serializers.Serializer):
    """The line as it stands on the document."""

    id = serializers.IntegerField()
    invoice = serializers.IntegerField()
    number = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(choices=InvoiceLine.Kind.choices)
    is_adjustment = serializers.BooleanField()
    reverses = LinePlaceDocument(allow_null=True)
    reversed_by = LinePlaceDocument(allow_null=True)
    name = serializers.CharField()
    plan = serializers.CharField()
    metric = serializers.CharField(allow_null=True)
    unit = serializers.CharField()
    project = serializers.CharField(allow_null=True, help_text="Where lines are by project.")
    labels = serializers.DictField(help_text="Where lines are by label; null is absence of the label.")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    first_day = serializers.DateField(allow_null=True)
    day_after = serializers.DateField(allow_null=True)
    quantity = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    amount = serializers.CharField(help_text="Net, before the document's discounts and tax.")
    discount_amount = serializers.CharField()
    tax_amount = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="Of a line by hand; for staff alone.")
    added_by = serializers.CharField(allow_null=True, help_text="Likewise.")


class AppliedPriceDocument(serializers.Serializer):
    """What is included, the minimum and the maximum are cut to the share that a period has of a full one."""

    full_period = PriceField()
    applied = PriceField()
    share = serializers.CharField(help_text='Such as "14/31"; "1" for a full period.')


class StepDocument(serializers.Serializer):
    """One step from usage to what is charged; `kind` says which of the members it has."""

    kind = serializers.CharField(
        help_text="quantity, conversion, included, packages, none_below_zero; then the kinds of pricing "
        "lines (usage, event_fee, event_minimum, event_maximum, discount, maximum); rounded, split; "
        "minimum, short_of, true_up; fee, fee_discount, days, at_most_paid; by_hand; reversal; "
        "invoice_discount, tax, total."
    )
    tier = serializers.IntegerField(allow_null=True)
    name = serializers.CharField(help_text="Of a tax; up, down or exact of a conversion.")
    quantity = serializers.CharField(allow_null=True)
    of = serializers.CharField(allow_null=True, help_text="The whole, the divisor, or what is included.")
    rate = serializers.CharField(allow_null=True, help_text="Of a unit; of a tax or a discount in percent.")
    flat_amount = serializers.CharField(allow_null=True)
    amount = serializers.CharField(allow_null=True)


class PredicateDocument(serializers.Serializer):
    """Which events: of the metric, billed to the payer, in the half-open interval, up to the position."""

    metric = serializers.CharField()
    payer = serializers.CharField()
    timezone = serializers.CharField(help_text="On whose clocks the interval was cut.")
    match = serializers.DictField(help_text="Labels that the events have.")
    excluding = serializers.ListField(
        child=serializers.DictField(), help_text="Labels that go to other prices."
    )
    within = serializers.DictField(help_text="The project and the labels of the line's own part.")
    position = serializers.IntegerField()

    def get_fields(self) -> dict[str, serializers.Field]:
        ends = {"from": serializers.DateTimeField(), "to": serializers.DateTimeField()}
        return {**super().get_fields(), **ends}


class EvidenceDocument(serializers.Serializer):
    """`digest` is SHA-256 over the digests of 1,000 ids each, as eight bytes, in ascending order."""

    predicate = PredicateDocument()
    event_count = serializers.IntegerField()
    digest = serializers.CharField(help_text="Hexadecimal.")
    matches = serializers.BooleanField(
        help_text="Whether working the line out again gives the same events and the same amount."
    )
    differences = serializers.ListField(
        child=serializers.CharField(),
        help_text="What doesn't match: predicate, price, events, digest, quantity, amount, contradiction.",
    )


class BucketDocument(serializers.Serializer):
    window_start = serializers.DateTimeField()
    window_end = serializers.DateTimeField()
    value = serializers.CharField(allow_null=True)
    record_count = serializers.IntegerField()


class BucketsDocument(serializers.Serializer):
    """Windows without events are left out. Record counts add up, and values do where `adds_up`."""

    window = serializers.ChoiceField(choices=["hour", "day", "month"])
    timezone = serializers.CharField()
    adds_up = serializers.BooleanField()
    results = BucketDocument(many=True)


class LearnedSinceDocument(serializers.Serializer):
    """What the ledger holds beyond the line's position. The next billing run corrects it."""

    voided_count = serializers.IntegerField()
    later_count = serializers.IntegerField()


class ExplanationDocument(serializers.Serializer):
    line = ExplainedLineDocument()
    price = AppliedPriceDocument(allow_null=True)
    computation = StepDocument(many=True)
    stands = serializers.BooleanField(
        allow_null=True, help_text="Whether the line can be worked out again; null for one by hand."
    )
    evidence = EvidenceDocument(allow_null=True)
    buckets = BucketsDocument(allow_null=True)
    learned_since = LearnedSinceDocument(allow_null=True)


class LineEventDocument(serializers.Serializer):
    id = serializers.IntegerField()
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    project = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    event_id = serializers.CharField()
    subject_type = serializers.CharField(allow_null=True)
    subject_id = serializers.CharField(allow_null=True)
    value = serializers.CharField(allow_null=True, help_text="What the metric reads from it.")
    labels = serializers.DictField()
    voided_by = serializers.IntegerField(allow_null=True, help_text="The void that cancelled it since.")


class LineEventsPage(serializers.Serializer):
    results = LineEventDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
