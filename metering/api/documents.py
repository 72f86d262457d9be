"""The shapes of requests and answers, for the OpenAPI schema."""

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers


class EventErrorDocument(serializers.Serializer):
    index = serializers.IntegerField(allow_null=True, help_text="Position in the batch, from 0.")
    code = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    detail = serializers.CharField()


class ProblemDocument(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = EventErrorDocument(many=True, required=False)  # type: ignore[assignment]
    decision = serializers.CharField(
        required=False,
        help_text="Where a limit refused it: the reference under which `/quotas/decisions/` says why.",
    )


class _EventMembers(serializers.Serializer):
    """What a usage event says, on its way in and out."""

    id = serializers.CharField(
        required=False, help_text="The producer's id: recorded once per project and source."
    )
    source = serializers.CharField(required=False, help_text="Default: api.")  # type: ignore[assignment]
    project = serializers.CharField(required=False, help_text="Key of the project.")
    event_name = serializers.CharField(required=False)
    metric_key = serializers.CharField(
        required=False, help_text="Instead of event_name: an event that this metric must count."
    )
    subject_type = serializers.CharField(required=False, allow_null=True)
    subject_id = serializers.CharField(required=False, allow_null=True)
    quantity = serializers.CharField(required=False, allow_null=True, help_text="Decimal string or number.")
    occurred_at = serializers.DateTimeField(
        required=False, help_text="When it happened, with an offset. Default: now."
    )
    labels = serializers.DictField(required=False, help_text="Dimensions and values, as a JSON object.")
    surface = serializers.CharField(
        required=False, allow_null=True, help_text="Key of a surface that is installed in the project."
    )


class SentEventDocument(_EventMembers):
    """One usage event, as its producer sends it."""

    timestamp = serializers.DateTimeField(required=False, help_text="The same as occurred_at.")
    metadata = serializers.DictField(required=False, help_text="The same as labels.")


class CloudEventDocument(serializers.Serializer):
    """A CloudEvent 1.0; other extension attributes are ignored."""

    specversion = serializers.ChoiceField(choices=["1.0"])
    id = serializers.CharField(help_text="The producer's id.")
    source = serializers.CharField()  # type: ignore[assignment]
    type = serializers.CharField(help_text="The event name.")
    project = serializers.CharField(required=False, help_text="Extension attribute: key of the project.")
    subject = serializers.CharField(required=False, help_text="The subject's id.")
    subjecttype = serializers.CharField(required=False, help_text="Extension attribute: type of the subject.")
    surface = serializers.CharField(required=False, help_text="Extension attribute: key of the surface.")
    time = serializers.DateTimeField(required=False, help_text="When it happened.")
    data = serializers.DictField(required=False, help_text="The labels.")  # type: ignore[assignment]


class EventDocument(_EventMembers):
    """One usage event, as the ledger holds it. Read-only members are the ledger's."""

    event_id = serializers.CharField(read_only=True)
    billing_scope = serializers.CharField(read_only=True)
    recorded_at = serializers.DateTimeField(read_only=True)
    kind = serializers.CharField(read_only=True)
    voids = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="On a void: the ledger id of the event that it cancels."
    )
    voided_by = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Ledger id of the void that cancels this event."
    )


class OutcomeDocument(serializers.Serializer):
    id = serializers.IntegerField(allow_null=True, help_text="The ledger's id of the row.")
    event_id = serializers.CharField(allow_null=True)
    outcome = serializers.ChoiceField(choices=["created", "exists", "conflict", "rejected"])
    code = serializers.CharField(required=False)
    field = serializers.CharField(required=False, allow_null=True)
    detail = serializers.CharField(required=False)
    warnings = serializers.ListField(child=serializers.DictField(), required=False)
    decision = serializers.CharField(
        required=False, help_text="Of a refusal or warning: its reference among `/quotas/decisions/`."
    )


class RecordedDocument(serializers.Serializer):
    results = OutcomeDocument(many=True)


class EventPage(serializers.Serializer):
    position = serializers.IntegerField(
        required=False, help_text="Where `as_of` was given: the position that it means, on every page."
    )
    results = EventDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class UsageResultDocument(serializers.Serializer):
    window_start = serializers.DateTimeField(allow_null=True)
    window_end = serializers.DateTimeField(allow_null=True)
    value = serializers.CharField(
        allow_null=True, help_text="Decimal string; null where there is nothing to say."
    )
    record_count = serializers.IntegerField()
    group = serializers.DictField(child=serializers.CharField(allow_null=True))


class UsageDocument(serializers.Serializer):
    metric = serializers.CharField()
    unit = serializers.CharField()
    # "from" is a word of Python's own.
    to = serializers.DateTimeField(allow_null=True)
    position = serializers.IntegerField(help_text="Every event up to this ledger position is in the answer.")
    read_from = serializers.ChoiceField(choices=["rollups", "ledger"])
    results = UsageResultDocument(many=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = serializers.DateTimeField(allow_null=True)
        return fields


class SummaryDocument(serializers.Serializer):
    id = serializers.CharField(help_text="Natural key.")
    metric = serializers.CharField()
    project = serializers.CharField()
    billing_scope = serializers.CharField()
    subject_type = serializers.CharField(allow_null=True)
    subject_id = serializers.CharField(allow_null=True)
    labels = serializers.DictField(child=serializers.CharField(allow_null=True))
    period_type = serializers.ChoiceField(choices=["hourly", "daily", "monthly"])
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    total_quantity = serializers.CharField(allow_null=True)
    record_count = serializers.IntegerField()


class SummaryPage(serializers.Serializer):
    position = serializers.IntegerField(required=False, help_text="Where `as_of` was asked for.")
    results = SummaryDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class LedgerSealDocument(serializers.Serializer):
    number = serializers.IntegerField(help_text="1, 2, 3, ... without gaps.")
    position = serializers.IntegerField(help_text="The seal answers for every row up to this ledger id.")
    mac = serializers.CharField(help_text="HMAC-SHA256 over the segment and the seal before, hexadecimal.")
    head = serializers.CharField(help_text="All of it in one line: mbs1:<number>:<position>:<mac>.")
    sealed_at = serializers.DateTimeField()


class LedgerSealPage(serializers.Serializer):
    results = LedgerSealDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class ProjectDocument(serializers.Serializer):
    key = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["tenant", "organisation", "project"], required=False)
    parent = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_null=True, help_text="Key. Default: the key's project."
    )
    timezone = serializers.CharField(required=False)
    billing_scope = serializers.CharField(read_only=True, help_text="Who pays now.")
    created_at = serializers.DateTimeField(read_only=True)


class ProjectPage(serializers.Serializer):
    results = ProjectDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class AttributionDocument(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    project = serializers.CharField(read_only=True)
    billing_attribution_project = serializers.CharField(help_text="Key of the project that pays.")
    surface = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Only usage of this surface of the project; null for all other usage.",
    )
    effective_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Null: since ever.")
    effective_until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Not included. Null: until further notice."
    )


class AttributionPage(serializers.Serializer):
    results = AttributionDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class AttributionEndDocument(serializers.Serializer):
    effective_until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Not included. Default: now."
    )


class PayerStepDocument(serializers.Serializer):
    project = serializers.CharField()
    surface = serializers.CharField(allow_null=True)
    decided_by = serializers.ChoiceField(
        choices=["rule", "no_rule"],
        help_text="no_rule: a surface follows its project, and a project pays for itself.",
    )
    rule = AttributionDocument(allow_null=True)
    paid_by = serializers.CharField()


class PayerDocument(serializers.Serializer):
    project = serializers.CharField()
    surface = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()
    billing_scope = serializers.CharField(help_text="Who pays: where the chain ends.")
    is_complete = serializers.BooleanField(
        help_text="False where the chain goes on through projects that the key doesn't see."
    )
    steps = PayerStepDocument(many=True)


class SurfaceDocument(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    project = serializers.CharField(required=False, help_text="Key. Default: the key's project.")
    key = serializers.CharField(help_text="Unique within the project; events name it.")
    name = serializers.CharField()
    billing_scope = serializers.CharField(read_only=True, help_text="Who pays for its usage now.")
    installed_at = serializers.DateTimeField(read_only=True)


class SurfaceNameDocument(serializers.Serializer):
    name = serializers.CharField()


class SurfacePage(serializers.Serializer):
    results = SurfaceDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "export-4",
    "source": "/exporter",
    "type": "exports",
    "project": "my-app",
    "subject": "ada",
    "time": "2026-11-01T12:00:00Z",
    "data": {"region": "eu"},
}
EVENT_EXAMPLES = [
    OpenApiExample(
        "One event",
        value={
            "id": "export-1",
            "project": "my-app",
            "event_name": "exports",
            "subject_id": "ada",
            "quantity": "40",
            "occurred_at": "2026-11-01T12:00:00Z",
            "labels": {"region": "eu"},
        },
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "A batch",
        value=[
            {"id": "export-2", "project": "my-app", "event_name": "exports", "quantity": "30"},
            {"id": "export-3", "project": "my-app", "event_name": "exports", "quantity": "31"},
        ],
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "A CloudEvent",
        value=_CLOUD_EVENT,
        request_only=True,
        media_type="application/cloudevents+json",
    ),
    OpenApiExample(
        "A batch of CloudEvents",
        value=_CLOUD_EVENT,  # put into an array by the schema
        request_only=True,
        media_type="application/cloudevents-batch+json",
    ),
]
