"""What staff want for themselves."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class StaffPreferences(models.Model):
    """One row says how one person wants to see pages. They write it themselves, and change it at will."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="preferences",
        verbose_name=_("user"),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        help_text=_("In which times are shown and read. Billing and quota periods keep their own zones."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        blank=True,
        help_text=_("Of pages. Letters and invoices are in English, whatever is chosen here."),
    )

    class Meta:
        verbose_name = _("preferences of staff")
        verbose_name_plural = _("preferences of staff")
        db_table_comment = "How a person wants to see pages: time zone and language; empty is the default."

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"
