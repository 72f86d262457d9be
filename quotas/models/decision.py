"""What quotas and thresholds that block answered, and why."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from metering.models import KEY_MAX_LENGTH, NAME_MAX_LENGTH, MetricDefinition, NumericField, Project

from .quota import LIMIT_DIGITS, LIMIT_SCALE, ProjectQuota
from .threshold import UsageThreshold

REFERENCE_LENGTH = 16


class QuotaDecision(models.Model):
    """One answer that wasn't a plain yes, of a quota or a threshold that blocks, with its numbers.

    Written by `quotas.decisions` after the recording has ended; equal answers within a minute are one row
    with a count. The database refuses to change anything but how often, when last, and the sample of events.
    Copies what it shows: quotas, projects and keys may be gone when somebody asks.
    """

    class Outcome(models.TextChoices):
        DENIED = "denied", _("Denied")
        SOFT_BREACH = "soft_breach", _("Recorded with a warning")
        CLOSED_PERIOD = "closed_period", _("Period closed")
        UNAVAILABLE = "unavailable", _("Couldn't be decided")
        BLOCKED = "blocked", _("Blocked by a threshold")

    class Basis(models.TextChoices):
        CACHE = "cache", _("Rollups, held in memory")
        ROLLUPS = "rollups", _("Rollups and what was pending")
        LEDGER = "ledger", _("The ledger, exactly")

    reference = models.CharField(
        _("reference"),
        max_length=REFERENCE_LENGTH,
        unique=True,
        help_text=_("What the refused caller was given as `decision`."),
    )
    outcome = models.CharField(_("answer"), max_length=20, choices=Outcome.choices)
    quota = models.ForeignKey(
        ProjectQuota,
        verbose_name=_("quota"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
    )
    threshold = models.ForeignKey(
        UsageThreshold,
        verbose_name=_("threshold"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
        help_text=_("That blocked it, where no quota was the reason."),
    )
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
        help_text=_("The project that the quota or threshold belongs to."),
    )
    project_key = models.CharField(_("project"), max_length=KEY_MAX_LENGTH)
    user_project = models.ForeignKey(
        Project,
        verbose_name=_("used by"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
        help_text=_("The project whose usage was to be recorded."),
    )
    user_project_key = models.CharField(_("used by"), max_length=KEY_MAX_LENGTH)
    metric = models.ForeignKey(
        MetricDefinition,
        verbose_name=_("metric"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
    )
    metric_key = models.CharField(_("metric"), max_length=KEY_MAX_LENGTH, db_default="")
    mode = models.CharField(_("mode"), max_length=10, db_default="")
    period = models.CharField(_("period"), max_length=10, db_default="")
    period_start = models.DateTimeField(_("period from"), null=True)
    period_end = models.DateTimeField(_("period until"), null=True)
    limit = models.DecimalField(_("limit"), max_digits=LIMIT_DIGITS, decimal_places=LIMIT_SCALE, null=True)
    # A share of a limit may have more digits than a limit.
    level = NumericField(_("level"), null=True, help_text=_("Of the threshold, as it was then."))
    # Sums have no scale of their own: what a metric says is kept as it is.
    used = models.CharField(_("used"), max_length=200, null=True)  # noqa: DJ001 (null: not known)
    held = models.CharField(_("held"), max_length=200, null=True)  # noqa: DJ001
    requested = models.CharField(_("requested"), max_length=200, null=True)  # noqa: DJ001
    remaining = models.CharField(_("remaining"), max_length=200, null=True)  # noqa: DJ001
    position = models.BigIntegerField(
        _("position"),
        null=True,
        help_text=_("Ledger position of the last fence before the answer: all up to it was counted."),
    )
    basis = models.CharField(_("counted by"), max_length=10, choices=Basis.choices, db_default="")
    subject_type = models.CharField(_("subject type"), max_length=NAME_MAX_LENGTH, db_default="")
    # Of the first of the events; of a block, whose usage reached the level.
    subject_id = models.CharField(_("subject"), max_length=NAME_MAX_LENGTH, db_default="")
    events = models.JSONField(_("events"), default=list, help_text=_("The ids of some of the events."))
    actor = models.CharField(_("asked by"), max_length=300)
    detail = models.TextField(_("said"), db_default="", help_text=_("What the caller was told."))
    first_at = models.DateTimeField(_("first at"))
    last_at = models.DateTimeField(_("last at"))
    count = models.BigIntegerField(_("times"), db_default=1)

    class Meta:
        db_table_comment = (
            "One answer of a quota or a blocking threshold that wasn't a plain yes; "
            "equal ones of a minute are one row."
        )
        ordering = ["-id"]
        verbose_name = _("quota decision")
        verbose_name_plural = _("quota decisions")
        indexes = [
            models.Index(fields=["project", "-id"], name="quota_decision_by_project"),
            models.Index(fields=["user_project", "-id"], name="quota_decision_by_user"),
            models.Index(fields=["quota", "-id"], name="quota_decision_by_quota"),
            models.Index(
                fields=["threshold", "-id"],
                name="quota_decision_by_threshold",
                condition=models.Q(threshold__isnull=False),
            ),
            # What is too old to be kept.
            models.Index(fields=["last_at"], name="quota_decision_by_time"),
        ]

    def __str__(self) -> str:
        return self.reference


class QuotaBreach(models.Model):
    """That a quota was reached in one of its periods: the fact that is announced once.

    Written by `quotas.decisions` with the first denial, or the first warning, of the period. Never changed.
    """

    class Kind(models.TextChoices):
        EXCEEDED = "exceeded", _("Refused for the first time")
        SOFT_BREACHED = "soft_breached", _("Went beyond a soft limit for the first time")

    quota = models.ForeignKey(
        ProjectQuota,
        verbose_name=_("quota"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
    )
    # Minus infinity doesn't exist in Python: the period without a start is the one that began in 1970.
    period_start = models.DateTimeField(_("period from"))
    period_end = models.DateTimeField(_("period until"), null=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    reference = models.CharField(_("decision"), max_length=REFERENCE_LENGTH)
    breached_at = models.DateTimeField(_("breached at"), db_default=Now())

    class Meta:
        db_table_comment = "That a quota was reached in one of its periods; announced once."
        verbose_name = _("quota breach")
        verbose_name_plural = _("quota breaches")
        constraints = [
            models.UniqueConstraint(
                fields=["quota", "period_start", "kind"], name="quota_breach_once_per_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
