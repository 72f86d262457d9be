"""`POST /quotas/check/`: whether usage would be recorded, without recording it."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.api.documents import ProblemDocument
from metering.api.parsing import members_of, snake_case
from metering.api.visibility import principal_of_request
from metering.catalogue import current
from metering.errors import EventsRejected, Invalid
from metering.texts.timestamps import iso
from quotas.checking import Check, check_of
from quotas.models import ProjectQuota

MEMBERS = (
    "id",
    "source",
    "project",
    "metric_key",
    "event_name",
    "quantity",
    "subject_type",
    "subject_id",
    "occurred_at",
    "labels",
    "surface",
)
ALIASES = {
    "metric": "metric_key",
    "value": "quantity",
    "event_id": "id",
    "project_id": "project",
    "org_id": "project",
    "timestamp": "occurred_at",
    "metadata": "labels",
}


class CheckDocument(serializers.Serializer):
    """An event as recording takes it; a metric may stand for its event name."""

    project = serializers.CharField(
        required=False, help_text="Key. Default: the key's project, where it has none below it."
    )
    metric = serializers.CharField(required=False, help_text="Key; instead of event_name.")
    event_name = serializers.CharField(required=False)
    quantity = serializers.CharField(required=False, help_text="Decimal string or number. Also: value.")
    subject_type = serializers.CharField(required=False)
    subject_id = serializers.CharField(required=False)
    occurred_at = serializers.DateTimeField(required=False, help_text="Default: now.")
    labels = serializers.DictField(required=False)
    surface = serializers.CharField(required=False)


class QuotaFactsDocument(serializers.Serializer):
    metric = serializers.CharField()
    project = serializers.CharField(help_text="Key of the project that the quota belongs to.")
    limit = serializers.CharField(help_text="In force now.")
    used = serializers.CharField()
    held = serializers.CharField(help_text="Reserved by open holds.")
    requested = serializers.CharField()
    remaining = serializers.CharField(help_text="Before this request.")
    mode = serializers.ChoiceField(choices=ProjectQuota.Mode.choices)
    period_start = serializers.DateTimeField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)


class CountedDocument(QuotaFactsDocument):
    quota = serializers.IntegerField()
    period = serializers.ChoiceField(choices=ProjectQuota.Period.choices)
    counting = serializers.ChoiceField(choices=ProjectQuota.Counting.choices)
    answer = serializers.ChoiceField(choices=["admitted", "denied", "warned", "observed"])


class BlockFactsDocument(serializers.Serializer):
    """A threshold that was reached and blocks."""

    threshold_id = serializers.IntegerField()
    threshold = serializers.CharField(help_text="The level that was reached.")
    used = serializers.CharField()
    metric = serializers.CharField()
    project = serializers.CharField(help_text="Key of the project that the threshold belongs to.")
    subject_type = serializers.CharField(allow_null=True)
    subject_id = serializers.CharField(allow_null=True, help_text="* : all subjects together.")
    period_start = serializers.DateTimeField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)


class CheckedDocument(serializers.Serializer):
    allowed = serializers.BooleanField()
    code = serializers.CharField(allow_null=True, help_text="Why it would be refused.")
    detail = serializers.CharField(allow_null=True)
    project = serializers.CharField()
    billing_scope = serializers.CharField(help_text="Who would pay.")
    event_name = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    checked_at = serializers.DateTimeField()
    quotas = CountedDocument(many=True)
    blocked_by = BlockFactsDocument(
        allow_null=True, help_text="The threshold that blocks it; quotas aren't asked then."
    )
    warnings = QuotaFactsDocument(many=True)


class CheckView(APIView):
    """Asks; nothing is recorded or reserved, and a moment later the answer may be another."""

    permissions = {"POST": "read"}
    staff_rights = {"POST": "quotas.view_projectquota"}

    @extend_schema(
        operation_id="quotas_check",
        summary="Would this be recorded?",
        description=(
            "Allow or deny, with the facts of every quota that counts the event, and of a threshold that "
            "blocks it. Nothing is recorded, and "
            "nothing set aside: to be sure, reserve (`/quotas/holds/`). Needs `ingest` or `read`."
        ),
        request=CheckDocument,
        responses={200: CheckedDocument, 422: ProblemDocument, 503: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        members = members_of(request.data, known=MEMBERS, aliases=ALIASES)
        try:
            check = check_of(members, principal=principal_of_request(request))
        except EventsRejected as error:
            first = error.errors[0]
            detail = f"{first.detail[:1].upper()}{first.detail[1:]}."
            raise Invalid(detail, field=sent_as(request.data, first.field), code=first.code) from None
        return Response(_shown(check))

    def check_permissions(self, request: Request) -> None:
        """Whoever records may ask, too."""
        if request.method == "POST" and request.auth is not None:
            principal = principal_of_request(request)
            if principal.may("ingest"):
                return
            if principal.key_id is not None and not principal.may("read"):
                raise PermissionDenied("This needs the permission 'ingest' or 'read'.")
        super().check_permissions(request)


def sent_as(data: Any, field: str | None) -> str | None:
    """A member by the name it was sent under: `metric_key` may have come as `metric`."""
    if field is None or not isinstance(data, Mapping):
        return field
    head, dot, rest = field.partition(".")
    if head in data:
        return field
    named = ((name, snake_case(name)) for name in data if isinstance(name, str))
    sent = next((name for name, ours in named if head in {ours, ALIASES.get(ours)}), head)
    return f"{sent}{dot}{rest}"


def _shown(check: Check) -> dict[str, Any]:
    candidate, catalogue = check.candidate, current()
    return {
        "allowed": check.is_allowed,
        "code": check.code,
        "detail": check.detail,
        "project": catalogue.project_by_id(candidate.project_id).key,
        "billing_scope": catalogue.project_by_id(candidate.billing_scope_id).key,
        "event_name": candidate.event_name,
        "occurred_at": iso(candidate.occurred_at),
        "checked_at": iso(check.checked_at),
        "quotas": [
            {
                "quota": one.quota_id,
                "answer": one.answer,
                **one.facts,
                "period": one.period,
                "counting": one.counting,
            }
            for one in check.counted
        ],
        "blocked_by": check.block,
        "warnings": list(check.warnings),
    }
