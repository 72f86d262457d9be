"""Verifications: when the ledger and everything made of it were checked, and what was found."""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class VerificationRun(models.Model):
    """One verification: what was asked, how far it is, what it found. Written by `verifying.verification`."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Running")
        PASSED = "passed", _("Passed")
        FAILED = "failed", _("Failed")
        INTERRUPTED = "interrupted", _("Interrupted")

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("Schedule")
        STAFF = "staff", _("Admin")
        COMMAND = "command", _("Command line")
        CODE = "code", _("Program")

    trigger = models.CharField(_("started by"), max_length=10, choices=Trigger.choices)
    requested_by = models.CharField(_("requested by"), max_length=150, default="", blank=True)
    requested_at = models.DateTimeField(_("requested at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    state = models.CharField(_("result"), max_length=12, choices=State.choices)
    checks = ArrayField(
        models.CharField(max_length=50),
        verbose_name=_("checks"),
        default=list,
        help_text=_("Which checks were asked for. Empty: all."),
    )
    metrics = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("metrics"),
        default=list,
        help_text=_("Which metrics were asked for. Empty: all."),
    )
    head = models.CharField(
        _("published head"),
        max_length=200,
        default="",
        blank=True,
        help_text=_("The head that the chain of seals was held against. Empty: none."),
    )
    breach_limit = models.PositiveIntegerField(
        default=20, help_text=_("How many breaches of each step are kept; all are counted.")
    )
    position = models.BigIntegerField(
        _("verified up to"), null=True, help_text=_("Everything up to this ledger position was looked at.")
    )
    step_count = models.PositiveIntegerField(_("steps"), default=0)
    done_count = models.PositiveIntegerField(_("steps done"), default=0)
    current_step = models.CharField(_("now checking"), max_length=300, default="", blank=True)
    findings = models.JSONField(_("findings"), default=list)
    breach_count = models.BigIntegerField(_("breaches"), default=0)
    summary = models.TextField(_("summary"), default="", blank=True)
    seconds = models.FloatField(_("seconds"), default=0.0)

    class Meta:
        db_table_comment = "One verification of the ledger and its projections, and what it found."
        verbose_name = _("verification")
        verbose_name_plural = _("verifications")
        default_permissions = ("view",)
        permissions = [("verify_ledger", _("Can start a verification"))]
        constraints = [
            # Who asks while another waits is served by that one.
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="queued"), name="verification_waits_once"
            ),
        ]
        indexes = [models.Index(fields=["finished_at"], name="verification_by_end")]

    def __str__(self) -> str:
        return gettext("Verification %s") % self.pk

    @property
    def is_active(self) -> bool:
        return self.state in {self.State.QUEUED, self.State.RUNNING}

    @property
    def is_partial(self) -> bool:
        """Whether only some checks or metrics were asked for."""
        return bool(self.checks or self.metrics)

    @property
    def done_fraction(self) -> float:
        if not self.is_active:
            return 1.0
        return min(1.0, self.done_count / self.step_count) if self.step_count else 0.0

    @property
    def duration(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.seconds)
