"""Voiding and amending recorded events, and `/corrections/`: who did, and why."""

from dataclasses import asdict
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.correcting.corrections import AMENDABLE, MAX_REASON_LENGTH, Voided, amend_event, void_events
from metering.errors import Invalid
from metering.models import Correction, UsageEvent
from metering.recording.intake import ALIASES, MAX_EVENTS
from metering.texts.timestamps import iso

from .authentication import bearer_key
from .documents import EventDocument, OutcomeDocument, ProblemDocument
from .pagination import KeyCursorPagination
from .parsing import Query, members_of, text_of
from .visibility import principal_of_request, visible_project, visible_project_ids


class ReasonDocument(serializers.Serializer):
    reason = serializers.CharField(
        max_length=MAX_REASON_LENGTH, help_text="Why; it stays with the correction for ever."
    )


class VoidBatchDocument(ReasonDocument):
    ids = serializers.ListField(
        child=serializers.IntegerField(), max_length=MAX_EVENTS, help_text="Ledger ids of the events."
    )


class VoidedDocument(serializers.Serializer):
    id = serializers.IntegerField(help_text="Ledger id of the void.")
    voids = serializers.IntegerField(help_text="Ledger id of the event that it cancels.")
    outcome = serializers.ChoiceField(choices=["created", "exists"])


class VoidedBatchDocument(serializers.Serializer):
    results = VoidedDocument(many=True)


class AmendmentDocument(EventDocument):
    """The members that change, as recording takes them, and why. A member that is null becomes absent."""

    reason = serializers.CharField(max_length=MAX_REASON_LENGTH)


class AmendedDocument(serializers.Serializer):
    void = VoidedDocument()
    event = OutcomeDocument()


class CorrectionDocument(serializers.Serializer):
    id = serializers.IntegerField()
    project = serializers.CharField(help_text="Key of the corrected event's project.")
    kind = serializers.ChoiceField(choices=Correction.Kind.values)
    event = serializers.IntegerField(help_text="Ledger id of the event that was corrected.")
    void = serializers.IntegerField(help_text="Ledger id of its void.")
    replacement = serializers.IntegerField(
        allow_null=True, help_text="Ledger id of the event recorded in its place."
    )
    reason = serializers.CharField()
    actor = serializers.CharField(help_text="Who: a member of staff, or a key by its name and prefix.")
    corrected_at = serializers.DateTimeField()


class CorrectionPage(serializers.Serializer):
    results = CorrectionDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


_PROBLEMS = {
    400: ProblemDocument,
    403: ProblemDocument,
    404: ProblemDocument,
    409: ProblemDocument,
    422: ProblemDocument,
}


class VoidView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.void_usageevent"}

    @extend_schema(
        operation_id="usage_events_void",
        summary="Void a recorded event",
        description=(
            "Cancels it, whatever its age, by adding a void: from then on it counts for nothing, and reads "
            "as of an earlier position stay as they were. Once; a repeat answers `exists`. A void can't be "
            "voided: record the event again under a new id."
        ),
        request=ReasonDocument,
        responses={200: VoidedDocument, 201: VoidedDocument, **_PROBLEMS},
    )
    def post(self, request: Request, event_id: int) -> Response:
        _refuse_parameters(request)
        members = members_of(request.data, known=("reason",))
        [voided] = void_events(
            [event_id],
            reason=_reason_of(members),
            actor=_actor_of(request),
            principal=principal_of_request(request),
        )
        return Response(asdict(voided), status=_status_of([voided]))


class VoidBatchView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.void_usageevent"}

    @extend_schema(
        operation_id="usage_events_void_batch",
        summary="Void many recorded events",
        description=(
            f"At most {MAX_EVENTS:,} at once, all or nothing: where one can't be voided, none is. Answers in "
            "the order given, 200 where all were voided before."
        ),
        request=VoidBatchDocument,
        responses={200: VoidedBatchDocument, 201: VoidedBatchDocument, 413: ProblemDocument, **_PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        _refuse_parameters(request)
        members = members_of(request.data, known=("reason", "ids"))
        voided = void_events(
            _ids_of(members),
            reason=_reason_of(members),
            actor=_actor_of(request),
            principal=principal_of_request(request),
        )
        return Response({"results": [asdict(one) for one in voided]}, status=_status_of(voided))


class AmendView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.amend_usageevent"}

    @extend_schema(
        operation_id="usage_events_amend",
        summary="Amend a recorded event",
        description=(
            "Voids it and records another in its place, in one transaction: the members sent are changed, "
            "those left out stay. Limits judge the new event as if the old one weren't there; closed quota "
            "periods don't stop it. Without an `id` the new event gets one derived from the old one's, and a "
            "repeat answers `exists`."
        ),
        parameters=[
            OpenApiParameter(
                "enforce", bool, description="`false` records without asking limits; needs `backfill`."
            )
        ],
        request=AmendmentDocument,
        responses={200: AmendedDocument, 201: AmendedDocument, 429: ProblemDocument, **_PROBLEMS},
    )
    def post(self, request: Request, event_id: int) -> Response:
        principal = principal_of_request(request)
        enforce = Query(request.query_params, known=("enforce",)).flag("enforce", default=True)
        if not enforce and not principal.may("backfill"):
            raise PermissionDenied("Recording without limits needs the permission 'backfill'.")
        members = members_of(request.data, known=("reason", *AMENDABLE), aliases=ALIASES)
        reason = _reason_of(members)
        members.pop("reason", None)
        amended = amend_event(
            event_id,
            members,
            reason=reason,
            actor=_actor_of(request),
            principal=principal,
            enforce=enforce,
        )
        is_new = "created" in {amended.void.outcome, amended.event.outcome}
        document = {"void": asdict(amended.void), "event": msgspec.to_builtins(amended.event)}
        return Response(document, status=201 if is_new else 200)


class NewestCorrectionFirst(KeyCursorPagination):
    ordering = "-id"


class CorrectionsView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_correction"}

    @extend_schema(
        operation_id="corrections_list",
        summary="List corrections, the newest first",
        description="Who voided or amended which event, and why. Corrections are never changed or removed.",
        parameters=[
            OpenApiParameter("project", description="Key; without it, all that the key sees."),
            OpenApiParameter("kind", enum=Correction.Kind.values),
            OpenApiParameter("event", int, description="Ledger id of the event that was corrected."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: CorrectionPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "kind", "event", "limit", "cursor"))
        principal = principal_of_request(request)
        corrections = Correction.objects.select_related("project")
        key = query.text("project")
        project_ids = visible_project_ids(principal)
        if key is not None:
            project_ids = [visible_project(principal, key).pk]
        if project_ids is not None:
            corrections = corrections.filter(project_id__in=project_ids)
        kind = query.choice("kind", Correction.Kind.values)
        if kind is not None:
            corrections = corrections.filter(kind=kind)
        event_id = query.row_id("event")
        if event_id is not None:
            # Its project leads into the index correction_once_per_event.
            event = UsageEvent.objects.filter(pk=event_id)
            corrections = corrections.filter(event=event_id, project_id__in=event.values("project_id"))
        pages = NewestCorrectionFirst()
        page = pages.paginate_queryset(corrections, request, view=self) or []
        return pages.get_paginated_response([_shown(correction) for correction in page])


def _refuse_parameters(request: Request) -> None:
    Query(request.query_params, known=())


def _reason_of(members: dict[str, Any]) -> str:
    # Too long, blank or absent is the verb's to say.
    return text_of(members, "reason", max_length=MAX_REASON_LENGTH) or ""


def _ids_of(members: dict[str, Any]) -> list[int]:
    ids = members.get("ids")
    if ids is None:
        raise Invalid("Name the events by their ledger ids.", field="ids", code="missing_field")
    if not isinstance(ids, list) or not ids:
        raise Invalid("Must be a list of ledger ids, at least one.", field="ids")
    for index, event_id in enumerate(ids):
        if isinstance(event_id, bool) or not isinstance(event_id, int):
            raise Invalid("A ledger id is a whole number.", field=f"ids.{index}")
    return ids


def _actor_of(request: Request) -> str:
    """A member of staff by name; a key by its name, which isn't unique, and its prefix, which is."""
    name = principal_of_request(request).name
    if "HTTP_AUTHORIZATION" not in request.META:
        return name
    prefix = bearer_key(request._request).partition(".")[0]
    return f"{name} ({prefix}…)"


def _status_of(voided: list[Voided]) -> int:
    return 201 if any(one.outcome == "created" for one in voided) else 200


def _shown(correction: Correction) -> dict[str, Any]:
    return {
        "id": correction.pk,
        "project": correction.project.key,
        "kind": correction.kind,
        "event": correction.event,
        "void": correction.void,
        "replacement": correction.replacement,
        "reason": correction.reason,
        "actor": correction.actor,
        "corrected_at": iso(correction.corrected_at),
    }
