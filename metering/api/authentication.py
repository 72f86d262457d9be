"""Bearer keys and staff sessions, and what each route asks of them."""

from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from metering.accountability import because, named
from metering.keys import principal_of
from metering.principal import Principal

# What a member of staff may do through the API, by the right that the admin already gives.
STAFF_RIGHTS = {
    "read": "metering.view_usageevent",
    "ingest": "metering.add_usageevent",
    "manage": "metering.change_metricdefinition",
    "backfill": "metering.add_usageevent",
}


CHALLENGE = 'Bearer realm="meterbook"'


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer mbk_....` identifies the holder of a key."""

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        principal = principal_of(bearer_key(request._request))
        if principal is None:
            raise unknown_key(request._request)
        account_for(request, principal)
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


def account_for(request: Request, principal: Principal) -> None:
    """Changes by this request are the principal's, for the reason in its header `Change-Reason`.

    Raises `Invalid` for a reason that is too long.
    """
    named(principal.signature)
    reason = request.META.get("HTTP_CHANGE_REASON", "")
    with suppress(UnicodeError):  # sent as UTF-8, it was read as Latin-1
        reason = reason.encode("latin-1").decode()
    because(reason)


def bearer_key(request: HttpRequest) -> str:
    """The key in the Authorization header; an empty text, which is nobody's, for other schemes."""
    scheme, _, key = request.META["HTTP_AUTHORIZATION"].partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def unknown_key(request: HttpRequest) -> AuthenticationFailed:
    """One refusal for all keys that don't work, with the challenge that a 401 needs.

    Under another scheme no key is looked at, so that the refusal says nothing about it.
    """
    scheme = request.META["HTTP_AUTHORIZATION"].partition(" ")[0]
    failure = AuthenticationFailed(
        "This key is unknown, expired or revoked."
        if scheme.lower() == "bearer"
        else "The scheme must be Bearer: 'Authorization: Bearer <key>'."
    )
    failure.auth_header = CHALLENGE  # type: ignore[attr-defined]
    return failure


class StaffSessionAuthentication(SessionAuthentication):
    """Signed-in staff may call the API from the browser; they see the whole tree, and CSRF is checked."""

    def enforce_csrf(self, request: Request) -> None:
        """Looks at Django's own request: asking DRF's for a form would read the body away."""
        super().enforce_csrf(getattr(request, "_request", request))

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        signed_in = super().authenticate(request)
        if signed_in is None:
            return None
        user: AbstractUser = signed_in[0]
        if not user.is_staff:
            return None
        principal = Principal(
            name=user.get_username(),
            permissions=frozenset(right for right, name in STAFF_RIGHTS.items() if user.has_perm(name)),
        )
        account_for(request, principal)
        return principal, principal


class HasKeyPermission(BasePermission):
    """The view's `permissions` maps HTTP methods to one of ingest, read, manage, bill, backfill.

    Where its `staff_rights` names a right of the admin for a method, staff need that one instead.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        principal = request.auth
        if not isinstance(principal, Principal):
            return False
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        right = getattr(view, "staff_rights", {}).get(method)
        if right is not None and isinstance(request.successful_authenticator, StaffSessionAuthentication):
            self.message = f"This needs the right '{right}'."
            return may_as_staff(request, right)
        wanted = view.permissions.get(method, "manage")
        self.message = f"This needs the permission '{wanted}'."
        return principal.may(wanted)


def may_as_staff(request: Request, right: str) -> bool:
    """Whether whoever asks has that right of the admin; keys, whose permissions say what they may, have."""
    if not isinstance(request.successful_authenticator, StaffSessionAuthentication):
        return True
    return bool(get_user(request._request).has_perm(right))


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "metering.api.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: `mbk_<id>.<secret>`."}


class StaffSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "metering.api.authentication.StaffSessionAuthentication"
    name = "StaffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
