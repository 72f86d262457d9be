"""Imports of files: how far each has come, what it couldn't record, and what was uploaded for it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class EventImport(models.Model):
    """One import of one file, and how far it has come. Written by `importing.event_imports`.

    What is recorded never depends on it: the ledger's keys decide. It saves reading again what is done.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Not started")
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        FINISHED = "finished", _("Finished")

    class Origin(models.TextChoices):
        UPLOAD = "upload", _("Upload")
        COMMAND = "command", _("Command line")

    # May still go on, and so stands in the way of another import of the same content.
    UNDER_WAY = (State.QUEUED, State.RUNNING, State.STOPPED)

    file_name = models.CharField(_("file"), max_length=255)
    origin = models.CharField(_("origin"), max_length=10, choices=Origin.choices)
    requested_by = models.CharField(_("requested by"), max_length=150)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    sha256 = models.CharField(
        _("SHA-256"), max_length=64, help_text=_("Of the content, decompressed. Names events without an id.")
    )
    size = models.BigIntegerField(_("size"), help_text=_("Of the content, decompressed, in bytes."))
    options = models.JSONField(
        _("options"), default=dict, help_text=_("Format, meaning of columns, defaults.")
    )
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, help_text=_("Of content and options together.")
    )
    position = models.BigIntegerField(
        _("position"), default=0, help_text=_("Bytes of the content whose events are committed.")
    )
    line_count = models.BigIntegerField(_("lines done"), default=0)
    created_count = models.BigIntegerField(_("recorded"), default=0)
    existing_count = models.BigIntegerField(_("existed already"), default=0)
    conflict_count = models.BigIntegerField(_("conflicts"), default=0)
    rejected_count = models.BigIntegerField(_("rejected"), default=0)
    cancelled_count = models.BigIntegerField(
        _("voided"),
        default=0,
        help_text=_("Rows of an export that are voided, or void: they count for nothing."),
    )
    requested_at = models.DateTimeField(_("requested at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    leased_until = models.DateTimeField(
        null=True, help_text=_("Until then one worker is at it; later another may go on.")
    )
    attempt_count = models.PositiveSmallIntegerField(
        default=0, help_text=_("How often it was begun since it last came on.")
    )
    failure = models.TextField(_("failure"), default="", blank=True)

    class Meta:
        db_table_comment = "One import of a file of events: how far it has come. The ledger's keys decide."
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        default_permissions = ("view",)
        permissions = [("import_events", _("Can import files of usage events"))]
        constraints = [
            models.UniqueConstraint(
                name="event_import_under_way_once",
                fields=["fingerprint"],
                condition=Q(state__in=["queued", "running", "stopped"]),
            ),
        ]
        indexes = [models.Index(fields=["state", "requested_at"], name="event_import_by_state")]

    def __str__(self) -> str:
        return self.file_name

    @property
    def done_count(self) -> int:
        """Events dealt with, whatever became of them."""
        return (
            self.created_count
            + self.existing_count
            + self.conflict_count
            + self.rejected_count
            + self.cancelled_count
        )

    @property
    def left_out_count(self) -> int:
        """Events that are not in the ledger as the file has them."""
        return self.conflict_count + self.rejected_count

    @property
    def done_fraction(self) -> float:
        if self.state == self.State.FINISHED:
            return 1.0
        return min(1.0, self.position / self.size) if self.size else 0.0

    @property
    def is_active(self) -> bool:
        return self.state in {self.State.QUEUED, self.State.RUNNING}


class EventImportReject(models.Model):
    """One event of a file that was not recorded, and why. Written with the chunk that it was part of."""

    event_import = models.ForeignKey(EventImport, on_delete=models.CASCADE, related_name="rejects")
    line = models.BigIntegerField(_("line"))
    code = models.CharField(_("reason"), max_length=50)
    field = models.CharField(_("field"), max_length=300, default="")
    detail = models.TextField(_("what is wrong"))
    original = models.TextField(_("original line"))

    class Meta:
        db_table_comment = "One event of an imported file that was not recorded, and why."
        constraints = [
            models.UniqueConstraint(fields=["event_import", "line"], name="event_import_rejects_a_line_once")
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"


class EventImportPiece(models.Model):
    """A piece of an uploaded file, as it was sent. Removed when the import is over."""

    event_import = models.ForeignKey(EventImport, on_delete=models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table_comment = "A piece of an uploaded file; the import's worker may run on any machine."
        constraints = [
            models.UniqueConstraint(fields=["event_import", "number"], name="event_import_piece_has_a_place")
        ]

    def __str__(self) -> str:
        return f"piece {self.number}"
