"""Keys with which applications call the API."""

import datetime as dt

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .project import Project


class ApiKey(models.Model):
    """One credential of an application. The secret is never stored; `digest` is an HMAC of it.

    Written by `metering.keys`. A revoked key stays, so that its past use remains attributable.
    """

    class Permission(models.TextChoices):
        INGEST = "ingest", _("Send usage")
        READ = "read", _("Read usage")
        MANAGE = "manage", _("Manage definitions")
        BACKFILL = "backfill", _("Record closed periods")

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        EXPIRED = "expired", _("Expired")
        REVOKED = "revoked", _("Revoked")

    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        on_delete=models.PROTECT,
        related_name="api_keys",
        help_text=_("The key sees this project and everything below it, nothing else."),
    )
    name = models.CharField(
        _("name"),
        max_length=200,
        help_text=_("Which application holds it, so that it can be found and revoked."),
    )
    key_id = models.CharField(_("prefix"), max_length=32, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    pepper_number = models.PositiveSmallIntegerField(editable=False)
    permissions = ArrayField(
        models.CharField(max_length=20, choices=Permission.choices),
        verbose_name=_("permissions"),
        help_text=_("What the holder may do."),
    )
    may_bill = models.BooleanField(
        _("may bill"),
        db_default=True,
        default=True,
        help_text=_("With “Manage definitions”: also plans, accounts, credit and invoices."),
    )
    created_by = models.CharField(_("created by"), max_length=150, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    expires_at = models.DateTimeField(
        _("expires at"),
        null=True,
        blank=True,
        help_text=_("Empty: never. The key stops working at this instant."),
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(
        _("last used at"), null=True, blank=True, editable=False, help_text=_("Exact to a minute.")
    )

    class Meta:
        db_table_comment = "A credential of an application; the secret itself is not stored."
        ordering = ["-created_at", "-id"]
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_prefix}…)"

    @property
    def shown_prefix(self) -> str:
        """The part of the key that may be shown and logged."""
        return f"mbk_{self.key_id}"

    @staticmethod
    def without_secret(text: str) -> str:
        """`text`, or where it is a whole key as people paste it, the part that may be shown and logged."""
        return text.partition(".")[0] if text.startswith("mbk_") else text

    def state(self, *, at: dt.datetime) -> "ApiKey.State":
        if self.revoked_at is not None:
            return self.State.REVOKED
        if self.expires_at is not None and self.expires_at <= at:
            return self.State.EXPIRED
        return self.State.ACTIVE
