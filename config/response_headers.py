"""What browsers are told about every answer: where scripts may come from, and what pages may not do."""

import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# An answer of the API is data: nothing in it is to be run, shown or framed.
OF_DATA = "default-src 'none'; frame-ancestors 'none'"
# The theme's Alpine evaluates the expressions in attributes, which is 'unsafe-eval'; a script that stands in
# a page runs with this answer's nonce only. The theme and charts write style attributes.
_OF_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Swagger and Redoc start from a script in their page, and draw in a worker made from a blob.
_OF_DOCUMENTATION = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'"
)
_DOCUMENTATION = ("/api/docs/", "/api/redoc/")
UNUSED_FEATURES = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class HeadersMiddleware:
    """Gives pages `request.csp_nonce` for their scripts. A header that a view has set stays."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.csp_nonce = nonce = secrets.token_urlsafe(16)  # type: ignore[attr-defined]
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", _policy_for(request.path_info, nonce))
        response.headers.setdefault("Permissions-Policy", UNUSED_FEATURES)
        return response


def _policy_for(path: str, nonce: str) -> str:
    if path.startswith(_DOCUMENTATION):
        return _OF_DOCUMENTATION
    if path.startswith("/api/"):
        return OF_DATA
    return _OF_PAGES.format(nonce=nonce)
