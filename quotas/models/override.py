"""Another limit for a while."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from metering.models import IdRange

from .quota import LIMIT_DIGITS, LIMIT_SCALE, ProjectQuota

REASON_MAX_LENGTH = 1000
ACTOR_MAX_LENGTH = 300


class QuotaOverride(models.Model):
    """From one instant to another a quota has this limit instead of its own. Never two at once.

    Written by `quotas.overrides`. By the database's clock, not by when usage happened. It may only be ended
    early; then it stays as the record of what was in force.
    """

    quota = models.ForeignKey(
        ProjectQuota, verbose_name=_("quota"), on_delete=models.CASCADE, related_name="overrides"
    )
    limit = models.DecimalField(
        _("limit"),
        max_digits=LIMIT_DIGITS,
        decimal_places=LIMIT_SCALE,
        help_text=_("In the metric's unit, instead of the quota's own limit; 0 allows nothing."),
    )
    effective_from = models.DateTimeField(_("effective from"), help_text=_("From this instant on."))
    effective_until = models.DateTimeField(
        _("effective until"), help_text=_("From this instant on the quota's own limit holds again.")
    )
    reason = models.CharField(
        _("reason"), max_length=REASON_MAX_LENGTH, help_text=_("Why, for those who ask later.")
    )
    created_by = models.CharField(_("created by"), max_length=ACTOR_MAX_LENGTH, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    ended_by = models.CharField(
        _("ended by"),
        max_length=ACTOR_MAX_LENGTH,
        blank=True,
        default="",
        editable=False,
        help_text=_("Who ended it before its time; empty where nobody did."),
    )

    class Meta:
        db_table_comment = "Another limit that a quota has from one instant to another."
        ordering = ["quota_id", "effective_from", "id"]
        verbose_name = _("temporary limit")
        verbose_name_plural = _("temporary limits")
        constraints = [
            models.CheckConstraint(name="override_limit_not_negative", condition=Q(limit__gte=0)),
            # Ended before it began it is empty, and overlaps nothing.
            models.CheckConstraint(
                name="override_ends_after_it_begins", condition=Q(effective_until__gte=F("effective_from"))
            ),
            ExclusionConstraint(
                name="override_without_overlap",
                expressions=[
                    (IdRange("quota_id", "quota_id"), RangeOperators.OVERLAPS),
                    (
                        Func(
                            "effective_from",
                            "effective_until",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]

    def __str__(self) -> str:
        """By its quota, where that was loaded along: never by a query."""
        return (
            str(self.quota)
            if "quota" in self._state.fields_cache
            else gettext("Temporary limit %s") % self.pk
        )
