"""Groups, what they may do in plain words, and the table of roles."""

from collections.abc import Collection, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from metering.admin import cells
from metering.admin.base import HouseAdmin
from metering.admin.list_columns import column
from metering.roles import Role

from .areas import all_areas, by_area, level_in, level_words, rights_in, rights_of
from .rights_forms import GroupForm

TASKS = {
    Role.OPERATOR: _("Keeps metering running: projects, metrics, keys, limits, imports and corrections."),
    Role.FINANCE: _("Sells and bills: accounts, plans, subscriptions, invoices, payments and credit."),
    Role.APPROVER: _("Judges what finance drew up: edited drafts, and corrections above a limit."),
    Role.AUDITOR: _("Sees everything, exports it, and changes nothing."),
}
SHOWN_PEOPLE = 50

_rights_of_row = (
    Permission.objects.filter(group=OuterRef("pk"))
    .order_by("content_type__app_label", "codename")
    .values_list(Concat(F("content_type__app_label"), Value("."), F("codename")))
)


def name_of(group: Group) -> str:
    """What staff call it."""
    role = role_of(group)
    return str(role.label) if role else group.name


def role_of(group: Group | None) -> Role | None:
    """The role that a group stands for; None for one that the house made."""
    return Role(group.name) if group is not None and group.name in Role.values else None


def names_of(permissions: QuerySet[Permission]) -> frozenset[str]:
    """As `app.codename`."""
    rows = permissions.order_by().values_list("content_type__app_label", "codename")
    return frozenset(f"{app}.{codename}" for app, codename in rows)


def plain_rights(held: Collection[str]) -> SafeString:
    """What somebody may do, area by area."""
    return render_to_string("admin/auth/may_do.html", {"areas": by_area(held)})


def people_in(group: Group) -> SafeString:
    """Those who are in a group, as links."""
    people = list(group.user_set.order_by("username")[:SHOWN_PEOPLE])
    if not people:
        return cells.quiet(gettext("Nobody yet. Add people on their own pages, under Users."))
    links = (
        (cells.link(reverse("admin:auth_user_change", args=[one.pk]), one.get_username()),) for one in people
    )
    return format_html_join(", ", "{}", links)


class GroupAdmin(DjangoGroupAdmin, HouseAdmin):
    form = GroupForm
    intro = _(
        "Sets of rights that people are given together. The four roles come with Meterbook and mean the same "
        "after every upgrade; where they don't fit, add a group of your own."
    )
    csv_key = "name"
    csv_columns = ("id", "name", column("rights", ArraySubquery(_rights_of_row)))
    list_display = ("title", "kind", "people")
    ordering = ("name",)
    actions = None
    actions_list = ("show_roles",)
    filter_horizontal = ()

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        through = User.groups.through._default_manager.filter(group__in=[row.pk for row in rows])
        names: dict[int, list[str]] = {}
        for group_id, name in through.order_by("user__username").values_list("group_id", "user__username"):
            names.setdefault(group_id, []).append(name)
        for row in rows:
            row.people = names.get(row.pk, [])

    @admin.display(description=_("group"), ordering="name")
    def title(self, group: Group) -> str:
        return name_of(group)

    @admin.display(description=_("what for"))
    def kind(self, group: Group) -> str:
        role = role_of(group)
        return str(TASKS[role]) if role else gettext("A group of your own.")

    @admin.display(description=_("people"))
    def people(self, group: Any) -> str:
        names: list[str] = group.people
        if len(names) > 3:
            return ngettext("%d person", "%d people", len(names)) % len(names)
        return ", ".join(names) or cells.DASH

    # -- one group ---------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """A role is what the code says it is."""
        return role_of(obj) is None and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return role_of(obj) is None and bool(super().has_delete_permission(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: Group | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("name", "permissions")}),)
        if self.has_change_permission(request, obj):
            return (
                (None, {"fields": ("name", "people_shown")}),
                (_("What they may do"), {"fields": ("permissions",)}),
            )
        return (
            (None, {"fields": ("title", "kind", "people_shown")}),
            (_("What they may do"), {"fields": ("may_do",)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("title", "kind", "people_shown", "may_do")

    @admin.display(description=_("people"))
    def people_shown(self, group: Group) -> SafeString:
        return people_in(group)

    @admin.display(description=_("rights"))
    def may_do(self, group: Group) -> SafeString:
        return plain_rights(names_of(group.permissions.all()))

    # -- all roles ---------------------------------------------------------------------------------------

    @action(description=_("Table of roles"), url_path="roles", permissions=["view"], icon="table_chart")
    def show_roles(self, request: HttpRequest) -> HttpResponse:
        """Who may do what: a row for each area, a column for each role."""
        held = {role: rights_of(role) for role in Role}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Roles"),
            "roles": [{"label": role.label, "task": TASKS[role]} for role in Role],
            "areas": [
                {
                    "title": area.title,
                    "cells": [{"role": role.label, **_cell(area, held[role])} for role in Role],
                    "rights": [
                        {"right": right, "ticks": [(role.label, right.name in held[role]) for role in Role]}
                        for right in rights_in(area)
                    ],
                }
                for area in all_areas()
            ],
            "groups_url": self.page_url("changelist"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/auth/roles.html", context)


def _cell(area: Any, held: Collection[str]) -> dict[str, str]:
    level = level_in(area, held)
    return {"level": level, "words": level_words(area, level)}
