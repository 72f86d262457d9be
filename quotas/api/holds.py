"""`/quotas/holds/`: reserving an amount, then using it or giving it back."""

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, choice_of, members_of, text_of
from metering.api.visibility import principal_of_request, visible_project, visible_project_ids
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.models import Project
from metering.principal import Principal
from metering.texts.numbers import plain
from metering.texts.timestamps import iso
from quotas.holds import commit, release, reserve
from quotas.models import QuotaHold, QuotaHoldEnding
from quotas.reservable import EVENT_MEMBERS, MAX_SECONDS

_MEMBERS = ("project", "metric", "quantity", "expires_in", "on_exceed", "idempotency_key", *EVENT_MEMBERS)
_ALIASES = {
    "metric_key": "metric",
    "project_id": "project",
    "org_id": "project",
    "value": "quantity",
    "id": "idempotency_key",
    "timestamp": "occurred_at",
    "metadata": "labels",
}
STATES = ("open", "committed", "released", "expired")
_PROBLEMS = {
    403: ProblemDocument,
    404: ProblemDocument,
    409: ProblemDocument,
    422: ProblemDocument,
    429: ProblemDocument,
    503: ProblemDocument,
}


class HoldRequestDocument(serializers.Serializer):
    project = serializers.CharField(
        required=False, help_text="Key. Default: the key's project, where it has none below it."
    )
    metric = serializers.CharField(help_text="Key of a count, or of a sum of amounts.")
    quantity = serializers.CharField(help_text="Decimal string or number, more than 0.")
    expires_in = serializers.IntegerField(min_value=1, max_value=MAX_SECONDS, help_text="Seconds.")
    on_exceed = serializers.ChoiceField(choices=QuotaHold.OnExceed.choices, required=False)
    idempotency_key = serializers.CharField(
        required=False,
        help_text="The same one in a project makes one hold. Also: `id`, the header Idempotency-Key.",
    )
    subject_type = serializers.CharField(required=False)
    subject_id = serializers.CharField(required=False)
    occurred_at = serializers.DateTimeField(
        required=False, help_text="When the use is. Default: now; it counts in the periods that hold this."
    )
    labels = serializers.DictField(required=False)
    surface = serializers.CharField(required=False)


class HoldDocument(serializers.Serializer):
    id = serializers.CharField()
    project = serializers.CharField()
    billing_scope = serializers.CharField()
    metric = serializers.CharField()
    state = serializers.ChoiceField(choices=list(STATES))
    requested = serializers.CharField()
    granted = serializers.CharField()
    on_exceed = serializers.ChoiceField(choices=QuotaHold.OnExceed.choices)
    occurred_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    quantity = serializers.CharField(allow_null=True, help_text="What was used.")
    event = serializers.IntegerField(allow_null=True, help_text="Ledger id of what was recorded.")
    idempotency_key = serializers.CharField(allow_null=True)
    warnings = serializers.ListField(child=serializers.DictField(), required=False)


class HoldPage(serializers.Serializer):
    results = HoldDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class CommitDocument(serializers.Serializer):
    quantity = serializers.CharField(
        required=False, help_text="What was used. Default: all that was granted."
    )


class NewestHoldFirst(KeyCursorPagination):
    ordering = "-id"


class HoldsView(APIView):
    permissions = {"GET": "read", "POST": "ingest"}
    staff_rights = {"GET": "quotas.view_quotahold"}

    @extend_schema(
        operation_id="quotas_holds_list",
        summary="List holds, the newest first",
        parameters=[
            OpenApiParameter("project", description="Key."),
            OpenApiParameter("metric", description="Key."),
            OpenApiParameter("state", enum=list(STATES)),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: HoldPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "metric", "state", "limit", "cursor"))
        principal = principal_of_request(request)
        holds = _visible_holds(principal)
        key = query.text("project")
        if key is not None:
            holds = holds.filter(project=visible_project(principal, key))
        metric_key = query.text("metric")
        if metric_key is not None:
            holds = holds.filter(metric__key=metric_key)
        state = query.choice("state", STATES)
        if state in QuotaHoldEnding.Kind.values:
            holds = holds.filter(ending__kind=state)
        elif state is not None:
            now = database_now()
            expiry = {"expires_at__gt": now} if state == "open" else {"expires_at__lte": now}
            holds = holds.filter(ending=None, **expiry)
        pages = NewestHoldFirst()
        page: list[QuotaHold] = pages.paginate_queryset(holds, request, view=self) or []
        now = database_now()
        return pages.get_paginated_response([_shown(hold, now=now) for hold in page])

    @extend_schema(
        operation_id="quotas_holds_create",
        summary="Reserve an amount",
        description=(
            "Decided exactly, by every hard quota that counts the use. While it is open it counts as used; "
            "after `expires_in` seconds it counts no more. With `on_exceed: cap` less is granted where less "
            "is left."
        ),
        request=HoldRequestDocument,
        responses={200: HoldDocument, 201: HoldDocument, **_PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        for name in ("metric", "quantity", "expires_in"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        reserved = reserve(
            _project(members, principal),
            metric_key=text_of(members, "metric") or "",
            quantity=members["quantity"],
            expires_in=members["expires_in"],
            on_exceed=choice_of(members, "on_exceed", QuotaHold.OnExceed.values) or "reject",
            members={name: members[name] for name in EVENT_MEMBERS if members.get(name) is not None},
            idempotency_key=_idempotency_key(request, members),
            principal=principal,
        )
        hold = _visible_holds(principal).get(pk=reserved.hold.pk)
        document = _shown(hold, now=database_now())
        if reserved.warnings:
            document["warnings"] = list(reserved.warnings)
        return Response(document, status=201 if reserved.outcome == "created" else 200)


class HoldView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "quotas.view_quotahold"}

    @extend_schema(
        operation_id="quotas_holds_get",
        summary="One hold",
        responses={200: HoldDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, hold_id: str) -> Response:
        Query(request.query_params, known=())
        return Response(_shown(_visible_hold(request, hold_id), now=database_now()))


class HoldCommitView(APIView):
    permissions = {"POST": "ingest"}

    @extend_schema(
        operation_id="quotas_holds_commit",
        summary="Record what was used, and end the hold",
        description=(
            "Both or neither. What was granted isn't judged again; more than that is, for the excess, and "
            "after the expiry all of it. What isn't used is free again. A repeat answers 200."
        ),
        request=CommitDocument,
        responses={200: HoldDocument, 201: HoldDocument, **_PROBLEMS},
    )
    def post(self, request: Request, hold_id: str) -> Response:
        members = members_of(request.data or {}, known=("quantity",), aliases={"value": "quantity"})
        hold = _visible_hold(request, hold_id)
        ended = commit(hold, quantity=members.get("quantity"), principal=principal_of_request(request))
        return _ended(request, hold, ended.outcome)


class HoldReleaseView(APIView):
    permissions = {"POST": "ingest"}

    @extend_schema(
        operation_id="quotas_holds_release",
        summary="Give back what was reserved",
        description="A repeat answers 200.",
        request=None,
        responses={200: HoldDocument, 201: HoldDocument, **_PROBLEMS},
    )
    def post(self, request: Request, hold_id: str) -> Response:
        members_of(request.data or {}, known=())
        hold = _visible_hold(request, hold_id)
        ended = release(hold, principal=principal_of_request(request))
        return _ended(request, hold, ended.outcome)


def _ended(request: Request, hold: QuotaHold, outcome: str) -> Response:
    shown = _shown(_visible_holds(principal_of_request(request)).get(pk=hold.pk), now=database_now())
    return Response(shown, status=201 if outcome == "created" else 200)


def _visible_holds(principal: Principal) -> QuerySet[QuotaHold]:
    holds = QuotaHold.objects.select_related("project", "billing_scope", "metric", "ending")
    project_ids = visible_project_ids(principal)
    return holds if project_ids is None else holds.filter(project__in=project_ids)


def _visible_hold(request: Request, hold_id: str) -> QuotaHold:
    """By its id, or by the idempotency key where no other project's hold has the same. Raises `NotFound`."""
    found: list[QuotaHold] = []
    if "\x00" not in hold_id:
        holds = _visible_holds(principal_of_request(request))
        found = list(holds.filter(Q(public_id=hold_id) | Q(idempotency_key=hold_id))[:2])
    if not found:
        raise NotFound(f"There is no hold '{hold_id[:100]}'.")
    if len(found) > 1:
        raise Invalid(
            "Several projects have a hold of this name; use the id that the answer gave.", field="id"
        )
    return found[0]


def _project(members: dict[str, Any], principal: Principal) -> Project:
    key = text_of(members, "project")
    if key is not None:
        return visible_project(principal, key)
    if principal.project_id is not None:
        project = Project.objects.get(pk=principal.project_id)
        if not project.children.exists():
            return project
    raise Invalid("The hold must name its project.", field="project", code="missing_field")


def _idempotency_key(request: Request, members: dict[str, Any]) -> str | None:
    key = text_of(members, "idempotency_key")
    header = request.headers.get("Idempotency-Key")
    if key is not None and header is not None and key != header:
        raise Invalid("The header Idempotency-Key says another; send one.", field="idempotency_key")
    return key if key is not None else header


def _shown(hold: QuotaHold, *, now: Any) -> dict[str, Any]:
    ending: QuotaHoldEnding | None = getattr(hold, "ending", None)
    state = ending.kind if ending is not None else "open" if hold.expires_at > now else "expired"
    return {
        "id": hold.public_id,
        "project": hold.project.key,
        "billing_scope": hold.billing_scope.key,
        "metric": hold.metric.key,
        "state": state,
        "requested": plain(hold.requested),
        "granted": plain(hold.granted),
        "on_exceed": hold.on_exceed,
        "occurred_at": iso(hold.occurred_at),
        "created_at": iso(hold.created_at),
        "expires_at": iso(hold.expires_at),
        "ended_at": None if ending is None else iso(ending.ended_at),
        "quantity": None if ending is None or ending.quantity is None else plain(ending.quantity),
        "event": None if ending is None else ending.event,
        "idempotency_key": hold.idempotency_key,
    }
