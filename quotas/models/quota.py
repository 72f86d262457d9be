"""How much of a metric a project may use."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import MetricDefinition, Project

LIMIT_DIGITS = 38
LIMIT_SCALE = 12


class ProjectQuota(models.Model):
    """What one project may use of one metric in each period. No row: unlimited. A limit of 0 refuses all.

    Written by `quotas.enforcement`. It may change at any time and holds from then on; recorded usage stays as
    it is.
    """

    class Mode(models.TextChoices):
        HARD = "hard", _("Hard (refuses what goes beyond)")
        SOFT = "soft", _("Soft (records it with a warning)")
        MONITOR = "monitor", _("Monitor (records it and only watches)")

    class Period(models.TextChoices):
        HOUR = "hour", _("Hour")
        DAY = "day", _("Day")
        WEEK = "week", _("Week (from Monday)")
        MONTH = "month", _("Month")
        YEAR = "year", _("Year")
        NEVER = "never", _("Never starts anew")

    class Counting(models.TextChoices):
        ROLLUPS = "rollups", _("Rollups (fast; writers at the same instant may overshoot)")
        LEDGER = "ledger", _("Ledger (exact; writers wait for each other)")

    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.PROTECT,
        related_name="quotas",
        db_index=False,  # the unique constraint begins with it
        help_text=_(
            "Counts what this project uses itself and what it pays for, each use once. "
            "Projects below that pay for themselves are not counted."
        ),
    )
    metric = models.ForeignKey(
        MetricDefinition,
        verbose_name=_("metric"),
        on_delete=models.PROTECT,
        related_name="quotas",
        help_text=_("What is limited. Averages and minimums can only be monitored."),
    )
    limit = models.DecimalField(
        _("limit"),
        max_digits=LIMIT_DIGITS,
        decimal_places=LIMIT_SCALE,
        help_text=_(
            "In the metric's unit. Using exactly this much is allowed; 0 allows nothing. "
            "For no limit at all, remove the quota."
        ),
    )
    mode = models.CharField(
        _("mode"),
        max_length=10,
        choices=Mode.choices,
        default=Mode.HARD,
        help_text=_("What happens to usage beyond the limit."),
    )
    period = models.CharField(
        _("period"),
        max_length=10,
        choices=Period.choices,
        default=Period.MONTH,
        help_text=_("How often counting starts anew, by the calendar of the project's time zone."),
    )
    anchor = models.DateField(
        _("anchor"),
        null=True,
        blank=True,
        help_text=_(
            "The day that periods are counted from: with 31 January, months begin on the 31st, or on the "
            "last day of shorter months. Empty: by the calendar."
        ),
    )
    counting = models.CharField(
        _("counting"),
        max_length=10,
        choices=Counting.choices,
        default=Counting.ROLLUPS,
        help_text=_(
            "What decisions are based on. Rollups suit nearly everything. By the ledger the limit is never "
            "passed by a single unit; recorders of the same quota then queue."
        ),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "What one project may use of one metric in each period. No row: unlimited."
        ordering = ["project_id", "metric_id", "id"]
        verbose_name = _("quota")
        verbose_name_plural = _("quotas")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "metric", "period", "anchor"],
                nulls_distinct=False,
                name="quota_once_per_period",
            ),
            models.CheckConstraint(
                name="quota_anchor_has_a_calendar",
                condition=Q(anchor__isnull=True) | Q(period__in=["day", "week", "month", "year"]),
            ),
            models.CheckConstraint(name="quota_limit_not_negative", condition=Q(limit__gte=0)),
        ]

    def __str__(self) -> str:
        """By what it limits, where that was loaded along: never by a query."""
        if self._state.fields_cache.keys() >= {"project", "metric"}:
            return f"{self.project.key} · {self.metric.display_name}"
        return gettext("Quota %s") % self.pk
