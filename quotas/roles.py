"""What each role of staff may do with limits."""

from django.utils.translation import gettext_lazy as _

from metering.roles import SEES, Area, Role

AREAS = (
    Area(
        "quotas",
        _("Limits"),
        tables=(
            "projectquota",
            "quotaoverride",
            "quotahold",
            "quotadecision",
            "quotachange",
            "overridechange",
        ),
        rights={
            Role.OPERATOR: (
                SEES,
                "add_projectquota",
                "change_projectquota",
                "delete_projectquota",
                "add_quotaoverride",
                "change_quotaoverride",
            ),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
    Area(
        "quotas",
        _("Thresholds and alerts"),
        tables=("usagethreshold", "alert", "thresholdchange"),
        rights={
            Role.OPERATOR: (
                SEES,
                "add_usagethreshold",
                "change_usagethreshold",
                "delete_usagethreshold",
                "change_alert",
            ),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
)
