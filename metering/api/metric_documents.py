"""The shapes of requests and answers about metrics, for the OpenAPI schema."""

from rest_framework import serializers

from metering.defining.octane import AGGREGATIONS as OCTANE_AGGREGATIONS
from metering.defining.previews import DEFAULT_DAYS, MAX_DAYS
from metering.defining.ready_made import BY_KEY
from metering.measuring.aggregations import AGGREGATIONS


class MetricDocument(serializers.Serializer):
    key = serializers.CharField()
    display_name = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    unit = serializers.CharField(required=False)
    project = serializers.CharField(
        required=False, allow_null=True, help_text="Owner. Default: the key's project."
    )
    event_name = serializers.CharField(required=False)
    meter_type = serializers.ChoiceField(choices=["counter", "gauge"], required=False)
    data_type = serializers.ChoiceField(choices=["INT", "FLOAT", "STRING"], required=False)
    aggregation = serializers.ChoiceField(choices=list(AGGREGATIONS), required=False)
    value_property = serializers.CharField(required=False)
    is_incremental = serializers.BooleanField(
        required=False,
        help_text="true: each event is an amount to add. false: each is the reading of a counter that runs "
        "on; usage is the increase since the reading before.",
    )
    reporting_method = serializers.ChoiceField(
        choices=["periodic", "total"],
        required=False,
        help_text="periodic: each reading stands alone. total: each states the running total since the "
        "reset period began.",
    )
    expected_labels = serializers.ListField(child=serializers.CharField(), required=False)
    primary_labels = serializers.ListField(child=serializers.CharField(), required=False)
    event_label_filter = serializers.DictField(
        required=False,
        help_text="label: value, label: [values], label: {operator: value} with $eq $ne $in $nin $gt $gte "
        "$lt $lte $exists, and $and / $or with lists of filters.",
    )
    reset_period = serializers.ChoiceField(
        choices=["never", "hourly", "daily", "weekly", "monthly", "yearly"],
        required=False,
        help_text="Over which time quotas and alerts look at the metric unless they say otherwise, and "
        "where running totals begin again.",
    )
    counts_from = serializers.IntegerField(required=False)
    archived_from = serializers.IntegerField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)


class MetricPage(serializers.Serializer):
    results = MetricDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class MetricCloneDocument(MetricDocument):
    """Members that are left out are the old metric's."""

    key = serializers.CharField(help_text="Of the new metric.")
    archive = serializers.BooleanField(required=False, help_text="Archive the old metric in the same moment.")


class MetricPreviewRequestDocument(MetricDocument):
    """A definition, or changes to one; nothing of it is saved."""

    key = serializers.CharField(required=False)
    days = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=f"How many UTC days to look at. Default: {DEFAULT_DAYS}.",
    )


class MisfitDocument(serializers.Serializer):
    id = serializers.IntegerField(help_text="The ledger's id of the event.")
    project = serializers.CharField()
    event_id = serializers.CharField()
    code = serializers.CharField()
    field = serializers.CharField()
    detail = serializers.CharField()


class PreviewDayDocument(serializers.Serializer):
    day = serializers.DateField(help_text="UTC.")
    value = serializers.CharField(allow_null=True)
    record_count = serializers.IntegerField()


class PreviewGroupDocument(serializers.Serializer):
    group = serializers.DictField(child=serializers.CharField(allow_null=True))
    value = serializers.CharField(allow_null=True)
    record_count = serializers.IntegerField()


class EvaluationDocument(serializers.Serializer):
    matching_count = serializers.IntegerField(help_text="Events whose name and labels match.")
    refused_count = serializers.IntegerField(
        help_text="Those of them that the definition can't read: such events would be refused from now on."
    )
    refused_examples = MisfitDocument(many=True, help_text="The latest ten.")
    record_count = serializers.IntegerField(help_text="Events that count.")
    value = serializers.CharField(allow_null=True)
    days = PreviewDayDocument(many=True)
    groups = PreviewGroupDocument(many=True, help_text="By primary labels, the ten largest.")
    group_count = serializers.IntegerField()


class MetricPreviewDocument(serializers.Serializer):
    unit = serializers.CharField()
    # "from" is a word of Python's own.
    to = serializers.DateTimeField()
    position = serializers.IntegerField(help_text="Events up to this ledger position were looked at.")
    note = serializers.CharField(
        allow_null=True, help_text="Says so when there were more events than a preview looks at."
    )
    proposed = EvaluationDocument()
    stored = EvaluationDocument(
        allow_null=True, help_text="What the definition in force makes of the same events."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.DateTimeField()
        return fields


class ReadyMadeDocument(serializers.Serializer):
    key = serializers.CharField()
    display_name = serializers.CharField()
    description = serializers.CharField()
    unit = serializers.CharField()
    event_name = serializers.CharField()
    aggregation = serializers.CharField()
    primary_labels = serializers.ListField(child=serializers.CharField())
    is_defined = serializers.BooleanField(help_text="Whether the project sees a metric of this key.")


class ReadyMadeList(serializers.Serializer):
    results = ReadyMadeDocument(many=True)


class AddReadyMadeDocument(serializers.Serializer):
    keys = serializers.ListField(
        child=serializers.ChoiceField(choices=list(BY_KEY)), required=False, help_text="Default: all."
    )
    project = serializers.CharField(
        required=False, allow_null=True, help_text="Owner. Default: the key's project."
    )


class ReadyMadeOutcomeDocument(serializers.Serializer):
    key = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["created", "exists"])
    metric = MetricDocument()


class ReadyMadeOutcomes(serializers.Serializer):
    results = ReadyMadeOutcomeDocument(many=True)


class OctaneMeterDocument(serializers.Serializer):
    """Octane's Meter, as its published schema has it; other members are refused."""

    name = serializers.CharField(help_text="The metric's key.")
    display_name = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    event_name = serializers.CharField()
    meter_type = serializers.ChoiceField(choices=["counter", "gauge"], help_text="In any case.")
    data_type = serializers.ChoiceField(choices=["INT", "FLOAT", "STRING"])
    aggregation = serializers.CharField(help_text=f"One of {', '.join(OCTANE_AGGREGATIONS)}.")
    unit_name = serializers.CharField(required=False, help_text="The metric's unit.")
    is_incremental = serializers.BooleanField()
    reporting_method = serializers.ChoiceField(choices=["periodic", "total"])
    expected_labels = serializers.ListField(child=serializers.CharField(), required=False)
    primary_labels = serializers.ListField(child=serializers.CharField(), required=False)
    event_label_filter = serializers.DictField(required=False)


class ImportedMetrics(serializers.Serializer):
    results = MetricDocument(many=True)
