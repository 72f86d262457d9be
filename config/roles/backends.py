"""Signing in by password, and an account of which rights a request asked for in vain."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Permission, User
from django.db.models import Q

_REFUSED = "_refused_rights"


class NotingBackend(ModelBackend):
    """Django's own; it notes on the user, who lives as long as the request, what was refused.

    Each page asks who looks, and what they may and wish to see: one statement each, in place of two.
    """

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.select_related("preferences").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            held = Permission.objects.order_by()
            if not user_obj.is_superuser:
                held = held.filter(Q(user=user_obj) | Q(group__user=user_obj)).distinct()
            rights = held.values_list("content_type__app_label", "codename")
            user_obj._perm_cache = {f"{app}.{codename}" for app, codename in rights}
        return user_obj._perm_cache

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        allowed = super().has_perm(user_obj, perm, obj)
        if not allowed:
            user_obj.__dict__.setdefault(_REFUSED, []).append(perm)
        return allowed


def refused_rights(user: AbstractBaseUser | AnonymousUser) -> list[str]:
    """Those that were asked for and not held, each once, in the order asked."""
    return list(dict.fromkeys(getattr(user, _REFUSED, ())))
