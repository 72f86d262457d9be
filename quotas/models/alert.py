"""What people are to know about crossings, and who has seen to it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .crossing import ThresholdCrossing

NOTE_MAX_LENGTH = 2000


class Alert(models.Model):
    """One crossing that people are told about: open until somebody acknowledges it.

    Inserted with its crossing. `quotas.alerting` notes that its mails were posted, and who acknowledged it.
    """

    crossing = models.OneToOneField(
        ThresholdCrossing, verbose_name=_("crossing"), on_delete=models.PROTECT, related_name="alert"
    )
    # The domain event that announced it, and the mails that were posted for it (metering's outbox).
    event_id = models.BigIntegerField(_("event"), null=True, editable=False)
    mail_ids = ArrayField(models.BigIntegerField(), verbose_name=_("mails"), default=list, editable=False)
    posted_at = models.DateTimeField(_("mails posted at"), null=True, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, editable=False)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=255, default="", editable=False)
    note = models.TextField(
        _("note"),
        blank=True,
        default="",
        help_text=_("What was done about it, for whoever looks later. Optional."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "A crossing that people are told about, and who acknowledged it."
        ordering = ["-id"]
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        indexes = [
            models.Index(fields=["id"], name="alert_open", condition=Q(acknowledged_at=None)),
            models.Index(fields=["id"], name="alert_unposted", condition=Q(posted_at=None)),
        ]

    def __str__(self) -> str:
        """By what it is about, where that was loaded along: never by a query."""
        if "crossing" in self._state.fields_cache:
            return str(self.crossing)
        return gettext("Alert %s") % self.pk

    @property
    def is_open(self) -> bool:
        return self.acknowledged_at is None
