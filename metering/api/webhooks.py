"""`/webhook-endpoints/`: who is told what happens, and what became of each message."""

import datetime as dt
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.delivering.delivering import document_of
from metering.delivering.endpoints import (
    OVERLAP_HOURS,
    Changes,
    add_endpoint,
    change_endpoint,
    remove_endpoint,
    resend,
    resend_failed,
    rotate_secret,
    test_endpoint,
)
from metering.errors import Invalid, NotFound
from metering.models import (
    URL_MAX_LENGTH,
    Project,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from metering.texts.cursors import LARGEST_ID
from metering.texts.timestamps import NotAnInstant, instant_from, iso

from .documents import ProblemDocument
from .pagination import KeyCursorPagination
from .parsing import Query, members_of, text_of
from .visibility import principal_of_request, visible_project
from .webhook_documents import (
    KINDS_IN_WORDS,
    ResendFailedDocument,
    ResentDocument,
    RotateSecretDocument,
    WebhookDeliveryDocument,
    WebhookDeliveryPage,
    WebhookEndpointChangeDocument,
    WebhookEndpointCreatedDocument,
    WebhookEndpointDocument,
    WebhookEndpointPage,
    WebhookSecretDocument,
)

_CHANGEABLE = ("url", "description", "kinds", "is_enabled")
_PROBLEMS = {404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


class NewestFirst(KeyCursorPagination):
    ordering = "-id"


class WebhookEndpointsView(APIView):
    """The endpoints of the projects that the caller sees."""

    permissions = {"GET": "manage", "POST": "manage"}
    staff_rights = {"GET": "metering.view_webhookendpoint", "POST": "metering.add_webhookendpoint"}

    @extend_schema(
        operation_id="webhook_endpoints_list",
        summary="List webhook endpoints",
        parameters=[
            OpenApiParameter("project", description="Only those of this project."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: WebhookEndpointPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "limit", "cursor"))
        principal = principal_of_request(request)
        endpoints = WebhookEndpoint.objects.select_related("project")
        if principal.project_path is not None:
            endpoints = endpoints.filter(project__path__startswith=principal.project_path)
        key = query.text("project")
        if key is not None:
            endpoints = endpoints.filter(project=visible_project(principal, key))
        pages = KeyCursorPagination()
        page = pages.paginate_queryset(endpoints, request, view=self) or []
        return pages.get_paginated_response([_shown(endpoint) for endpoint in page])

    @extend_schema(
        operation_id="webhook_endpoints_add",
        summary="Tell an address what happens",
        description=(
            "Each event is posted as JSON, signed by the scheme of Standard Webhooks with the `secret` of "
            "this answer, which isn't shown again. Any 2xx counts as taken; everything else is tried again "
            f"for about three days.\n\nKinds of events:\n\n{KINDS_IN_WORDS}"
        ),
        request=WebhookEndpointDocument,
        responses={201: WebhookEndpointCreatedDocument, **_PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(
            request.data,
            known=("project", *_CHANGEABLE),
            aliases={"project_id": "project", "org_id": "project"},
        )
        changes = _changes_of(members)
        if changes.url is None:
            raise Invalid("This member is needed.", field="url", code="missing_field")
        key = text_of(members, "project")
        if key is not None:
            project = visible_project(principal, key)
        elif principal.project_id is not None:
            project = Project.objects.get(pk=principal.project_id)
        else:
            raise Invalid("This member is needed.", field="project", code="missing_field")
        endpoint, secret = add_endpoint(
            project=project,
            url=changes.url,
            description=changes.description or "",
            kinds=changes.kinds or (),
            is_enabled=changes.is_enabled is not False,
        )
        return Response({**_shown(endpoint), "secret": secret}, status=201)


class WebhookEndpointView(APIView):
    permissions = {"GET": "manage", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "metering.view_webhookendpoint",
        "PATCH": "metering.change_webhookendpoint",
        "DELETE": "metering.delete_webhookendpoint",
    }

    @extend_schema(
        operation_id="webhook_endpoints_get",
        summary="One webhook endpoint",
        responses={200: WebhookEndpointDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, endpoint_id: int) -> Response:
        return Response(_shown(_endpoint(request, endpoint_id)))

    @extend_schema(
        operation_id="webhook_endpoints_change",
        summary="Change URL, description or kinds, or switch it on or off",
        request=WebhookEndpointChangeDocument,
        responses={200: WebhookEndpointDocument, **_PROBLEMS},
    )
    def patch(self, request: Request, endpoint_id: int) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        changes = _changes_of(members_of(request.data, known=_CHANGEABLE))
        return Response(_shown(change_endpoint(endpoint, changes)))

    @extend_schema(
        operation_id="webhook_endpoints_remove",
        summary="Remove an endpoint with the log of its deliveries",
        responses={204: None, 404: ProblemDocument},
    )
    def delete(self, request: Request, endpoint_id: int) -> Response:
        remove_endpoint(_endpoint(request, endpoint_id))
        return Response(status=204)


class WebhookTestView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.change_webhookendpoint"}

    @extend_schema(
        operation_id="webhook_endpoints_test",
        summary="Send a test event",
        description=(
            "An event `endpoint.tested` is sent to this endpoint alone within seconds, whatever it "
            "subscribes to; the answer is the delivery that waits. Ask `deliveries/` what became of it."
        ),
        request=None,
        responses={202: WebhookDeliveryDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def post(self, request: Request, endpoint_id: int) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        delivery = test_endpoint(endpoint, requested_by=principal_of_request(request).name)
        return Response(_shown_delivery(delivery, []), status=202)


class WebhookSecretView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.change_webhookendpoint"}

    @extend_schema(
        operation_id="webhook_endpoints_rotate_secret",
        summary="Replace the signing secret",
        description=(
            f"The old one signs along for {OVERLAP_HOURS} hours, or for `overlap_hours`: each message "
            "carries a signature by each, and receivers accept any that fits. The new one isn't shown again."
        ),
        request=RotateSecretDocument,
        responses={200: WebhookSecretDocument, **_PROBLEMS},
    )
    def post(self, request: Request, endpoint_id: int) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        members = members_of(request.data or {}, known=("overlap_hours",))
        hours = members.get("overlap_hours", OVERLAP_HOURS)
        if not isinstance(hours, int) or isinstance(hours, bool):
            raise Invalid("Must be a whole number of hours.", field="overlap_hours")
        row, secret = rotate_secret(endpoint, overlap_hours=hours)
        ends = endpoint.secrets.exclude(expires_at=None).order_by("-expires_at")
        last = ends.values_list("expires_at", flat=True).first()
        return Response(
            {
                "secret": secret,
                "created_at": iso(row.created_at),
                "old_secrets_sign_until": iso(last) if last else None,
            }
        )


class WebhookDeliveriesView(APIView):
    permissions = {"GET": "manage"}
    staff_rights = {"GET": "metering.view_webhookdelivery"}

    @extend_schema(
        operation_id="webhook_deliveries_list",
        summary="What became of each message, newest first",
        parameters=[
            OpenApiParameter("status", enum=WebhookDelivery.Status.values),
            OpenApiParameter("kind", description="Only events of this kind."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: WebhookDeliveryPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request, endpoint_id: int) -> Response:
        query = Query(request.query_params, known=("status", "kind", "limit", "cursor"))
        endpoint = _endpoint(request, endpoint_id)
        deliveries = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event")
        status = query.choice("status", WebhookDelivery.Status.values)
        if status is not None:
            deliveries = deliveries.filter(status=status)
        kind = query.text("kind")
        if kind is not None:
            deliveries = deliveries.filter(event__kind=kind)
        pages = NewestFirst()
        page = pages.paginate_queryset(deliveries, request, view=self) or []
        return pages.get_paginated_response(_shown_deliveries(page))


class WebhookResendView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.resend_webhookdelivery"}

    @extend_schema(
        operation_id="webhook_deliveries_resend",
        summary="Send one message again",
        description="Whatever became of it before, under its id: a receiver that has it can tell.",
        request=None,
        responses={202: WebhookDeliveryDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def post(self, request: Request, endpoint_id: int, delivery_id: int) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        found = WebhookDelivery.objects.select_related("event", "endpoint").filter(endpoint=endpoint)
        delivery = found.filter(pk=delivery_id).first() if delivery_id <= LARGEST_ID else None
        if delivery is None:
            raise NotFound(f"There is no delivery {delivery_id} of this endpoint.")
        [document] = _shown_deliveries([resend(delivery)])
        return Response(document, status=202)


class WebhookResendFailedView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.resend_webhookdelivery"}

    @extend_schema(
        operation_id="webhook_deliveries_resend_failed",
        summary="Send all messages again that failed for good",
        request=ResendFailedDocument,
        responses={202: ResentDocument, **_PROBLEMS},
    )
    def post(self, request: Request, endpoint_id: int) -> Response:
        endpoint = _endpoint(request, endpoint_id)
        since_text = text_of(members_of(request.data or {}, known=("since",)), "since")
        try:
            since = None if since_text is None else instant_from(since_text)
        except NotAnInstant as error:
            raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field="since") from None
        return Response({"resent_count": resend_failed(endpoint, since=since)}, status=202)


def _endpoint(request: Request, endpoint_id: int) -> WebhookEndpoint:
    """Raises `NotFound`, also where it belongs to a project that the caller doesn't see."""
    principal = principal_of_request(request)
    endpoint = None
    if endpoint_id <= LARGEST_ID:
        endpoint = WebhookEndpoint.objects.select_related("project").filter(pk=endpoint_id).first()
    if endpoint is None or not principal.sees(endpoint.project.path):
        raise NotFound(f"There is no webhook endpoint {endpoint_id}.")
    return endpoint


def _changes_of(members: dict[str, Any]) -> Changes:
    """Shapes only. Raises `Invalid`."""
    kinds = members.get("kinds")
    if kinds is not None and not (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)):
        raise Invalid("Must be a list of texts.", field="kinds")
    is_enabled = members.get("is_enabled")
    if is_enabled is not None and not isinstance(is_enabled, bool):
        raise Invalid("Must be true or false.", field="is_enabled")
    return Changes(
        url=text_of(members, "url", max_length=URL_MAX_LENGTH),
        description=text_of(members, "description"),
        kinds=kinds,
        is_enabled=is_enabled,
    )


def _shown(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": endpoint.pk,
        "project": endpoint.project.key,
        "url": endpoint.url,
        "description": endpoint.description,
        "kinds": endpoint.kinds,
        "is_enabled": endpoint.is_enabled,
        "disabled_reason": endpoint.disabled_reason or None,
        "disabled_at": _instant(endpoint.disabled_at),
        "failing_since": _instant(endpoint.failing_since),
        "delivered_at": _instant(endpoint.delivered_at),
        "created_at": iso(endpoint.created_at),
    }


def _shown_deliveries(deliveries: list[WebhookDelivery]) -> list[dict[str, Any]]:
    """With their attempts, asked for once."""
    attempts: dict[int, list[WebhookAttempt]] = {delivery.pk: [] for delivery in deliveries}
    for attempt in WebhookAttempt.objects.filter(delivery__in=attempts).order_by("delivery_id", "number"):
        attempts[attempt.delivery_id].append(attempt)
    return [_shown_delivery(delivery, attempts[delivery.pk]) for delivery in deliveries]


def _shown_delivery(delivery: WebhookDelivery, attempts: list[WebhookAttempt]) -> dict[str, Any]:
    is_pending = delivery.status == WebhookDelivery.Status.PENDING
    return {
        "id": delivery.pk,
        "status": delivery.status,
        "event": document_of(delivery.event, delivery.data),
        "attempt_count": delivery.attempt_count,
        "next_attempt_at": iso(delivery.next_attempt_at) if is_pending else None,
        "delivered_at": _instant(delivery.delivered_at),
        "error": delivery.error,
        "created_at": iso(delivery.created_at),
        "attempts": [
            {
                "number": attempt.number,
                "started_at": iso(attempt.started_at),
                "milliseconds": attempt.milliseconds,
                "response_status": attempt.response_status,
                "response_text": attempt.response_text,
                "error": attempt.error,
            }
            for attempt in attempts
        ],
    }


def _instant(instant: dt.datetime | None) -> str | None:
    return None if instant is None else iso(instant)
