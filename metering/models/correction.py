"""Who corrected the ledger, and why."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .project import Project


class Correction(models.Model):
    """One void, and what was recorded in place of the voided event, if anything: by whom and for what reason.

    Written by `correcting.corrections` in the transaction of the void; the database refuses changes. `event`,
    `void` and `replacement` are ledger ids.
    """

    class Kind(models.TextChoices):
        VOID = "void", pgettext_lazy("of an event", "Void")
        AMENDMENT = "amendment", _("Amendment")
        REATTRIBUTION = "reattribution", _("Re-attribution")

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    event = models.BigIntegerField(_("corrected event"))
    void = models.BigIntegerField(_("void"))
    replacement = models.BigIntegerField(
        _("replacement"), null=True, help_text=_("The event recorded in its place. Empty: none.")
    )
    reason = models.TextField(_("reason"))
    actor = models.CharField(_("by"), max_length=300, help_text=_("Who corrected it."))
    corrected_at = models.DateTimeField(_("corrected at"), db_default=Now())

    class Meta:
        db_table_comment = "One correction of the ledger: who voided or replaced an event, when and why."
        ordering = ["-corrected_at", "-id"]
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        permissions = [
            ("void_usageevent", _("Can void usage events")),
            ("amend_usageevent", _("Can amend usage events")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["project", "event"], name="correction_once_per_event"),
        ]
        indexes = [models.Index(fields=["-corrected_at", "-id"], name="correction_newest_first")]

    def __str__(self) -> str:
        return gettext("%(kind)s of event %(event)s") % {
            "kind": self.get_kind_display(),
            "event": self.event,
        }
