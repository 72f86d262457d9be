"""`manage.py load_demo_limits`: quotas and thresholds for the usage of the demo."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.errors import MeterbookError
from metering.models import Project
from quotas.demo.limits import set_limits

EPILOG = """
examples:
  manage.py simulate_usage && manage.py load_demo_limits

Running it again adds nothing twice, and changes no limit that somebody changed.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Limit what the simulated projects of the demo may use, and watch some of it."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        if not Project.objects.filter(key="simulated-shop").exists():
            raise CommandError("There is nothing to limit yet; run simulate_usage first.")
        try:
            limits = set_limits()
        except MeterbookError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Limits: {limits.quota_count} quotas, {limits.threshold_count} thresholds, "
            f"{limits.open_alert_count} alerts to answer."
        )
