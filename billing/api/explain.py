"""`/invoices/{id}/lines/{line_id}/explain/`: why a line costs what it costs, and the events it is made of."""

from typing import Any

import msgspec
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from billing.models import InvoiceLine
from billing.proving.explaining import explained, lines_to_explain, zone_of
from billing.proving.line_events import (
    MAX_PAGE,
    EventPlace,
    EventsPage,
    Which,
    line_events,
    line_events_csv,
)
from billing.proving.rerunning import has_evidence
from metering.answering.answers import answer
from metering.api.documents import ProblemDocument
from metering.api.parsing import Query
from metering.api.usage import CSVRenderer
from metering.api.visibility import principal_of_request
from metering.errors import Invalid, NotFound

from .explain_answers import shown, shown_event
from .explain_documents import ExplanationDocument, LineEventsPage
from .visible import MAX_ID

_encode = msgspec.json.Encoder().encode


class LineExplainView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}

    @extend_schema(
        operation_id="invoices_lines_explain",
        summary="Why a line costs what it costs",
        description=(
            "The price as it was applied, each step from usage to amount, usage by local days (hours of a "
            "short period, months of a very long one), and whether reading the ledger again gives the same. "
            "Everything is of the line's own ledger position, so that the answer doesn't change; what was "
            "learned since is counted apart."
        ),
        responses={200: ExplanationDocument, 404: ProblemDocument, 503: ProblemDocument},
    )
    def get(self, request: Request, invoice_id: int, line_id: int) -> HttpResponse:
        Query(request.query_params, known=())
        line = visible_line(request, invoice_id, line_id)
        is_staff = principal_of_request(request).project_path is None
        return _json(answer(lambda catalogue: shown(explained(line), is_staff=is_staff)))


class LineEventsView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="invoices_lines_explain_events",
        summary="The events a line is made of",
        description=(
            "By ledger id, ascending, which is the order of the digest. `Accept: text/csv` streams all of "
            "them; text cells can't act as formulas. A line that isn't made of usage has none."
        ),
        parameters=[
            OpenApiParameter(
                "which",
                enum=[each.value for each in Which],
                description="billed (default): those of the line; voided: those of them that were cancelled "
                "since; later: those recorded since for the same period.",
            ),
            OpenApiParameter("from", description="RFC 3339 time, or a date on the line's clocks; inclusive."),
            OpenApiParameter("to", description="Likewise, exclusive."),
            OpenApiParameter("limit", int, description=f"Page size, 1 to {MAX_PAGE}. Not with CSV."),
            OpenApiParameter("cursor", description="Not with CSV."),
        ],
        responses={
            (200, "application/json"): LineEventsPage,
            (200, "text/csv"): OpenApiTypes.BINARY,
            404: ProblemDocument,
            422: ProblemDocument,
            503: ProblemDocument,
        },
    )
    def get(self, request: Request, invoice_id: int, line_id: int) -> HttpResponseBase:
        wants_csv = getattr(request.accepted_renderer, "format", "") == "csv"
        paging = () if wants_csv else ("limit", "cursor")
        query = Query(request.query_params, known=("which", "from", "to", "format", *paging))
        line = visible_line(request, invoice_id, line_id)
        found: dict[str, Any] = {"which": Which(query.choice("which", list(Which)) or Which.BILLED)}
        zone = zone_of(line)
        found |= {"start": query.instant("from", zone=zone), "end": query.instant("to", zone=zone)}
        if found["start"] is not None and found["end"] is not None and found["start"] >= found["end"]:
            raise Invalid("'to' must lie after 'from'.", field="to")
        if wants_csv:
            return csv_response(line, **found)
        cursor = query.text("cursor")
        place = None if cursor is None else EventPlace.from_text(cursor)
        limit = query.number("limit", default=100, least=1, most=MAX_PAGE)
        page = EventsPage([])
        if has_evidence(line):
            page = answer(lambda catalogue: line_events(line, place=place, limit=limit, **found))
        return _json(
            {
                "results": [shown_event(event) for event in page.events],
                "next": _page_url(request, page.following),
                "previous": _page_url(request, page.preceding),
            }
        )


def csv_response(line: InvoiceLine, **found: Any) -> StreamingHttpResponse:
    response = StreamingHttpResponse(line_events_csv(line, **found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="line-{line.pk}-events.csv"'
    return response


def visible_line(request: Request, invoice_id: int, line_id: int) -> InvoiceLine:
    """The line of an account at or below the caller's project. Raises `NotFound`."""
    principal = principal_of_request(request)
    lines = lines_to_explain()
    if principal.project_path is not None:
        lines = lines.filter(invoice__account__project__path__startswith=principal.project_path)
    line = None
    if invoice_id <= MAX_ID and line_id <= MAX_ID:
        line = lines.filter(pk=line_id, invoice_id=invoice_id).first()
    if line is None:
        raise NotFound(f"The invoice {invoice_id} has no line {line_id}.")
    return line


def _page_url(request: Request, place: EventPlace | None) -> str | None:
    if place is None:
        return None
    parameters = request.query_params.copy()
    parameters["cursor"] = place.text
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")


def _json(document: dict[str, Any]) -> HttpResponse:
    return HttpResponse(_encode(document), content_type="application/json")
