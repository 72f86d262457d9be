"""`/exports/`: files that are made in the background, of a snapshot of any size."""

from typing import Any

from django.contrib.auth import get_user
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.exporting.export_kinds import ExportKind, kind_named, registered_kinds
from metering.exporting.exports import (
    cancel_export,
    file_of,
    is_own,
    kinds_staff_may_export,
    remove_export,
    request_export,
    visible_exports,
)
from metering.models import Export
from metering.texts.cursors import LARGEST_ID
from metering.texts.timestamps import iso

from .authentication import StaffSessionAuthentication
from .documents import ProblemDocument
from .export_documents import KINDS_IN_WORDS, ExportDocument, ExportPage, ExportRequestDocument
from .pagination import KeyCursorPagination
from .parsing import Query, members_of, text_of
from .usage import CSVRenderer
from .visibility import principal_of_request

_STAFF_RIGHTS = {
    "GET": "metering.view_export",
    "POST": "metering.export_data",
    "DELETE": "metering.export_data",
}
_PROBLEMS = {404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


class NewestFirst(KeyCursorPagination):
    ordering = "-id"


class ExportsView(APIView):
    """The exports that were asked for at and below the caller's project."""

    permissions = {"GET": "read", "POST": "read"}
    staff_rights = _STAFF_RIGHTS

    @extend_schema(
        operation_id="exports_list",
        summary="List exports",
        parameters=[
            OpenApiParameter("kind", description="Only exports of this kind."),
            OpenApiParameter("state", enum=Export.State.values),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: ExportPage, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("kind", "state", "limit", "cursor"))
        exports = _exports(request)
        kind, state = query.text("kind"), query.choice("state", Export.State.values)
        if kind is not None:
            exports = exports.filter(kind=kind_named(kind).name)
        if state is not None:
            exports = exports.filter(state=state)
        pages = NewestFirst()
        page: list[Export] = pages.paginate_queryset(exports, request, view=self) or []
        return pages.get_paginated_response([shown(export) for export in page])

    @extend_schema(
        operation_id="exports_request",
        summary="Ask for a file",
        description=(
            "A worker makes it of one snapshot; ask for the export until its `state` is `finished`, then "
            "download it. A key gets what lies at and below its project. Columns keep their names and order; "
            f"new ones are added at the end. Kinds, with their filters:\n\n{KINDS_IN_WORDS}"
        ),
        request=ExportRequestDocument,
        responses={202: ExportDocument, **_PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=("kind", "filters"))
        name = text_of(members, "kind")
        if name is None:
            raise Invalid("This member is needed.", field="kind", code="missing_field")
        kind = kind_named(name)
        ensure_may_export(kind, request, self)
        filters = members.get("filters")
        if filters is None:
            filters = {}
        if not isinstance(filters, dict):
            raise Invalid("Must be an object.", field="filters")
        export = request_export(kind, filters, principal=principal, project_path=principal.project_path)
        return Response(shown(export), status=202)


class ExportView(APIView):
    permissions = {"GET": "read", "DELETE": "read"}
    staff_rights = _STAFF_RIGHTS

    @extend_schema(
        operation_id="exports_get",
        summary="One export, and how far it is",
        responses={200: ExportDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, export_id: int) -> Response:
        return Response(shown(_export(request, export_id)))

    @extend_schema(
        operation_id="exports_remove",
        summary="Cancel an export that is under way, or remove the file of one that is over",
        description="By who asked for it. The export stays listed as `removed` until its time is over.",
        responses={204: None, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def delete(self, request: Request, export_id: int) -> Response:
        export = _export(request, export_id)
        if not is_own(export, principal_of_request(request)) and not _may_do_everything(request):
            self.permission_denied(request, message="Only who asked for an export may end or remove it.")
        if export.is_active:
            cancel_export(export)
        else:
            remove_export(export)
        return Response(status=204)


class ExportDownloadView(APIView):
    permissions = {"GET": "read"}
    staff_rights = _STAFF_RIGHTS
    renderer_classes = [CSVRenderer, JSONRenderer]

    @extend_schema(
        operation_id="exports_download",
        summary="Download the file",
        description=(
            "CSV in UTF-8 with a header. Text cells can't act as formulas. 409 until it is finished, 404 "
            "from `expires_at` on."
        ),
        responses={(200, "text/csv"): OpenApiTypes.BINARY, 404: ProblemDocument, 409: ProblemDocument},
    )
    def get(self, request: Request, export_id: int) -> HttpResponseBase:
        return download_of(_export(request, export_id))


def download_of(export: Export) -> StreamingHttpResponse:
    """The finished file as an answer. Raises `Conflict` and `NotFound` as `file_of` does."""
    response = StreamingHttpResponse(
        file_of(export, at=database_now()), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{export.file_name}"'
    response["Content-Length"] = str(export.byte_count)
    return response


def ensure_may_export(kind: ExportKind, request: Request, view: APIView) -> None:
    """Refuse staff who may not see what is in such files."""
    if kind not in _kinds(request):
        view.permission_denied(request, message=f"This needs the right '{kind.right}'.")


def _kinds(request: Request) -> list[ExportKind]:
    """The kinds that the caller may export: staff by their rights, keys whatever lies below them."""
    if isinstance(request.successful_authenticator, StaffSessionAuthentication):
        return kinds_staff_may_export(get_user(request._request).has_perm)
    return registered_kinds()


def _may_do_everything(request: Request) -> bool:
    is_staff = isinstance(request.successful_authenticator, StaffSessionAuthentication)
    return is_staff and bool(get_user(request._request).is_superuser)


def _exports(request: Request) -> Any:
    names = [kind.name for kind in _kinds(request)]
    return visible_exports(principal_of_request(request)).filter(kind__in=names)


def _export(request: Request, export_id: int) -> Export:
    found: Export | None = None
    if export_id <= LARGEST_ID:
        found = _exports(request).filter(pk=export_id).first()
    if found is None:
        raise NotFound(f"There is no export {export_id}.")
    return found


def shown(export: Export) -> dict[str, Any]:
    expires_at = export.expires_at
    return {
        "id": export.pk,
        "kind": export.kind,
        "filters": export.filters,
        "project": export.project.key if export.project is not None else None,
        "requested_by": export.requested_by,
        "state": export.state,
        "row_count": export.row_count,
        "expected_count": export.expected_count,
        "byte_count": export.byte_count,
        "failure": export.failure or None,
        "requested_at": iso(export.requested_at),
        "started_at": None if export.started_at is None else iso(export.started_at),
        "finished_at": None if export.finished_at is None else iso(export.finished_at),
        "expires_at": None if expires_at is None else iso(expires_at),
    }
