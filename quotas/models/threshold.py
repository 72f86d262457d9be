"""At which amount of usage somebody is told, or further usage is refused."""

from decimal import Decimal, localcontext

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import MetricDefinition, NumericField, Project
from metering.texts.numbers import EXACT

from .quota import LIMIT_DIGITS, LIMIT_SCALE, ProjectQuota

EVERY_SUBJECT_TOGETHER = "*"
SUBJECT_MAX_LENGTH = 255
MAX_EMAILS = 20
DEFAULT_APPROACH_FRACTION = Decimal("0.80")
FRACTION_SCALE = 4


class ThresholdQuerySet(models.QuerySet["UsageThreshold"]):
    def kept(self) -> "ThresholdQuerySet":
        """Those that weren't removed."""
        return self.filter(removed_at=None)

    def in_force(self) -> "ThresholdQuerySet":
        """Those that are evaluated."""
        return self.kept().filter(is_enabled=True)


class UsageThreshold(models.Model):
    """A level of usage that is watched in each period: when it is near or reached, a crossing is recorded.

    Written by `quotas.thresholds`, and `level` by the evaluation where it follows a quota. What is watched
    never changes; another level is another version, for which crossings count anew. A removed one stays for
    the sake of its crossings.
    """

    class Action(models.TextChoices):
        ALERT = "alert", _("Alert (tells people)")
        BLOCK = "block", _("Block (tells people and refuses further usage)")
        NONE = "none", _("None (records the crossing, tells nobody)")

    Period = ProjectQuota.Period

    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.PROTECT,
        related_name="thresholds",
        db_index=False,  # the unique constraint begins with it
        help_text=_(
            "Counts what this project uses itself and what it pays for, each use once, as quotas do. "
            "Periods follow the calendar of its time zone."
        ),
    )
    metric = models.ForeignKey(
        MetricDefinition,
        verbose_name=_("metric"),
        on_delete=models.PROTECT,
        related_name="thresholds",
        db_index=False,
        help_text=_("What is watched."),
    )
    subject_type = models.CharField(
        _("subject type"),
        max_length=SUBJECT_MAX_LENGTH,
        blank=True,
        default="",
        help_text=_("Only subjects of this type, such as customer. Empty: of any type."),
    )
    subject_id = models.CharField(
        _("subject"),
        max_length=SUBJECT_MAX_LENGTH,
        blank=True,
        default="",
        help_text=_(
            "Empty: each subject on its own, so that every customer has the whole amount. "
            "* : all subjects together. Otherwise the one subject of this id."
        ),
    )
    amount = models.DecimalField(
        _("amount"),
        max_digits=LIMIT_DIGITS,
        decimal_places=LIMIT_SCALE,
        null=True,
        blank=True,
        help_text=_("In the metric's unit. Reached means this much or more; 0 is reached by any usage."),
    )
    quota_fraction = models.DecimalField(
        _("share of the quota"),
        max_digits=6,
        decimal_places=FRACTION_SCALE,
        null=True,
        blank=True,
        help_text=_("Instead of an amount: 0.5 is half of the project's quota for this metric and period."),
    )
    action = models.CharField(
        _("action"),
        max_length=10,
        choices=Action.choices,
        default=Action.ALERT,
        help_text=_("What happens when the level is reached. Nearing it only ever tells people."),
    )
    notify_emails = ArrayField(
        models.EmailField(),
        verbose_name=_("tell by mail"),
        blank=True,
        default=list,
        help_text=_(
            "Addresses, separated by commas, at most 20. Each gets one mail when the level is near and one "
            "when it is reached."
        ),
    )
    period = models.CharField(
        _("period"),
        max_length=10,
        choices=Period.choices,
        help_text=_("How often counting starts anew, by the calendar of the project's time zone."),
    )
    approach_fraction = models.DecimalField(
        _("early warning at"),
        max_digits=5,
        decimal_places=FRACTION_SCALE,
        null=True,
        blank=True,
        default=DEFAULT_APPROACH_FRACTION,
        help_text=_("Share of the level at which it counts as near: 0.8 is 80 %. Empty: no early warning."),
    )
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Off: nothing is watched, told or refused.")
    )
    version = models.PositiveIntegerField(
        _("version"), default=1, editable=False, help_text=_("Counts the levels that it has had.")
    )
    # The amount in force: `amount`, or the fraction of the quota's limit. None where there is no such quota.
    level = NumericField(_("level in force"), null=True, editable=False)
    level_set_at = models.DateTimeField(_("level set at"), db_default=Now(), editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    removed_at = models.DateTimeField(_("removed at"), null=True, editable=False)

    objects = ThresholdQuerySet.as_manager()

    class Meta:
        db_table_comment = "A level of usage that is watched; nearing or reaching it is a crossing."
        ordering = ["project_id", "metric_id", "id"]
        verbose_name = _("threshold")
        verbose_name_plural = _("thresholds")
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "project",
                    "metric",
                    "period",
                    "subject_type",
                    "subject_id",
                    "amount",
                    "quota_fraction",
                ],
                condition=Q(removed_at=None),
                nulls_distinct=False,
                name="threshold_once_per_level",
            ),
            models.CheckConstraint(
                name="threshold_amount_or_quota_fraction",
                condition=Q(amount__isnull=True, quota_fraction__isnull=False)
                | Q(amount__isnull=False, quota_fraction__isnull=True),
            ),
            models.CheckConstraint(
                name="threshold_amount_not_negative", condition=Q(amount=None) | Q(amount__gte=0)
            ),
            models.CheckConstraint(
                name="threshold_quota_fraction_positive",
                condition=Q(quota_fraction=None) | Q(quota_fraction__gt=0),
            ),
            models.CheckConstraint(
                name="threshold_approach_fraction_within_one",
                condition=Q(approach_fraction=None) | Q(approach_fraction__gt=0, approach_fraction__lte=1),
            ),
        ]
        indexes = [
            # What a tick asks: the thresholds on a metric, of projects that it touched.
            models.Index(
                fields=["metric", "project"], name="threshold_by_metric", condition=Q(removed_at=None)
            ),
        ]

    def __str__(self) -> str:
        """By what it watches, where that was loaded along: never by a query."""
        if self._state.fields_cache.keys() >= {"project", "metric"}:
            return f"{self.project.key} · {self.metric.display_name}"
        return gettext("Threshold %s") % self.pk

    @property
    def is_for_each_subject(self) -> bool:
        return self.subject_id == ""

    @property
    def is_for_the_total(self) -> bool:
        return self.subject_id == EVERY_SUBJECT_TOGETHER

    @property
    def approach_level(self) -> Decimal | None:
        """From where on the level is near."""
        if self.level is None or self.approach_fraction is None:
            return None
        with localcontext(EXACT):
            return self.level * self.approach_fraction
