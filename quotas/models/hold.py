"""Amounts that are reserved before they are used."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from metering.models import NAME_MAX_LENGTH, MetricDefinition, Project

from .quota import LIMIT_DIGITS, LIMIT_SCALE

HOLD_ID_LENGTH = 40


class QuotaHold(models.Model):
    """Somebody may use this much of a metric until the hold is over, and nobody else may.

    Written by `quotas.holds`; the database refuses changes. Open until it has an ending or has expired, by
    the database's clock. `members` are those of the event that a commit records.
    """

    class OnExceed(models.TextChoices):
        REJECT = "reject", _("Refused where it doesn't fit")
        CAP = "cap", _("Cut down to what fits")

    public_id = models.CharField(_("id"), max_length=HOLD_ID_LENGTH, unique=True)
    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    billing_scope = models.ForeignKey(
        Project,
        verbose_name=_("billing scope"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text=_("Who pays, as resolved when it was reserved."),
    )
    metric = models.ForeignKey(
        MetricDefinition, verbose_name=_("metric"), on_delete=models.PROTECT, related_name="+"
    )
    requested = models.DecimalField(_("asked for"), max_digits=LIMIT_DIGITS, decimal_places=LIMIT_SCALE)
    granted = models.DecimalField(_("granted"), max_digits=LIMIT_DIGITS, decimal_places=LIMIT_SCALE)
    on_exceed = models.CharField(_("where it doesn't fit"), max_length=10, choices=OnExceed.choices)
    members = models.JSONField(_("event"), default=dict)
    occurred_at = models.DateTimeField(
        _("for use at"), help_text=_("It counts in the periods that hold this instant.")
    )
    idempotency_key = models.CharField(  # noqa: DJ001 (null: none given)
        _("idempotency key"), max_length=NAME_MAX_LENGTH, null=True
    )
    digest = models.BinaryField(_("digest"), max_length=32)
    actor = models.CharField(_("reserved by"), max_length=300)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        db_table_comment = "An amount of a metric that is reserved for a while. Append-only by trigger."
        ordering = ["-id"]
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.UniqueConstraint(fields=["project", "idempotency_key"], name="quota_hold_made_once"),
            models.CheckConstraint(name="quota_hold_grants_something", condition=Q(granted__gt=0)),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="quota_hold_by_project")]

    def __str__(self) -> str:
        return self.public_id


class QuotaHoldShare(models.Model):
    """What one hold reserves of one metric: the named one, and others that count the same event.

    Copies what finding it needs. Never changed.
    """

    hold = models.ForeignKey(QuotaHold, on_delete=models.PROTECT, related_name="shares")
    metric = models.ForeignKey(MetricDefinition, on_delete=models.PROTECT, related_name="+", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    billing_scope = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount = models.DecimalField(max_digits=LIMIT_DIGITS, decimal_places=LIMIT_SCALE)
    occurred_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table_comment = "What a hold reserves of one metric. Append-only by trigger."
        verbose_name = _("share of a hold")
        verbose_name_plural = _("shares of holds")
        constraints = [models.UniqueConstraint(fields=["hold", "metric"], name="hold_share_once_per_metric")]
        indexes = [
            # What is open: expired ones are never read again.
            models.Index(fields=["metric", "project", "expires_at"], name="hold_share_by_project"),
            models.Index(fields=["metric", "billing_scope", "expires_at"], name="hold_share_by_payer"),
        ]

    def __str__(self) -> str:
        return f"share {self.pk}"


class QuotaHoldEnding(models.Model):
    """How a hold ended, once: it was used, or given back. Expiry needs no row. Never changed."""

    class Kind(models.TextChoices):
        COMMITTED = "committed", _("Used")
        RELEASED = "released", _("Given back")

    hold = models.OneToOneField(
        QuotaHold, verbose_name=_("hold"), on_delete=models.PROTECT, related_name="ending"
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    quantity = models.DecimalField(_("used"), max_digits=LIMIT_DIGITS, decimal_places=LIMIT_SCALE, null=True)
    event = models.BigIntegerField(_("event"), null=True, help_text=_("Ledger id of what was recorded."))
    actor = models.CharField(_("by"), max_length=300)
    ended_at = models.DateTimeField(_("ended at"), db_default=Now())

    class Meta:
        db_table_comment = "How a hold ended: used or given back, once. Append-only by trigger."
        verbose_name = _("ending of a hold")
        verbose_name_plural = _("endings of holds")
        constraints = [
            models.CheckConstraint(
                name="hold_ending_names_its_event",
                condition=Q(kind="released", event=None, quantity=None)
                | Q(kind="committed", event__isnull=False, quantity__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.hold_id}"
