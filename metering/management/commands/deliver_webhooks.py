"""`manage.py deliver_webhooks`: send what waits for webhook endpoints, for whoever runs no beat."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.delivering.delivering import Deliveries, deliver_due
from metering.models import WebhookDelivery
from metering.progress import Progress

EPILOG = """
examples:
  manage.py deliver_webhooks
  manage.py deliver_webhooks --seconds 600       go on for ten minutes at most, where much waits

Sends what is due now; what failed before is due again later, by and by over three days. Any number may run at
once. Killed at any moment, what was under way is sent again two minutes later, under the same id.

exit status: 0 everything that was due has arrived, or nothing was; 1 something failed (see the admin)
"""


class Command(BaseCommand):
    """Edge."""

    help = "Deliver domain events to the webhook endpoints that subscribe to them."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds",
            type=float,
            default=50.0,
            metavar="N",
            help="begin nothing new after that (default: 50)",
        )

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        pending = WebhookDelivery.objects.filter(status=WebhookDelivery.Status.PENDING)
        with Progress(self.stdout, "Delivering", total=pending.count()) as progress:
            done = deliver_due(patience_seconds=seconds, on_progress=progress.at)
            progress.say(_sentence(done))
        left_count = pending.count()
        if left_count:
            self.stdout.write(
                f"{left_count:,} wait for their next attempt, or for an endpoint to be enabled."
            )
        if done.failed_count:
            raise CommandError("Not everything has arrived.", returncode=1)


def _sentence(done: Deliveries) -> str:
    if not done.delivered_count and not done.failed_count:
        return "Nothing was due."
    failed = f", {done.failed_count:,} failed" if done.failed_count else ""
    return f"{done.delivered_count:,} delivered{failed} in {done.seconds:.1f} s."
