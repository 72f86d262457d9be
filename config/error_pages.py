"""Refusals and failures as pages of the house: within its frame, in plain words, with a way on."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views import csrf, defaults

from metering.roles import Role

from .roles.areas import roles_with, words_for
from .roles.backends import refused_rights

logger = logging.getLogger(__name__)
NAMED_SUPERUSERS = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """A right that wasn't held, and the roles that bring it."""

    words: str
    roles: str


def is_of_the_admin(request: HttpRequest) -> bool:
    """Whether the frame of the admin may be put around an answer: its sidebar is for staff."""
    user = getattr(request, "user", None)
    is_staff = user is not None and user.is_active and user.is_staff
    return is_staff and request.path.startswith(reverse("admin:index"))


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: which right is missing, which role has it, and whom to ask."""
    if not is_of_the_admin(request):
        return defaults.permission_denied(request, exception)
    missing = [
        Missing(words_for(right), _(" or ").join(str(role.label) for role in roles_with(right)))
        for right in _telling(refused_rights(request.user))
    ]
    context = {
        "missing": missing,
        "own_roles": _own_roles(request),
        "superusers": _superusers() if missing else [],
        "was_sent": request.method not in {"GET", "HEAD"},
    }
    return _framed(request, HTTPStatus.FORBIDDEN, _("Not allowed"), "admin/refused.html", context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if not is_of_the_admin(request):
        return defaults.page_not_found(request, exception)
    return _framed(request, HTTPStatus.NOT_FOUND, _("Nothing here"), "admin/not_found.html", {})


def failed(request: HttpRequest) -> HttpResponse:
    """500. What failed may well be what the frame needs, so that a bare page must do then."""
    try:
        if is_of_the_admin(request):
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return _framed(request, status, _("Something failed"), "admin/failed.html", {})
    except Exception:
        logger.exception("Not even the page about a failure can be shown")
    return defaults.server_error(request)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that doesn't come from a page of ours, or from one that was open too long."""
    if not is_of_the_admin(request):
        return csrf.csrf_failure(request, reason)
    context = {"again_url": request.get_full_path()}
    return _framed(request, HTTPStatus.FORBIDDEN, _("Open for too long"), "admin/stale_form.html", context)


def _framed(
    request: HttpRequest, status: HTTPStatus, title: str, template: str, context: Mapping[str, object]
) -> HttpResponse:
    frame = {**admin.site.each_context(request), "title": title, "back_url": _back_url(request)}
    return render(request, template, {**frame, **context}, status=status)


def _back_url(request: HttpRequest) -> str:
    """Where they came from, if that was another page of ours; else home."""
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, request.is_secure())
    is_here = came_from == request.build_absolute_uri()
    return came_from if came_from and is_ours and not is_here else reverse("admin:index")


def _telling(rights: list[str]) -> list[str]:
    """Without the right to change what one may not even see: pages ask for either."""
    views = {right.replace(".view_", ".change_") for right in rights if ".view_" in right}
    return [right for right in rights if right not in views]


def _own_roles(request: HttpRequest) -> list[str]:
    names = request.user.groups.order_by("name").values_list("name", flat=True)
    labels: dict[str, str] = {role.value: str(role.label) for role in Role}
    return [labels.get(name, name) for name in names]


def _superusers() -> list[str]:
    """Some of those who may give rights."""
    users = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)
    return [
        user.get_full_name() or user.get_username()
        for user in users.order_by("-last_login")[:NAMED_SUPERUSERS]
    ]
