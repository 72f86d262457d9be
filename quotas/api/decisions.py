"""`/quotas/decisions/`: why usage was refused or warned about."""

from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query
from metering.api.visibility import principal_of_request, visible_project, visible_project_ids
from metering.errors import NotFound
from metering.principal import Principal
from metering.texts.numbers import plain
from metering.texts.timestamps import iso
from quotas.models import QuotaDecision

UTC = ZoneInfo("UTC")
_PARAMETERS = (
    "project",
    "metric",
    "outcome",
    "quota",
    "threshold",
    "decision",
    "from",
    "to",
    "limit",
    "cursor",
)


class NewestDecisionFirst(KeyCursorPagination):
    ordering = "-id"


class DecisionDocument(serializers.Serializer):
    """An answer of a quota, or of a threshold that blocks, that wasn't a plain yes. Equal ones of one minute
    are one, with a count."""

    decision = serializers.CharField(help_text="What a refused caller was given.")
    outcome = serializers.ChoiceField(choices=QuotaDecision.Outcome.choices)
    quota = serializers.IntegerField(allow_null=True, help_text="Its id, also where it was removed since.")
    threshold = serializers.IntegerField(allow_null=True, help_text="Id of the threshold that blocked it.")
    project = serializers.CharField(help_text="Key of the project that the quota or threshold belongs to.")
    used_by = serializers.CharField(help_text="Key of the project whose usage it was.")
    metric = serializers.CharField(allow_null=True)
    mode = serializers.CharField(allow_null=True)
    period = serializers.CharField(allow_null=True)
    period_start = serializers.DateTimeField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)
    limit = serializers.CharField(allow_null=True)
    level = serializers.CharField(allow_null=True, help_text="Of the threshold: what usage had reached.")
    used = serializers.CharField(allow_null=True)
    held = serializers.CharField(allow_null=True)
    requested = serializers.CharField(allow_null=True)
    remaining = serializers.CharField(allow_null=True)
    position = serializers.IntegerField(
        allow_null=True, help_text="Every event up to this ledger position had been counted."
    )
    basis = serializers.ChoiceField(choices=QuotaDecision.Basis.choices, allow_null=True)
    subject_type = serializers.CharField()
    subject_id = serializers.CharField(
        help_text="Of the first of the events; of a block, whose usage reached the level (* : all together)."
    )
    event_ids = serializers.ListField(child=serializers.CharField(), help_text="Of some of the events.")
    actor = serializers.CharField(help_text="The key used, by its name and the part that may be shown.")
    detail = serializers.CharField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    count = serializers.IntegerField(help_text="How often it was decided within the minute.")


class DecisionPage(serializers.Serializer):
    results = DecisionDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class DecisionsView(APIView):
    """Denials, warnings, closed periods and blocks by the limits that count what the caller sees."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "quotas.view_quotadecision"}

    @extend_schema(
        operation_id="quotas_decisions_list",
        summary="Why usage was refused or warned about",
        description=(
            "The newest first, written a moment after the answer and kept for 90 days unless set otherwise."
        ),
        parameters=[
            OpenApiParameter("project", description="Key: of the quota, or of the usage."),
            OpenApiParameter("metric", description="Key."),
            OpenApiParameter("outcome", enum=QuotaDecision.Outcome.values),
            OpenApiParameter("quota", int),
            OpenApiParameter("threshold", int),
            OpenApiParameter("decision", description="The reference in a refusal."),
            OpenApiParameter("from", description="RFC 3339 time or date, inclusive."),
            OpenApiParameter("to", description="RFC 3339 time or date, exclusive."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: DecisionPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=_PARAMETERS)
        principal = principal_of_request(request)
        decisions = visible_decisions(principal)
        key = query.text("project")
        if key is not None:
            project = visible_project(principal, key)
            decisions = decisions.filter(Q(project=project) | Q(user_project=project))
        for name in ("metric", "decision"):
            text = query.text(name)
            if text is not None:
                decisions = decisions.filter(**{"metric_key" if name == "metric" else "reference": text})
        outcome = query.choice("outcome", QuotaDecision.Outcome.values)
        if outcome is not None:
            decisions = decisions.filter(outcome=outcome)
        for name in ("quota", "threshold"):
            row_id = query.row_id(name)
            if row_id is not None:
                decisions = decisions.filter(**{name: row_id})
        start, end = query.instant("from", zone=UTC), query.instant("to", zone=UTC)
        if start is not None:
            decisions = decisions.filter(last_at__gte=start)
        if end is not None:
            decisions = decisions.filter(first_at__lt=end)
        pages = NewestDecisionFirst()
        page: list[QuotaDecision] = pages.paginate_queryset(decisions, request, view=self) or []
        return pages.get_paginated_response([_shown(decision) for decision in page])


class DecisionView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "quotas.view_quotadecision"}

    @extend_schema(
        operation_id="quotas_decisions_get",
        summary="One decision, by the reference in a refusal",
        responses={200: DecisionDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, reference: str) -> Response:
        Query(request.query_params, known=())
        decision = None
        if "\x00" not in reference:
            found = visible_decisions(principal_of_request(request))
            decision = found.filter(reference=reference).first()
        if decision is None:
            raise NotFound(f"There is no decision '{reference[:100]}'.")
        return Response(_shown(decision))


def visible_decisions(principal: Principal) -> QuerySet[QuotaDecision]:
    """Those of the caller's quotas, and those that refused the caller's usage on account of a payer's."""
    project_ids = visible_project_ids(principal)
    if project_ids is None:
        return QuotaDecision.objects.all()
    return QuotaDecision.objects.filter(Q(project__in=project_ids) | Q(user_project__in=project_ids))


def _shown(decision: QuotaDecision) -> dict[str, Any]:
    return {
        "decision": decision.reference,
        "outcome": decision.outcome,
        "quota": decision.quota_id,
        "threshold": decision.threshold_id,
        "project": decision.project_key,
        "used_by": decision.user_project_key,
        "metric": decision.metric_key or None,
        "mode": decision.mode or None,
        "period": decision.period or None,
        "period_start": None if decision.period_start is None else iso(decision.period_start),
        "resets_at": None if decision.period_end is None else iso(decision.period_end),
        "limit": None if decision.limit is None else plain(decision.limit),
        "level": None if decision.level is None else plain(decision.level),
        "used": decision.used,
        "held": decision.held,
        "requested": decision.requested,
        "remaining": decision.remaining,
        "position": decision.position,
        "basis": decision.basis or None,
        "subject_type": decision.subject_type,
        "subject_id": decision.subject_id,
        "event_ids": decision.events,
        "actor": decision.actor,
        "detail": decision.detail,
        "first_at": iso(decision.first_at),
        "last_at": iso(decision.last_at),
        "count": decision.count,
    }
