"""The shapes of requests and answers, for the OpenAPI schema."""

from rest_framework import serializers

from quotas.models import ProjectQuota


class QuotaDocument(serializers.Serializer):
    """What one project may use of one metric in each period."""

    id = serializers.IntegerField(read_only=True)
    project = serializers.CharField(
        required=False, help_text="Key. Default: the key's project, where it has none below it."
    )
    metric = serializers.CharField(help_text="Key.")
    limit = serializers.CharField(
        help_text="Decimal string or number, exact. Using exactly this much is allowed; 0 refuses all."
    )
    mode = serializers.ChoiceField(choices=ProjectQuota.Mode.choices)
    period = serializers.ChoiceField(choices=ProjectQuota.Period.choices)
    counting = serializers.ChoiceField(choices=ProjectQuota.Counting.choices, required=False)
    created_at = serializers.DateTimeField(read_only=True)


class QuotaChangeDocument(serializers.Serializer):
    limit = serializers.CharField(required=False, help_text="Decimal string or number, exact.")
    mode = serializers.ChoiceField(choices=ProjectQuota.Mode.choices, required=False)


class QuotaPage(serializers.Serializer):
    results = QuotaDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
