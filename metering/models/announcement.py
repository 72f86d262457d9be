"""What happened, as others are told of it."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .project import KEY_MAX_LENGTH, Project

KIND_MAX_LENGTH = 100


class DomainEvent(models.Model):
    """One thing that happened, in the words that others get. Never changed.

    Written by `metering.announcing.outbox` in the transaction in which it happened. Kept for a limited time,
    and for as long as somebody is still to be told.
    """

    public_id = models.CharField(_("id"), max_length=40, unique=True, editable=False)
    kind = models.CharField(_("kind"), max_length=KIND_MAX_LENGTH)
    # History: it doesn't keep a project from being removed, and outlives it by its key.
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    project_key = models.CharField(_("project"), max_length=KEY_MAX_LENGTH, default="", blank=True)
    data = models.JSONField(_("data"), default=dict)
    occurred_at = models.DateTimeField(_("occurred at"), db_default=Now())
    created_at = models.DateTimeField(_("announced at"), db_default=Now(), db_index=True)

    class Meta:
        db_table_comment = "One thing that happened, in the words that webhooks get. Kept for a limited time."
        verbose_name = _("domain event")
        verbose_name_plural = _("domain events")
        default_permissions = ("view",)
        indexes = [models.Index(fields=["kind", "id"], name="domain_event_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"
