"""`manage.py post_alerts`: mails about crossings, for whoever runs no beat or doesn't want to wait for it."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from quotas.alerting import post_alerts

EPILOG = """
examples:
  manage.py post_alerts
  manage.py post_alerts --at-once

Posts the mails of alerts that have none yet; sending them is another job. Alerts are collected for
ALERT_COLLECTING_SECONDS, and whoever is told of more than ALERT_DIGEST_ABOVE gets one mail about all. Each
alert is posted once, however many of these run and wherever they are killed.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Post the mails about thresholds that were neared or reached."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--at-once", action="store_true", help="don't collect any longer")

    def handle(self, *args: Any, at_once: bool = False, **options: Any) -> None:
        self.stdout.write(f"{post_alerts(at_once=at_once):,} mails posted.")
