"""Third-party tables on the house's pages: staff accounts and the beat schedule."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext_lazy, pgettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

import config.staff.attempt_admin  # noqa: F401 (registers its pages)
from config.celery import app as celery_app
from config.roles.pages import GroupAdmin
from config.roles.people import ShowsRights
from config.roles.rights_forms import StaffForm
from config.roles.traces import left_traces
from config.staff.one_time_passwords import reset
from metering import numerals
from metering.admin import cells
from metering.admin.base import HouseAdmin
from metering.admin.list_columns import column
from metering.admin.row_ids import id_from

for replaced in (
    Group,
    User,
    PeriodicTask,
    IntervalSchedule,
    CrontabSchedule,
    SolarSchedule,
    ClockedSchedule,
    TOTPDevice,
    StaticDevice,
):
    if admin.site.is_registered(replaced):
        admin.site.unregister(replaced)

admin.site.register(Group, GroupAdmin)


_groups_of_row = Group.objects.filter(user=OuterRef("pk")).order_by("name")


@admin.register(User)
class UserAdmin(ShowsRights, DjangoUserAdmin, HouseAdmin):  # type: ignore[misc]
    form = StaffForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    intro = _(
        "People who may sign in here. Give rights by roles, which are groups; leave an account inactive "
        "instead of deleting it."
    )
    csv_key = "username"
    csv_columns = (
        "id",
        "username",
        "email",
        "first_name",
        "last_name",
        "is_staff",
        "is_superuser",
        "is_active",
        column("groups", ArraySubquery(_groups_of_row.values("name"))),
        "date_joined",
        "last_login",
    )
    add_fieldsets = (*DjangoUserAdmin.add_fieldsets, (None, {"fields": ("is_staff",)}))
    list_display = (
        "username",
        "email",
        "full_name",
        "roles",
        "may_sign_in",
        "is_superuser",
        "is_active",
        "two_steps",
        "signed_in",
    )
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    warn_unsaved_form = True
    actions = None  # people go one by one, each with what they leave behind
    actions_detail = ("reset_two_steps", "deactivate")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        apps = TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
        return super().get_queryset(request).annotate(asks_for_code=Exists(apps))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Accounts here are people of this back office; nobody else has one."""
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, user: User, form: forms.ModelForm, change: bool) -> None:
        super().save_model(request, user, form, change)
        if not user.is_staff and user.is_active:
            text = gettext("%s can't sign in: “Staff status” is off.")
            messages.warning(request, text % user)

    @admin.display(description=_("may sign in"), boolean=True)
    def may_sign_in(self, user: User) -> bool:
        return user.is_staff and user.is_active

    @admin.display(description=_("name"))
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @admin.display(description=_("two steps"), boolean=True)
    def two_steps(self, user: User) -> bool:
        return bool(user.asks_for_code)  # type: ignore[attr-defined]

    def has_reset_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Superusers: whoever resets another's second step and sets a password can sign in as them."""
        return bool(request.user.is_superuser)

    @action(
        description=_("Reset two-step sign-in"),
        url_path="reset-two-steps",
        permissions=["reset"],
        icon="phonelink_erase",
    )
    def reset_two_steps(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = get_object_or_404(User, pk=object_id)
        back_url = self.page_url("change", user.pk)
        if request.method == "POST":
            if not reset(user):
                return self.done(request, gettext("There was nothing to reset."), url=back_url)
            self.log_change(request, user, _("Reset two-step sign-in."))
            message = gettext("%s signs in by password alone until they set it up again.") % user
            return self.done(request, message, url=back_url)
        return self.confirmation(
            request,
            title=_("Reset two-step sign-in"),
            subtitle=user.get_username(),
            sentences=[
                _("Their app and their backup codes stop working; the password alone signs them in."),
                _("Do this for somebody who lost both, once you are sure that it is them who asks."),
            ],
            button=_("Reset"),
            back_url=back_url,
            original=user,
        )

    # -- leaving -----------------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions = list(super().get_actions_detail(request, object_id))
        is_active = User.objects.filter(pk=id_from(str(object_id)) or 0, is_active=True).exists()
        return [one for one in actions if is_active or not one.action_name.endswith("_deactivate")]

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Of who left no traces; the others can be deactivated."""
        user = self.get_object(request, unquote(object_id))
        if user is None or not self.has_delete_permission(request, user) or not left_traces(user):
            return super().delete_view(request, object_id, extra_context)
        messages.warning(
            request,
            gettext(
                "“%s” can't be deleted: the log and the histories tell what they did here, by this account. "
                "Deactivate it instead."
            )
            % user,
        )
        may_deactivate = user.is_active and self.has_change_permission(request, user)
        return HttpResponseRedirect(self.page_url("deactivate" if may_deactivate else "change", user.pk))

    def has_deactivate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("auth.change_user"))

    @action(
        description=_("Deactivate"),
        url_path="deactivate",
        permissions=["deactivate"],
        icon="person_off",
    )
    def deactivate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = get_object_or_404(User, pk=object_id)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        back_url = self.page_url("change", user.pk)
        if request.method == "POST":
            user.is_active = False
            user.save(update_fields=["is_active"])
            self.log_change(request, user, _("Deactivated."))
            return self.done(request, gettext("“%s” can't sign in any more.") % user, url=back_url)
        return self.confirmation(
            request,
            title=_("Deactivate"),
            subtitle=user.get_username(),
            sentences=[
                _("They can't sign in any more, and what they have open ends with their next click."),
                _("What they did stays known by their name. Their page lets them in again."),
            ],
            button=_("Deactivate"),
            back_url=back_url,
            original=user,
        )

    @admin.display(description=_("last signed in"), ordering="last_login")
    def signed_in(self, user: User) -> SafeString:
        return cells.moment(user.last_login, empty=gettext("never"))


# The package's own labels and explanations have no German, and speak to programmers.
TASK_WORDS = {
    "name": (_("Name"), _("What people call it.")),
    "description": (_("Description"), _("What it is for.")),
    "enabled": (_("Enabled"), _("Beat starts only what is on.")),
    "interval": (_("Interval"), _("Again and again, so long after one another.")),
    "crontab": (_("Calendar times"), _("At certain hours of certain days.")),
    "one_off": (_("Only once"), _("It is switched off when it has run.")),
}


def task_choices() -> list[tuple[str, str]]:
    """The tasks that a worker of ours knows."""
    celery_app.loader.import_default_modules()
    return [(name, name) for name in sorted(celery_app.tasks) if not name.startswith("celery.")]


PERIODS = {
    IntervalSchedule.DAYS: ngettext_lazy("every day", "every %(count)d days", "count"),
    IntervalSchedule.HOURS: ngettext_lazy("every hour", "every %(count)d hours", "count"),
    IntervalSchedule.MINUTES: ngettext_lazy("every minute", "every %(count)d minutes", "count"),
    IntervalSchedule.SECONDS: ngettext_lazy("every second", "every %(count)d seconds", "count"),
    IntervalSchedule.MICROSECONDS: ngettext_lazy(
        "every microsecond", "every %(count)d microseconds", "count"
    ),
}


def interval_words(interval: IntervalSchedule) -> str:
    """“every 5 seconds”; whole minutes and hours as such, though stored in seconds."""
    every, period = interval.every, interval.period
    for smaller, larger in ((IntervalSchedule.SECONDS, "MINUTES"), (IntervalSchedule.MINUTES, "HOURS")):
        if period == smaller and every % 60 == 0:
            every, period = every // 60, getattr(IntervalSchedule, larger)
    return str(PERIODS[period] % {"count": every})


class PeriodicTaskForm(forms.ModelForm):
    task = forms.ChoiceField(
        label=_("Task"),
        choices=task_choices,
        widget=UnfoldAdminSelectWidget(),
        help_text=_("What is run. It takes no parameters."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.task
        choices = task_choices()
        if stored and (stored, stored) not in choices:
            choices.append((stored, gettext("%s (no worker knows it)") % stored))
        if "task" in self.fields:
            self.fields["task"].choices = choices  # type: ignore[attr-defined]
        for name, (label, help_text) in TASK_WORDS.items():
            if name in self.fields:
                self.fields[name].label, self.fields[name].help_text = label, help_text
        if "interval" in self.fields:
            self.fields["interval"].label_from_instance = interval_words  # type: ignore[attr-defined]


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(HouseAdmin):
    form = PeriodicTaskForm
    intro = _(
        "What beat starts, and how often. Changes take effect within seconds. Jobs of ours that are deleted "
        "come back with the next migrate; switch them off instead."
    )
    # Without what is passed to a task, which may be anything.
    csv_columns = (
        "id",
        "name",
        "task",
        "enabled",
        column("every", "interval__every"),
        column("period", "interval__period"),
        *(
            column(name, f"crontab__{name}")
            for name in ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
        ),
        "one_off",
        "last_run_at",
        "total_run_count",
        "description",
    )
    list_display = ("name", "is_on", "pace", "task_run", "last_sent", "times_sent")
    list_filter = ("enabled",)
    list_select_related = ("interval", "crontab", "solar", "clocked")
    search_fields = ("name", "task")
    search_help_text = _("Name or task")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "task", "description", "enabled")}),
        (
            _("Pace"),
            {
                "fields": ("interval", "crontab", "one_off"),
                "description": _("Either an interval or calendar times, not both."),
            },
        ),
        (_("Last run"), {"fields": ("last_sent", "times_sent")}),
    )
    readonly_fields = ("last_sent", "times_sent")

    @admin.display(description=_("state"))
    def is_on(self, task: PeriodicTask) -> SafeString:
        return (
            cells.badge(pgettext("state", "On"), "success")
            if task.enabled
            else cells.badge(pgettext("state", "Off"), "warning")
        )

    @admin.display(description=_("pace"))
    def pace(self, task: PeriodicTask) -> str:
        if task.interval:
            return interval_words(task.interval)
        return str(task.crontab or task.solar or task.clocked or cells.DASH)

    @admin.display(description=_("Task"))
    def task_run(self, task: PeriodicTask) -> str:
        return task.task

    @admin.display(description=_("last sent at"))
    def last_sent(self, task: PeriodicTask) -> SafeString:
        return cells.two_lines(
            cells.moment(task.last_run_at, empty=gettext("never")),
            gettext("written by beat every few minutes"),
        )

    @admin.display(description=_("times sent"))
    def times_sent(self, task: PeriodicTask) -> str:
        return numerals.count(task.total_run_count)


class PaceAdmin(HouseAdmin):
    """A schedule that jobs refer to. One that is in use stays: deleting it would delete its jobs."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.periodictask_set.exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(PaceAdmin):
    intro = _("Paces such as “every 5 seconds”. A change holds for every job that uses it.")
    list_display = ("__str__", "every", "period")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(PaceAdmin):
    intro = _("Calendar times, written like cron: minute, hour, day of month, month, day of week.")
    empty_text = _("Add one to run a job at fixed times, such as nightly at 2.")
    list_display = ("human", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")

    @admin.display(description=_("when"))
    def human(self, crontab: CrontabSchedule) -> str:
        return str(crontab.human_readable)
