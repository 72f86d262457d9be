"""The ledger."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .metric import EVENT_NAME_MAX_LENGTH
from .project import Project, SurfaceInstallation

NAME_MAX_LENGTH = 255  # source, event id, subject: four of them fit an index row of 2,704 bytes
QUANTITY_DIGITS = 38
QUANTITY_SCALE = 12


class UsageEvent(models.Model):
    """One immutable row of the ledger. Written by `metering.ledger` alone; the database refuses changes."""

    class Kind(models.TextChoices):
        USAGE = "usage", _("Usage")
        VOID = "void", pgettext_lazy("of an event", "Void")

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    billing_scope = models.ForeignKey(
        Project,
        verbose_name=_("billing scope"),
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text=_("Who pays, as resolved when the event was recorded."),
    )
    surface = models.ForeignKey(
        SurfaceInstallation,
        verbose_name=_("surface"),
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    source = models.CharField(_("source"), max_length=NAME_MAX_LENGTH)
    event_id = models.CharField(_("event id"), max_length=NAME_MAX_LENGTH)
    event_name = models.CharField(_("event name"), max_length=EVENT_NAME_MAX_LENGTH)
    subject_type = models.CharField(_("subject type"), max_length=NAME_MAX_LENGTH, db_default="")
    subject_id = models.CharField(_("subject"), max_length=NAME_MAX_LENGTH, db_default="")
    quantity = models.DecimalField(
        _("quantity"), max_digits=QUANTITY_DIGITS, decimal_places=QUANTITY_SCALE, null=True
    )
    labels = models.JSONField(_("labels"), default=dict)
    occurred_at = models.DateTimeField(
        _("occurred at"), help_text=_("When the use happened (producer's claim).")
    )
    recorded_at = models.DateTimeField(_("recorded at"), help_text=_("When the ledger took it (our clock)."))
    kind = models.CharField(_("kind"), max_length=5, choices=Kind.choices, db_default=Kind.USAGE)
    voids = models.BigIntegerField(_("voids"), null=True)
    digest = models.BinaryField(_("digest"), max_length=32)

    class Meta:
        db_table_comment = "The ledger: one immutable row per usage event or void. Append-only by trigger."
        verbose_name = _("usage event")
        verbose_name_plural = _("usage events")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "source", "event_id"], name="usage_event_recorded_once"
            ),
            models.UniqueConstraint(
                fields=["project", "voids"], condition=Q(voids__isnull=False), name="usage_event_voided_once"
            ),
            models.CheckConstraint(
                name="usage_event_void_names_an_event",
                condition=Q(kind="usage", voids__isnull=True) | Q(kind="void", voids__isnull=False),
            ),
        ]
        indexes = [
            # Listing, ragged window edges and the freezing question: by project, name and time.
            models.Index(
                fields=["project", "event_name", "occurred_at", "id"], name="usage_event_by_project"
            ),
            # The same edges for "what does this payer pay for".
            models.Index(fields=["billing_scope", "event_name", "occurred_at"], name="usage_event_by_payer"),
            # Whether a surface has usage, which its foreign key asks too when it is uninstalled.
            models.Index(
                fields=["surface"], condition=Q(surface__isnull=False), name="usage_event_by_surface"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_name} {self.event_id}"
