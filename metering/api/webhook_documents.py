"""The shapes of webhook endpoints and deliveries, for the OpenAPI schema."""

from rest_framework import serializers

from metering.announcing.kinds import KINDS, SUBSCRIBABLE
from metering.models import WebhookDelivery, WebhookEndpoint

KINDS_IN_WORDS = "\n".join(f"* `{name}`: {KINDS[name].description}" for name in SUBSCRIBABLE)


class WebhookEndpointDocument(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    project = serializers.CharField(
        required=False,
        help_text="Key. The endpoint is told of this project and all below it. Default: the key's project.",
    )
    url = serializers.CharField(help_text="https, a public host, port 443 or 8443.")
    description = serializers.CharField(required=False)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=SUBSCRIBABLE),
        required=False,
        help_text="Kinds of events; empty stands for all.",
    )
    is_enabled = serializers.BooleanField(required=False, help_text="Switched off, it misses what happens.")
    disabled_reason = serializers.ChoiceField(
        choices=WebhookEndpoint.Disabled.choices, read_only=True, allow_null=True
    )
    disabled_at = serializers.DateTimeField(read_only=True, allow_null=True)
    failing_since = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Since when nothing has arrived; null while it works."
    )
    delivered_at = serializers.DateTimeField(read_only=True, allow_null=True, help_text="Last delivery.")
    created_at = serializers.DateTimeField(read_only=True)


class WebhookEndpointCreatedDocument(WebhookEndpointDocument):
    secret = serializers.CharField(
        read_only=True, help_text="`whsec_…`: verifies what is sent. It isn't shown again."
    )


class WebhookEndpointChangeDocument(serializers.Serializer):
    url = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=SUBSCRIBABLE), required=False)
    is_enabled = serializers.BooleanField(required=False)


class WebhookEndpointPage(serializers.Serializer):
    results = WebhookEndpointDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class RotateSecretDocument(serializers.Serializer):
    overlap_hours = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=168,
        help_text="How long the old secret signs along. Default: 24. 0: it and earlier ones end at once.",
    )


class WebhookSecretDocument(serializers.Serializer):
    secret = serializers.CharField(help_text="`whsec_…`. It isn't shown again.")
    created_at = serializers.DateTimeField()
    old_secrets_sign_until = serializers.DateTimeField(allow_null=True)


class WebhookAttemptDocument(serializers.Serializer):
    number = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField(allow_null=True, help_text="Null: under way, or interrupted.")
    response_status = serializers.IntegerField(allow_null=True, help_text="Null: there was no answer.")
    response_text = serializers.CharField(help_text="The first 1,000 characters of the answer.")
    error = serializers.CharField()


class WebhookEventDocument(serializers.Serializer):
    """What is posted to the endpoint."""

    type = serializers.ChoiceField(choices=tuple(KINDS))
    id = serializers.CharField(help_text="The same whenever it is sent; also in the header webhook-id.")
    timestamp = serializers.DateTimeField()
    project = serializers.CharField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


class WebhookDeliveryDocument(serializers.Serializer):
    id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=WebhookDelivery.Status.choices)
    event = WebhookEventDocument()
    attempt_count = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True, help_text="While it is pending.")
    delivered_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(help_text="Why the last attempt failed.")
    created_at = serializers.DateTimeField()
    attempts = WebhookAttemptDocument(many=True)


class WebhookDeliveryPage(serializers.Serializer):
    results = WebhookDeliveryDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ResendFailedDocument(serializers.Serializer):
    since = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Only events that happened since then. Default: all."
    )


class ResentDocument(serializers.Serializer):
    resent_count = serializers.IntegerField()
