from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def restore_seeded_rows(*, using: str, **_: Any) -> None:
    """A flush or a restore without data may have taken them."""
    from .models import CatalogueVersion  # noqa: PLC0415 (models are ready only now)
    from .schedule import seed_schedule  # noqa: PLC0415

    CatalogueVersion.objects.using(using).get_or_create(pk=1)
    seed_schedule()


class MeteringConfig(AppConfig):
    name = "metering"
    verbose_name = _("Metering")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415 (registers the checks; models are ready only now)

        # The framework's own hook, and the only signals here: migrate must leave a usable database behind.
        post_migrate.connect(restore_seeded_rows, sender=self)
