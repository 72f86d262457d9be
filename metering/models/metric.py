"""What is measured and how it aggregates."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .project import KEY_MAX_LENGTH, Project, key_validator

EVENT_NAME_MAX_LENGTH = 200


class MetricDefinition(models.Model):
    """One thing that is measured: which events it listens to, what it takes from them, how that adds up.

    Written by `defining.definitions`. The fields that change the meaning of numbers freeze with the first
    event that matches.
    """

    class MeterType(models.TextChoices):
        COUNTER = "counter", _("Counter (amounts only add)")
        GAUGE = "gauge", _("Gauge (may go down)")

    class DataType(models.TextChoices):
        INT = "INT", _("Whole number")
        FLOAT = "FLOAT", _("Decimal number")
        STRING = "STRING", _("Text")

    class Aggregation(models.TextChoices):
        COUNT = "COUNT", _("Count of events")
        SUM = "SUM", _("Sum")
        AVG = "AVG", _("Average")
        MAX = "MAX", _("Maximum")
        MIN = "MIN", _("Minimum")
        UNIQUE_COUNT = "UNIQUE_COUNT", _("Count of distinct values")
        LATEST = "LATEST", _("Latest value")
        TIME_WEIGHTED_AVG = "TIME_WEIGHTED_AVG", _("Time-weighted average")

    class ReportingMethod(models.TextChoices):
        PERIODIC = "periodic", _("Periodic (each reading stands alone)")
        TOTAL = "total", _("Total (readings state a running total)")

    class ResetPeriod(models.TextChoices):
        NEVER = "never", _("Never")
        HOURLY = "hourly", _("Hourly")
        DAILY = "daily", _("Daily")
        WEEKLY = "weekly", _("Weekly")
        MONTHLY = "monthly", _("Monthly")
        YEARLY = "yearly", _("Yearly")

    key = models.CharField(
        _("key"),
        max_length=KEY_MAX_LENGTH,
        validators=[key_validator],
        help_text=_("Short name used in the API, unique along the tree. It can't be changed later."),
    )
    display_name = models.CharField(_("display name"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    unit = models.CharField(
        _("unit"),
        max_length=50,
        blank=True,
        default="",
        help_text=_("What one is called: token, GB, request."),
    )
    project = models.ForeignKey(
        Project,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="metrics",
        help_text=_(
            "The metric counts usage of this project and everything below it. Empty: of all projects."
        ),
    )
    event_name = models.CharField(
        _("event name"),
        max_length=EVENT_NAME_MAX_LENGTH,
        help_text=_("The events that it listens to. Several metrics may listen to one event name."),
    )
    meter_type = models.CharField(
        _("meter type"), max_length=10, choices=MeterType.choices, default=MeterType.COUNTER
    )
    data_type = models.CharField(
        _("data type"),
        max_length=10,
        choices=DataType.choices,
        default=DataType.FLOAT,
        help_text=_("An event whose value is of another type is refused."),
    )
    aggregation = models.CharField(
        _("aggregation"), max_length=20, choices=Aggregation.choices, default=Aggregation.SUM
    )
    value_property = models.CharField(
        _("value property"),
        max_length=200,
        blank=True,
        default="",
        help_text=_("The label that holds the value, as a dotted path. Empty: the event's quantity, or 1."),
    )
    is_incremental = models.BooleanField(
        _("incremental"),
        default=True,
        help_text=_("On: each event is an amount. Off: each event is a reading of an absolute counter."),
    )
    reporting_method = models.CharField(
        _("reporting method"),
        max_length=10,
        choices=ReportingMethod.choices,
        default=ReportingMethod.PERIODIC,
    )
    expected_labels = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("expected labels"),
        blank=True,
        default=list,
        help_text=_("Labels that every event must carry, separated by commas."),
    )
    primary_labels = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("primary labels"),
        blank=True,
        default=list,
        help_text=_("Labels that rollups keep apart, separated by commas: fast to group and filter by."),
    )
    event_label_filter = models.JSONField(
        _("event label filter"),
        blank=True,
        default=dict,
        help_text=_('Only events whose labels match, such as {"region": "eu"} or {"size": {"$gt": 10}}.'),
    )
    reset_period = models.CharField(
        _("reset period"), max_length=10, choices=ResetPeriod.choices, default=ResetPeriod.MONTHLY
    )
    counts_from = models.BigIntegerField(
        _("counts from"),
        default=0,
        editable=False,
        help_text=_("Ledger position: events recorded after it count."),
    )
    is_history_due = models.BooleanField(
        _("history due"),
        default=False,
        editable=False,
        help_text=_("Events before that position are still to be counted; the next tick does it."),
    )
    archived_from = models.BigIntegerField(
        _("archived from"),
        null=True,
        editable=False,
        help_text=_("Ledger position: events recorded after it no longer count."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "A metric: which events it listens to, what it takes from them, how that adds up."
        ordering = ["key", "id"]
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")
        indexes = [models.Index(fields=["event_name"], name="metric_event_name")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "key"], nulls_distinct=False, name="metric_key_within_owner"
            ),
            models.CheckConstraint(name="metric_positions_in_order", condition=Q(counts_from__gte=0)),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_archived(self) -> bool:
        return self.archived_from is not None
