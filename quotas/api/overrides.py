"""`/quotas/{id}/overrides/`: other limits for a while."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.accountability import changed_by
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, members_of, text_of
from metering.api.visibility import principal_of_request
from metering.errors import Invalid, NotFound
from metering.texts.cursors import LARGEST_ID
from metering.texts.numbers import plain
from metering.texts.timestamps import NotAnInstant, instant_from, iso
from quotas.decisions import actor_of
from quotas.models import REASON_MAX_LENGTH, QuotaOverride
from quotas.overrides import end_override, override_quota

from .documents import OverrideDocument, OverrideEndDocument, OverridePage
from .visibility import visible_quota

_MEMBERS = ("limit", "effective_from", "effective_until", "reason")


class OverridesView(APIView):
    """The temporary limits of a quota."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "quotas.view_quotaoverride", "POST": "quotas.add_quotaoverride"}

    @extend_schema(
        operation_id="quota_overrides_list",
        summary="Temporary limits of a quota",
        description="Those that are over included.",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor")],
        responses={200: OverridePage, 404: ProblemDocument},
    )
    def get(self, request: Request, quota_id: int) -> Response:
        Query(request.query_params, known=("limit", "cursor"))
        overrides = QuotaOverride.objects.filter(quota=visible_quota(request, quota_id))
        pages = KeyCursorPagination()
        page: list[QuotaOverride] = pages.paginate_queryset(overrides, request, view=self) or []
        return pages.get_paginated_response([override_shown(override) for override in page])

    @extend_schema(
        operation_id="quota_overrides_create",
        summary="Give a quota another limit for a while",
        description=(
            "From `effective_from` (default: now) until `effective_until`, by the database's clock: what "
            "counts is when usage is recorded, not when it happened. Only one at a time."
        ),
        request=OverrideDocument,
        responses={
            201: OverrideDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request, quota_id: int) -> Response:
        quota = visible_quota(request, quota_id)
        members = members_of(request.data, known=_MEMBERS)
        for name in ("limit", "effective_until", "reason"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        until = _instant(members, "effective_until")
        assert until is not None
        principal = principal_of_request(request)
        reason = members["reason"]
        told = reason if isinstance(reason, str) else None  # what is no text the verb refuses
        with changed_by(actor_of(principal), reason=told, through="API"):
            override = override_quota(
                quota,
                limit=members["limit"],
                effective_from=_instant(members, "effective_from"),
                effective_until=until,
                reason=reason,
                actor=principal.name,
            )
        return Response(override_shown(override), status=201)


class OverrideView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "quotas.view_quotaoverride"}

    @extend_schema(
        operation_id="quota_overrides_get",
        summary="One temporary limit",
        responses={200: OverrideDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, quota_id: int, override_id: int) -> Response:
        return Response(override_shown(_override(request, quota_id, override_id)))


class OverrideEndView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "quotas.change_quotaoverride"}

    @extend_schema(
        operation_id="quota_overrides_end",
        summary="End a temporary limit now",
        description="One that has yet to begin never will; one that is over stays as it was.",
        request=OverrideEndDocument,
        responses={200: OverrideDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request, quota_id: int, override_id: int) -> Response:
        override = _override(request, quota_id, override_id)
        members = members_of(request.data or {}, known=("reason",))
        reason = text_of(members, "reason", max_length=REASON_MAX_LENGTH)
        principal = principal_of_request(request)
        with changed_by(actor_of(principal), reason=reason, through="API"):
            override = end_override(override, actor=principal.name)
        return Response(override_shown(override))


def override_shown(override: QuotaOverride) -> dict[str, Any]:
    return {
        "id": override.pk,
        "limit": plain(override.limit),
        "effective_from": iso(override.effective_from),
        "effective_until": iso(override.effective_until),
        "reason": override.reason,
        "created_by": override.created_by,
        "created_at": iso(override.created_at),
        "ended_by": override.ended_by or None,
    }


def _override(request: Request, quota_id: int, override_id: int) -> QuotaOverride:
    quota = visible_quota(request, quota_id)
    override = None
    if override_id <= LARGEST_ID:
        override = (
            QuotaOverride.objects.filter(pk=override_id, quota=quota)
            .select_related("quota__project", "quota__metric")
            .first()
        )
    if override is None:
        raise NotFound(f"Quota {quota_id} has no temporary limit {override_id}.")
    return override


def _instant(members: Mapping[str, Any], name: str) -> dt.datetime | None:
    text = members.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise Invalid("Must be a text.", field=name)
    try:
        return instant_from(text)
    except NotAnInstant as error:
        raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=name) from None
