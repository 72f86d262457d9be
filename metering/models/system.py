"""Small tables by which the kernel's processes agree with each other."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class CatalogueVersion(models.Model):
    """The one row that moves whenever a definition, an attribution rule or a quota changes.

    Recorders read it after taking the shared recording lock, and reload what they cached when it moved.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=1)

    class Meta:
        db_table_comment = "One row: the version of all definitions and rules."
        constraints = [models.CheckConstraint(name="catalogue_version_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"version {self.version}"


class Fence(models.Model):
    """A ledger position up to which everything was committed and final at `fenced_at`. Never changed."""

    position = models.BigIntegerField(_("position"))
    fenced_at = models.DateTimeField(_("fenced at"))

    class Meta:
        db_table_comment = "A ledger position up to which everything is committed and final."
        indexes = [models.Index(fields=["fenced_at"], name="fence_by_time")]
        verbose_name = _("fence")
        verbose_name_plural = _("fences")

    def __str__(self) -> str:
        return f"position {self.position}"


class OwedObservation(models.Model):
    """Something that a tick merged and an observer of ticks failed at, still to be observed.

    Written by `rolling_up.tick_observers` alone, with the merge; removed with the observation making up for
    it. Without foreign keys: a row lives for seconds, and holds nothing up.
    """

    observer = models.CharField(_("observer"), max_length=200)
    metric_id = models.BigIntegerField()
    project_id = models.BigIntegerField()
    billing_scope_id = models.BigIntegerField()
    first_hour = models.DateTimeField()
    last_hour = models.DateTimeField()
    failure = models.TextField(_("reason"))
    tried_at = models.DateTimeField(_("last tried"), null=True)
    created_at = models.DateTimeField(_("since"), db_default=Now())

    class Meta:
        db_table_comment = "Something merged that an observer of ticks failed at, still to be observed."
        verbose_name = _("owed observation")
        verbose_name_plural = _("owed observations")
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "observer",
                    "metric_id",
                    "project_id",
                    "billing_scope_id",
                    "first_hour",
                    "last_hour",
                ],
                name="observation_is_owed_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.observer} owes {self.pk}"


class Heartbeat(models.Model):
    """When a recurring job last finished, and what it did. One row per job, overwritten by it."""

    job = models.CharField(_("job"), max_length=50, primary_key=True)
    finished_at = models.DateTimeField(_("finished at"))
    facts = models.JSONField(_("facts"), default=dict)

    class Meta:
        db_table_comment = "When a recurring job last finished, and what it did."
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.job
