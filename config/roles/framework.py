"""Tables that the framework brings: the schedule and staff accounts. No role changes them; superusers do."""

from django.utils.translation import gettext_lazy as _

from metering.roles import SEES, Area, Role

AREAS = (
    Area(
        "django_celery_beat",
        _("Schedule"),
        tables=("periodictask", "intervalschedule", "crontabschedule"),
        rights={Role.OPERATOR: (SEES,)},
        others=(
            "add_periodictask",
            "change_periodictask",
            "delete_periodictask",
            "add_intervalschedule",
            "change_intervalschedule",
            "delete_intervalschedule",
            "add_crontabschedule",
            "change_crontabschedule",
            "delete_crontabschedule",
        ),
    ),
    Area(
        "auth",
        _("Staff"),
        tables=("user", "group"),
        others=("add_user", "change_user", "delete_user", "add_group", "change_group", "delete_group"),
    ),
    Area(
        "axes",
        _("Sign-ins"),
        tables=("accesslog", "accessfailurelog", "accessattempt"),
    ),
)
