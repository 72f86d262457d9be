"""From what went wrong to `application/problem+json`: one table maps kinds of error to statuses."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import is_valid_path
from django.views import defaults
from rest_framework import exceptions

from config import error_pages
from metering.errors import Conflict, Invalid, MeterbookError, NotFound, Refused, Unavailable

logger = logging.getLogger(__name__)

STATUS_OF_KIND: dict[type[MeterbookError], int] = {
    NotFound: 404,
    Invalid: 422,
    Conflict: 409,
    Refused: 429,
    Unavailable: 503,
}
STATUS_OF_CODE = {"payload_too_large": 413, "batch_too_large": 413}
TITLES = {
    400: "Malformed request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    422: "Can't be processed",
    429: "Refused by a limit",
    500: "Internal error",
    503: "Not available now",
}
PROBLEM_JSON = "application/problem+json"


def problem(status: int, *, code: str, detail: str, **members: object) -> JsonResponse:
    """A problem document (RFC 9457). `type` is a relative reference that ends in the code, hyphenated."""
    document = {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }
    return JsonResponse(document, status=status, content_type=PROBLEM_JSON)


def problem_response(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's exception handler. None lets Django answer 500 and log."""
    if isinstance(error, MeterbookError):
        return _of_ours(error)
    if isinstance(error, Http404 | exceptions.NotFound):
        return problem(404, code="not_found", detail="There is nothing here.")
    if isinstance(error, PermissionDenied):
        return problem(403, code="permission_denied", detail="This isn't allowed.")
    if isinstance(error, exceptions.ValidationError):
        errors = list(_validation_errors(error.detail, ""))
        detail = "; ".join(f"{e['field']}: {e['detail']}" if e["field"] else str(e["detail"]) for e in errors)
        return problem(422, code="invalid_field", detail=detail, errors=errors)
    if isinstance(error, exceptions.APIException):
        response = problem(error.status_code, code=_code_of(error), detail=str(error.detail))
        for name, value in (("WWW-Authenticate", getattr(error, "auth_header", None)),):
            if value:
                response[name] = value
        return response
    if isinstance(error, OperationalError | InterfaceError) and _may_pass(error):
        logger.exception("The database can't be asked")
        return problem(503, code="unavailable", detail="The database can't be asked now; try again.")
    if isinstance(error, IntegrityError) and getattr(error.__cause__, "sqlstate", None) == "23503":
        # Keys between tables are checked at the commit: whoever removes a row at this moment came first.
        return problem(409, code="conflict", detail="Something that this refers to was just removed.")
    return None


def _of_ours(error: MeterbookError) -> HttpResponse:
    kind = next(kind for kind in STATUS_OF_KIND if isinstance(error, kind))
    status = STATUS_OF_CODE.get(error.code, STATUS_OF_KIND[kind])
    members: dict[str, object] = dict(error.facts)
    if error.decision is not None:
        members["decision"] = error.decision
    errors = getattr(error, "errors", None)
    field = getattr(error, "field", None)
    if errors is not None:
        members["errors"] = [each.as_dict() for each in errors]
    elif isinstance(error, Refused) and error.index is not None:
        members["errors"] = [{"index": error.index, "code": error.code, "field": None, "detail": str(error)}]
    elif field is not None or isinstance(error, Invalid):
        members["errors"] = [{"index": None, "code": error.code, "field": field, "detail": str(error)}]
    return problem(status, code=error.code, detail=str(error), **members)


# Connection lost, resources, operator's intervention, deadlock or serialisation, lock timeout.
_PASSING = ("08", "53", "57", "40", "55P03")


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later. Without a code the server was never reached."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_PASSING)


def _code_of(error: exceptions.APIException) -> str:
    code = error.get_codes()
    return code if isinstance(code, str) else error.default_code


def _validation_errors(detail: Any, field: str) -> Any:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _validation_errors(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _validation_errors(inner, field)
    else:
        code = getattr(detail, "code", "invalid_field")
        yield {
            "index": None,
            "code": "missing_field" if code == "required" else "invalid_field",
            "field": field or None,
            "detail": str(detail),
        }


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404 outside DRF: a problem document under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        detail = "There is no such route."
        if not request.path.endswith("/") and is_valid_path(f"{request.path}/"):
            detail += f" There is {request.path}/, with a slash at its end."
        return problem(404, code="not_found", detail=detail)
    return error_pages.not_found(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problem(403, code="permission_denied", detail="This isn't allowed.")
    return error_pages.refused(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problem(400, code="malformed_request", detail="The request can't be read.")
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problem(500, code="internal_error", detail="Something failed on our side; it has been logged.")
    return error_pages.failed(request)
