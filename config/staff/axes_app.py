"""The package that counts failures, by names that staff understand."""

from axes.apps import AppConfig
from django.utils.translation import gettext_lazy as _

_NAMES = {
    "accesslog": (_("sign-in"), _("sign-ins")),
    "accessfailurelog": (_("failed sign-in"), _("failed sign-ins")),
    "accessattempt": (_("lock"), _("locks")),
}


class AxesConfig(AppConfig):
    verbose_name = _("Staff")

    def ready(self) -> None:
        super().ready()
        for name, (one, many) in _NAMES.items():
            options = self.get_model(name)._meta
            options.verbose_name, options.verbose_name_plural = one, many
