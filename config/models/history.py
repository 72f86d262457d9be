"""Who gave whom which right, and who changed the schedule: histories of tables that others made.

A trigger belongs to a model of ours, hence a proxy of each table.
"""

import pghistory
import pgtrigger
from django.contrib.auth.models import Group, User
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from metering.models import ChangeMeta, changes_of

PASSWORD_CHANGED = "password changed"  # noqa: S105 (a label)


class TrackedUser(User):
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedGroup(Group):
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedMembership(User.groups.through):  # type: ignore[name-defined]
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedStaffRight(User.user_permissions.through):  # type: ignore[name-defined]
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedGroupRight(Group.permissions.through):  # type: ignore[name-defined]
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedJob(PeriodicTask):
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedInterval(IntervalSchedule):
    class Meta:
        proxy = True
        default_permissions = ()


class TrackedCrontab(CrontabSchedule):
    class Meta:
        proxy = True
        default_permissions = ()


class StaffChange(
    changes_of(  # type: ignore[misc]
        TrackedUser,
        pghistory.UpdateEvent(PASSWORD_CHANGED, condition=pgtrigger.AnyChange("password")),
        fields=[
            "username",
            "first_name",
            "last_name",
            "email",
            "is_staff",
            "is_superuser",
            "is_active",
        ],
    )
):
    """What a staff account became by one change. That its password changed, never to what."""

    named_by = ("username",)

    class Meta(ChangeMeta):
        db_table_comment = "What a staff account became by one change. Written by trigger, append-only."
        verbose_name = _("change of a user")
        verbose_name_plural = _("changes of users")


class GroupChange(changes_of(TrackedGroup, fields=["name"])):  # type: ignore[misc]
    """That a group was made, renamed or removed."""

    named_by = ("name",)

    class Meta(ChangeMeta):
        db_table_comment = "What a group became by one change. Written by trigger, append-only."
        verbose_name = _("change of a group")
        verbose_name_plural = _("changes of groups")


class MembershipChange(changes_of(TrackedMembership, fields=["user", "group"])):  # type: ignore[misc]
    """That somebody joined or left a group."""

    words = _("membership")
    named_by = ("user", "group")
    page_of = "user"

    class Meta(ChangeMeta):
        db_table_comment = "That somebody joined or left a group. Written by trigger, append-only."
        verbose_name = _("change of a membership")
        verbose_name_plural = _("changes of memberships")


class StaffRightChange(
    changes_of(TrackedStaffRight, fields=["user", "permission"])  # type: ignore[misc]
):
    """That somebody was given a right, or lost it."""

    words = _("right of a user")
    named_by = ("user", "permission")
    page_of = "user"

    class Meta(ChangeMeta):
        db_table_comment = "That somebody was given a right, or lost it. Written by trigger, append-only."
        verbose_name = _("change of a user's right")
        verbose_name_plural = _("changes of users' rights")


class GroupRightChange(
    changes_of(TrackedGroupRight, fields=["group", "permission"])  # type: ignore[misc]
):
    """That a group was given a right, or lost it."""

    words = _("right of a group")
    named_by = ("group", "permission")
    page_of = "group"

    class Meta(ChangeMeta):
        db_table_comment = "That a group was given a right, or lost it. Written by trigger, append-only."
        verbose_name = _("change of a group's right")
        verbose_name_plural = _("changes of groups' rights")


class JobChange(
    changes_of(  # type: ignore[misc]
        TrackedJob,
        fields=[
            "name",
            "task",
            "interval",
            "crontab",
            "solar",
            "clocked",
            "args",
            "kwargs",
            "queue",
            "enabled",
            "one_off",
            "start_time",
            "expires",
            "expire_seconds",
            "description",
        ],
    )
):
    """What a job of the schedule became by one change. That beat sent it leaves no row."""

    words = _("job of the schedule")
    named_by = ("name",)

    class Meta(ChangeMeta):
        db_table_comment = "What a job of the schedule became by one change. Written by trigger, append-only."
        verbose_name = _("change of a job")
        verbose_name_plural = _("changes of jobs")


class IntervalChange(changes_of(TrackedInterval, fields=["every", "period"])):  # type: ignore[misc]
    """What a pace became by one change: for every job that keeps it."""

    named_by = ("every", "period")

    class Meta(ChangeMeta):
        db_table_comment = "What an interval became by one change. Written by trigger, append-only."
        verbose_name = _("change of an interval")
        verbose_name_plural = _("changes of intervals")


class CrontabChange(
    changes_of(  # type: ignore[misc]
        TrackedCrontab,
        fields=["minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"],
    )
):
    """What calendar times became by one change: for every job that keeps them."""

    named_by = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")

    class Meta(ChangeMeta):
        db_table_comment = "What calendar times became by one change. Written by trigger, append-only."
        verbose_name = _("change of calendar times")
        verbose_name_plural = _("changes of calendar times")
