"""REQUIRE_ONE_TIME_PASSWORDS: nobody works here by password alone."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django_otp import DEVICE_ID_SESSION_KEY

from config.problems import problem

from .one_time_passwords import has_app


class SecondStepMiddleware:
    """Lets a session through that was begun with a code, and leads others to where they get one.

    Requests with a key are no sessions and pass, as does everything while the setting is off.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.REQUIRE_ONE_TIME_PASSWORDS:
            refusal = _refusal(request)
            if refusal is not None:
                return refusal
        return self._get_response(request)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    is_api = request.path_info.startswith("/api/v1/")
    if not is_api and not request.path_info.startswith("/admin/"):
        return None
    if "HTTP_AUTHORIZATION" in request.META and is_api:
        return None
    user = request.user
    if not user.is_authenticated or _is_open(request):
        return None
    owns_app = has_app(user)
    if owns_app and DEVICE_ID_SESSION_KEY in request.session:
        return None
    if is_api:
        return problem(403, code="permission_denied", detail="Sign in with a one-time password first.")
    if owns_app:
        # Signed in before the app was there: the way to a code leads through the sign-in page.
        logout(request)
        messages.info(request, gettext("Sign in once more: a code is asked for now."))
        return HttpResponseRedirect(f"{reverse('admin:login')}?next={request.path}")
    return HttpResponseRedirect(reverse("two_steps"))


def _is_open(request: HttpRequest) -> bool:
    """Signing in and out, and setting up, which these people can't do otherwise."""
    names = ("two_steps", "two_steps_begin", "two_steps_set_up", "sign_in_code", "admin:login")
    is_way_in = request.path in {reverse(name) for name in (*names, "admin:logout", "admin:jsi18n")}
    return is_way_in and not request.path_info.startswith("/api/")
