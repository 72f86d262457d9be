"""What is put on a draft and taken off it again: lines, discounts; computing it anew."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.errors import DocumentIsIssued
from billing.invoicing.draft_edits import add_discount, add_line, remove_discount, remove_line
from billing.invoicing.recomputing import recompute
from billing.models import Invoice
from metering.api.documents import ProblemDocument
from metering.api.parsing import members_of, text_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.errors import Conflict

from . import positions
from .invoice_documents import AddedLineDocument, DiscountRequestDocument, InvoiceDocument
from .invoices import PROBLEMS, answer_with
from .manual_lines import MEMBERS, line_of
from .member_values import number_of, reason_of, seen_of
from .visible_documents import actor_of, visible_document


class DraftEditView(APIView):
    permissions = {"POST": "bill", "DELETE": "bill"}
    staff_rights = dict.fromkeys(("POST", "DELETE"), "billing.change_invoice")


class InvoiceLinesView(DraftEditView):
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="invoices_add_line",
        summary="Add a line by hand to a draft",
        description=(
            "Answers with the draft. The line stays there when the draft is computed again. With `digest` "
            "the same request sent again is refused, for the draft has changed by then."
        ),
        request=AddedLineDocument,
        responses={201: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data, known=(*MEMBERS, "digest"))
        by = actor_of(principal_of_request(request))
        add_line(invoice, line_of(members), added_by=by, seen=seen_of(members))
        return answer_with(request, invoice_id, status=201)


class InvoiceLineView(DraftEditView):
    http_method_names = ["delete", "options"]

    @extend_schema(
        operation_id="invoices_remove_line",
        summary="Take a line by hand off a draft",
        responses={204: None, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def delete(self, request: Request, invoice_id: int, line_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        remove_line(invoice, line_id, removed_by=actor_of(principal_of_request(request)))
        return Response(status=204)


class InvoiceDiscountsView(DraftEditView):
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="invoices_add_discount",
        summary="Add a discount to a draft",
        description="It applies after those there are. Answers with the draft.",
        request=DiscountRequestDocument,
        responses={201: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data, known=("name", "reason", "percent", "fixed_amount", "digest"))
        add_discount(
            invoice,
            name=text_of(members, "name") or "",
            reason=reason_of(members),
            percent=number_of(members, "percent"),
            fixed_amount=number_of(members, "fixed_amount"),
            added_by=actor_of(principal_of_request(request)),
            seen=seen_of(members),
        )
        return answer_with(request, invoice_id, status=201)


class InvoiceDiscountView(DraftEditView):
    http_method_names = ["delete", "options"]

    @extend_schema(
        operation_id="invoices_remove_discount",
        summary="Take a discount off a draft",
        responses={204: None, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def delete(self, request: Request, invoice_id: int, discount_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        remove_discount(invoice, discount_id, removed_by=actor_of(principal_of_request(request)))
        return Response(status=204)


class InvoiceRecomputeView(DraftEditView):
    http_method_names = ["post", "options"]

    @extend_schema(
        operation_id="invoices_recompute",
        summary="Compute a draft anew, as of now",
        description=(
            "With all that is due by now and all that the ledger knows. Lines by hand and discounts stay. "
            "204 where nothing is due and nothing was added by hand: then there is no draft any more."
        ),
        request=None,
        responses={200: InvoiceDocument, 204: None, 503: ProblemDocument, **PROBLEMS},
    )
    def post(self, request: Request, invoice_id: int) -> Response:
        members_of(request.data or {}, known=())
        invoice = visible_document(request, invoice_id)
        if not invoice.is_draft:
            raise DocumentIsIssued(str(invoice.number))
        if invoice.origin != Invoice.Origin.RUN:
            raise Conflict("What was begun by hand isn't computed; change its lines.")
        computed = recompute(invoice.account, as_of=database_now(), position=positions.final_position())
        return Response(status=204) if computed is None else answer_with(request, computed.pk)
