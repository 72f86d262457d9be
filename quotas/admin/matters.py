"""What limits ask of operators: alerts that nobody has seen to."""

import datetime as dt
from collections.abc import Iterator

from django.db.models import Count, Min
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from metering.admin.matters import Matter
from quotas.models import Alert


def limit_matters(request: HttpRequest, *, now: dt.datetime) -> Iterator[Matter]:
    """Open alerts, for those who may see them. Index: alert_open."""
    if not request.user.has_perm("quotas.view_alert"):
        return
    found = Alert.objects.filter(acknowledged_at=None).aggregate(count=Count("pk"), since=Min("created_at"))
    if found["count"]:
        yield Matter(
            title=_("Open alerts"),
            sentence=_("Usage came near a threshold or reached it, and nobody has acknowledged that."),
            url=reverse("admin:quotas_alert_changelist", query={"state": "open"}),
            count=found["count"],
            since=found["since"],
            acting=("quotas.change_alert",),
        )
