"""The shapes of requests and answers, for the OpenAPI schema."""

from rest_framework import serializers

from quotas.models import MAX_EMAILS, ProjectQuota, UsageThreshold


class OverrideDocument(serializers.Serializer):
    """Another limit that a quota has from one instant to another."""

    id = serializers.IntegerField(read_only=True)
    limit = serializers.CharField(help_text="Decimal string or number, exact; 0 refuses all.")
    effective_from = serializers.DateTimeField(required=False, help_text="Default: now.")
    effective_until = serializers.DateTimeField(help_text="The quota's own limit holds again from here on.")
    reason = serializers.CharField()
    created_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    ended_by = serializers.CharField(
        read_only=True, allow_null=True, help_text="Who ended it before its time."
    )


class OverrideEndDocument(serializers.Serializer):
    reason = serializers.CharField(required=False, help_text="Why; kept in the history.")


class OverridePage(serializers.Serializer):
    results = OverrideDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


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
    anchor = serializers.DateField(
        required=False,
        allow_null=True,
        help_text="The day that periods are counted from; null: the calendar.",
    )
    counting = serializers.ChoiceField(
        choices=ProjectQuota.Counting.choices,
        required=False,
        help_text="`rollups` (default): fast, exact but for writers at the same instant. `ledger`: exact.",
    )
    reason = serializers.CharField(
        required=False, write_only=True, help_text="Why it is set; kept in the history."
    )
    limit_in_force = serializers.CharField(read_only=True, help_text="The limit, or the temporary one now.")
    overrides = OverrideDocument(
        many=True, read_only=True, help_text="Temporary limits that hold now or will."
    )
    created_at = serializers.DateTimeField(read_only=True)


class QuotaChangeDocument(serializers.Serializer):
    reason = serializers.CharField(required=False, help_text="Why; kept in the history.")
    limit = serializers.CharField(required=False, help_text="Decimal string or number, exact.")
    mode = serializers.ChoiceField(choices=ProjectQuota.Mode.choices, required=False)
    period = serializers.ChoiceField(choices=ProjectQuota.Period.choices, required=False)
    anchor = serializers.DateField(required=False, allow_null=True)
    counting = serializers.ChoiceField(choices=ProjectQuota.Counting.choices, required=False)


class QuotaPage(serializers.Serializer):
    results = QuotaDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


_THRESHOLD = "Decimal string or number, exact, in the metric's unit. Reached means this much or more."
_QUOTA_FRACTION = (
    "Instead of `threshold`: a share of the project's quota on this metric and period, such as 0.8."
)
_APPROACH = "Share of the level from which on usage counts as near; null: no early warning."


class ThresholdDocument(serializers.Serializer):
    """A level of a project's usage that is watched in each period."""

    id = serializers.IntegerField(read_only=True)
    project = serializers.CharField(required=False, help_text="Key. Default: the key's project.")
    metric = serializers.CharField(help_text="Key.")
    subject_type = serializers.CharField(
        required=False, allow_null=True, help_text="Only subjects of this type; null: of any."
    )
    subject_id = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="One subject; `*`: all together; null: each on its own.",
    )
    threshold = serializers.CharField(required=False, allow_null=True, help_text=_THRESHOLD)
    quota_fraction = serializers.CharField(required=False, allow_null=True, help_text=_QUOTA_FRACTION)
    level = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="The amount in force; null where it is a share of a quota that there isn't.",
    )
    action = serializers.ChoiceField(choices=UsageThreshold.Action.choices, required=False)
    notify_emails = serializers.ListField(
        child=serializers.EmailField(), required=False, max_length=MAX_EMAILS
    )
    period = serializers.ChoiceField(
        choices=UsageThreshold.Period.choices, required=False, help_text="Default: the metric's reset period."
    )
    approach_fraction = serializers.CharField(
        required=False, allow_null=True, help_text=f"{_APPROACH} Default: 0.8."
    )
    is_enabled = serializers.BooleanField(required=False)
    reason = serializers.CharField(
        required=False, write_only=True, help_text="Why it is set; kept in the history."
    )
    version = serializers.IntegerField(read_only=True, help_text="Counts the levels that it has had.")
    created_at = serializers.DateTimeField(read_only=True)


class ThresholdChangeDocument(serializers.Serializer):
    reason = serializers.CharField(required=False, help_text="Why; kept in the history.")
    threshold = serializers.CharField(required=False, help_text=_THRESHOLD)
    quota_fraction = serializers.CharField(required=False, help_text=_QUOTA_FRACTION)
    action = serializers.ChoiceField(choices=UsageThreshold.Action.choices, required=False)
    notify_emails = serializers.ListField(
        child=serializers.EmailField(), required=False, max_length=MAX_EMAILS
    )
    approach_fraction = serializers.CharField(required=False, allow_null=True, help_text=_APPROACH)
    is_enabled = serializers.BooleanField(required=False)


class ThresholdPage(serializers.Serializer):
    results = ThresholdDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
