"""Pages of the admin speak the language and show the times of who looks at them; the API never does."""

from collections.abc import Callable
from contextlib import ExitStack

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from .preferences import Wishes, wishes_of


class PreferencesMiddleware:
    """After LocaleMiddleware, whose guess by the browser stands where a person chose nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        wishes = _wishes_for(request)
        language = wishes.spoken
        with ExitStack() as stack:
            if wishes.zone is not None:
                stack.enter_context(timezone.override(wishes.zone))
            if language:
                stack.enter_context(translation.override(language))
                request.LANGUAGE_CODE = language
            response = self._get_response(request)
            if language:
                # Set here, for LocaleMiddleware would name the browser's.
                response.headers.setdefault("Content-Language", language)
            return response


def _wishes_for(request: HttpRequest) -> Wishes:
    if request.path_info.startswith("/api/"):
        return Wishes(language=settings.LANGUAGE_CODE)
    if request.path_info.startswith("/admin/") and request.user.is_authenticated:
        return wishes_of(request.user)
    return Wishes()
