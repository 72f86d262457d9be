"""Mails that were promised, and whether they have left."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .project import Project

SUBJECT_MAX_LENGTH = 200
MAIL_KEY_MAX_LENGTH = 200


class OutgoingMail(models.Model):
    """One mail to some people. Its words never change; it stays, for its key keeps it from being sent twice.

    Written by `metering.announcing.mail` in the transaction that causes it, marked by `mailing` beside it.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")

    key = models.CharField(
        _("key"),
        max_length=MAIL_KEY_MAX_LENGTH,
        unique=True,
        help_text=_("What it is about: one mail for each."),
    )
    # Where it comes from; it doesn't keep a project from being removed.
    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    recipients = ArrayField(models.CharField(max_length=320), verbose_name=_("recipients"))
    # Handed over one by one, so that a repeat after a mishap spares those who have it.
    sent_to = ArrayField(
        models.CharField(max_length=320), verbose_name=_("sent to"), default=list, db_default=[]
    )
    subject = models.CharField(pgettext_lazy("of a mail", "subject"), max_length=SUBJECT_MAX_LENGTH)
    text = models.TextField(_("text"))
    html = models.TextField(_("HTML"), default="", blank=True)
    message_id = models.CharField(_("Message-ID"), max_length=300)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING, db_default=Status.PENDING
    )
    attempt_count = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    earlier_attempt_count = models.PositiveIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), db_default=Now())
    sent_at = models.DateTimeField(_("sent at"), null=True)
    error = models.TextField(_("last error"), default="", db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        db_table_comment = (
            "One mail to some people, and whether it has left. Its key keeps it from being sent twice."
        )
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        default_permissions = ("view",)
        permissions = [("resend_outgoingmail", _("Can send mails again"))]
        indexes = [
            models.Index(fields=["next_attempt_at", "id"], name="mail_due", condition=Q(status="pending")),
            models.Index(fields=["status", "id"], name="mail_by_status"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def open_recipients(self) -> list[str]:
        """Those who don't have it yet."""
        return [recipient for recipient in self.recipients if recipient not in self.sent_to]


class MailAttachment(models.Model):
    """A file that goes with a mail. Written with it."""

    mail = models.ForeignKey(OutgoingMail, on_delete=models.CASCADE, related_name="attachments")
    file_name = models.CharField(_("file"), max_length=200)
    content_type = models.CharField(_("type"), max_length=100)
    content = models.BinaryField()

    class Meta:
        db_table_comment = "A file that goes with a mail."
        ordering = ["id"]

    def __str__(self) -> str:
        return self.file_name
