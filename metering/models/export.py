"""Exports that were asked for: what of, how far each has come, and the file that came of it."""

import datetime as dt
import re

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .project import Project

_NO_WORD = re.compile(r"[^a-z0-9]+")


class Export(models.Model):
    """A CSV file that somebody asked for, and how far it has come. Written by `exporting.exports`.

    Removed with its file some days after it is over; until then the row says who took what, also where the
    file was removed earlier. `project` is whose key asked: only what lies at and
    below it is in the file, and only who sees it sees the export; none: everything there is.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        REMOVED = "removed", _("Removed")

    UNDER_WAY = (State.QUEUED, State.RUNNING)

    kind = models.CharField(_("kind"), max_length=50)
    filters = models.JSONField(_("filters"), default=dict, help_text=_("As asked for; empty: everything."))
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        null=True,
        on_delete=models.CASCADE,
        related_name="exports",
        help_text=_("Only what lies at and below it is in the file. Empty: everything there is."),
    )
    requested_by = models.CharField(_("requested by"), max_length=150)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    expected_count = models.BigIntegerField(
        _("rows expected"), null=True, help_text=_("Estimated where counting would take too long.")
    )
    row_count = models.BigIntegerField(_("rows written"), default=0)
    byte_count = models.BigIntegerField(_("size"), default=0, help_text=_("In bytes."))
    piece_count = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField(_("requested at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    attempt_count = models.PositiveSmallIntegerField(
        default=0, help_text=_("How often it was begun. Who began an earlier one writes no more.")
    )
    failure = models.TextField(_("failure"), default="", blank=True)

    class Meta:
        db_table_comment = "A CSV file that somebody asked for, and how far it has come."
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        default_permissions = ("view",)
        permissions = [("export_data", _("Can export data as files"))]
        indexes = [
            models.Index(fields=["state", "id"], name="export_by_state"),
            models.Index(fields=["finished_at"], name="export_by_end"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def file_name(self) -> str:
        """Made of our own words and digits, so that it is safe in any header and on any disk."""
        return f"{_NO_WORD.sub('-', self.kind)}-{self.pk}.csv"

    @staticmethod
    def id_in(file_name: str) -> int | None:
        """The export that a file is of; None for a name that `file_name` never makes."""
        named = re.fullmatch(r"[a-z-]+-([0-9]{1,18})\.csv", file_name)
        return int(named[1]) if named else None

    @property
    def is_active(self) -> bool:
        return self.state in self.UNDER_WAY

    @property
    def is_finished(self) -> bool:
        return self.state == self.State.FINISHED

    def has_file(self, *, at: dt.datetime) -> bool:
        """Whether it can be downloaded: not before it is finished, and not once its time is over."""
        expires_at = self.expires_at
        return self.is_finished and expires_at is not None and at < expires_at

    @property
    def done_fraction(self) -> float | None:
        """None while nobody knows; below 1 until it is finished, for the number expected may be a guess."""
        if self.is_finished:
            return 1.0
        if self.state == self.State.RUNNING and not self.expected_count:
            return None
        return min(0.99, self.row_count / self.expected_count) if self.expected_count else 0.0

    @property
    def expires_at(self) -> dt.datetime | None:
        """From when on there is no file, and the row is removed soon; None while it is under way."""
        return None if self.finished_at is None else self.finished_at + self.kept_for()

    @staticmethod
    def kept_for() -> dt.timedelta:
        return dt.timedelta(days=settings.EXPORT_KEPT_DAYS)


class ExportPiece(models.Model):
    """A piece of an exported file, in its order. Goes with its export."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="pieces", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table_comment = "A piece of an exported file; worker and web process may be on different machines."
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="export_piece_has_a_place")]

    def __str__(self) -> str:
        return f"piece {self.number}"
