"""Who signed in, who failed to, and who is locked out; the one thing to do there is lifting a lock."""

from collections.abc import Sequence
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.admin.filters import InstantRangeFilter
from metering.clock import database_now
from metering.house_language import in_house_language

from .lockout import ends_at, lift_lock, locked_among


class AttemptAdmin(ReadOnlyAdmin):
    """What the three tables have in common."""

    list_filter: Any = (("attempt_time", InstantRangeFilter),)
    search_fields = ("username", "ip_address")
    search_help_text = _("Name or address")
    ordering = ("-attempt_time",)

    @admin.display(description=_("at"), ordering="attempt_time")
    def at(self, row: Any) -> SafeString:
        return cells.moment(row.attempt_time)

    @admin.display(description=_("name given"), ordering="username")
    def name(self, row: Any) -> str:
        return row.username or cells.DASH

    @admin.display(description=_("from address"), ordering="ip_address")
    def address(self, row: Any) -> str:
        return row.ip_address or cells.DASH

    @admin.display(description=_("browser"))
    def browser(self, row: Any) -> SafeString:
        return cells.one_line(row.user_agent)


@admin.register(AccessLog)
class SignInAdmin(AttemptAdmin):
    intro = format_lazy(
        _("Who signed in, from where, and when they signed out. Kept for {days} days."),
        days=settings.SIGN_IN_KEPT_DAYS,
    )
    list_display = ("at", "name", "address", "signed_out", "browser")
    fields = ("at", "name", "address", "signed_out", "browser")
    readonly_fields = fields

    @admin.display(description=_("signed out at"))
    def signed_out(self, row: AccessLog) -> SafeString:
        return cells.moment(row.logout_time)


@admin.register(AccessFailureLog)
class FailureAdmin(AttemptAdmin):
    intro = _("Wrong passwords and wrong codes. While a lock holds nothing is looked at, and nothing listed.")
    empty_title = _("No failed sign-ins")
    empty_text = _("Wrong passwords and wrong codes would be listed here.")
    list_display = ("at", "name", "address", "outcome", "browser")
    fields = ("at", "name", "address", "outcome", "browser")
    readonly_fields = fields
    list_filter = (*AttemptAdmin.list_filter, "locked_out")

    @admin.display(description=_("outcome"))
    def outcome(self, row: AccessFailureLog) -> SafeString:
        if row.locked_out:
            return cells.badge(gettext("Locked"), "danger")
        return cells.badge(gettext("Refused"), "warning")


@admin.register(AccessAttempt)
class LockAdmin(AttemptAdmin):
    intro = _(
        "Failures that count now. Too many of one name from one address lock it there for a while, far more "
        "from an address lock the address. A sign-in that succeeds forgets those of its name."
    )
    empty_title = _("Nobody is locked out")
    empty_text = _("Failed sign-ins appear here while they count, and go by themselves.")
    list_display = ("name", "address", "count", "state", "until", "browser")
    fields = ("name", "address", "count", "state", "at", "until", "browser")
    readonly_fields = fields
    actions_detail = ("lift",)

    def has_lift_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("auth.change_user"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_view_permission(request, obj) or self.has_lift_permission(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        locked = locked_among({row.ip_address for row in rows}, at=database_now())
        for row in rows:
            row.is_locked = (row.username, row.ip_address) in locked

    @admin.display(description=_("failures"))
    def count(self, row: AccessAttempt) -> SafeString:
        return cells.number(row.failures_since_start)

    @admin.display(description=_("state"))
    def state(self, row: AccessAttempt) -> SafeString:
        if self._is_locked(row):
            return cells.badge(gettext("Locked"), "danger")
        return cells.badge(gettext("Counting"), "info")

    def _is_locked(self, row: Any) -> bool:
        """As prepared for the list; a page of one row asks for itself."""
        if not hasattr(row, "is_locked"):
            pair = (row.username, row.ip_address)
            row.is_locked = pair in locked_among({row.ip_address}, at=database_now())
        return bool(row.is_locked)

    @admin.display(description=_("counts until"))
    def until(self, row: AccessAttempt) -> SafeString:
        return cells.moment(ends_at(row))

    @action(description=_("Lift the lock"), url_path="lift", permissions=["lift"], icon="lock_open")
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(AccessAttempt, pk=object_id)
        back_url = self.page_url("changelist")
        who = {"name": row.username or cells.DASH, "address": row.ip_address or cells.DASH}
        if request.method == "POST":
            lift_lock(row.username, row.ip_address, at=database_now())
            with in_house_language():
                lifted = gettext("Lifted the lock of %(name)s from %(address)s.") % who
            self.log_change(request, row, lifted)
            message = gettext("%(name)s may try again from %(address)s.") % who
            return self.done(request, message, url=back_url)
        return self.confirmation(
            request,
            title=_("Lift the lock"),
            subtitle=gettext("%(name)s from %(address)s") % who,
            sentences=[
                _("The failures of this name from this address are forgotten, and it may try again at once."),
                _("If the address as a whole is locked, all failures from it are forgotten."),
                gettext("Without that it ends by itself, %(minutes)s minutes after the last failure.")
                % {"minutes": settings.SIGN_IN_LOCK_MINUTES},
            ],
            button=_("Lift the lock"),
            back_url=back_url,
            original=row,
            is_harmless=True,
        )
