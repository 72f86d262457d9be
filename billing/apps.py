from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def restore_seeded_rows(**_: Any) -> None:
    """A flush or a restore without data may have taken them."""
    from metering.schedule import seed_schedule  # noqa: PLC0415 (models are ready only now)

    from .schedule import JOBS  # noqa: PLC0415

    seed_schedule(jobs=JOBS)
    # Before any page shows them; a migrate to a state without the table comes here, too.
    from .invoicing.number_series import ensure_series  # noqa: PLC0415
    from .models import NumberSeries  # noqa: PLC0415

    if NumberSeries._meta.db_table in connection.introspection.table_names():
        ensure_series()


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415 (registers the checks)

        post_migrate.connect(restore_seeded_rows, sender=self)
