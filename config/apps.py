from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def restore_seeded_rows(**_: Any) -> None:
    """A flush or a restore without data may have taken them."""
    from metering.schedule import seed_schedule  # noqa: PLC0415 (models are ready only now)

    from .schedule import JOBS  # noqa: PLC0415

    seed_schedule(jobs=JOBS)


class ConfigConfig(AppConfig):
    """Wires the apps together; owns the commands that concern the whole system, and those who sign in."""

    name = "config"
    verbose_name = _("Staff")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from metering.grants import grant_after_migrate  # noqa: PLC0415 (after the app registry is ready)

        from . import checks  # noqa: F401, PLC0415 (registers them)
        from .roles.seeding import restore_roles  # noqa: PLC0415

        post_migrate.connect(restore_seeded_rows, sender=self)
        # post_migrate reaches apps in the order of INSTALLED_APPS: billing is the last that makes tables.
        post_migrate.connect(grant_after_migrate, sender=apps.get_app_config("billing"))
        # The last of all, so that the permissions of every app are there.
        *_others, last = (each for each in apps.get_app_configs() if each.models_module is not None)
        post_migrate.connect(restore_roles, sender=last)
