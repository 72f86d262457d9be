"""`/invoices/` and `/credit-notes/`: finding documents, beginning and discarding drafts."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.invoicing.draft_edits import begin_invoice, discard_draft, set_notes
from billing.invoicing.standing import Status, with_status
from billing.models import Invoice
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, members_of, text_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now

from .invoice_answers import shown, summary, without_remarks
from .invoice_documents import (
    InvoiceDocument,
    InvoiceNotesDocument,
    InvoicePage,
    InvoiceRequestDocument,
    seen_digest,
)
from .manual_lines import lines_from
from .member_values import day_of, needed, seen_of
from .visible import billable_account, is_billed
from .visible_documents import actor_of, narrowed, visible_document, visible_documents

ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "account_id": "account",
    "billing_account": "account",
    "billing_account_id": "account",
}
PROBLEMS: dict[int, Any] = dict.fromkeys((403, 404, 409, 422), ProblemDocument)
_FILTERS = (
    "account",
    "project",
    "status",
    "number",
    "issued_from",
    "issued_until",
    "currency",
    "limit",
    "cursor",
)
_PARAMETERS = [
    OpenApiParameter("account", int, description="Only those of this billing account."),
    OpenApiParameter("project", description="Only those of this project's account."),
    OpenApiParameter("status", enum=Status.values, description="As of today, by UTC."),
    OpenApiParameter("number", description="The one with this number."),
    OpenApiParameter("issued_from", description="Issued on this day or later."),
    OpenApiParameter("issued_until", description="Issued before this day."),
    OpenApiParameter("currency"),
    OpenApiParameter("limit", int, description="Documents per page."),
    OpenApiParameter("cursor"),
]


class NewestFirst(KeyCursorPagination):
    ordering = "-id"


class InvoicesView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_invoice", "POST": "billing.add_invoice"}

    @extend_schema(
        operation_id="invoices_list",
        summary="List invoices, the newest first",
        description="Drafts too. Without `kind` invoices alone; credit notes have a list of their own.",
        parameters=[
            OpenApiParameter("kind", enum=[*Invoice.Kind.values, "any"], description="Default: invoice."),
            *_PARAMETERS,
        ],
        responses={200: InvoicePage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("kind", *_FILTERS))
        kind = query.choice("kind", (*Invoice.Kind.values, "any")) or Invoice.Kind.INVOICE
        return _page(self, request, query, kind=None if kind == "any" else kind)

    @extend_schema(
        operation_id="invoices_begin",
        summary="Begin an invoice by hand",
        description=(
            "A draft that no billing run touches. What usage and fees come to is drafted by billing runs; "
            "lines can be added to those drafts as well."
        ),
        request=InvoiceRequestDocument,
        responses={201: InvoiceDocument, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=("account", "project", "lines", "notes"), aliases=ALIASES)
        draft = begin_invoice(
            billable_account(members, principal),
            lines=lines_from(members.get("lines") or []),
            notes=text_of(members, "notes", max_length=2000) or "",
            edited_by=actor_of(principal),
        )
        return answer_with(request, draft.pk, status=201)


class InvoiceView(APIView):
    permissions = {"GET": "read", "PATCH": "bill", "DELETE": "bill"}
    staff_rights = {
        "GET": "billing.view_invoice",
        "PATCH": "billing.change_invoice",
        "DELETE": "billing.delete_invoice",
    }

    @extend_schema(
        operation_id="invoices_get",
        summary="One invoice or credit note, with all that is on it",
        description="All routes below `/invoices/{id}/` take credit notes too: they share their ids.",
        responses={200: InvoiceDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, invoice_id: int) -> Response:
        return answer_with(request, invoice_id)

    @extend_schema(
        operation_id="invoices_change",
        summary="Change the note to the customer on a draft",
        request=InvoiceNotesDocument,
        responses={200: InvoiceDocument, **PROBLEMS},
    )
    def patch(self, request: Request, invoice_id: int) -> Response:
        invoice = visible_document(request, invoice_id)
        members = members_of(request.data, known=("notes", "digest"))
        needed(members, "notes")
        set_notes(
            invoice,
            text_of(members, "notes", max_length=2000) or "",
            edited_by=actor_of(principal_of_request(request)),
            seen=seen_of(members),
        )
        return answer_with(request, invoice_id)

    @extend_schema(
        operation_id="invoices_discard",
        summary="Discard a draft",
        description="What is due is drafted again by the next billing run; lines by hand are gone.",
        parameters=[OpenApiParameter("digest", description=str(seen_digest().help_text))],
        responses={204: None, **PROBLEMS},
    )
    def delete(self, request: Request, invoice_id: int) -> Response:
        query = Query(request.query_params, known=("digest",))
        discard_draft(visible_document(request, invoice_id), seen=seen_of({"digest": query.text("digest")}))
        return Response(status=204)


class CreditNotesView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}

    @extend_schema(
        operation_id="credit_notes_list",
        summary="List credit notes, the newest first",
        description="Drafts too. They are drafts or issued; other states are of invoices.",
        parameters=_PARAMETERS,
        responses={200: InvoicePage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=_FILTERS)
        return _page(self, request, query, kind=Invoice.Kind.CREDIT_NOTE)


class CreditNoteView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}

    @extend_schema(
        operation_id="credit_notes_get",
        summary="One credit note",
        responses={200: InvoiceDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, invoice_id: int) -> Response:
        return answer_with(request, invoice_id, kind=Invoice.Kind.CREDIT_NOTE)


def answer_with(
    request: Request, document_id: int, *, status: int = 200, kind: str | None = None
) -> Response:
    """The document as it is now."""
    invoice = visible_document(request, document_id, kind=kind)
    document = shown(invoice, on=database_now().date())
    if is_billed(principal_of_request(request), invoice.account.project):
        document = without_remarks(document)
    return Response(document, status=status)


def _page(view: APIView, request: Request, query: Query, *, kind: str | None) -> Response:
    principal, today = principal_of_request(request), database_now().date()
    documents: Any = narrowed(visible_documents(principal), query, principal)
    days = {name: query.text(name) for name in ("issued_from", "issued_until")}
    currency = query.text("currency")
    for condition, value in (
        ("kind", kind),
        ("number", query.text("number")),
        ("currency", currency.upper() if currency else None),
        ("issued_on__gte", day_of(days, "issued_from")),
        ("issued_on__lt", day_of(days, "issued_until")),
    ):
        if value is not None:
            documents = documents.filter(**{condition: value})
    status = query.choice("status", Status.values)
    if status is not None:
        documents = with_status(documents, Status(status), on=today)
    pages = NewestFirst()
    page: list[Invoice] = pages.paginate_queryset(documents, request, view=view) or []
    return pages.get_paginated_response([summary(document, on=today) for document in page])
