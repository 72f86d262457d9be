"""Bearer keys and staff sessions, and what each route asks of them."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

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
        principal = self.principal(request._request)
        return principal, principal

    def principal(self, request: HttpRequest) -> Principal:
        """The holder of the request's key. Raises `AuthenticationFailed`."""
        scheme, _, key = request.META["HTTP_AUTHORIZATION"].partition(" ")
        principal = principal_of(key.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            failure = AuthenticationFailed("This key is unknown, expired or revoked.")
            failure.auth_header = CHALLENGE  # type: ignore[attr-defined]
            raise failure
        return principal

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class StaffSessionAuthentication(SessionAuthentication):
    """Signed-in staff may call the API from the browser; they see the whole tree, and CSRF is checked."""

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
        return principal, principal


class HasKeyPermission(BasePermission):
    """The view's `permissions` maps HTTP methods to one of ingest, read, manage, backfill."""

    def has_permission(self, request: Request, view: Any) -> bool:
        principal = request.auth
        if not isinstance(principal, Principal):
            return False
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        wanted = view.permissions.get(method, "manage")
        self.message = f"This needs the permission '{wanted}'."
        return principal.may(wanted)


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
