"""Signing in by password, and an account of which rights a request asked for in vain."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

_REFUSED = "_refused_rights"


class NotingBackend(ModelBackend):
    """Django's own; it notes on the user, who lives as long as the request, what was refused."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        allowed = super().has_perm(user_obj, perm, obj)
        if not allowed:
            user_obj.__dict__.setdefault(_REFUSED, []).append(perm)
        return allowed


def refused_rights(user: AbstractBaseUser | AnonymousUser) -> list[str]:
    """Those that were asked for and not held, each once, in the order asked."""
    return list(dict.fromkeys(getattr(user, _REFUSED, ())))
