"""Who changed limits, when, and why."""

import pghistory
from django.db import models
from django.utils.translation import gettext_lazy as _

from .quota import ProjectQuota


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
    )
):
    """What a quota became by one change, or was when it was removed; the row before it says what it was.

    Written by a trigger of the quotas' table, whoever changes it and however. `pgh_context` says who and why,
    where that is known: a change past the verbs has none. The database refuses changes.
    """

    class Meta:
        db_table_comment = "What a quota became by one change. Written by trigger, append-only."
        verbose_name = _("change of a quota")
        verbose_name_plural = _("changes of quotas")
        indexes = [models.Index(fields=["pgh_obj", "pgh_id"], name="quota_change_by_quota")]

    def __str__(self) -> str:
        return f"{self.pgh_label} {self.pgh_obj_id}"
