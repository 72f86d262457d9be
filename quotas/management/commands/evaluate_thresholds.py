"""`manage.py evaluate_thresholds`: the sweep, for whoever runs no beat or doesn't want to wait for it."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from quotas.evaluation import evaluate_thresholds
from quotas.models import UsageThreshold

EPILOG = """
examples:
  manage.py evaluate_thresholds
  manage.py evaluate_thresholds && manage.py post_alerts --at-once

Ticks evaluate what they touch. This looks at the running periods of every threshold, and at those that ended
within the last hour: for averages over time, which move without events, and for whatever was missed. A
crossing that is recorded already stays the only one. Any number may run at once; killed, it changes nothing.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Evaluate the running periods of all thresholds."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        threshold_count = UsageThreshold.objects.in_force().count()
        crossing_count = evaluate_thresholds()
        self.stdout.write(f"{threshold_count:,} thresholds evaluated, {crossing_count:,} new crossings.")
