"""Who changed limits, when, and why."""

import pghistory
from django.db import models
from django.utils.translation import gettext_lazy as _

from metering.models import CHANGES_BY_TIME, Change

from .override import QuotaOverride
from .quota import ProjectQuota
from .threshold import UsageThreshold


class QuotaChange(
    pghistory.create_event_model(  # type: ignore[misc]
        ProjectQuota,
        pghistory.InsertEvent("set"),
        pghistory.UpdateEvent("changed"),
        pghistory.DeleteEvent("removed"),
        fields=["project", "metric", "limit", "mode", "period", "anchor", "counting"],
        obj_field=pghistory.ObjForeignKey(
            related_name="+", related_query_name="+", on_delete=models.DO_NOTHING
        ),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        base_model=Change,
    )
):
    """What a quota became by one change, or was when it was removed; the row before it says what it was.

    Written by a trigger of the quotas' table, whoever changes it and however. `pgh_context` says who and why,
    where that is known: a change past the verbs has none. The database refuses changes.
    """

    named_by = ("project", "metric")

    class Meta:
        db_table_comment = "What a quota became by one change. Written by trigger, append-only."
        verbose_name = _("change of a quota")
        verbose_name_plural = _("changes of quotas")
        indexes = [
            *CHANGES_BY_TIME,
            models.Index(fields=["pgh_obj", "pgh_id"], name="quota_change_by_quota"),
        ]


class OverrideChange(
    pghistory.create_event_model(  # type: ignore[misc]
        QuotaOverride,
        pghistory.InsertEvent("set"),
        pghistory.UpdateEvent("changed"),
        pghistory.DeleteEvent("removed"),
        fields=["quota", "limit", "effective_from", "effective_until", "reason", "ended_by"],
        obj_field=pghistory.ObjForeignKey(
            related_name="+", related_query_name="+", on_delete=models.DO_NOTHING
        ),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        base_model=Change,
    )
):
    """That a temporary limit was given, ended early, or went with its quota.

    Written by a trigger, as `QuotaChange` is; never changed. The project and metric are those that the
    changes of its quota name: the quota may be gone.
    """

    named_by = ("quota",)

    class Meta:
        db_table_comment = "What a temporary limit became by one change. Written by trigger, append-only."
        verbose_name = _("change of a temporary limit")
        verbose_name_plural = _("changes of temporary limits")
        indexes = [
            *CHANGES_BY_TIME,
            models.Index(fields=["pgh_obj", "pgh_id"], name="override_change_by_override"),
        ]


class ThresholdChange(
    pghistory.create_event_model(  # type: ignore[misc]
        UsageThreshold,
        pghistory.InsertEvent("set"),
        pghistory.UpdateEvent("changed"),
        pghistory.DeleteEvent("removed"),
        fields=[
            "project",
            "metric",
            "subject_type",
            "subject_id",
            "amount",
            "quota_fraction",
            "action",
            "notify_emails",
            "period",
            "approach_fraction",
            "is_enabled",
            "removed_at",
        ],
        obj_field=pghistory.ObjForeignKey(
            related_name="+", related_query_name="+", on_delete=models.DO_NOTHING
        ),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        base_model=Change,
    )
):
    """What a threshold became by one change. Written by a trigger, as `QuotaChange` is; never changed.

    It holds what people set. A level that follows a quota moves with that quota, whose changes say so.
    """

    named_by = ("project", "metric")

    class Meta:
        db_table_comment = "What a threshold became by one change. Written by trigger, append-only."
        verbose_name = _("change of a threshold")
        verbose_name_plural = _("changes of thresholds")
        indexes = [
            *CHANGES_BY_TIME,
            models.Index(fields=["pgh_obj", "pgh_id"], name="threshold_change_by_threshold"),
        ]
