"""What every request passes through, where Django's own doesn't fit."""

from collections.abc import Callable

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from metering.admin.refusals import worded
from metering.errors import Unavailable


class SlashMiddleware(CommonMiddleware):
    """Leads pages to their address with the last slash, but never a request that carries something.

    A client that follows a redirect of a POST asks again with GET and takes the list for a receipt.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.method in {"GET", "HEAD"} and super().should_redirect_with_slash(request)


class UnavailableMiddleware:
    """A page of the admin that can't be shown now says why, and keeps its navigation."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, Unavailable):
            return None
        context = {**admin.site.each_context(request), "title": gettext("Not available now")}
        return TemplateResponse(
            request, "admin/unavailable.html", {**context, "reason": worded(error)}, status=503
        )
