"""Webhooks: where events are delivered to, and what became of each delivery."""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .announcement import KIND_MAX_LENGTH, DomainEvent
from .project import Project

URL_MAX_LENGTH = 2000


class WebhookEndpoint(models.Model):
    """An address that is told what happens in a project and below it.

    Written by `metering.delivering.endpoints`; its health by `metering.delivering.delivering`.
    """

    class Disabled(models.TextChoices):
        STAFF = "staff", _("Switched off")
        FAILING = "failing", _("Failed for too long")
        GONE = "gone", _("Answered 410 Gone")

    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.PROTECT,
        related_name="webhook_endpoints",
        help_text=_("The endpoint is told what happens in this project and everything below it."),
    )
    url = models.CharField(
        _("URL"),
        max_length=URL_MAX_LENGTH,
        help_text=_("Begins with https://. Each event is sent there by POST, as JSON."),
    )
    description = models.CharField(
        _("description"),
        max_length=200,
        default="",
        blank=True,
        help_text=_("Whose it is and what it does with the events, so that somebody can be asked."),
    )
    kinds = ArrayField(
        models.CharField(max_length=KIND_MAX_LENGTH),
        verbose_name=_("events"),
        default=list,
        blank=True,
        help_text=_("The kinds of events that are sent. None chosen: all, also those that come later."),
    )
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Switched off, it misses what happens meanwhile.")
    )
    disabled_reason = models.CharField(
        _("why it is off"), max_length=10, choices=Disabled.choices, default="", blank=True
    )
    disabled_at = models.DateTimeField(_("off since"), null=True, blank=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    # How often in a row; all deliveries wait until `rests_until`, so that a dead address costs little.
    failure_count = models.PositiveIntegerField(_("failures in a row"), default=0)
    rests_until = models.DateTimeField(_("next attempt not before"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("last delivery"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "An address that is told what happens in a project and below it."
        ordering = ["id"]
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return self.url

    def takes(self, kind: str) -> bool:
        """Whether events of that kind are sent to it."""
        return not self.kinds or kind in self.kinds


class WebhookSecret(models.Model):
    """What one signing secret of an endpoint is made from; the secret itself is not in the database.

    Written by `metering.delivering.endpoints`. The one without an end is in force; those that it replaced
    sign along until theirs.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="secrets")
    salt = models.BinaryField(max_length=32)
    key_number = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    expires_at = models.DateTimeField(_("signs until"), null=True)

    class Meta:
        db_table_comment = (
            "What a signing secret is made from, together with a key that is not in the database."
        )
        constraints = [
            models.UniqueConstraint(
                name="webhook_secret_in_force_once", fields=["endpoint"], condition=Q(expires_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"secret {self.pk}"


class WebhookDelivery(models.Model):
    """One event for one endpoint, and how far it has come. Written by `metering.delivering.delivering`.

    While it is pending it belongs to whoever finds it due; a sender first moves `next_attempt_at` ahead, so
    that one that is killed has only delayed it.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    event = models.ForeignKey(
        DomainEvent, verbose_name=_("event"), on_delete=models.CASCADE, related_name="deliveries"
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, verbose_name=_("endpoint"), on_delete=models.CASCADE, related_name="deliveries"
    )
    # What this endpoint may see, where the event tells of more than that. Null: all of it.
    data = models.JSONField(null=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING, db_default=Status.PENDING
    )
    attempt_count = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    # Those before it was last sent again by hand: patience begins anew.
    earlier_attempt_count = models.PositiveIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), db_default=Now())
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    error = models.TextField(_("last error"), default="", db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table_comment = "One event for one endpoint, and how far it has come."
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        default_permissions = ("view",)
        permissions = [("resend_webhookdelivery", _("Can send webhook deliveries again"))]
        constraints = [
            models.UniqueConstraint(name="webhook_delivery_once", fields=["endpoint", "event"]),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at", "id"],
                name="webhook_delivery_due",
                condition=Q(status="pending"),
            ),
            models.Index(fields=["endpoint", "status", "id"], name="webhook_delivery_by_status"),
        ]

    def __str__(self) -> str:
        return gettext("Delivery %s") % self.pk

    def is_due(self, *, at: dt.datetime) -> bool:
        return self.status == self.Status.PENDING and self.next_attempt_at <= at


class WebhookAttempt(models.Model):
    """One attempt to deliver: noted when it begins, completed when it has ended. One that never was completed
    belongs to a sender that was killed."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField(_("attempt"))
    url = models.CharField(_("URL"), max_length=URL_MAX_LENGTH)
    started_at = models.DateTimeField(_("when"), db_default=Now())
    milliseconds = models.PositiveIntegerField(_("took"), null=True)
    response_status = models.PositiveSmallIntegerField(_("answer"), null=True)
    response_text = models.TextField(_("text of the answer"), default="", db_default="")
    error = models.TextField(_("error"), default="", db_default="")

    class Meta:
        db_table_comment = "One attempt to deliver, with the beginning of the answer."
        ordering = ["delivery_id", "number"]
        constraints = [
            models.UniqueConstraint(name="webhook_attempt_has_a_number", fields=["delivery", "number"])
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"

    @property
    def is_success(self) -> bool:
        return self.response_status is not None and 200 <= self.response_status < 300
