"""Projections of the ledger: stored aggregates and what is still to be merged into them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from metering.measuring.streams import NO_VALUE

from .event import NAME_MAX_LENGTH
from .fields import NumericField
from .metric import MetricDefinition
from .project import Project


class Aggregate(models.Model):
    """What an aggregation needs to be merged exactly. Columns that a metric doesn't need stay null."""

    record_count = models.BigIntegerField(_("records"))
    # Unconstrained numeric: two legal quantities may add up to more than numeric(38,12) holds.
    value_sum = NumericField(_("sum"), null=True)
    value_moment = NumericField(
        _("moment"), null=True, help_text=_("Sum of value x seconds since 1970, for time-weighted averages.")
    )
    value_min = NumericField(_("minimum"), null=True)
    value_max = NumericField(_("maximum"), null=True)
    last_value = NumericField(_("latest value"), null=True)
    last_at = models.DateTimeField(_("latest at"), null=True)
    last_event_id = models.BigIntegerField(null=True)
    # Hash of the distinct value that the row counts (`streams.py`); all zeros where there is none.
    value_key = models.UUIDField(db_default=NO_VALUE)

    class Meta:
        abstract = True


class UsageMeterRollup(Aggregate):
    """The aggregate of one stream, or of a (metric, project, billing scope) total, in one UTC bucket.

    Where distinct values are counted there is one row per value. A row of readings that state a level or a
    running count adds up the steps between readings, each in the bucket of its later reading.

    Written by `rolling_up.rollups` alone. Can be thrown away and rebuilt from the ledger to identical values;
    `id` is a handle for pages, the natural key is the unique constraint.
    """

    class Granularity(models.TextChoices):
        HOUR = "hour", _("Hour")
        DAY = "day", _("Day")
        MONTH = "month", _("Month")

    # Not checked by constraints: three checks a row took more time than the rows themselves. The ledger's own
    # keys hold the projects, and a trigger holds the metrics (migration 0010).
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    metric = models.ForeignKey(
        MetricDefinition,
        verbose_name=_("metric"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    billing_scope = models.ForeignKey(
        Project,
        verbose_name=_("billing scope"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    granularity = models.CharField(_("granularity"), max_length=5, choices=Granularity.choices)
    bucket_start = models.DateTimeField(_("bucket start"), help_text=_("UTC start of the half-open bucket."))
    # Hash of subject and primary labels (`streams.py`); all zeros for the total over all streams.
    stream = models.UUIDField(_("stream"))
    subject_type = models.CharField(_("subject type"), max_length=NAME_MAX_LENGTH)
    subject_id = models.CharField(_("subject"), max_length=NAME_MAX_LENGTH)
    group = models.JSONField(_("primary labels"))

    class Meta:
        db_table_comment = "Stored aggregate of one stream or total in one UTC hour, day or month."
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "project",
                    "metric",
                    "granularity",
                    "stream",
                    "bucket_start",
                    "billing_scope",
                    "value_key",
                ],
                name="rollup_natural_key",
            ),
        ]
        indexes = [
            # Windows over all streams of a metric: group by subject or label.
            models.Index(
                fields=["metric", "granularity", "bucket_start", "project"], name="rollup_by_metric_and_time"
            ),
            # "What does this payer pay for": totals only.
            models.Index(
                fields=["billing_scope", "metric", "granularity", "bucket_start"],
                condition=Q(stream="00000000-0000-0000-0000-000000000000"),
                name="rollup_totals_by_payer",
            ),
            # Rows that voids have emptied: the next tick removes them.
            models.Index(fields=["id"], name="rollup_emptied", condition=Q(record_count=0)),
        ]

    def __str__(self) -> str:
        return f"{self.granularity} {self.bucket_start:%Y-%m-%dT%H:%MZ}"


class PendingContribution(Aggregate):
    """What one committed batch adds to one stream in one hour, not merged into rollups yet.

    Inserted with the events in their transaction, removed by the tick that merges it. Without foreign keys:
    a row lives for seconds, and the rollup that it becomes has them.
    """

    project = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        MetricDefinition, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    billing_scope = models.ForeignKey(
        Project, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    hour_start = models.DateTimeField()
    stream = models.UUIDField()
    subject_type = models.CharField(max_length=NAME_MAX_LENGTH)
    subject_id = models.CharField(max_length=NAME_MAX_LENGTH)
    group = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    # Doesn't add up by itself: merged under the lock of its metric and project, hour by hour.
    drains_whole = models.BooleanField(db_default=False)
    # Adds nothing; says that the hour must be read from the ledger again.
    is_mark = models.BooleanField(db_default=False)
    # Why it couldn't be merged: it stays here, is counted by every question, and doesn't hold up the others.
    failure = models.TextField(db_default="")

    class Meta:
        db_table_comment = "Contributions of recorded events that are not merged into rollups yet."
        # What is pending is read by every question; while ticks lag, by index.
        indexes = [
            models.Index(fields=["metric", "project", "hour_start"], name="pending_by_metric"),
            models.Index(fields=["id"], name="pending_that_failed", condition=~Q(failure="")),
            models.Index(
                fields=["metric", "project"], name="pending_drained_whole", condition=Q(drains_whole=True)
            ),
        ]
        verbose_name = _("pending contribution")
        verbose_name_plural = _("pending contributions")

    def __str__(self) -> str:
        return f"pending {self.pk}"
