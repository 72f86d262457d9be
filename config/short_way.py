"""How requests to the API that carry a key are answered: past the middleware that only people need."""

from typing import cast

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import set_urlconf
from django.utils import translation

from config.accountability import by_key
from config.response_headers import OF_DATA


class ShortWay(BaseHandler):
    """Django's handler with a short way for machines.

    A request to the API that carries a key has no session, no form to protect, no language and no page to
    frame: the middleware for these would cost more than recording an event. A request that should have come
    by HTTPS takes the long way, where it is told so. What such a request changes is accounted for, as on the
    long way.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=is_async)
        self._short_way = convert_exception_to_response(by_key(self._get_response))  # type: ignore[attr-defined]

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if (
            "HTTP_AUTHORIZATION" not in request.META
            or not request.path_info.startswith("/api/v1/")
            or not request.path_info.endswith("/")
            or (settings.SECURE_SSL_REDIRECT and not request.is_secure())
        ):
            return super().get_response(request)
        set_urlconf(settings.ROOT_URLCONF)
        translation.activate(settings.LANGUAGE_CODE)  # the thread may have spoken another one before
        response = cast(HttpResponseBase, self._short_way(request))
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = OF_DATA
        if isinstance(response, HttpResponse):
            response["Content-Length"] = str(len(response.content))
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        return response
