"""`/usage-events/`: recording usage, and reading the ledger back."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import unquote

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework.exceptions import ParseError, PermissionDenied, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from metering.answering.event_listing import MAX_PAGE, Cursor, event_of, events_page
from metering.catalogue import current
from metering.errors import EventsConflict, EventsRejected, Invalid, NotFound
from metering.keys import presumed_holder, principal_of
from metering.ledger import Outcome, record_items
from metering.principal import Principal
from metering.recording.inflation import Damaged, TooLarge, UnknownCoding, inflated, is_compressed
from metering.recording.intake import (
    MAX_BODY_BYTES,
    MAX_EVENTS,
    BatchTooLarge,
    Item,
    MalformedBody,
    cloudevent_field,
    parse_binary_cloudevent,
    parse_cloudevents,
    parse_native,
)

from .authentication import bearer_key, unknown_key
from .documents import (
    EVENT_EXAMPLES,
    CloudEventDocument,
    EventDocument,
    EventPage,
    ProblemDocument,
    RecordedDocument,
    SentEventDocument,
)
from .event_query import (
    AS_OF_PARAMETER,
    EVENT_PARAMETERS,
    EVENT_STATE_PARAMETERS,
    LABELS_PARAMETER,
    SCOPE_PARAMETER,
    event_filter_of,
)
from .parsing import Query
from .visibility import principal_of_request, visible_project_ids

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
_encode = msgspec.json.Encoder().encode
_STATUS_OF_OUTCOME = {"created": 201, "exists": 200, "conflict": 409, "rejected": 422}


_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)


class LengthRequired(ParseError):
    status_code = 411
    default_code = "length_required"


class AlwaysJSON(BaseContentNegotiation):
    """There is one representation; asking for it costs nothing."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0] if parsers else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class UsageEventsView(APIView):
    """Record usage, one event or a batch; list what was recorded."""

    permissions = {"GET": "read", "POST": "ingest"}
    staff_rights = {"GET": "metering.view_usageevent"}
    content_negotiation_class = AlwaysJSON

    @extend_schema(
        operation_id="usage_record",
        summary="Record usage",
        description=(
            "One event or an array of at most 10,000 (10 MB). 2xx means committed. A batch is all or nothing "
            "unless `on_error=skip`. The same (project, source, id) is recorded once, for ever. A member "
            "sent twice is refused. The body may be compressed with gzip or deflate; the limits are those of "
            "what is inside."
        ),
        parameters=[
            OpenApiParameter(
                "Content-Encoding",
                location=OpenApiParameter.HEADER,
                enum=["identity", "gzip", "deflate"],
                description="How the body is compressed, once at most. Default: identity.",
            ),
            OpenApiParameter(
                "on_error", enum=["reject", "skip"], description="What to do with events that don't fit."
            ),
            OpenApiParameter(
                "enforce", bool, description="`false` records without asking limits; needs `backfill`."
            ),
        ],
        request={
            "application/json": PolymorphicProxySerializer(
                "EventOrEvents", [SentEventDocument, SentEventDocument(many=True)], None, many=False
            ),
            "application/cloudevents+json": CloudEventDocument,
            "application/cloudevents-batch+json": CloudEventDocument(many=True),
        },
        examples=EVENT_EXAMPLES,
        responses={
            200: OpenApiResponse(RecordedDocument, description="All events had been recorded before."),
            201: OpenApiResponse(RecordedDocument, description="Recorded."),
            400: ProblemDocument,
            409: ProblemDocument,
            413: ProblemDocument,
            415: ProblemDocument,
            422: ProblemDocument,
            429: ProblemDocument,
        },
    )
    def post(self, request: Request) -> HttpResponse:
        return _recorded(request._request, principal_of_request(request))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Recording with a key goes past DRF, whose rituals cost more than the recording."""
        if request.method != "POST" or "HTTP_AUTHORIZATION" not in request.META:
            return super().dispatch(request, *args, **kwargs)
        try:
            return _recorded_with_key(request)
        except Exception as error:
            response = self.get_exception_handler()(error, {"view": self})
            if response is None:
                raise
            return cast(HttpResponseBase, response)

    @extend_schema(
        operation_id="usage_events_list",
        summary="List recorded events",
        description="Newest use first. `labels[name]=value` filters by label.",
        parameters=[
            OpenApiParameter("project", description="Key; without it, all that the key sees."),
            SCOPE_PARAMETER,
            *EVENT_STATE_PARAMETERS,
            LABELS_PARAMETER,
            OpenApiParameter("event_name"),
            OpenApiParameter("source"),
            OpenApiParameter("event_id"),
            OpenApiParameter("subject_type"),
            OpenApiParameter("subject_id"),
            OpenApiParameter("from", description="RFC 3339 time or date, inclusive."),
            OpenApiParameter("to", description="RFC 3339 time or date, exclusive."),
            OpenApiParameter("timezone", description="IANA name, for dates. Default UTC."),
            OpenApiParameter("limit", int, description=f"Page size, 1 to {MAX_PAGE}."),
            OpenApiParameter("cursor"),
        ],
        responses={200: EventPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> HttpResponse:
        query = Query(request.query_params, known=(*EVENT_PARAMETERS, "limit", "cursor"), with_labels=True)
        catalogue = current()
        event_filter = event_filter_of(query, principal_of_request(request), catalogue)
        cursor_text = query.text("cursor")
        page = events_page(
            event_filter,
            cursor=None if cursor_text is None else Cursor.from_text(cursor_text),
            limit=query.number("limit", default=100, least=1, most=MAX_PAGE),
        )
        position = event_filter.position
        document: dict[str, Any] = {} if position is None else {"position": position}
        document["results"] = page.events
        document["next"] = _page_url(request, page.following, position=position)
        document["previous"] = _page_url(request, page.preceding, position=position)
        return _answer(document)


class UsageEventView(APIView):
    """One row of the ledger."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_usageevent"}

    @extend_schema(
        operation_id="usage_events_get",
        summary="One recorded event",
        parameters=[AS_OF_PARAMETER],
        responses={200: EventDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request, event_id: int) -> HttpResponse:
        query = Query(request.query_params, known=("as_of",))
        event = event_of(
            event_id,
            project_ids=visible_project_ids(principal_of_request(request)),
            position=query.position(),
        )
        if event is None:
            raise NotFound(f"There is no event {event_id}.")
        return _answer(event)


def _recorded_with_key(request: HttpRequest) -> HttpResponse:
    """`_recorded` for the holder of the request's key, whom the recording transaction confirms.

    Nobody whose key is dead learns anything else, so a complaint from before that transaction is only passed
    on to a holder whom the database confirms.
    """
    holder = presumed_holder(bearer_key(request))
    if holder is None:
        raise unknown_key(request)
    confirmed = False

    def confirm(version: int, now: dt.datetime) -> None:
        nonlocal confirmed
        if not holder.holds_at(version, now):
            raise unknown_key(request)
        confirmed = True

    try:
        if not holder.principal.may("ingest"):
            raise PermissionDenied("This needs the permission 'ingest'.")
        return _recorded(request, holder.principal, confirm=confirm)
    except Exception:
        if not confirmed and principal_of(holder.key) != holder.principal:
            raise unknown_key(request) from None
        raise


def _recorded(
    request: HttpRequest, principal: Principal, *, confirm: Callable[[int, dt.datetime], None] | None = None
) -> HttpResponse:
    """Record the body's events and say what became of each."""
    query = Query(request.GET, known=("on_error", "enforce"))
    skips = query.choice("on_error", ("reject", "skip")) == "skip"
    enforce = query.flag("enforce", default=True)
    if not enforce and not principal.may("backfill"):
        raise PermissionDenied("Recording without limits needs the permission 'backfill'.")
    media_type = _media_type(request)
    body = _body_of(request)
    items, is_single = _items_of(request, body, media_type)
    try:
        outcomes = record_items(
            items,
            principal=principal,
            on_error="skip" if skips else "reject",
            enforce=enforce,
            may_contain_nul=b"\\u0000" in body or is_single,
            confirm=confirm,
        )
    except (EventsRejected, EventsConflict) as error:
        if _is_cloudevents(request):
            error.errors = [replace(each, field=cloudevent_field(each.field)) for each in error.errors]
        raise
    if _is_cloudevents(request):
        for outcome in outcomes:
            outcome.field = cloudevent_field(outcome.field)
    return HttpResponse(
        _encode({"results": outcomes}),
        status=_status_of(outcomes, is_single=is_single, skips=skips),
        content_type="application/json",
    )


def _body_of(request: HttpRequest) -> bytes:
    """The body within the limit, inflated; read only after its announced length was looked at."""
    meta = request.META
    coding = meta.get("HTTP_CONTENT_ENCODING", "")
    try:
        compressed = is_compressed(coding)
    except UnknownCoding:
        raise UnsupportedMediaType(
            coding, detail="Send the body as it is, or compressed once with gzip or deflate."
        ) from None
    if "CONTENT_LENGTH" not in meta or meta["CONTENT_LENGTH"] == "":
        if meta.get("HTTP_TRANSFER_ENCODING"):
            raise LengthRequired("Send the body with a Content-Length.")
    elif not _LENGTH.fullmatch(meta["CONTENT_LENGTH"]) or int(meta["CONTENT_LENGTH"]) > MAX_BODY_BYTES:
        raise _too_large()
    if not compressed:
        return request.body
    try:
        return inflated(request.body, coding, limit=MAX_BODY_BYTES)
    except Damaged as error:
        raise ParseError(f"The compressed body can't be read: {error}.") from None
    except TooLarge:
        raise _too_large() from None


def _too_large() -> Invalid:
    return Invalid(f"A request has at most {MAX_BODY_BYTES} bytes.", code="payload_too_large")


def _answer(document: dict[str, Any]) -> HttpResponse:
    return HttpResponse(_encode(document), content_type="application/json")


def _is_cloudevents(request: HttpRequest) -> bool:
    return "HTTP_CE_SPECVERSION" in request.META or "cloudevents" in request.META.get("CONTENT_TYPE", "")


def _media_type(request: HttpRequest) -> str:
    """What the body is said to be. Asked before the body is: a form has been read by others by then."""
    media_type = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if media_type not in {"application/json", CLOUDEVENT, CLOUDEVENTS}:
        raise UnsupportedMediaType(media_type or "none", detail="Send application/json or CloudEvents.")
    return media_type


def _items_of(request: HttpRequest, body: bytes, media_type: str) -> tuple[list[Item], bool]:
    """The events of the body by its media type, and whether it was a single one."""
    try:
        if media_type == CLOUDEVENT:
            return parse_cloudevents(body, batch=False), True
        if media_type == CLOUDEVENTS:
            return parse_cloudevents(body, batch=True), False
        if "HTTP_CE_SPECVERSION" in request.META:
            attributes = {
                name.removeprefix("HTTP_CE_").lower().replace("_", ""): unquote(value)
                for name, value in request.META.items()
                if name.startswith("HTTP_CE_")
            }
            return parse_binary_cloudevent(attributes, body), True
        return parse_native(body)
    except MalformedBody as error:
        raise ParseError(str(error)) from None
    except BatchTooLarge:
        raise Invalid(f"A request has at most {MAX_EVENTS} events.", code="batch_too_large") from None


def _status_of(outcomes: list[Outcome], *, is_single: bool, skips: bool) -> int:
    """One event: its own outcome's status. A batch: 201 where anything is new, else 200."""
    if is_single and not skips:
        return _STATUS_OF_OUTCOME[outcomes[0].outcome]
    return 201 if any(outcome.outcome == "created" for outcome in outcomes) else 200


def _page_url(request: Request, cursor: Cursor | None, *, position: int | None) -> str | None:
    """Where another page is; it shows the ledger at the same position."""
    if cursor is None:
        return None
    parameters = request.query_params.copy()
    parameters["cursor"] = cursor.text
    if position is not None:
        parameters.pop("asOf", None)
        parameters["as_of"] = str(position)
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
