"""Rebuilds of rollups: asked for, under way, and what they found."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .metric import MetricDefinition


class RollupRebuild(models.Model):
    """One time that a metric's rollups were worked out again from the ledger, or are to be.

    Added by whoever asks; `rolling_up.rebuilding` writes what was found, in the transaction that repairs it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        INTACT = "intact", _("Nothing was wrong")
        REPAIRED = "repaired", _("Repaired")
        FAILED = "failed", _("Failed")

    metric = models.ForeignKey(
        MetricDefinition, verbose_name=_("metric"), on_delete=models.PROTECT, related_name="+"
    )
    project_count = models.IntegerField(
        _("projects"), null=True, help_text=_("How many projects it was limited to. Empty: all.")
    )
    requested_by = models.CharField(_("requested by"), max_length=150)
    requested_at = models.DateTimeField(_("requested at"), db_default=Now())
    attempt_count = models.PositiveSmallIntegerField(default=0, help_text=_("How often it was begun."))
    finished_at = models.DateTimeField(_("finished at"), null=True)
    seconds = models.FloatField(_("seconds"), null=True)
    position = models.BigIntegerField(
        _("position"), null=True, help_text=_("The ledger was read up to here first; then what came since.")
    )
    row_count = models.BigIntegerField(_("rollups"), null=True, help_text=_("How many there should be."))
    missing_count = models.BigIntegerField(_("missing"), default=0)
    extra_count = models.BigIntegerField(
        _("extra"), default=0, help_text=_("Rollups that no event of the ledger stands behind.")
    )
    different_count = models.BigIntegerField(
        _("different"), default=0, help_text=_("Rollups with another content than the ledger says.")
    )
    pending_count = models.BigIntegerField(
        _("pending"), default=0, help_text=_("Contributions that waited to be merged, and are contained now.")
    )
    failure = models.TextField(_("failure"), default="", blank=True)

    class Meta:
        db_table_comment = "One time that a metric's rollups were worked out again from the ledger."
        verbose_name = _("rebuild")
        verbose_name_plural = _("rebuilds")
        default_permissions = ("view",)
        permissions = [("rebuild_rollups", _("Can rebuild rollups"))]
        constraints = [
            models.UniqueConstraint(
                fields=["metric"], condition=Q(finished_at__isnull=True), name="rebuild_waits_once_per_metric"
            ),
        ]
        indexes = [models.Index(fields=["-requested_at", "-id"], name="rebuild_newest_first")]

    def __str__(self) -> str:
        return gettext("Rebuild %s") % self.pk

    @property
    def wrong_count(self) -> int:
        return self.missing_count + self.extra_count + self.different_count

    @property
    def state(self) -> State:
        if self.finished_at is None:
            return self.State.WAITING
        if self.failure:
            return self.State.FAILED
        return self.State.REPAIRED if self.wrong_count else self.State.INTACT
