"""`/invoices/{id}/pdf/` and `.../csv/`: a document as the customer gets it. A draft is marked as one."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from billing.documents.document_view import file_name_of
from billing.documents.lines_csv import lines_csv
from billing.documents.pdf import pdf_of
from metering.api.documents import ProblemDocument
from metering.api.parsing import Query
from metering.api.usage import CSVRenderer

from .visible_documents import visible_document


class PDFRenderer(CSVRenderer):
    """Lets `Accept: application/pdf` through content negotiation; the view writes the bytes itself."""

    media_type = "application/pdf"
    format = "pdf"


class InvoicePdfView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}
    renderer_classes = [JSONRenderer, PDFRenderer]

    @extend_schema(
        operation_id="invoices_pdf",
        summary="A document as PDF",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, 404: ProblemDocument},
    )
    def get(self, request: Request, invoice_id: int) -> HttpResponse:
        Query(request.query_params, known=())
        invoice = visible_document(request, invoice_id)
        return _file(pdf_of(invoice), file_name_of(invoice, "pdf"), "application/pdf")


class InvoiceCsvView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_invoice"}
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="invoices_csv",
        summary="The lines of a document as CSV",
        responses={(200, "text/csv"): OpenApiTypes.BINARY, 404: ProblemDocument},
    )
    def get(self, request: Request, invoice_id: int) -> HttpResponse:
        Query(request.query_params, known=())
        invoice = visible_document(request, invoice_id)
        return _file(lines_csv(invoice), file_name_of(invoice, "csv"), "text/csv; charset=utf-8")


def _file(content: bytes, name: str, content_type: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=content_type, headers=headers)
