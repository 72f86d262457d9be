"""That a threshold was neared or reached."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import NumericField

from .threshold import SUBJECT_MAX_LENGTH, UsageThreshold


class ThresholdCrossing(models.Model):
    """The fact that usage neared or reached one version of a threshold's level in one period.

    Inserted by `quotas.crossings`, in the tick's transaction where a tick noticed it; once per version,
    period, kind and subject. Never changed: usage that is voided afterwards doesn't take it back.
    """

    class Kind(models.TextChoices):
        APPROACHING = "approaching", _("Near")
        EXCEEDED = "exceeded", _("Reached")

    threshold = models.ForeignKey(
        UsageThreshold,
        verbose_name=_("threshold"),
        on_delete=models.PROTECT,
        related_name="crossings",
        db_index=False,
    )
    version = models.PositiveIntegerField(_("version"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    # Both None where counting never starts anew.
    period_start = models.DateTimeField(_("period start"), null=True)
    period_end = models.DateTimeField(_("period end"), null=True)
    # The subject whose usage it was; of a threshold on a total or on one subject, what the threshold says.
    subject_type = models.CharField(_("subject type"), max_length=SUBJECT_MAX_LENGTH)
    subject_id = models.CharField(_("subject"), max_length=SUBJECT_MAX_LENGTH)
    value = NumericField(_("usage"), help_text=_("When it was noticed."))
    level = NumericField(_("level"), help_text=_("As it was then."))
    crossed_at = models.DateTimeField(_("noticed at"), db_default=Now())

    class Meta:
        db_table_comment = "Usage neared or reached one version of a threshold in one period. Never changed."
        verbose_name = _("crossing")
        verbose_name_plural = _("crossings")
        constraints = [
            models.UniqueConstraint(
                fields=["threshold", "version", "period_start", "kind", "subject_id", "subject_type"],
                nulls_distinct=False,
                name="crossing_once_per_period",
            ),
        ]

    def __str__(self) -> str:
        """By its threshold, where that was loaded along: never by a query."""
        if "threshold" in self._state.fields_cache:
            return str(self.threshold)
        return gettext("Crossing %s") % self.pk
