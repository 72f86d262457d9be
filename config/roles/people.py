"""What the page of a member of staff says about rights, and who may give them."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.admin import cells

from .pages import name_of, names_of, plain_rights
from .rights_forms import StaffForm


class ShowsRights(admin.ModelAdmin):
    """Rights in plain words. Nobody but a superuser makes superusers, or touches one."""

    form = StaffForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return self._may_touch(request, obj) and bool(super().has_delete_permission(request, obj))

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or bool(request.user.is_superuser)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """With what one may do in the end; without the password's hash for those who only look."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        hidden = set() if self.has_change_permission(request, obj) else {"password", "user_permissions"}
        kept = [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name not in hidden)})
            for title, options in fieldsets
        ]
        return [*kept, (_("What they may do in the end"), {"fields": ("may_do",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fixed = () if request.user.is_superuser else ("is_superuser",)
        return (*super().get_readonly_fields(request, obj), "may_do", *fixed)

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> str:
        return ", ".join(sorted(name_of(group) for group in user.groups.all())) or cells.DASH

    @admin.display(description=_("rights"))
    def may_do(self, user: User) -> SafeString:
        if not user.is_active or not user.is_staff:
            return format_html("{}", gettext("Nothing: this account may not sign in here."))
        if user.is_superuser:
            return format_html("{}", gettext("Everything: superusers aren't asked for rights."))
        return plain_rights(
            names_of(Permission.objects.filter(Q(group__user=user) | Q(user=user)).distinct())
        )
